"""Providers that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rlm_wasm import Completion, CompletionRequest


class Gate:
    """A provider whose answers wait until the test lets them go.

    ``waiting`` lists the requests that wait; ``release`` answers one (the oldest) or as many as said.
    ``most`` is how many waited at once.
    """

    free = True

    def __init__(self, answer: Callable[[CompletionRequest], str] | None = None) -> None:
        self._answer = answer or (lambda request: f"[{request.instruction}]")
        self.waiting: list[tuple[CompletionRequest, asyncio.Future[None]]] = []
        self.seen: list[CompletionRequest] = []
        self.cancelled: list[CompletionRequest] = []
        self.most = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        """Wait for the test, then answer."""
        self.seen.append(request)
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((request, gate))
        self.most = max(self.most, len(self.waiting))
        try:
            await gate
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        finally:
            self.waiting = [item for item in self.waiting if item[1] is not gate]
        return Completion(text=self._answer(request), model="gate", prompt_tokens=10, completion_tokens=5)

    async def until(self, count: int) -> None:
        """Until so many requests wait."""
        for _ in range(10_000):
            if len(self.waiting) >= count:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.waiting)} requests wait, not {count}")

    def release(self, count: int = 1, error: Exception | None = None) -> None:
        """Let the oldest go on."""
        for _, gate in self.waiting[:count]:
            if not gate.done():
                if error is None:
                    gate.set_result(None)
                else:
                    gate.set_exception(error)


class Answers:
    """A provider that answers at once: by a function, or with the instruction in brackets."""

    free = True
    inline = True

    def __init__(self, answer: Callable[[CompletionRequest], Any] | None = None) -> None:
        self._answer = answer or (lambda request: f"[{request.instruction}]")
        self.seen: list[CompletionRequest] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer."""
        self.seen.append(request)
        answer = self._answer(request)
        if isinstance(answer, Completion):
            return answer
        return Completion(text=answer, model="test", prompt_tokens=10, completion_tokens=5)

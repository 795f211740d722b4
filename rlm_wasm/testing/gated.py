"""A provider whose calls end when the test says so: order and overlap without a clock."""

from __future__ import annotations

import asyncio

from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens


class GatedProvider:
    """Every call waits at a gate.

    ``requests`` holds all that came, ``waiting`` those still at the gate, ``cancelled`` those whose
    task was cancelled there, each in the order in which it happened; ``peak`` is how many waited
    at once at the most.
    """

    name = "gated"
    default_model = "gated"

    def __init__(self) -> None:
        self.requests: list[CompletionRequest] = []
        self.cancelled: list[CompletionRequest] = []
        self.peak = 0
        self._gates: dict[int, asyncio.Future[str]] = {}
        self._changed = asyncio.Condition()

    @property
    def waiting(self) -> list[CompletionRequest]:
        """The calls at the gate, oldest first."""
        return [self.requests[number] for number in self._gates]

    async def complete(self, request: CompletionRequest) -> Completion:
        """Wait until the test opens the gate."""
        number = len(self.requests)
        self.requests.append(request)
        gate: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._gates[number] = gate
        self.peak = max(self.peak, len(self._gates))
        async with self._changed:
            self._changed.notify_all()
        try:
            text = await gate
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        finally:
            self._gates.pop(number, None)
        return Completion(
            text=text,
            model=request.model or self.default_model,
            prompt_tokens=estimate_prompt_tokens(request.instruction, request.data, len(request.images)),
            completion_tokens=estimate_tokens(text),
        )

    async def arrived(self, count: int) -> list[CompletionRequest]:
        """Wait until ``count`` calls are at the gate, and give them."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._gates) >= count)
        return self.waiting

    def release(self, index: int = 0, text: str | None = None) -> CompletionRequest:
        """Let one call through: by its place in ``waiting``; its data is the answer by default."""
        number = list(self._gates)[index]
        request = self.requests[number]
        answer = text if text is not None else request.data or request.instruction
        self._gates.pop(number).set_result(answer)
        return request

    def release_all(self) -> None:
        """Let all that wait through, oldest first."""
        while self._gates:
            self.release()

    def fail(self, error: Exception, index: int = 0) -> CompletionRequest:
        """Make one call fail."""
        number = list(self._gates)[index]
        self._gates.pop(number).set_exception(error)
        return self.requests[number]

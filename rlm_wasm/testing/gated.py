"""A provider whose calls end when the test says so: order and overlap without a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from rlm_wasm.providers.aliases import ROLES
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.testing.inline import completion_of

ARRIVAL_TIMEOUT_S = 30.0
"""After so long ``arrived`` gives up, so that a test fails instead of hanging."""


class GatedProvider:
    """Every call waits at a gate.

    ``answer`` makes the text, or the whole Completion, of a call that is let through; by default it is
    the request's data, or its instruction where there is none. ``requests`` holds all that came,
    ``waiting`` those still at the gate, ``cancelled`` those whose task was cancelled there, each in the
    order in which it happened; ``peak`` is how many waited at once at the most.
    """

    name = "gated"
    default_model = "gated"
    free = True
    language_model = False
    roles: ClassVar = {role: role for role in ROLES}

    def __init__(self, answer: Callable[[CompletionRequest], str | Completion] | None = None) -> None:
        self.requests: list[CompletionRequest] = []
        self.cancelled: list[CompletionRequest] = []
        self.peak = 0
        self._answer = answer or (lambda request: request.data or request.instruction)
        self._gates: dict[int, asyncio.Future[str | None]] = {}
        self._expected: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> list[CompletionRequest]:
        """The calls at the gate, oldest first."""
        return [self.requests[number] for number in self._gates]

    async def complete(self, request: CompletionRequest) -> Completion:
        """Wait until the test opens the gate."""
        number = len(self.requests)
        self.requests.append(request)
        gate: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._gates[number] = gate
        self.peak = max(self.peak, len(self._gates))
        for count, here in self._expected:
            if len(self._gates) >= count and not here.done():
                here.set_result(None)
        try:
            text = await gate
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        finally:
            self._gates.pop(number, None)
        return completion_of(request, self._answer(request) if text is None else text, self.default_model)

    async def arrived(self, count: int, timeout_s: float = ARRIVAL_TIMEOUT_S) -> list[CompletionRequest]:
        """Wait until ``count`` calls are at the gate, and give them. Raises TimeoutError after so long."""
        if len(self._gates) < count:
            here: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            expected = (count, here)
            self._expected.append(expected)
            try:
                await asyncio.wait_for(here, timeout_s)
            except TimeoutError:
                raise TimeoutError(
                    f"{len(self._gates)} calls are at the gate after {timeout_s:g} s, not {count}"
                ) from None
            finally:
                self._expected.remove(expected)
        return self.waiting

    def release(self, index: int = 0, text: str | None = None) -> CompletionRequest:
        """Let one call through, by its place in ``waiting``: with the text, or with its ``answer``."""
        return self._let_through(list(self._gates)[index], text)

    def _let_through(self, number: int, text: str | None) -> CompletionRequest:
        self._gates.pop(number).set_result(text)
        return self.requests[number]

    def release_many(self, count: int) -> None:
        """Let as many through, oldest first, or all where fewer wait."""
        for number in list(self._gates)[: max(count, 0)]:
            self._let_through(number, None)

    def release_all(self) -> None:
        """Let all that wait through, oldest first."""
        self.release_many(len(self._gates))

    def fail(self, error: Exception, index: int = 0) -> CompletionRequest:
        """Make one call fail."""
        number = list(self._gates)[index]
        self._gates.pop(number).set_exception(error)
        return self.requests[number]

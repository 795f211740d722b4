"""One session's Python: the operations py-exec, py-eval, py-set! and py-call over a back end.

The back end is made at the first use, so that a program without Python never pays for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rlm_wasm.capabilities.python import PythonBackend, PythonReply, WhenDone
from rlm_wasm.capabilities.table import Handler, PackedHandler
from rlm_wasm.python.to_json import first_of
from rlm_wasm.python.values import Reference
from rlm_wasm.python.workers import Running
from rlm_wasm.sandbox import protocol
from rlm_wasm.scope_log import ScopeLog


class SessionPython:
    """``make`` gives a back end, or raises CapabilityDenied; fuel and time are those of the execution."""

    def __init__(
        self,
        make: Callable[[], Awaitable[PythonBackend]],
        log: ScopeLog,
        *,
        contexts: Callable[[], Mapping[str | None, str]],
        fuel_left: Callable[[], int],
        time_left: Callable[[], float | None],
        charge: Callable[[int], None],
        changed: Callable[[bytes | None], None] | None = None,
    ) -> None:
        """``changed`` is told the captured variables after each operation that may have changed them."""
        self._changed = changed
        self._make = make
        self._log = log
        self._contexts = contexts
        self._fuel_left = fuel_left
        self._time_left = time_left
        self._charge = charge
        self._backend: PythonBackend | None = None
        self._opening = asyncio.Lock()
        self._saved: bytes | None = None
        """Captured variables of a snapshot that no back end was made for yet."""
        self.operations_over = 0
        """Operations that are over. Variables that were captured before that are of an earlier moment."""
        self._holders = 0

    def table(self) -> dict[str, Handler]:
        """The operations."""
        return {
            "py-exec": self._handler("py-exec", "exec"),
            "py-eval": self._handler("py-eval", "eval"),
            "py-set!": self._handler("py-set!", "set"),
            "py-call": self._handler("py-call", "call"),
        }

    def _handler(self, name: str, operation: str) -> PackedHandler:
        def serve(arguments: list[Any]) -> Any:
            return self._run(name, operation, arguments[0], arguments)

        def serve_packed(packed: bytes) -> Any:
            return self._run(name, operation, what(packed), packed)

        def what(packed: bytes) -> str:
            first = first_of(packed)
            return first.text if isinstance(first, Reference) else str(first)

        return PackedHandler(serve, serve_packed, what)

    def _run(self, name: str, operation: str, what: Any, arguments: list[Any] | bytes) -> Any:
        self._log.add(name, what, "host")
        if self._backend is None or self._changed is not None or self._holders:
            return self._run_and_tell(operation, arguments)
        begun = self._begun(self._backend, operation, arguments)
        return (
            _encoded(begun) if isinstance(begun, PythonReply) else Running(self._finished(begun), begun.close)
        )

    def _begun(
        self, backend: PythonBackend, operation: str, arguments: Sequence[Any] | bytes
    ) -> PythonReply | WhenDone:
        try:
            reply = backend.begin(
                operation, arguments, fuel=self._fuel_left(), timeout_s=self._time_left() or 1.0
            )
        except Exception as error:
            self.operations_over += 1
            self._charge(getattr(error, "fuel", 0))
            raise
        if isinstance(reply, PythonReply):
            self.operations_over += 1
            self._charge(reply.fuel)
        return reply

    async def _finished(self, begun: PythonReply | WhenDone) -> protocol.Encoded:
        if isinstance(begun, PythonReply):
            return _encoded(begun)
        try:
            reply = await begun
        except BaseException as error:  # one that nobody waits for any longer has used what it used
            self._charge(getattr(error, "fuel", 0))
            raise
        finally:
            self.operations_over += 1
        self._charge(reply.fuel)
        return _encoded(reply)

    @contextmanager
    def held(self) -> Iterator[None]:
        """In the body no operation begins: what is captured then stays as it is, but for one under way."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1

    async def _run_and_tell(self, operation: str, arguments: list[Any] | bytes) -> Any:
        backend = await self._opened()
        while self._holders:
            await asyncio.sleep(0)
        try:
            return await self._finished(self._begun(backend, operation, arguments))
        finally:
            if self._changed is not None:
                self._changed(await backend.capture())

    async def _opened(self) -> PythonBackend:
        async with self._opening:
            if self._backend is None:
                backend = await self._make()
                for name, text in self._contexts().items():
                    backend.set_context(name, text)
                if self._saved is not None:
                    await backend.restore(self._saved)
                    self._saved = None
                self._backend = backend
            return self._backend

    def set_context(self, name: str | None, text: str) -> None:
        """A context was loaded."""
        if self._backend is not None:
            self._backend.set_context(name, text)

    async def reset(self) -> None:
        """Forget every variable."""
        if self._backend is not None:
            await self._backend.reset()
        self._saved = None
        self.operations_over += 1

    async def capture(self) -> bytes | None:
        """The variables, for a snapshot."""
        return self._saved if self._backend is None else await self._backend.capture()

    def restore(self, captured: bytes | None) -> None:
        """Take over what ``capture`` gave, when Python is used first."""
        self._saved = captured

    async def aclose(self) -> None:
        """Give everything back. Idempotent."""
        if self._backend is not None:
            await self._backend.aclose()


_VALUE = b"\x65value"


def _encoded(reply: PythonReply) -> protocol.Encoded:
    """A table of what there is; the guest knows what is left out as empty."""
    said = [(name, text) for name in ("stdout", "stderr", "note") if (text := getattr(reply, name))]
    parts = [protocol.head_of(5, 1 + len(said)) + _VALUE, reply.encoded]
    for name, text in said:
        parts += [protocol.encode(name), protocol.encode(text)]
    return protocol.Encoded(*parts)

"""Python in this very process: TRUSTED code only, with no isolation at all.

For embedders whose programs are their own and want their packages (numpy, pandas). The code can do
whatever the process can. Fuel and memory are not limited, and a timeout only ends the wait: the
thread runs on until its code ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pickle
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from rlm_wasm.capabilities.python import PythonReply
from rlm_wasm.errors import LimitExceeded, PythonFailure, UsageError
from rlm_wasm.limits import Limits
from rlm_wasm.python import codec
from rlm_wasm.python.snippets import ByteSide, NoInput, Snippets
from rlm_wasm.python.to_cbor import value_to_cbor
from rlm_wasm.python.values import Reference, arguments_of, to_scheme
from rlm_wasm.python.workers import Running
from rlm_wasm.sandbox import protocol

_process_lock = threading.Lock()  # sys.stdin, sys.stdout and the current folder are the process's


def _renew_lock() -> None:
    global _process_lock
    _process_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class HostPython:
    """One session's namespace. Calls are served one after the other in a thread of their own."""

    name = "host"

    def __init__(self, *, limits: Limits, workspace: Path | None) -> None:
        self._limits = limits
        self._workspace = workspace
        self._space: dict[str, Any] = {}
        self._contexts: dict[str, str] = {}
        self._objects: dict[int, Any] = {}
        self._snippets = Snippets()
        self._lock = asyncio.Lock()
        self._new_thread()
        self._fresh()

    def _new_thread(self) -> None:
        self._process = os.getpid()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rlm-wasm-host-python")

    def _fresh(self) -> None:
        context = self._space.get("context")
        self._space = {"__name__": "__main__", "contexts": self._contexts}
        if context is not None:
            self._space["context"] = context
        self._objects.clear()

    def begin(
        self, operation: str, arguments: Sequence[Any] | bytes, *, fuel: int, timeout_s: float
    ) -> Running[PythonReply]:
        """See PythonBackend; ``fuel`` is not looked at."""
        return Running(self.run(operation, arguments, fuel=fuel, timeout_s=timeout_s))

    async def run(
        self, operation: str, arguments: Sequence[Any] | bytes, *, fuel: int, timeout_s: float
    ) -> PythonReply:
        """See PythonBackend."""
        async with self._lock:
            if self._process != os.getpid():  # a forked child: its parent's thread did not come along
                self._new_thread()
            work = asyncio.get_running_loop().run_in_executor(self._thread, self._serve, operation, arguments)
            try:
                return await asyncio.wait_for(work, timeout_s)
            except TimeoutError:
                self._new_thread()
                raise LimitExceeded("timeout_s", timeout_s, self._limits.timeout_s) from None

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Reference):
            if value.key not in self._objects:
                raise UsageError(f"this Python object is gone: {value.text}")
            return self._objects[value.key]
        if isinstance(value, list):
            return [self._resolve(item) for item in value]
        if isinstance(value, dict):
            return {key: self._resolve(item) for key, item in value.items()}
        return value

    def _reference(self, value: Any) -> list[Any]:
        self._objects[id(value)] = value
        return [id(value), repr(value)[:200]]

    def _serve(self, operation: str, arguments: Sequence[Any] | bytes) -> PythonReply:
        if isinstance(arguments, bytes):  # its values are this process's in any case
            arguments = protocol.arguments_of(arguments)
        given = [self._resolve(value) for value in arguments_of(operation, arguments)]
        out, err = _Output(), _Output()
        with _process_lock, _standard_streams(out, err):
            try:
                text = codec.dumps(self._do(operation, given), self._reference)
            except BaseException as error:  # SystemExit and KeyboardInterrupt too: they are the code's own
                failure = self._snippets.describe(error)
                raise PythonFailure(
                    codec.valid_text(failure["error"]),
                    kind=failure["kind"],
                    traceback=failure["traceback"],
                    frames=tuple(failure["frames"]),
                ) from None
        limit = self._limits.output_bytes
        return PythonReply(
            encoded=b"".join(value_to_cbor(text.encode(), _go_on)),
            decode=lambda: to_scheme(text),
            stdout=codec.valid_text(out.getvalue()[:limit]),
            stderr=codec.valid_text(err.getvalue()[:limit]),
        )

    def _do(self, operation: str, given: list[Any]) -> Any:
        if operation in ("exec", "eval"):
            with contextlib.chdir(self._workspace) if self._workspace else contextlib.nullcontext():
                return self._snippets.execute(given[0], self._space, last_value=operation == "eval")
        if operation == "set":
            self._space[given[0]] = given[1]
            return None
        if operation == "call":
            target, method, *rest = given
            return getattr(target, method)(*rest)
        raise UsageError(f"no such Python operation: {operation}")

    def set_context(self, name: str | None, text: str) -> None:
        """See PythonBackend."""
        if name is None:
            self._space["context"] = text
        else:
            self._contexts[name] = text

    async def reset(self) -> None:
        """See PythonBackend."""
        async with self._lock:
            self._fresh()

    async def capture(self) -> bytes | None:
        """See PythonBackend: the variables that pickle takes."""
        kept = {}
        async with self._lock:
            for name, value in self._space.items():
                if name in ("__builtins__", "contexts", "context"):
                    continue
                with contextlib.suppress(Exception):
                    pickle.dumps(value)
                    kept[name] = value
        return pickle.dumps(kept)

    async def restore(self, captured: bytes) -> None:
        """Refused: unpickling runs code, and a snapshot may come from anywhere."""
        raise UsageError('a snapshot\'s Python variables are not restored by the "host" back end')

    async def aclose(self) -> None:
        """See PythonBackend."""
        self._thread.shutdown(wait=False)


def _go_on() -> None:
    """Its code cannot be stopped, nor is this."""


class _Output(io.StringIO):
    """A standard stream that keeps what is written, as text or as bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = ByteSide(self)

    @property
    def buffer(self) -> Any:
        """What takes bytes."""
        return self._bytes


@contextlib.contextmanager
def _standard_streams(out: _Output, err: _Output) -> Iterator[None]:
    """The process's standard streams are the call's in the body, and so are its descriptors in this thread.

    Where the process serves MCP, its standard output is the protocol's.
    """
    before = sys.stdin, sys.__stdout__, sys.__stderr__, os.write, os._exit
    sys.stdin, sys.__stdout__, sys.__stderr__ = NoInput(), out, err  # type: ignore[misc, assignment]
    thread, write, leave = threading.get_ident(), os.write, os._exit

    def written(descriptor: int, data: Any) -> int:
        stream = {1: out, 2: err}.get(descriptor) if threading.get_ident() == thread else None
        return write(descriptor, data) if stream is None else int(stream.buffer.write(data))

    def left(status: int) -> NoReturn:
        if threading.get_ident() == thread:
            raise SystemExit(status)
        leave(status)

    os.write, os._exit = written, left
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        sys.stdin, sys.__stdout__, sys.__stderr__, os.write, os._exit = before  # type: ignore[misc]

"""CPython inside WebAssembly. The only file that enters the Python component.

The component reaches nothing but what is defined here: a clock, seeded randomness, and one
function that serves contexts and the workspace's files. Every answer is cut before it is parsed,
for code in there can overwrite its own driver. After a trap the instance is dead: the next call
makes another, with the variables as they were captured last, and says what was lost.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import wasmtime
from wasmtime import _bindings

from rlm_wasm.capabilities.python import PythonReply, WhenDone
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.errors import (
    LimitExceeded,
    PythonFailure,
    PythonInstanceLost,
    PythonNotBegun,
    Unencodable,
    UsageError,
)
from rlm_wasm.limits import Limits
from rlm_wasm.python import codec, workers
from rlm_wasm.python.component import PythonEngine
from rlm_wasm.python.place import FamilyPlace, locked_at_once
from rlm_wasm.python.snippets import MAX_FRAMES
from rlm_wasm.python.text_function import TextFunction
from rlm_wasm.python.to_cbor import value_to_cbor
from rlm_wasm.python.to_json import request_of
from rlm_wasm.python.values import BLOCK, Reference, arguments_of, check_marks, joined, to_scheme
from rlm_wasm.python.workers import Running

SMALL_STATE = 256 << 10
"""Captured variables up to this size are captured after every change, larger ones now and then."""
LARGE_STATE_EVERY = 8
ERROR_LIMIT = 64 << 10
CAPTURE_FUEL = 20_000_000_000
CAPTURE_SECONDS = 10.0
FUEL_A_SECOND: Final = 10**9
"""What a second of a processor counts for at the least, where a call was stopped."""


MOMENT_S = 0.001
"""Seconds that the event loop is kept for a call that may be short."""
CONTEXT_PART = 1 << 20
"""Characters of a context that Python is given at once."""
REQUEST_LIMIT = 64 << 20
"""Characters of what Python may ask of the host at once, such as a file that it writes."""
ANSWER_LIMIT = 16 << 20
"""Bytes of what is said beside a value: two streams of a mebibyte, and an error."""
_ANSWER_MARKS = 2_000
"""Commas, colons, brackets and strings of it."""

T = TypeVar("T")

ServeTool = Callable[[str, str], str]
"""Serves a call of the embedder's function: its name and JSON arguments; gives JSON, never raises."""


class _Account:
    """What a call may use, and has used: hostile code runs in what the host asks on its behalf, too."""

    __slots__ = ("cancelled", "fuel", "until", "used")

    def __init__(self, fuel: int, seconds: float, cancelled: threading.Event | None = None) -> None:
        self.fuel = fuel
        self.until = time.monotonic() + seconds
        self.cancelled = threading.Event() if cancelled is None else cancelled
        self.used = 0

    @property
    def left(self) -> int:
        """Fuel."""
        return self.fuel - self.used

    def seconds_left(self) -> float:
        """Until its time is over."""
        return self.until - time.monotonic()


class WasiPython:
    """One session's Python. Calls are served one after the other, off the event loop's thread."""

    name = "wasi"

    def __init__(
        self,
        *,
        limits: Limits,
        workspace: Workspace,
        seed: int = 0,
        place: FamilyPlace | None = None,
        tools: ServeTool | None = None,
    ) -> None:
        """``tools`` serves what code asks for by ``wit_world.host``; it runs in the calling thread."""
        self._tools = tools
        self._limits = limits
        self._place = place if place is not None else FamilyPlace()
        self._workspace = workspace
        self._contexts: dict[str | None, str] = {}
        self._lock = asyncio.Lock()
        self._random = random.Random(seed)  # noqa: S311  reproducible runs, no secrets
        self._instance: _Instance | None = None
        self._captured: str | None = None
        self._since_capture = 0
        self._changed: list[str] = []
        self._stale_contexts = False
        self._short = False
        """Whether the last call took no more than a moment."""

    def begin(
        self, operation: str, arguments: Sequence[Any] | bytes, *, fuel: int, timeout_s: float
    ) -> PythonReply | WhenDone:
        """See PythonBackend. A limit that fires ends the instance, not the session.

        Where the last call was short, so may be this one: it is waited for here, for MOMENT_S at the most.
        """
        if not self._short or not self._take_at_once():
            return Running(self.run(operation, arguments, fuel=fuel, timeout_s=timeout_s))
        cancelled = threading.Event()
        job = workers.shared.submit(partial(self._serve, operation, arguments, fuel, timeout_s, cancelled))
        if job.wait(MOMENT_S):
            self._release()
            return job.result()
        self._short = False
        job.then(self._release)
        return Running(self._ended(job, cancelled), cancelled.set)

    def _take_at_once(self) -> bool:
        """The lock and the place, until ``_release``, where nobody has to be waited for; whether so."""
        if not locked_at_once(self._lock):
            return False
        if self._place.take_at_once(self):
            return True
        self._lock.release()
        return False

    def _release(self) -> None:
        self._place.release()
        self._lock.release()

    async def run(
        self, operation: str, arguments: Sequence[Any] | bytes, *, fuel: int, timeout_s: float
    ) -> PythonReply:
        """See PythonBackend."""
        async with self._lock, self._place.taken_by(self):
            cancelled = threading.Event()
            job = workers.shared.submit(
                partial(self._serve, operation, arguments, fuel, timeout_s, cancelled)
            )
            return await self._ended(job, cancelled)

    async def _ended(self, job: workers.Job[PythonReply], cancelled: threading.Event) -> PythonReply:
        try:
            await job.ended(cancelled.set)
        except asyncio.CancelledError as error:
            vars(error)["fuel"] = _fuel_of(job)
            raise
        self._short = job.seconds < MOMENT_S
        return job.result()

    def run_here(
        self, operation: str, arguments: Sequence[Any], *, fuel: int, timeout_s: float
    ) -> PythonReply:
        """The same as ``run`` in the calling thread, for who has no event loop. One call at a time.

        The time that tools take does not count.
        """
        return self._serve(operation, arguments, fuel, timeout_s, threading.Event())

    def close(self) -> None:
        """As ``aclose``, for who uses ``run_here``."""
        self._drop()

    @property
    def alive(self) -> bool:
        """Whether there is an instance; one that was lost is made again with its captured variables."""
        return self._instance is not None

    # ---- in the worker thread

    def _serve(
        self,
        operation: str,
        arguments: Sequence[Any] | bytes,
        fuel: int,
        timeout_s: float,
        cancelled: threading.Event,
    ) -> PythonReply:
        account = _Account(fuel, timeout_s, cancelled)
        try:
            return self._served(operation, arguments, account)
        except PythonInstanceLost as lost:
            error = self._limit(lost, fuel, timeout_s)
            vars(error)["fuel"] = account.used  # the session counts what was used up to here
            raise error from None
        except Exception as error:
            vars(error)["fuel"] = account.used
            raise

    def _served(self, operation: str, arguments: Sequence[Any] | bytes, account: _Account) -> PythonReply:
        def check() -> None:
            if account.cancelled.is_set() or workers.shared.leaving or account.seconds_left() < 0:
                raise PythonNotBegun("timeout", 0)

        request, first = self._request_of(operation, arguments, check)
        note = self._made_ready(account)
        if len(request) > self._limits.message_bytes:
            raise UsageError(
                f"py-{operation}: the request has {len(request):,} bytes; "
                f"a message may have {self._limits.message_bytes:,} (message_bytes)"
            )
        value, answer = self._parse(self._called(request, account))
        encoded = self._read(lambda: joined(value_to_cbor(value, check)))
        self._note_change(operation, first)
        if operation in ("exec", "set", "call") and self._tools is None:
            self._capture_now_and_then(account)
        if "error" in answer:
            raise PythonFailure(
                answer["error"],
                kind=answer["kind"],
                traceback=answer["traceback"],
                frames=tuple(answer["frames"]),
            )
        return PythonReply(
            encoded=encoded,
            decode=lambda: to_scheme(value.decode()),
            stdout=answer["stdout"],
            stderr=answer["stderr"],
            fuel=account.used,
            note=note,
        )

    def _called(self, request: bytes, account: _Account) -> bytes:
        """What the instance says to a request. Raises PythonInstanceLost."""
        assert self._instance is not None
        try:
            text, used = self._instance.call(request, account.left, account.seconds_left(), account.cancelled)
        except PythonInstanceLost as lost:
            account.used += lost.fuel
            if not isinstance(lost, PythonNotBegun):
                self._drop()
            raise
        account.used += used
        return text

    def _request_of(
        self, operation: str, arguments: Sequence[Any] | bytes, check: Callable[[], None]
    ) -> tuple[bytes, str]:
        """What the instance is sent, and its code or name. Raises UsageError and Unencodable."""
        if isinstance(arguments, bytes):
            return request_of(operation, arguments, self._limits.message_bytes, check)
        given = arguments_of(operation, arguments)
        first = given[0] if isinstance(given[0], str) else ""
        if operation in ("exec", "eval"):
            return f"{operation}\n{codec.valid_text(first)}".encode(), first
        return self._request(operation, given), first

    def _request(self, operation: str, given: list[Any]) -> bytes:
        def reference(value: Any) -> list[Any]:
            if isinstance(value, Reference):
                return [value.key, value.text]
            raise UsageError(f"Python has no form for a value of kind {type(value).__name__}")

        try:
            text = codec.dumps(given, reference)
        except (codec.TooDeep, codec.TooLarge) as error:
            raise UsageError(f"what is handed to Python: {error}") from None
        return f"{operation}\n{text}".encode()

    def _parse(self, text: bytes) -> tuple[bytes, dict[str, Any]]:
        """A value's text, and what was said beside it. Hostile: the form of the latter is checked.

        Raises PythonFailure: what does not fit is a failure of the code that ran.
        """
        if len(text) > self._limits.message_bytes:
            raise PythonFailure(
                f"the value is too large to leave Python: it has more than the "
                f"{self._limits.message_bytes:,} bytes that a message may have (message_bytes)",
                kind="OverflowError",
            )
        end = text.rfind(b"\n")
        if end < 0:
            return text, {"stdout": "", "stderr": ""}
        shape: dict[str, type] = {"stdout": str, "stderr": str}
        answer = self._read(lambda: _answer(text[end + 1 :], shape))
        for part in shape.keys() - {"frames"}:
            answer[part] = codec.valid_text(answer[part])
        for part in ("error", "traceback"):
            if part in answer:
                answer[part] = answer[part][:ERROR_LIMIT]
        if "error" in answer:
            answer["frames"] = [str(frame)[:200] for frame in answer["frames"][:MAX_FRAMES]]
        return text[:end], answer

    def _read(self, reading: Callable[[], T]) -> T:
        """What somebody reads out of hostile text, or PythonFailure."""
        try:
            return reading()
        except codec.TooLarge as error:
            raise PythonFailure(str(error), kind="OverflowError") from None
        except _UNREADABLE as error:
            raise PythonFailure(
                f"the Python code broke its driver: the answer cannot be read ({error})",
                kind="RuntimeError",
            ) from None

    def _made_ready(self, account: _Account) -> str:
        """There is a live instance then. What the guest has to know about how it came to be."""
        note = ""
        if self._instance is None:
            self._instance = _Instance(PythonEngine.shared(), self._limits, self._host, self._random)
            if self._captured is not None:
                try:
                    self._internal("restore", [self._captured], account)
                except BaseException:
                    self._drop()  # without its variables it must not go on
                    raise
            note = self._loss()
        if self._stale_contexts:
            self._internal("forget-context", [], account)
            self._stale_contexts = False
        return note

    def _loss(self) -> str:
        changed, self._changed = self._changed, []
        if not changed:
            return ""
        return "Python was restarted; undone since its last checkpoint: " + "; ".join(changed)

    def _internal(self, operation: str, arguments: list[Any], account: _Account) -> Any:
        value, answer = self._parse(self._called(self._request(operation, arguments), account))
        if "error" in answer:
            raise PythonFailure(answer["error"], kind=answer["kind"])
        return self._read(lambda: to_scheme(value.decode()))

    def _note_change(self, operation: str, first: str) -> None:
        if operation in ("exec", "set", "call"):
            line = first.splitlines()[0][:60] if first.strip() else operation
            self._changed = [*self._changed[-8:], line]

    def _capture_now_and_then(self, account: _Account) -> None:
        """On the account of a call. Raises PythonInstanceLost where what is left there does not do."""
        self._since_capture += 1
        large = self._captured is not None and len(self._captured) > SMALL_STATE
        if large and self._since_capture < LARGE_STATE_EVERY:
            return
        seconds = min(account.seconds_left(), CAPTURE_SECONDS)
        own = _Account(min(account.left, CAPTURE_FUEL), seconds, account.cancelled)
        try:
            self._capture(own)
        except PythonFailure:
            pass
        except PythonInstanceLost as lost:
            ran_out = {
                "cancelled": True,
                "fuel": own.fuel < CAPTURE_FUEL,
                "timeout": seconds < CAPTURE_SECONDS,
            }
            if ran_out.get(lost.reason):
                raise
        finally:
            account.used += own.used

    def _capture(self, account: _Account) -> None:
        captured = self._internal("capture", [], account)
        if isinstance(captured, list) and len(captured) == 2 and isinstance(captured[0], str):
            self._captured = captured[0]
            self._since_capture = 0
            self._changed = []

    def _capture_apart(self) -> None:
        """A capture that belongs to no call. Where it fails, the next call begins with the one before."""
        try:
            self._capture(_Account(CAPTURE_FUEL, CAPTURE_SECONDS))
        except PythonFailure:
            self._drop()
        except PythonInstanceLost:
            pass

    def _drop(self) -> None:
        if self._instance is not None:
            self._instance.close()
            self._instance = None

    def _limit(self, lost: PythonInstanceLost, fuel: int, timeout_s: float) -> Exception:
        if lost.reason == "fuel":
            error: Exception = LimitExceeded("fuel", fuel, self._limits.fuel)
        elif lost.reason in ("timeout", "cancelled"):
            error = LimitExceeded("timeout_s", timeout_s, self._limits.timeout_s)
        else:
            error = PythonFailure(
                f"Python was stopped: {lost.reason}. Its variables are those of the last checkpoint.",
                kind="SystemError",
            )
        return error

    def _host(
        self,
        request: str,
        sleep: Callable[[float], None],
        aside: Callable[[Callable[[], str]], str],
    ) -> str:
        """What the component may ask. Never raises: an exception here would kill the instance."""
        try:
            if len(request) > max(self._limits.message_bytes, REQUEST_LIMIT):
                raise ValueError(f"what is asked of the host is too long: {len(request):,} characters")
            operation, *arguments = _asked(request)
            if operation == "context":
                value: Any = self._part_of_context(*arguments)
            elif operation == "context-names":
                value = sorted(name for name in self._contexts if name is not None)
            elif operation == "sleep":
                sleep(float(arguments[0]))
                value = None
            elif operation == "tool" and self._tools is not None:
                serve, (name, given) = self._tools, arguments
                return aside(lambda: serve(str(name), str(given)))
            else:
                value = self._workspace.serve(operation, arguments)
                if operation == "read":  # of these characters none is escaped, so that nobody looks at them
                    return f'{{"value": "{value}"}}'
            return _encodable({"value": value})
        except OSError as error:
            kind = type(error).__name__
            return json.dumps(
                {"error": f"[Errno {error.errno}] {error.strerror}: {error.filename!r}", "kind": kind}
            )
        except Exception as error:
            return json.dumps({"error": str(error), "kind": "ValueError"})

    def _part_of_context(self, name: str | None, start: int) -> str | None:
        """So much of a context as is copied and encoded while all other threads wait."""
        text = self._contexts.get(name)
        return None if text is None else text[start : start + CONTEXT_PART]

    # ---- the rest of PythonBackend

    def set_context(self, name: str | None, text: str) -> None:
        """See PythonBackend: asked for when Python first touches it."""
        self._contexts[name] = text
        self._stale_contexts = self._instance is not None

    async def give_way(self) -> None:
        """Another one of the family needs the place: the variables are kept, as for a snapshot."""
        await workers.shared.run(self._kept_and_dropped)

    def _kept_and_dropped(self) -> None:
        if self._instance is not None:
            try:
                self._capture_apart()  # what was lost is said when it is next called
            finally:
                self._drop()

    async def reset(self) -> None:
        """See PythonBackend: the next call makes a new instance."""
        async with self._lock, self._place.left_by(self):
            self._drop()
            self._captured = None
            self._changed = []

    async def capture(self) -> bytes | None:
        """See PythonBackend."""
        async with self._lock, self._place.taken_by(self):
            if self._instance is not None:
                await workers.shared.run(self._capture_apart)
            return None if self._captured is None else self._captured.encode("ascii", "replace")

    async def restore(self, captured: bytes) -> None:
        """See PythonBackend. The variables come back at the next call."""
        async with self._lock, self._place.left_by(self):
            self._drop()
            self._captured = captured.decode("ascii", "replace")
            self._changed = []

    async def aclose(self) -> None:
        """See PythonBackend."""
        async with self._lock, self._place.left_by(self):
            self._drop()


def _fuel_of(job: workers.Job[PythonReply]) -> int:
    """What a call has used whose end nobody wants."""
    try:
        return job.result().fuel
    except Exception as error:
        return int(getattr(error, "fuel", 0))


class _Instance:
    """A Store and an instance of the component. Never entered by two threads at once."""

    def __init__(self, engine: PythonEngine, limits: Limits, host: Any, seeded: random.Random) -> None:
        self._engine = engine
        self._host = host
        self._cancelled = threading.Event()
        self._deadline = 0.0
        self._turn = workers.Turn(workers.shared.turns, self._stopped)
        self.dead = False
        self._store = wasmtime.Store(engine.engine)
        self._store.set_limits(memory_size=limits.python_memory_bytes, instances=200, tables=100, memories=50)
        self._store.set_fuel(1 << 62)
        self._store.set_epoch_deadline(1 << 40)
        self._watch()
        linker = engine.linker(self._serve, seeded)
        try:
            instance = linker.instantiate(self._store, engine.component)
        except wasmtime.WasmtimeError as error:
            raise PythonFailure(
                f"Python cannot start within {limits.python_memory_bytes:,} bytes (python_memory_bytes): "
                f"{_first_line(error)}",
                kind="MemoryError",
            ) from None
        function = instance.get_func(self._store, "run")
        assert function is not None
        self._run = TextFunction(self._store, function)
        self._message_bytes = limits.message_bytes

    def _watch(self) -> None:
        """Look every tick whether to go on: wasmtime has no other way to stop a call from outside."""

        def tick(_context: Any, _data: Any, delta: Any, _kind: Any) -> int:
            if self._stopped() or not self._turn.pass_on():
                error = _bindings.wasmtime_error_new(ctypes.create_string_buffer(b"rlm-wasm: stopped"))
                return int(ctypes.cast(error, ctypes.c_void_p).value or 0)
            delta[0] = 1
            return 0

        kind = _bindings._wasmtime_store_epoch_deadline_callback.argtypes[1]
        self._tick = kind(tick)  # kept: the store calls it as long as it lives
        finalizer = _bindings._wasmtime_store_epoch_deadline_callback.argtypes[3]
        self._finalizer = finalizer(lambda _data: None)
        _bindings.wasmtime_store_epoch_deadline_callback(self._store.ptr(), self._tick, None, self._finalizer)

    def _stopped(self) -> bool:
        return self._cancelled.is_set() or time.monotonic() > self._deadline or workers.shared.leaving

    def _serve(self, request: str) -> str:
        return str(self._host(request, self._sleep, self._aside))

    def _sleep(self, seconds: float) -> None:
        """Others run meanwhile."""
        until = max(0.0, min(seconds, self._deadline - time.monotonic()))
        self._turn.pause(lambda: self._cancelled.wait(until))

    def _aside(self, work: Callable[[], str]) -> str:
        """Work of the embedder's: others run meanwhile, and its time is not the code's."""
        began = time.monotonic()
        done: list[str] = []
        turn, cancelled = self._turn, self._cancelled
        turn.pause(lambda: done.append(work()))
        self._turn, self._cancelled = turn, cancelled
        self._deadline += time.monotonic() - began
        return done[0]

    def call(
        self, request: bytes, fuel: int, timeout_s: float, cancelled: threading.Event
    ) -> tuple[bytes, int]:
        """The answer and the fuel used. Raises PythonInstanceLost: then this instance is dead."""
        fuel = max(fuel, 1)
        self._cancelled = cancelled
        self._deadline = time.monotonic() + max(timeout_s, 0.0)
        self._store.set_fuel(fuel)
        self._store.set_epoch_deadline(1)
        self._turn = workers.Turn(workers.shared.turns, self._stopped)
        if not self._turn.begin():
            raise PythonNotBegun("cancelled" if cancelled.is_set() else "timeout", 0)
        began = time.thread_time()
        try:
            with self._engine.ticker.running():
                answer = self._run(request, self._message_bytes)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            self.dead = True
            # Of a loop that was stopped wasmtime knows what had been used when it was entered.
            by_time = min(int((time.thread_time() - began) * FUEL_A_SECOND), fuel)
            raise PythonInstanceLost(self._reason(error), max(fuel - self._fuel_left(), by_time)) from None
        finally:
            self._turn.end()
        return answer, fuel - self._fuel_left()

    def _fuel_left(self) -> int:
        return self._store.get_fuel()

    def _reason(self, error: Exception) -> str:
        text = str(error)
        if "all fuel consumed" in text:
            return "fuel"
        if "rlm-wasm: stopped" in text or "interrupt" in text:
            return "cancelled" if self._cancelled.is_set() else "timeout"
        if "call stack exhausted" in text:
            return "the call stack is exhausted (recursion too deep)"
        return _first_line(error)

    def close(self) -> None:
        """Idempotent."""
        self._run.close()
        self._store.close()


_UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    RecursionError,
    AttributeError,
    Unencodable,
)
"""What reading hostile text may raise."""


def _answer(text: bytes, shape: dict[str, type]) -> dict[str, Any]:
    """What was said beside a value. ``shape`` gets what an error has, where there is one."""
    try:
        check_marks(text, _ANSWER_MARKS)
    except codec.TooLarge:
        raise ValueError("its form is wrong") from None
    if len(text) > ANSWER_LIMIT:
        raise ValueError("it says too much")
    answer: dict[str, Any] = json.loads(text)
    if "error" in answer:
        shape |= {"error": str, "kind": str, "traceback": str, "frames": list}
    if not isinstance(answer, dict) or any(not isinstance(answer.get(k), t) for k, t in shape.items()):
        raise ValueError("its form is wrong")
    return answer


def _encodable(answer: dict[str, Any]) -> str:
    """JSON text: as it is, for an escaped context takes six times its memory; escaped where it has to be."""
    text = json.dumps(answer, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # the name of a file that is no UTF-8
        return json.dumps(answer)
    return text


def _first_line(error: Exception) -> str:
    """The cause without wasm's backtrace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [
        line for line in lines if not line[:1].isdigit() and "backtrace" not in line and line != "Caused by:"
    ]
    return (causes[-1] if causes else "a trap")[:300]


_WRITING: Final = '["write", "'


def _asked(request: str) -> list[Any]:
    """What the component asks for. A file's content is not gone through: base64 has no escapes."""
    content = ""
    if request.startswith(_WRITING) and request.endswith('"]') and len(request) > BLOCK:
        begin = request.rfind('"', 0, -2) + 1
        request, content = f'{request[:begin]}"]', request[begin:-2]
    check_marks(request.encode(), _ANSWER_MARKS)
    asked: list[Any] = json.loads(request)
    if content:
        asked[-1] = content
    return asked

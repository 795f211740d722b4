"""Every exception that rlm-wasm raises stands in this file, and nothing else does.

    RlmError
    ├── GuestError                 the program's own error, from Result.raise_for_status()
    │   ├── GuestSyntaxError       its text could not be read or expanded
    │   └── ForkFailed             in a fork of fork-map: its line is of the program that forked
    ├── LimitExceeded              kind, used, limit
    ├── ExecutionCancelled         session.cancel(), or Ctrl-C, ended the execution
    ├── CapabilityDenied           the guest asked for what it was not granted
    ├── ProviderError              an LLM call failed: status, retryable, retry_after_s
    │   ├── ProviderTimeout        no answer in time
    │   ├── RateLimited            refused for now
    │   ├── NoAnswer               answered, and said nothing: reasoning alone, a tool's call, a refusal
    │   └── MissingKey             names the variable to set and the keyless alternative
    ├── PythonFailure              the program's Python code raised: kind, traceback
    ├── SnapshotError              a snapshot cannot be used
    │   ├── SnapshotVersionError   made by another format or another guest image
    │   ├── SnapshotCorrupt        cut, altered, or no snapshot at all
    │   └── JournalDiverged        the guest did not do again what the journal says that it did
    ├── StoreError                 the store cannot be reached, read or written
    │   ├── LeaseLost              another process has taken the durable session over
    │   └── StoreDamaged           what stands in it cannot be
    ├── SandboxCrashed             the sandbox is lost; the session was rolled back
    │   ├── InstanceLost           its wasm instance trapped: reason
    │   └── PythonInstanceLost     its Python instance trapped: reason, fuel
    │       └── PythonNotBegun     it was stopped before its code began
    ├── ExecutorError              sessions cannot be run where the executor would run them
    ├── SessionClosed              the session or its runtime was closed before
    ├── UsageError                 the caller's own mistake (also a ValueError)
    │   ├── SessionHeld            another process is at work in the durable session
    │   ├── InvalidToolArguments   an MCP client's: arguments that a tool does not take
    │   └── ProgramRefused         an LLM call of the program's text would be refused: none is sent
    ├── Unencodable                a value that has no form on the other side
    ├── UnfitValue                 a field of a record from outside that is not what its place wants
    ├── UntrustedFile              a file of compiled code that somebody else may have written
    ├── MessageTooLarge            a message that the guest has no room for: length
    └── InternalError              a defect of rlm-wasm: please report it

``Session.execute`` reports guest errors and limits in the Result. It raises only for the
caller's own mistakes and for InternalError. ``Result.raise_for_status`` makes exceptions of what
a Result reports. Each class says when it is raised and what the reader can do about it.
"""

from __future__ import annotations


class RlmError(Exception):
    """The root of the tree: catch it to catch whatever rlm-wasm raises on purpose.

    Errors can be pickled, with all that they say: they come from other processes, too.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(kind: type[RlmError], args: tuple[object, ...], fields: dict[str, object]) -> RlmError:
    """An error that was pickled: classes here take other arguments than their base keeps."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class GuestError(RlmError):
    """The program ended with an error that it did not handle.

    Raised by ``Result.raise_for_status``. Mend the program: the message, ``line`` and ``hint`` are
    made to be shown to its author, be that a person or a model.

    ``type`` is the condition's type ("exn:fail:contract" …); ``line`` and ``column`` count from 1
    and are None where the place is not known; ``backtrace`` has the innermost frame first.
    """

    def __init__(
        self,
        message: str,
        *,
        type: str = "exn:fail",  # noqa: A002 - as in ErrorInfo
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
        backtrace: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.type = type
        self.line = line
        self.column = column
        self.hint = hint
        self.backtrace = backtrace


class ForkFailed(GuestError):
    """The program ended with an error in a fork that ``fork-map`` made; ``line`` is of the one that forked.

    The program sees it as its own error, at that line.
    """


class GuestSyntaxError(GuestError):
    """The program's text, or text that it gave to ``read`` or ``eval``, is no Scheme.

    Raised by ``Result.raise_for_status`` where reading or expanding failed. Mend the text.
    """


class LimitExceeded(RlmError):
    """A limit fired. ``kind`` is the field of Limits, ``used`` and ``limit`` are in its unit.

    Raised by ``Result.raise_for_status``, and by provider wrappers that hold a budget. Give a
    higher limit, where the Runtime's ceiling allows it, or less to do.
    """

    def __init__(self, kind: str, used: float, limit: float, message: str | None = None) -> None:
        self.kind = kind
        self.used = used
        self.limit = limit
        super().__init__(message or f"limit exceeded: {kind} (used {used:,}, limit {limit:,})")


class ExecutionCancelled(RlmError):
    """The execution was ended from outside, by ``session.cancel()`` or Ctrl-C.

    Raised by ``Result.raise_for_status``. Nothing is wrong with the program or the session:
    definitions made before are there, and the program can be run again.
    """


class CapabilityDenied(RlmError):
    """The guest asked for an operation that its session was not granted.

    In the guest a condition; raised by ``Result.raise_for_status`` where the program did not
    handle it. Grant the capability to the Runtime or the session, if the program should have it.
    """


class ProviderError(RlmError):
    """An LLM call failed.

    Raised by providers, and by ``Result.raise_for_status`` where the program did not handle it.
    ``status`` is the HTTP status where there was one; ``retryable`` says whether the same call may
    succeed later, ``retry_after_s`` after how many seconds, where the provider said so; ``answered`` that
    there was an answer, which is billed, and which is no use.
    """

    answered = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ProviderTimeout(ProviderError):
    """The provider did not answer within the call's ``timeout_s``. Try again, or allow more."""

    def __init__(self, message: str, *, status: int | None = None, retryable: bool = True) -> None:
        super().__init__(message, status=status, retryable=retryable)


class RateLimited(ProviderError):
    """The provider refused for now, and again in the tries that followed.

    Wait ``retry_after_s`` seconds where the provider said so, or lower ``concurrency``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = 429,
        retryable: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, retryable=retryable, retry_after_s=retry_after_s)


class NoAnswer(ProviderError):
    """The model answered, and what it said is no answer: the message says what came. Ask again."""


class MissingKey(ProviderError):
    """The provider needs a key that is not set. Set the variable that the message names."""


class PythonFailure(RlmError):
    """The program's Python code raised, or cannot be run.

    In the guest a condition; only a caller of a Python back end meets the exception itself.

    The message's first line is the exception; those after it name Python's lines, the innermost last.
    ``kind`` is the exception's class, ``traceback`` Python's own text, ``frames`` one text each, the
    innermost first; ``fuel`` is what the code used until then.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "Exception",
        traceback: str = "",
        frames: tuple[str, ...] = (),
        fuel: int = 0,
    ) -> None:
        super().__init__(message)
        self.frames = frames
        self.kind = kind
        self.traceback = traceback
        self.fuel = fuel


class SnapshotError(RlmError):
    """A snapshot cannot be used; a subclass says why. Nothing was restored from it."""


class SnapshotVersionError(SnapshotError):
    """The snapshot was made by another format version or another guest image.

    Restore it with the release that made it, or run its programs again.
    """


class SnapshotCorrupt(SnapshotError):
    """The bytes are no snapshot, or a damaged one. Take an older copy."""


class JournalDiverged(SnapshotError):
    """A durable session was replayed from its journal, and the guest did something else than then.

    Its snapshot or its journal is damaged, or belongs to another guest or to other limits; the message
    says where they part. What stands in the store is left as it is.
    """


class StoreError(RlmError):
    """The store cannot be reached, read or written. The message names its URL, without a password."""


class LeaseLost(StoreError):
    """Another process has taken the durable session over: it goes on there, and nothing is written here.

    That happens where this process gave no sign of life for half a minute. Close the session.
    """


class StoreDamaged(StoreError):
    """What stands in the store cannot be: somebody else wrote it, or the disk did.

    The message names the table and the column. Waiting is of no use: put a copy in its place.
    """


class SandboxCrashed(RlmError):
    """The sandbox is lost, with everything that the execution in it had done.

    Sessions recover by themselves: the Result has ``rolled_back`` set, and
    ``Result.raise_for_status`` raises this. Raised directly where a snapshot needs more memory
    than the session's ``memory_bytes``. A program that crashes its sandbox shows a defect: please
    report it.
    """


class InstanceLost(SandboxCrashed):
    """The wasm instance trapped and is gone; the scheduler rolls its session back.

    ``reason``: "fuel", "stack", "memory" (none is left, the definitions hold it) or "trap".
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class PythonInstanceLost(SandboxCrashed):
    """The Python instance trapped and is gone; the next Python code gets a fresh one.

    ``reason``: "fuel", "timeout", "cancelled" or what the trap said; ``fuel`` is what it had used.
    """

    def __init__(self, reason: str, fuel: int) -> None:
        self.reason = reason
        self.fuel = fuel
        super().__init__(reason)


class PythonNotBegun(PythonInstanceLost):
    """The call was stopped before its code began: the instance is as it was."""


class ExecutorError(RlmError):
    """Sessions cannot be run where the executor of the Runtime would run them.

    The cluster cannot be reached or has no room, or each process that takes a session up dies. What the
    session did until then is in the store: ``Runtime(store=…, durable=True).resume(name)`` goes on with it.
    """


class SessionClosed(RlmError):
    """The session or its runtime was closed before. Open another one."""


class UsageError(RlmError, ValueError):
    """The caller's own mistake: an unknown option, a bad value, two executions at once.

    The message says what is wrong and what would be right.
    """


class SessionHeld(UsageError):
    """Another process is at work in the durable session; the message says which one, since when.

    End that one, or wait: the lease of a process that is gone runs out by itself.
    """


class InvalidToolArguments(UsageError):
    """An MCP client sent arguments that the tool does not take. It is told so, and can send better ones."""


class ProgramRefused(UsageError):
    """A program has LLM calls that would be refused when their turn comes, so none of its calls is sent.

    It ends the execution; its Result names each of them with its place.
    """


class Unencodable(RlmError):
    """A Python value has no form in Scheme, or what came from the guest none in Python.

    Give data: numbers, texts, bytes, lists, dicts, sets, None, True and False.
    """


class UnfitValue(RlmError):
    """A value that is not what its place in a record wants. The message follows the place's name.

    ``records.structure`` gathers them and raises the error of what was read.
    """


class UntrustedFile(RlmError):
    """Somebody else may have written this file, and loading it would be running it: it is left alone."""


class MessageTooLarge(RlmError):
    """The guest has no room for a message of ``length`` bytes. Nothing happened to it.

    Send less at a time, or allow more ``memory_bytes``.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        super().__init__(f"the guest has no room for a message of {length:,} bytes")


class InternalError(RlmError):
    """A defect of rlm-wasm itself: please report it, with the program that shows it."""

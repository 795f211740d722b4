"""A program's text, looked at before it goes to the guest."""

from __future__ import annotations

from rlm_wasm.results import ErrorInfo, Result


def bad_text(source: str, limit: int) -> Result | None:
    """A Result for a program that is no text, or too much of it."""
    at, what = source.find("\0"), "a NUL character"
    length = len(source)
    if at < 0 and (length > limit // 4 or not source.isascii()):
        try:
            length = len(source.encode())
        except UnicodeEncodeError as error:
            at, what = error.start, f"a lone surrogate (U+{ord(source[error.start]):04X})"
    if at >= 0:
        line = source.count("\n", 0, at) + 1
        column = at - source.rfind("\n", 0, at)
        message = f"the program contains {what} (line {line}, column {column})"
        return _unreadable(message, line=line, column=column)
    if length > limit:
        return _unreadable(f"the program has {length:,} bytes; a message may have {limit:,} (message_bytes)")
    return None


def _unreadable(message: str, **place: int) -> Result:
    return Result(status="error", error=ErrorInfo(type="exn:fail:read", message=message, **place))  # type: ignore[arg-type]

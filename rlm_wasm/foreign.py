"""What exceptions of others' code say: an embedder's function, a provider, a callback.

Their methods are that code, too: asking one for its text may raise, or give what is no text or a hundred
megabytes of it. It is asked here only.
"""

from __future__ import annotations

from typing import Final

MAX_MESSAGE: Final = 1 << 20
"""Characters of a message that are looked at."""

_MAX_KIND: Final = 200
_NAME: Final = type.__dict__["__name__"]
"""The name itself: a metaclass may have another idea of it."""


def kind_of(error: BaseException) -> str:
    """The name of its class."""
    return str(_NAME.__get__(type(error)))[:_MAX_KIND]


def message_of(error: BaseException) -> str:
    """Its text, of whole characters; where it cannot give it, this is said."""
    try:
        text = str(error)
    except BaseException:  # whatever it is, it is a part of the failure that it should describe
        return "(no message)"
    text = text[:MAX_MESSAGE]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def described(error: BaseException) -> str:
    """Class and text, as the last line of a traceback."""
    message = message_of(error)
    return f"{kind_of(error)}: {message}" if message else kind_of(error)

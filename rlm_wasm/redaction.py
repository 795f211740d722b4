"""Takes credentials out of URLs, before a URL stands in an error, a log, a span or a program's hands."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"

SHORTEST_SECRET: Final = 8

_USER_INFO: Final = re.compile(r"(?<=://)[^\s/?#\"'<>]*@")
"""What stands before a host: a password that holds an @ itself goes as a whole."""

_SECRET_VALUE: Final = re.compile(
    r"(?i)([?&;][\w.\-]*(?:key|token|secret|passw|pwd|auth|credential|signature|sig)[\w.\-]*=)[^&;#\s\"'<>]*"
)


def without_credentials(text: str) -> str:
    """The text, with ``***`` for user names, passwords and secret-looking query values of URLs in it."""
    return _SECRET_VALUE.sub(rf"\1{HIDDEN}", _USER_INFO.sub(f"{HIDDEN}@", text))


def without_secret(text: str, secret: str) -> str:
    """The text, with ``***`` where a key stands: a server repeats what it was sent.

    A key of a few letters, as servers without accounts take, is none: it is found in ordinary words.
    """
    return text.replace(secret, HIDDEN) if len(secret) >= SHORTEST_SECRET else text


def address_without_credentials(url: str) -> str:
    """A text that was given as one URL, also where it is malformed: of what precedes an @ nothing is left."""
    text = without_credentials(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if "@" in rest:
        rest = f"{HIDDEN}@{rest.rpartition('@')[2]}"
    return f"{scheme}{separator}{rest}"

"""Takes credentials out of URLs, before a URL stands in an error, a log, a span or a program's hands."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"

_USER_INFO: Final = re.compile(r"(?<=://)[^\s/?#\"'<>]*@")
"""What stands before a host: a password that holds an @ itself goes as a whole."""

_SECRET_VALUE: Final = re.compile(
    r"(?i)([?&;][\w.\-]*(?:key|token|secret|passw|pwd|auth|credential|signature|sig)[\w.\-]*=)[^&;#\s\"'<>]*"
)


def without_credentials(text: str) -> str:
    """The text, with ``***`` for user names, passwords and secret-looking query values of URLs in it."""
    return _SECRET_VALUE.sub(rf"\1{HIDDEN}", _USER_INFO.sub(f"{HIDDEN}@", text))


def address_without_credentials(url: str) -> str:
    """A text that was given as one URL, also where it is malformed: of what precedes an @ nothing is left."""
    text = without_credentials(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if "@" in rest:
        rest = f"{HIDDEN}@{rest.rpartition('@')[2]}"
    return f"{scheme}{separator}{rest}"

"""Takes credentials out of URLs, before a URL stands in an error, a log, a span or a program's hands."""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "***"

SHORTEST_SECRET: Final = 8

_USER_INFO: Final = r"(?<=://)[^\s/?#\"'<>]*@"
"""What stands before a host: a password that holds an @ itself goes as a whole."""

_TELLING_NAME: Final = (
    r"[\w.\-]{0,60}(?:key|token|secret|passw|pwd|auth|credential|signature|sig)[\w.\-]{0,60}"
)
"""Bounded: who writes an error's text must not make the search for it long."""

_SECRET_VALUE: Final = rf"(?i)([?&;]{_TELLING_NAME}=)[^&;#\s\"'<>]*"

_IN_OTHER_WAYS: Final = r"(?i)((?:passw|pwd|secret)[\w.\-]{0,40}(?:=|%3D))(?:'[^']*'|[^&;#\s\"'<>]+)"
"""In the other ways to write where a database is: ``host=h password=p``, ``?options=-c%20password%3Dp``."""

_PLAIN: Final = re.compile(r"[\w.~-]*", re.ASCII)


def without_credentials(text: str) -> str:
    """The text, with ``***`` for user names, passwords and secret-looking query values of URLs in it."""
    text = re.sub(_SECRET_VALUE, rf"\1{HIDDEN}", re.sub(_USER_INFO, f"{HIDDEN}@", text))
    return re.sub(_IN_OTHER_WAYS, rf"\1{HIDDEN}", text)


def is_secret(name: str) -> bool:
    """Whether a value of a URL's query is one, by its name."""
    return re.fullmatch(_TELLING_NAME, name, re.IGNORECASE) is not None


class Secrets:
    """Keys and passwords that others may repeat: a server what it was sent, a driver what it was given.

    One of a few letters, as servers without accounts take, is none: it is found in ordinary words.
    """

    def __init__(self, *secrets: str, shortest: int = SHORTEST_SECRET) -> None:
        wanted = {form for secret in secrets if len(secret) >= shortest for form in _forms(secret)}
        self._forms = sorted(wanted, key=len, reverse=True)

    def hidden_in(self, text: str) -> str:
        """The text, with ``***`` where one stands, as it is or as URLs and JSON write it."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def hidden_in_data(self, value: Any) -> Any:
        """JSON data, with ``***`` where one stands in a text of it."""
        if isinstance(value, str):
            return self.hidden_in(value)
        if isinstance(value, dict):
            return {self.hidden_in_data(key): self.hidden_in_data(item) for key, item in value.items()}
        return [self.hidden_in_data(item) for item in value] if isinstance(value, list) else value

    def cause(self, error: BaseException) -> BaseException | None:
        """The error as another one's cause, or None where it tells a secret: tracebacks show causes."""
        seen: list[BaseException] = []
        below: BaseException | None = error
        while below is not None and below not in seen:
            said = f"{below} {below!r}"
            if said != without_credentials(self.hidden_in(said)):
                return None
            seen.append(below)
            below = below.__cause__ or below.__context__
        return error


def _forms(secret: str) -> set[str]:
    if _PLAIN.fullmatch(secret):
        return {secret}
    import json
    from urllib.parse import quote, quote_plus

    escaped = json.dumps(secret)[1:-1]
    odd = [character for character in set(secret) if not _PLAIN.fullmatch(character)]
    forms = {
        secret,
        repr(secret)[1:-1],
        escaped,
        escaped.replace("/", "\\/"),
        quote(secret),
        quote(secret, safe=""),
    }
    forms |= {quote_plus(secret), quote(secret, safe="").lower()}
    for style in ("\\u{:04x}", "\\u{:04X}"):  # as some writers of JSON put all that is special in HTML
        forms.add("".join(style.format(ord(char)) if char in odd else char for char in secret))
    return forms


def address_without_credentials(url: str) -> str:
    """A text that was given as one URL, also where it is malformed: of what precedes an @ nothing is left."""
    text = without_credentials(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if "@" in rest:
        rest = f"{HIDDEN}@{rest.rpartition('@')[2]}"
    return f"{scheme}{separator}{rest}"

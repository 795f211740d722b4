"""JSON as the standard has it: what Python's reader lets pass, and what makes it stumble, is settled here."""

from __future__ import annotations

import math
from typing import Any, Final, NoReturn

_MAX_DIGITS: Final = 4000
"""Python refuses to read integers that are a little longer than this."""


def loads(text: str) -> Any:
    """The value of a JSON text.

    NaN and Infinity are no JSON; an integer of thousands of digits is read as the float that it
    rounds to. Raises ValueError for what is no JSON, or is nested too deeply to be read.
    """
    import json

    try:
        return json.loads(text, parse_constant=_refuse, parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def unfenced(text: str) -> str:
    """A model's JSON without the code fence that it stands in; any other text as it is, stripped.

    What follows the fence is dropped, and one that nothing closes runs to the end.
    """
    stripped = text.strip()
    fence = stripped[:3]
    if fence not in ("```", "~~~"):
        return stripped
    first, newline, rest = stripped.partition("\n")
    if not newline:
        return first.strip(fence[0]).removeprefix("json").strip()
    body, closing, _ = rest.rpartition(fence)
    return (body.rstrip(fence[0]) if closing else rest).strip()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _integer(digits: str) -> int | float:
    if len(digits) <= _MAX_DIGITS:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf

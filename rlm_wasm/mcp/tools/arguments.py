"""Checks a tool's arguments against its input schema; what is wrong is answered with what to send.

The schemas use a small part of JSON Schema, and this file knows just that part. Models often send
a number as text or one value where a list is meant: what can only mean one thing is accepted.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

_SAID = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


class WrongArguments(Exception):
    """The message says what is wrong; the tool adds an example of what to send."""


def checked(schema: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments as the schema wants them. Raises WrongArguments."""
    known: Mapping[str, Any] = schema.get("properties", {})
    arguments: dict[str, Any] = {}
    for name, value in (given or {}).items():
        if name not in known:
            raise WrongArguments(_unknown(name, list(known)))
        if value is None:  # what a client sends for an option that was left out
            continue
        arguments[name] = _value(f'"{name}"', known[name], value)
    missing = [name for name in schema.get("required", ()) if name not in arguments]
    if missing:
        names = " and ".join(f'"{name}"' for name in missing)
        raise WrongArguments(f"{names} {'is' if len(missing) == 1 else 'are'} missing")
    return arguments


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f'there is no argument "{name}": this tool takes none'
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f'there is no argument "{name}": did you mean "{near[0]}"?'
    names = ", ".join(f'"{other}"' for other in known)
    return f'there is no argument "{name}": this tool takes {names}'


def _value(where: str, schema: Mapping[str, Any], value: Any) -> Any:
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    for kind in kinds:
        found = _as_kind(kind, value)
        if found is not None:
            return _within(where, schema, kind, found[0])
    wanted = " or ".join(_SAID[kind] for kind in kinds)
    raise WrongArguments(f"{where} must be {wanted}, not {_shown(value)}")


def _as_kind(kind: str, value: Any) -> tuple[Any] | None:
    """The value as that kind, in a tuple; None where it is something else."""
    if kind == "string":
        return (value,) if isinstance(value, str) else None
    if kind == "boolean":
        return (value,) if isinstance(value, bool) else None
    if kind in ("integer", "number"):
        return _as_number(kind, value)
    if kind == "array":
        if isinstance(value, list):
            return (value,)
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                return (json.loads(value),)
            except ValueError:
                return None
        return ([value],) if isinstance(value, int | str) and not isinstance(value, bool) else None
    return (value,) if isinstance(value, dict) else None


def _as_number(kind: str, value: Any) -> tuple[Any] | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    if kind == "integer":
        return (int(value),) if value == value // 1 and abs(value) < 1 << 53 else None
    return (value,)


def _within(where: str, schema: Mapping[str, Any], kind: str, value: Any) -> Any:
    if kind == "string" and "enum" in schema and value not in schema["enum"]:
        lowered = value.strip().lower()
        if lowered in schema["enum"]:
            return lowered
        names = ", ".join(f'"{choice}"' for choice in schema["enum"])
        raise WrongArguments(f"{where} must be one of {names}, not {_shown(value)}")
    if kind == "string" and len(value) < schema.get("minLength", 0):
        raise WrongArguments(f"{where} is empty")
    if kind in ("integer", "number"):
        least, most, above = schema.get("minimum"), schema.get("maximum"), schema.get("exclusiveMinimum")
        if least is not None and value < least:
            raise WrongArguments(f"{where} must be at least {least}, not {value}")
        if above is not None and value <= above:
            raise WrongArguments(f"{where} must be more than {above}, not {value}")
        if most is not None and value > most:
            raise WrongArguments(f"{where} must be at most {most}, not {value}")
    if kind == "array":
        if len(value) < schema.get("minItems", 0):
            raise WrongArguments(f"{where} is an empty list")
        return [_value(f"{where}, item {n}", schema["items"], item) for n, item in enumerate(value, 1)]
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:60] + "…"

"""What tools take and give, as pydantic models: their JSON schemas, and answers to wrong arguments.

Models often send a number as text or one value where a list is meant: what can only mean one thing is
accepted. Everything else is answered with what is wrong and what to send, in one wording for all tools.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, SkipJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

from rlm_wasm.data import with_whole_characters
from rlm_wasm.errors import InvalidToolArguments

T = TypeVar("T")
A = TypeVar("A", bound="Arguments")

MAX_CHARACTERS_SHOWN = 60
_NUMBERS = re.compile(r"\s*\d+\s*(?:,\s*\d+\s*)+")
_NAMES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


class Arguments(BaseModel):
    """What a tool takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reply(BaseModel):
    """What a tool gives as structured content; a field that was not set is left out."""


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic reads true as 1; who sends it means something else
        raise PydanticCustomError("wrong_type", "a truth value")
    return value


def _as_list(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # no list, or one within another thousands deep
            return value
    if isinstance(value, str) and _NUMBERS.fullmatch(value):
        return value.split(",")
    return [value] if isinstance(value, int | float | str) and not isinstance(value, bool) else value


def _lowered(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def no_such_name(wanted: str, near: str | None) -> PydanticCustomError:
    """To be raised by a validator: what is ``wanted``, and what was perhaps meant."""
    meant = f": did you mean {near}?" if near else ""
    return PydanticCustomError("no_such_name", "no such name", {"wanted": wanted, "near": meant})


NUMERIC = BeforeValidator(_no_truth_value)
"""Beside a number, after its bounds: also as text, but not true or false."""
Integer = Annotated[int, NUMERIC]
"""A whole number without bounds."""
Text = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""
ListOf = Annotated[list[T], Field(min_length=1), BeforeValidator(_as_list)]
"""A list that is not empty; also as JSON text, as numbers with commas between them, or its only item."""
Choice = Annotated[T, BeforeValidator(_lowered)]
"""One of some words, in any case."""
Maybe = Union[T, SkipJsonSchema[None]]  # noqa: UP007  # mypy reads no alias of T | …
"""May be left out. Clients that send null for it leave it out, too: the schema does not speak of it."""
SessionName = Annotated[
    Text, Field(description="A name, or the key that an answer gave; default: one of your own.")
]


def checked(model: type[A], given: Mapping[str, Any] | None) -> A:
    """The arguments as the model wants them. Raises InvalidToolArguments."""
    known = model.model_fields
    present = {
        name: with_whole_characters(value)
        for name, value in (given or {}).items()
        if value is not None or name not in known
    }
    try:
        return model.model_validate(present)
    except ValidationError as error:
        raise InvalidToolArguments(_message(schema_of(model), error.errors(include_url=False))) from None


# ---- what is wrong


def _message(schema: Mapping[str, Any], errors: Sequence[ErrorDetails]) -> str:
    """The first mistake in words: unknown names before values that do not fit, then what is missing."""
    for error in errors:
        if error["type"] == "extra_forbidden":
            return _unknown_name(str(error["loc"][0]), list(schema["properties"]))
    for error in errors:
        if error["type"] != "missing":
            return _wrong_value(schema, error)
    names = " and ".join(f'"{error["loc"][0]}"' for error in errors)
    return f"{names} {'is' if len(errors) == 1 else 'are'} missing"


def _unknown_name(name: str, known: list[str]) -> str:
    if not known:
        return f'there is no argument "{name}": this tool takes none'
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f'there is no argument "{name}": did you mean "{near[0]}"?'
    names = ", ".join(f'"{other}"' for other in known)
    return f'there is no argument "{name}": this tool takes {names}'


def _wrong_value(schema: Mapping[str, Any], error: ErrorDetails) -> str:
    name, *path = error["loc"]
    place, wanted = f'"{name}"', schema["properties"][name]
    if path and isinstance(path[0], int):
        place, wanted = f"{place}, item {path[0] + 1}", wanted["items"]
    given, context = _display(error["input"]), error.get("ctx", {})
    match error["type"]:
        case "string_too_short":
            return f"{place} is empty"
        case "too_short":
            return f"{place} is an empty list"
        case "literal_error":
            words = ", ".join(f'"{word}"' for word in wanted["enum"])
            near = difflib.get_close_matches(str(error["input"]).strip().lower(), wanted["enum"], n=1)
            meant = f': did you mean "{near[0]}"?' if near else ""
            return f"{place} must be one of {words}, not {given}{meant}"
        case "no_such_name":
            return f"{place} must be {context['wanted']}, not {given}{context['near']}"
        case "greater_than":
            return f"{place} must be more than {context['gt']:g}, not {given}"
        case "greater_than_equal":
            return f"{place} must be at least {context['ge']:g}, not {given}"
        case "less_than_equal":
            return f"{place} must be at most {context['le']:g}, not {given}"
    kinds = wanted["type"]
    names = " or ".join(_NAMES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))
    return f"{place} must be {names}, not {given}"


def _display(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_CHARACTERS_SHOWN else text[:MAX_CHARACTERS_SHOWN] + "…"


# ---- schemas


class _JsonSchema(GenerateJsonSchema):
    """Without what repeats a name (titles), a docstring, or that nothing is the default."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a title would be the name again."""
        del schema
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        """A model, without its class's name and docstring."""
        return _untitled(super().model_schema(schema))

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, Any]:
        """A dataclass, without its name and docstring."""
        return _untitled(super().dataclass_schema(schema))

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        """A default is shown where the client may want to send it."""
        field = super().default_schema(schema)
        return {key: value for key, value in field.items() if key != "default"}


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


@cache
def schema_of(record: type) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a model or dataclass, as one object without references."""
    schema = TypeAdapter(record).json_schema(
        schema_generator=_JsonSchema,
        mode="validation" if issubclass(record, Arguments) else "serialization",
    )
    definitions = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inlined(schema, definitions)
    inlined.setdefault("properties", {})
    return inlined


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**definitions[schema["$ref"].rsplit("/", 1)[1]], **rest}, definitions)
    plain = {key: _inlined(value, definitions) for key, value in schema.items()}
    if plain.get("additionalProperties") is True:
        del plain["additionalProperties"]
    choices = plain.get("anyOf")
    if choices and all(isinstance(choice, dict) and choice.keys() == {"type"} for choice in choices):
        del plain["anyOf"]
        return {"type": [choice["type"] for choice in choices], **plain}
    return plain

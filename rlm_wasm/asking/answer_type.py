"""What an answer must be: text, an instance of a pydantic model, or data that fits a JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rlm_wasm.data import json_form, json_text
from rlm_wasm.errors import UnfitValue, UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.providers import strict_json

MAX_SCHEMA = 20_000
"""Characters of a schema that a model is shown."""
_MAX_COMPLAINTS = 8


@dataclass(frozen=True, slots=True)
class AnswerType:
    """``schema`` is JSON Schema, None for plain text; ``adapter`` pydantic's, where a type was given."""

    schema: Mapping[str, Any] | None = None
    adapter: Any = None
    validator: Any = None

    @classmethod
    def of(cls, given: Any) -> AnswerType:
        """What an ``answer_type`` means. Raises UsageError for what is none."""
        if isinstance(given, AnswerType):
            return given
        if given is None or given is str:
            return cls()
        if isinstance(given, Mapping):
            return cls._of_schema(dict(given))
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            adapter: Any = TypeAdapter(given)
            schema = adapter.json_schema()
        except (PydanticUserError, TypeError, NameError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(
                f"answer_type must be str, a pydantic model or a JSON Schema, not {given!r:.80}: {reason}"
            ) from error
        return cls._sized(cls(schema, adapter))

    @classmethod
    def _of_schema(cls, schema: dict[str, Any]) -> AnswerType:
        from jsonschema import exceptions, validators

        kind = validators.validator_for(schema)
        try:
            kind.check_schema(schema)
        except exceptions.SchemaError as error:
            where = "/".join(map(str, error.absolute_path)) or "the whole"
            raise UsageError(f"answer_type is no JSON Schema: at {where}: {error.message:.300}") from error
        import referencing

        # The registry is empty, so that a $ref never reaches for the network.
        return cls._sized(cls(schema, None, kind(schema, registry=referencing.Registry())))

    @staticmethod
    def _sized(made: AnswerType) -> AnswerType:
        length = len(json.dumps(made.schema))
        if length > MAX_SCHEMA:
            raise UsageError(
                f"answer_type has a schema of {length:,} characters; {MAX_SCHEMA:,} are the most"
            )
        return made

    @property
    def is_text(self) -> bool:
        """Whether any text will do."""
        return self.schema is None

    def told(self) -> str:
        """What a model is told about it; "" for text."""
        if self.schema is None:
            return ""
        return (
            "The answer must fit this JSON Schema (a hash table for an object, with strings or symbols as "
            f"keys, a list for an array):\n{json.dumps(self.schema, ensure_ascii=False)}"
        )

    def fitted(self, value: str, data: Any) -> tuple[Any, Any]:
        """An answer as plain data and as its type has it; of text both are the text.

        ``value`` is its text, ``data`` the same as data. A text that is JSON counts as what it says where
        the text itself does not fit. Raises UnfitValue, whose message is meant for the model.
        """
        if self.schema is None:
            return data, value
        plain = json_form(data)
        try:
            return plain, self._checked(plain)
        except UnfitValue as error:
            read = from_json(value) if isinstance(data, str) else _NOTHING
            if read is _NOTHING:
                raise
            try:
                return read, self._checked(read)
            except UnfitValue as of_text:
                raise of_text from error

    def _checked(self, plain: Any) -> Any:
        if self.adapter is not None:
            from pydantic import ValidationError

            try:
                return self.adapter.validate_json(json_text(plain))
            except ValidationError as error:
                complaints = [f"{_place(e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)]
                raise UnfitValue(_listed(complaints)) from error
        from referencing.exceptions import Unresolvable

        try:
            errors = sorted(self.validator.iter_errors(plain), key=lambda error: list(map(str, error.path)))
        except (Unresolvable, RecursionError) as error:
            raise UnfitValue(f"the schema cannot be applied: {error!s:.300}") from error
        if errors:
            raise UnfitValue(_listed([f"{_place(e.absolute_path)}: {e.message:.300}" for e in errors]))
        return plain


_NOTHING = object()


def from_json(text: str) -> Any:
    """What a text says as JSON, in a code fence or bare; a mark that equals nothing where it says none."""
    try:
        return strict_json.loads(strict_json.unfenced(text))
    except ValueError:
        return _NOTHING


def _place(path: Any) -> str:
    return "/".join(map(str, path)) or "the whole"


def _listed(complaints: list[str]) -> str:
    listed = complaints[:_MAX_COMPLAINTS]
    more = len(complaints) - len(listed)
    return "; ".join(listed) + (f"; and {more:,} more" if more else "")

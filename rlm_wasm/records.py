"""Records from plain data and back: one strict converter for everything that comes from outside.

    completion = structure(Completion, json.loads(text), "the cached answer")
    json.dumps(unstructure(completion))

What crosses a border (a snapshot, a message, a file, a cache) is taken for hostile: unknown keys,
missing ones and values of another type are refused, and nothing is converted on the quiet. The
converter is cattrs', imported when the first record is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from itertools import repeat
from operator import attrgetter
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from rlm_wasm.errors import RlmError, UnfitValue, UsageError
from rlm_wasm.lazy_dataclass import dataclass, fields, is_dataclass

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]
"""From a value and the type that is wanted to a value of that type."""


@dataclass(frozen=True, slots=True, eq=False)  # ``Annotated`` would ask for the hash while this is imported
class AtLeast:
    """A bound in a field's type: ``Annotated[int, AtLeast(1)]``."""

    minimum: float


Natural = Annotated[int, AtLeast(0)]
"""0, 1, 2 …"""

NonNegative = Annotated[float, AtLeast(0)]
"""A finite number from 0 up."""

_MAX_PROBLEMS: Final = 3
_SHOWN: Final = 60
_NAMES: Final = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    bytes: "bytes",
    type(None): "nothing",
}


def structure(record: type[T], data: object, what: str, error: type[RlmError] = UsageError) -> T:
    """A record of the class, made from mappings, sequences and plain values.

    Floats are finite, and whole numbers count as floats; tuples and lists are made from either; else
    a value has the field's own type. What does not fit is raised as ``error``, whose message names
    ``what`` was read and each field that is wrong (three at the most).
    """
    from cattrs import BaseValidationError, StructureHandlerNotFoundError

    try:
        return _converter().structure(data, record)
    except StructureHandlerNotFoundError:
        raise  # a field whose type nobody taught the converter: a defect, no bad data
    except (BaseValidationError, UnfitValue) as caught:
        problems = _problems(caught, "")
        more = len(problems) - _MAX_PROBLEMS
        listed = "; ".join(problems[:_MAX_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise error(f"{what}: {listed}") from None


def structure_beside(
    known: T, plain: Mapping[str, Any], data: object, what: str, error: type[RlmError] = UsageError
) -> T:
    """As ``structure``, quicker where most of the data is that of a record that is known already.

    ``plain`` is what ``known`` was made from. Where the data has the same objects as that, they are not
    looked at again.
    """
    if type(data) is dict:
        try:
            return cast("T", _beside(known, plain, data))
        except Exception:  # noqa: S110 - whatever it is, the long way says it in words
            pass
    return structure(type(known), data, what, error)


def _beside(known: Any, plain: Mapping[str, Any], data: dict[str, Any]) -> Any:
    kind: Any = type(known)
    shape: _Shape = _shape(kind)
    if not data.keys() >= plain.keys():
        raise UnfitValue("a field is missing")
    values: list[Any] | None = None
    for name, value in data.items():
        before = plain.get(name, plain)
        if value is before:
            continue
        if values is None:
            values = list(shape.values_of(known))
        at, hint, is_record = shape.fields[name]
        if is_record and type(value) is dict and isinstance(before, Mapping):
            values[at] = _beside(values[at], before, value)
        else:
            values[at] = _converter().structure(value, hint)
    return known if values is None else shape.make(*values)


class _Shape(NamedTuple):
    """Of a record class, what is needed to make another one of its records with some other values."""

    make: Callable[..., Any]
    values_of: Callable[[Any], tuple[Any, ...]]
    fields: dict[str, tuple[int, Any, bool]]
    """Of each field its place, its type, and whether that is a record."""


@cache
def _shape(kind: Callable[..., Any]) -> _Shape:
    hints = get_type_hints(kind, include_extras=True)
    taken = [field for field in fields(cast("Any", kind)) if field.init]
    names = [field.name for field in taken]
    found = {name: (at, hints[name], is_dataclass(hints[name])) for at, name in enumerate(names)}

    def by_name(*values: Any) -> Any:
        return kind(**dict(zip(names, values, strict=True)))

    return _Shape(by_name if any(field.kw_only for field in taken) else kind, attrgetter(*names), found)


def unstructure(record: object) -> Any:
    """The record as dictionaries, lists and plain values, for ``structure`` to read again."""
    return _converter().unstructure(record)


def _misfit(wanted: str, value: object) -> UnfitValue:
    return UnfitValue(f"must be {wanted}, not {_shown(value)}")


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool | int | float | str | bytes):
        # An integer may have more digits than Python is willing to write.
        large = isinstance(value, int) and value.bit_length() > 200
        text = "a huge number" if large else repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)
        return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    if isinstance(value, Mapping):
        return "a mapping"
    return f"a list of {len(value)}" if isinstance(value, list | tuple) else type(value).__name__


@cache
def _converter() -> Converter:
    from cattrs import Converter

    made = Converter(forbid_extra_keys=True, unstruct_collection_overrides={tuple: list})
    for kind in (int, str, bool, bytes):
        made.register_structure_hook(kind, _exactly(kind))
    made.register_structure_hook(float, _number)
    for fits, factory in (
        (_is_bounded, _bounded),
        (_is_literal, _one_of),
        (_is_choice, _any_of),
        (_is_sequence, _sequence),
        (_is_mapping, _mapping),
        (is_dataclass, _record),
        (_says_how, _as_it_says),
    ):
        made.register_structure_hook_factory(fits, partial(factory, made))
    made.register_unstructure_hook_func(_says_how, lambda value: value.to_record())
    return made


def _says_how(kind: Any) -> bool:
    """A class that has a form of its own: ``to_record``, and ``from_record``, which checks."""
    return hasattr(kind, "from_record")


def _as_it_says(_converter: Converter, kind: Any) -> Hook:
    def check(value: Any, _kind: Any) -> Any:
        try:
            return kind.from_record(value)
        except RlmError as error:
            raise UnfitValue(str(error)) from None

    return check


def _exactly(kind: type) -> Hook:
    def check(value: Any, _kind: Any) -> Any:
        if type(value) is not kind:
            raise _misfit(_NAMES[kind], value)
        return value

    return check


def _number(value: Any, _kind: Any) -> float:
    """JSON writes 1 where 1.0 is meant. What is no number, or none that JSON has, is refused."""
    if type(value) not in (int, float):
        raise _misfit("a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _misfit("a finite number", value)
    return number


def _is_bounded(kind: Any) -> bool:
    return get_origin(kind) is Annotated and any(isinstance(a, AtLeast) for a in get_args(kind)[1:])


def _bounded(converter: Converter, kind: Any) -> Hook:
    inner, *notes = get_args(kind)
    minimum = next(note.minimum for note in notes if isinstance(note, AtLeast))

    def check(value: Any, _kind: Any) -> Any:
        number = converter.structure(value, inner)
        if number < minimum:
            raise _misfit(f"at least {minimum:g}", value)
        return number

    return check


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _one_of(_converter: Converter, kind: Any) -> Hook:
    choices = get_args(kind)

    def check(value: Any, _kind: Any) -> Any:
        # 1, 1.0 and True are equal; of these a literal is one.
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise _misfit(" or ".join(map(repr, choices)), value)
        return value

    return check


def _is_choice(kind: Any) -> bool:
    """A union of plain types; cattrs itself knows "a record or None"."""
    return isinstance(kind, UnionType) and all(choice in _NAMES for choice in get_args(kind))


def _any_of(_converter: Converter, kind: Any) -> Hook:
    choices = get_args(kind)
    wanted = " or ".join(_NAMES[choice] for choice in choices)

    def check(value: Any, _kind: Any) -> Any:
        if type(value) not in choices or type(value) is float:
            if float in choices and type(value) in (int, float):
                return _number(value, float)
            raise _misfit(wanted, value)
        return value

    return check


# Containers are taken apart here: to cattrs, text would do as a sequence of letters.


def _is_sequence(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (list, tuple)


def _sequence(converter: Converter, kind: Any) -> Hook:
    made, items = get_origin(kind) or kind, get_args(kind)
    fixed = made is tuple and len(items) > 0 and items[-1] is not Ellipsis
    each = items[0] if items and not fixed else Any

    def take(value: Any, _kind: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise _misfit("a list", value)
        if fixed and len(value) != len(items):
            raise _misfit(f"a list of {len(items)} values", value)
        kinds = items if fixed else repeat(each)
        return made(_each(converter, enumerate(value), kinds))

    return take


def _is_mapping(kind: Any) -> bool:
    return (get_origin(kind) or kind) in (dict, Mapping)


def _mapping(converter: Converter, kind: Any) -> Hook:
    of_key, of_value = get_args(kind) or (Any, Any)

    def take(value: Any, _kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _misfit("a mapping", value)
        keys = _each(converter, ((key, key) for key in value), repeat(of_key))
        return dict(zip(keys, _each(converter, value.items(), repeat(of_value)), strict=True))

    return take


def _each(converter: Converter, items: Iterable[tuple[Any, Any]], kinds: Iterable[Any]) -> list[Any]:
    """The values structured; which of them do not fit is told by their index or key."""
    from cattrs import IterableValidationError, IterableValidationNote

    structured, misfits = [], []
    for (index, value), kind in zip(items, kinds, strict=False):
        try:
            structured.append(converter.structure(value, kind))
        except Exception as error:
            error.add_note(IterableValidationNote("", index, kind))
            misfits.append(error)
    if misfits:
        raise IterableValidationError("", misfits, list)
    return structured


def _record(converter: Converter, kind: Any) -> Hook:
    from cattrs.gen import make_dict_structure_fn, override

    # cattrs reads the types without what Annotated adds: those with bounds are handed to it.
    hints = get_type_hints(kind, include_extras=True)
    plain = get_type_hints(kind)
    bounded = {name: hint for name, hint in hints.items() if hint != plain[name]}
    overrides: dict[str, Any] = {
        name: override(struct_hook=partial(_as, converter, hint)) for name, hint in bounded.items()
    }
    fields_of = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **overrides)

    def take(value: Any, kind: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _misfit("a mapping", value)
        return fields_of(value, kind)

    return take


def _as(converter: Converter, hint: Any, value: Any, _kind: Any) -> Any:
    return converter.structure(value, hint)


def _problems(error: BaseException, place: str) -> list[str]:
    """What is wrong and where, from cattrs' tree of exceptions."""
    from cattrs import AttributeValidationNote, ForbiddenExtraKeysError, IterableValidationNote

    if isinstance(error, BaseExceptionGroup):
        problems: list[str] = []
        for inner in error.exceptions:
            where = place
            for note in getattr(inner, "__notes__", ()):
                if isinstance(note, AttributeValidationNote):
                    where = f"{place}.{note.name}" if place else note.name
                elif isinstance(note, IterableValidationNote):
                    where = f"{place}[{_shown(note.index)}]"
            problems += _problems(inner, where)
        return problems
    if isinstance(error, ForbiddenExtraKeysError):
        names = ", ".join(sorted(str(name)[:_SHOWN] for name in error.extra_fields)[:_MAX_PROBLEMS])
        return [f"{place + ' has ' if place else ''}unknown {names}"]
    if isinstance(error, KeyError):
        return [f"{place} is missing"]
    if isinstance(error, UnfitValue):
        return [f"{place or 'it'} {error}"]
    return [f"{place or 'it'}: {str(error)[:200]}"]

"""``dataclasses.dataclass(slots=True)``, whose methods are made when they are wanted.

The standard decorator writes and compiles up to eight methods a class while the module is imported: a
millisecond and more, a hundred times, in a process that runs one expression and makes records of twenty
classes. Here the class has its slots at once. ``__init__`` is made with the first record, and writes a frozen
one's fields at once, not each by a call; the rest is what the standard decorator makes of the same class, as
soon as somebody compares a record, prints one or asks for its fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, slots: bool, weakref_slot: bool = False, **options: bool) -> Callable[[type], type]:
        """As the standard one, with its options; ``slots`` has to be True."""
        if slots is not True:
            raise TypeError("a class without slots takes the standard decorator")

        def decorate(cls: type) -> type:
            return _made(cls, weakref_slot=weakref_slot, **options)

        return decorate


_GIVEN = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
"""What the standard decorator gives every class, beside ``__init__``, unless the class has it already,"""
_FROZEN = ("__getstate__", "__setstate__")
"""and a frozen one."""


class _Later:
    """Stands for an attribute of a class until somebody wants it."""

    __slots__ = ("_complete", "_name")

    def __init__(self, name: str, complete: Callable[[], None]) -> None:
        self._name = name
        self._complete = complete

    def __get__(self, instance: object, owner: type) -> Any:
        self._complete()
        return getattr(owner if instance is None else instance, self._name)


def _refuse_set(self: object, name: str, value: object) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: object, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _made(cls: type, *, weakref_slot: bool, **options: bool) -> type:
    """The class with its slots, and what is made later."""
    original = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    annotated: dict[str, Any] = original.get("__annotations__", {})
    inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("__slots__", ())}
    own = [name for name, kind in annotated.items() if not str(kind).startswith("ClassVar")]
    namespace = {name: value for name, value in original.items() if name not in own}
    namespace["__slots__"] = (
        *(name for name in own if name not in inherited),
        *(("__weakref__",) if weakref_slot else ()),
    )
    eq, frozen = options.get("eq", True), options.get("frozen", False)
    later = [*_GIVEN, *(_FROZEN if frozen else ()), *(["__repr__"] if options.get("repr", True) else ())]
    if eq:
        later += ["__eq__", "__hash__"] if frozen else ["__eq__"]
        if not frozen:
            namespace.setdefault("__hash__", None)
    if frozen:
        namespace["__setattr__"], namespace["__delattr__"] = _refuse_set, _refuse_delete
    if eq and frozen and namespace.get("__hash__", cls) is None:
        del namespace["__hash__"]  # Python's own, of a class that defines __eq__
    below = any("__dataclass_fields__" in vars(base) for base in cls.__mro__[1:])
    later = [name for name in ([*later, "__init__"] if below else later) if name not in namespace]

    def complete() -> None:
        # A class of its own each time: where two threads come at once, both make the same.
        source = type(cls)(cls.__name__, cls.__bases__, dict(original))
        source.__qualname__ = cls.__qualname__
        standard: type = dataclasses.dataclass(slots=True, weakref_slot=weakref_slot, **options)(source)
        for name in later:
            setattr(made, name, vars(standard)[name])

    def begin() -> None:
        fields = [(name, annotated[name], original.get(name, MISSING)) for name in own]
        made.__init__ = _initializer(made, fields, **options)

    namespace.update({name: _Later(name, complete) for name in later})
    if not below:
        namespace.setdefault("__init__", _Later("__init__", begin))
    made: Any = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    kind: type = made
    return kind


class _Factory:
    """The default of a field that is made anew for each record, as signatures show it."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _initializer(
    made: type,
    fields: list[tuple[str, Any, Any]],
    *,
    frozen: bool = False,
    kw_only: bool = False,
    **_others: bool,
) -> Any:
    """``__init__`` of a class without records above it. Its fields: names, types, and what they are given."""
    known: dict[str, Any] = {"_dc_made": made, "_dc_set": object.__setattr__, "_dc_factory": _FACTORY}
    plain: list[str] = []
    named: list[str] = []
    types: dict[str, Any] = {}
    written: list[tuple[str, str]] = []
    for name, kind, given in fields:
        of = given if isinstance(given, Field) else None
        default = given if of is None else of.default
        factory = MISSING if of is None else of.default_factory
        parameter, value = name, name
        if default is not MISSING:
            known[f"_default_{name}"] = default
            parameter, fresh = f"{name}=_default_{name}", f"_default_{name}"
        elif factory is not MISSING:
            known[f"_make_{name}"] = factory
            parameter, fresh = f"{name}=_dc_factory", f"_make_{name}()"
            value = f"{fresh} if {name} is _dc_factory else {name}"
        else:
            fresh = ""  # without a parameter somebody else sets it
        if of is None or of.init:
            only = kw_only if of is None or of.kw_only is MISSING else of.kw_only
            (named if only else plain).append(parameter)
            types[name] = kind
            written.append((name, value))
        elif fresh:
            written.append((name, fresh))
    store = [f"  self.{name} = {value}" for name, value in written]
    if frozen:  # written while it is of a class that is not frozen: a call a field takes ten times as long
        known["_dc_open"] = type(made)(made.__name__, (made,), dict(_OPEN))
        body = [
            " if self.__class__ is _dc_made:",
            "  _dc_set(self, '__class__', _dc_open)",
            *store,
            "  self.__class__ = _dc_made",
            " else:",
            *(f"  _dc_set(self, {name!r}, {value})" for name, value in written),
            "  pass",
        ]
    else:
        body = [" if True:", *store, "  pass"]
    if "__post_init__" in vars(made):
        body.append(" self.__post_init__()")
    parameters = ["self", *plain, *(["*", *named] if named else [])]
    exec("\n".join([f"def __init__({', '.join(parameters)}):", *body]), known)  # noqa: S102 - as dataclasses does
    function = known["__init__"]
    function.__qualname__ = f"{made.__qualname__}.__init__"
    function.__module__ = made.__module__
    function.__annotations__ = {**types, "return": None}
    return function


_OPEN = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}

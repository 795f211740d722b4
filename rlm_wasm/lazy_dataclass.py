"""``dataclasses.dataclass(slots=True)``, whose methods are made when they are wanted.

The standard decorator writes and compiles up to eight methods a class while the module is imported: a
millisecond and more, a hundred times, in a process that runs one expression and makes records of twenty
classes. Here the class has its slots at once. ``__init__`` is made with the first record, and writes a frozen
one's fields at once, not each by a call; the rest is what the standard decorator makes of the same class, as
soon as somebody compares a record, prints one or asks for its fields. Only then is ``dataclasses`` itself
imported, which takes as long as three of our modules: ``field`` here is its function, to be given to these
classes alone, and the others are passed on to it. Printing one imports nothing either, for asyncio prints
the result of a task when it has been run, only to throw that away.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import asdict as asdict
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import is_dataclass as is_dataclass
    from dataclasses import replace as replace
else:

    def asdict(record: Any) -> dict[str, Any]:
        """As the standard one."""
        import dataclasses

        return dataclasses.asdict(record)

    def fields(record: Any) -> tuple[Any, ...]:
        """As the standard one."""
        import dataclasses

        return dataclasses.fields(record)

    def is_dataclass(value: Any) -> bool:
        """As the standard one."""
        return hasattr(value if isinstance(value, type) else type(value), "__dataclass_fields__")

    def replace(record: Any, /, **changes: Any) -> Any:
        """As the standard one."""
        import dataclasses

        return dataclasses.replace(record, **changes)

    def field(**options: Any) -> Any:
        """As the standard one, with its options."""
        return _Field(options)

    def dataclass(*, slots: bool, weakref_slot: bool = False, **options: bool) -> Callable[[type], type]:
        """As the standard one, with its options; ``slots`` has to be True."""
        if slots is not True:
            raise TypeError("a class without slots takes the standard decorator")

        def decorate(cls: type) -> type:
            return _made(cls, weakref_slot=weakref_slot, **options)

        return decorate


class _Missing:
    """What no field has."""


MISSING: Any = _Missing()


class _Field:
    """What is said of a field."""

    __slots__ = ("options",)

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    @property
    def default(self) -> Any:
        return self.options.get("default", MISSING)

    @property
    def factory(self) -> Any:
        return self.options.get("default_factory", MISSING)

    @property
    def init(self) -> bool:
        given: bool = self.options.get("init", True)
        return given

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self.options.get("metadata") or {}

    def is_named(self, kw_only: bool) -> bool:
        """Whether its parameter is given by name alone; ``kw_only`` says what those of its class are."""
        given: bool = self.options.get("kw_only", kw_only)
        return given

    def standard(self) -> Any:
        import dataclasses

        return dataclasses.field(**self.options)


_STANDARD = ("init", "repr", "hash", "compare", "kw_only", "metadata", "default", "default_factory")


def _described(given: Any) -> _Field:
    """What a class says of a field: by ``field``, by the standard one, by a default, or nothing."""
    if isinstance(given, _Field):
        return given
    dataclasses: Any = sys.modules.get("dataclasses")
    kind = getattr(dataclasses, "Field", None)  # another thread may be about to import it
    if kind is not None and isinstance(given, kind):
        options = {name: getattr(given, name) for name in _STANDARD}
        return _Field({name: value for name, value in options.items() if value is not dataclasses.MISSING})
    return _Field({} if given is MISSING else {"default": given})


def said_of_fields(kind: Any) -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """By name the default (or MISSING) and the metadata of each field of a class that ``dataclass`` has made.

    As ``fields`` has them, for classes without records above them; that takes more time and memory.
    """
    described = {name: _described(given) for name, given in vars(kind)[_RECIPE].fields.items()}
    return {name: (of.default, of.metadata) for name, of in described.items()}


_GIVEN = ("__dataclass_fields__", "__dataclass_params__", "__match_args__")
"""What the standard decorator gives every class, beside ``__init__``, unless the class has it already,"""
_FROZEN = ("__getstate__", "__setstate__")
"""and a frozen one."""


class _Later:
    """Stands for an attribute of classes until somebody wants it; there is one for all of them."""

    __slots__ = ("_make", "_name")

    def __init__(self, name: str, make: Callable[[_Recipe], None]) -> None:
        self._name = name
        self._make = make

    def __get__(self, instance: object, owner: type) -> Any:
        name = self._name
        for base in owner.__mro__:
            found = vars(base).get(name)
            if found is self:
                self._make(vars(base)[_RECIPE])
                break
            if found is not None:  # another thread has made it meanwhile
                break
        return getattr(owner if instance is None else instance, name)


_RECIPE = "__recipe_of_record__"
"""A class's attribute: what its others are made from."""


class _Recipe:
    """How a class was written, and what is made of that when it is wanted."""

    __slots__ = ("fields", "made", "options", "original", "weakref_slot")

    made: Any
    """The class, once there is one."""

    def __init__(
        self,
        original: dict[str, Any],
        fields: dict[str, Any],
        options: dict[str, bool],
        *,
        weakref_slot: bool,
    ) -> None:
        self.original = original
        self.fields = fields
        """What is given of each, by name; MISSING where nothing is."""
        self.options = options
        self.weakref_slot = weakref_slot

    def _copied(self) -> type:
        # A class of its own each time: where two threads come at once, both make the same.
        made = self.made
        documented = {
            **self.original,
            **{name: of.standard() for name, of in self.fields.items() if isinstance(of, _Field)},
            "__doc__": self.original.get("__doc__") or "-",
        }  # else a signature is made for it
        source: type = type(made)(made.__name__, made.__bases__, documented)
        source.__qualname__ = made.__qualname__
        return source

    def complete(self) -> None:
        """All that the standard decorator makes, and nobody has made yet."""
        import dataclasses

        decorate = dataclasses.dataclass(slots=True, weakref_slot=self.weakref_slot, **self.options)
        standard = vars(decorate(self._copied()))
        made = self.made
        for name, value in list(vars(made).items()):
            if value is _COMPLETED.get(name):
                setattr(made, name, standard[name])

    def list_fields(self) -> None:
        """As ``dataclasses.fields`` looks for them."""
        import dataclasses

        bare = {"init": False, "repr": False, "eq": False, "match_args": False}
        decorate = dataclasses.dataclass(**bare, kw_only=self.options.get("kw_only", False))
        self.made.__dataclass_fields__ = decorate(self._copied()).__dataclass_fields__  # type: ignore[attr-defined]

    def begin(self) -> None:
        """For the first record."""
        annotated = self.original.get("__annotations__", {})
        described = [(name, annotated[name], _described(of)) for name, of in self.fields.items()]
        self.made.__init__ = _initializer(self.made, described, **self.options)

    def show(self) -> None:
        """For the first that is printed."""
        self.made.__repr__ = _representation(self.fields)


_COMPLETED = {
    name: _Later(name, _Recipe.complete)
    for name in (*_GIVEN, *_FROZEN, "__eq__", "__hash__", "__init__", "__repr__")
}
_FIRST = _Later("__init__", _Recipe.begin)
_SHOWN = _Later("__repr__", _Recipe.show)
_LISTED = _Later("__dataclass_fields__", _Recipe.list_fields)
"""These three can be had without the others, of a class without records above it."""


def _refuse_set(self: object, name: str, value: object) -> NoReturn:
    import dataclasses

    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: object, name: str) -> NoReturn:
    import dataclasses

    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _made(cls: type, *, weakref_slot: bool, **options: bool) -> type:
    """The class with its slots, and what is made later."""
    original = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    annotated: dict[str, Any] = original.get("__annotations__", {})
    inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("__slots__", ())}
    own = [name for name, kind in annotated.items() if not str(kind).startswith("ClassVar")]
    given = {name: original.get(name, MISSING) for name in own}
    namespace = {name: value for name, value in original.items() if name not in own}
    namespace[_RECIPE] = recipe = _Recipe(original, given, options, weakref_slot=weakref_slot)
    namespace["__slots__"] = (
        *(name for name in own if name not in inherited),
        *(("__weakref__",) if weakref_slot else ()),
    )
    eq, frozen = options.get("eq", True), options.get("frozen", False)
    later = [*_GIVEN, *(_FROZEN if frozen else ())]
    if eq:
        later += ["__eq__", "__hash__"] if frozen else ["__eq__"]
        if not frozen:
            namespace.setdefault("__hash__", None)
    if frozen:
        namespace["__setattr__"], namespace["__delattr__"] = _refuse_set, _refuse_delete
    if eq and frozen and namespace.get("__hash__", cls) is None:
        del namespace["__hash__"]  # Python's own, of a class that defines __eq__
    below = any("__dataclass_fields__" in vars(base) for base in cls.__mro__[1:])
    shown = options.get("repr", True)
    if below:
        later += ["__init__", "__repr__"] if shown else ["__init__"]
    for name in later:
        namespace.setdefault(name, _COMPLETED[name])
    if not below:
        if shown:
            namespace.setdefault("__repr__", _SHOWN)
        namespace.setdefault("__init__", _FIRST)
        namespace["__dataclass_fields__"] = _LISTED
    recipe.made = made = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    return made


def _representation(fields: dict[str, Any]) -> Callable[[Any], str]:
    """``__repr__`` of a class without records above it."""
    names = [name for name, given in fields.items() if _described(given).options.get("repr", True)]

    @recursive_repr()
    def show(self: Any) -> str:
        shown = ", ".join([f"{name}={getattr(self, name)!r}" for name in names])
        return f"{self.__class__.__qualname__}({shown})"

    return show


class _Factory:
    """The default of a field that is made anew for each record, as signatures show it."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _initializer(
    made: type,
    fields: list[tuple[str, Any, _Field]],
    *,
    frozen: bool = False,
    kw_only: bool = False,
    **_others: bool,
) -> Any:
    """``__init__`` of a class without records above it. ``fields``: names, types, what is said of them."""
    known: dict[str, Any] = {"_dc_made": made, "_dc_set": object.__setattr__, "_dc_factory": _FACTORY}
    plain: list[str] = []
    named: list[str] = []
    types: dict[str, Any] = {}
    written: list[tuple[str, str]] = []
    for name, kind, of in fields:
        default, factory = of.default, of.factory
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
        if of.init:
            (named if of.is_named(kw_only) else plain).append(parameter)
            types[name] = kind
            written.append((name, value))
        elif fresh:
            written.append((name, fresh))
    store = [f"  self.{name} = {value}" for name, value in written]
    if frozen:  # written while it is of a class that is not frozen: a call a field takes ten times as long
        known["_dc_write"] = _writer([name for name, _ in written])
        known["_dc_open"] = type(made)(made.__name__, (made,), dict(_OPEN))
        body = [
            " if self.__class__ is _dc_made:",
            "  _dc_set(self, '__class__', _dc_open)",
            *store,
            "  self.__class__ = _dc_made",
            " else:",
            f"  _dc_write(self, ({''.join(f'{value}, ' for _, value in written)}))",
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


def _writer(names: list[str]) -> Callable[[Any, tuple[Any, ...]], None]:
    """Writes these fields of a frozen record, one call each: for those of a class below its own."""

    def write(record: Any, values: tuple[Any, ...]) -> None:
        for name, value in zip(names, values, strict=True):
            object.__setattr__(record, name, value)

    return write


_OPEN = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}

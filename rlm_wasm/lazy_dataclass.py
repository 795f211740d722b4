"""``dataclasses.dataclass(slots=True)``, whose methods are made when the first of them is wanted.

The standard decorator writes and compiles up to eight methods a class while the module is imported: a
millisecond and more, a hundred times, in a process that runs one expression and makes records of twenty
classes. Here the class has its slots at once. The rest is what the standard decorator makes of the same
class, as soon as somebody makes a record, compares one, prints one or asks for its fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
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


_GIVEN = ("__dataclass_fields__", "__dataclass_params__", "__init__", "__match_args__")
"""What the standard decorator gives every class, unless the class has it already,"""
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
    later = [name for name in later if name not in namespace]

    def complete() -> None:
        # A class of its own each time: where two threads come at once, both make the same.
        source = type(cls)(cls.__name__, cls.__bases__, dict(original))
        source.__qualname__ = cls.__qualname__
        standard: type = dataclasses.dataclass(slots=True, weakref_slot=weakref_slot, **options)(source)
        for name in later:
            setattr(made, name, vars(standard)[name])

    namespace.update({name: _Later(name, complete) for name in later})
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    return made

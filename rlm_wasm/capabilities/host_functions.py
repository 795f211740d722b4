"""The embedder's own functions: granted by name, called with plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import cbor2

from rlm_wasm.data import Keyword
from rlm_wasm.errors import CapabilityDenied, UsageError

HostFunction = Callable[..., Any]

ARGUMENTS: Final = "args"
"""By which a program sees what it was given by name. Without any it is the guest's own, which gives none."""


class Arguments:
    """What a program is given by name, as the host function ``args``."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        if not isinstance(given, Mapping):
            raise UsageError(f"args must be a mapping from names to values, got {type(given).__name__}")
        for name in given:
            if not isinstance(name, str) or not name:
                raise UsageError(f"an argument's name must be a text, got {name!r}")
        self._given = dict(given)

    def __call__(self) -> dict[str, Any]:
        """All of them, by name."""
        return dict(self._given)


class HostFunctions:
    """The embedder's own functions, by the name that they have in Scheme."""

    def __init__(self, functions: Mapping[str, HostFunction]) -> None:
        self.functions = dict(functions)

    @property
    def names(self) -> list[str]:
        """What is granted, sorted."""
        return sorted(self.functions)

    def call(self, arguments: list[Any]) -> Any:
        """``[name, argument …]``; keyword arguments come as a Keyword and a value each."""
        name, *given = arguments
        function = self.functions.get(name)
        if function is None and name == ARGUMENTS:
            return {}  # the session had some before, and is taken up without
        if function is None:
            raise CapabilityDenied(f"the host function {name!r} is not granted to this session")
        positional: list[Any] = []
        named: dict[str, Any] = {}
        items = iter(given)
        for item in items:
            if isinstance(item, Keyword):
                named[str(item).replace("-", "_")] = next(items, None)
            else:
                positional.append(plain(item))
        return function(*positional, **named)


def check_host_function(name: str, function: Any) -> None:
    """Raises UsageError for what cannot be granted under this name."""
    if not isinstance(name, str) or not name or any(c.isspace() or c in "()[]{}\";'`,|#%" for c in name):
        raise UsageError(f"{name!r} is no name for a host function: use letters, digits and -")
    if not callable(function):
        raise UsageError(f"the host function {name!r} must be callable, got {type(function).__name__}")


def plain(value: Any) -> Any:
    """An argument from the guest as Python's own data: void is None."""
    return None if value is cbor2.undefined else value

"""Modules that are loaded when something of them is first used: what most processes never need.

A package says in its ``__init__`` which of its modules these are; ``from rlm_wasm.runlog import events``
then gives the module as ever, and what it defines is made at ``events.CallSent``. That counts in a process
that runs one expression: until then not even its file is looked for, which takes 50 µs.
"""

from __future__ import annotations

import gc
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from rlm_wasm.forking import undivided


class NotLoaded(ModuleType):
    """A module until something of it is used.

    Python's own ``LazyLoader`` lets a second thread see what the first has loaded so far (before 3.11.9 and
    3.12.3): here it waits. Whoever loads it sees, as ever, what there is already.
    """

    def __getattribute__(self, name: str) -> Any:
        """Load it first."""
        _load(self)
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Load it first, which would undo that."""
        _load(self)
        ModuleType.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Load it first, which would undo that."""
        _load(self)
        ModuleType.__delattr__(self, name)


class _Loading:
    """Whether somebody loads a module, and what the others wait for."""

    __slots__ = ("begun", "lock")

    def __init__(self) -> None:
        self.begun = False
        self.lock = threading.RLock()


_loading: dict[str, _Loading] = {}
"""By name, of those that were ever left for later."""


def _load(module: ModuleType) -> None:
    name: str = ModuleType.__getattribute__(module, "__name__")
    loading = _loading[name]
    with loading.lock:
        if loading.begun:  # by this very thread, or it is done
            return
        loading.begun = True
        try:
            spec = spec_of(name)
            if spec is None or spec.loader is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            about = {"spec": spec, "loader": spec.loader, "package": spec.parent, "file": spec.origin}
            for key, value in {**about, "cached": spec.cached}.items():
                ModuleType.__setattr__(module, f"__{key}__", value)
            with undivided():
                spec.loader.exec_module(module)
        except BaseException:
            loading.begun = False
            raise
        object.__setattr__(module, "__class__", ModuleType)


def spec_of(name: str) -> ModuleSpec | None:
    """Where a module is, looked for as ``import`` does it; None where it is nowhere.

    ``importlib.util`` has such a function: it finds what stands for a module here, and is slow to import.
    """
    package, _, _ = name.rpartition(".")
    path = sys.modules[package].__path__ if package else None
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def lazily(name: str) -> ModuleType:
    """The module of that name, loaded or not. It is no package."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    module = ModuleType(name)
    _loading[name] = _Loading()
    module.__class__ = NotLoaded
    sys.modules[name] = module
    return module


def is_loaded(name: str) -> bool:
    """Whether the module of that name can be used without loading anything."""
    module = sys.modules.get(name)
    if module is None or type(module) is NotLoaded:
        return False
    return not getattr(module.__spec__, "_initializing", False)


async def loaded_beside(*names: str) -> None:
    """Load these modules on a thread: an import takes up to half a second, which is the event loop's.

    For what a program makes a process load that has been running for long.
    """
    wanted = [name for name in names if not is_loaded(name)]
    if wanted:
        import asyncio

        await asyncio.to_thread(_load_all, wanted)


def _load_all(names: list[str]) -> None:
    """Load them without Python's collector.

    It stops all threads, and the objects of a large library make it look through everything, again and again,
    a tenth of a second each time, for nothing. They are old then.
    """
    import importlib

    collects = gc.isenabled()
    gc.disable()
    try:
        with undivided():
            for name in names:
                module = importlib.import_module(name)
                if type(module) is NotLoaded:
                    _load(module)
    finally:
        if collects:
            frozen = gc.get_freeze_count() > 0  # by whoever does not want them to be looked at at all
            gc.freeze()
            if not frozen:
                gc.unfreeze()  # to the oldest generation
            gc.enable()

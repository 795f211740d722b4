"""Modules that are loaded when something of them is first used: what most processes never need.

A package says in its ``__init__`` which of its modules these are; ``from rlm_wasm.runlog import events``
then gives the module as ever, and what it defines is made at ``events.CallSent``. Record types cost about a
millisecond each to define, which counts in a process that runs one expression.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType


def lazily(name: str) -> ModuleType:
    """The module of that name, loaded or not."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""The Python component: compiled once, cached, with the little of WASI that it is given."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import wasmtime
from wasmtime import component

from rlm_wasm.errors import InternalError
from rlm_wasm.python.epochs import EpochTicker
from rlm_wasm.sandbox.compiled_cache import CompiledCache
from rlm_wasm.sandbox.engine import forked

_COMPONENT = Path(__file__).parent / "_component" / "python.wasm.zst"
_POLLABLE = 1
WASI = "0.2.9"


def component_path() -> Path:
    """The shipped component, or what says how to build it."""
    if not _COMPONENT.is_file():
        raise InternalError(
            f"the Python component {_COMPONENT} is missing: install the package (pip install .), "
            "or run python build/make_python.py in a source tree"
        )
    return _COMPONENT


class PythonEngine:
    """One a process: ``PythonEngine.shared()``."""

    _shared: ClassVar[PythonEngine | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: Path | None = None, say: Callable[[str], None] | None = None) -> None:
        packed = (path or component_path()).read_bytes()
        config = wasmtime.Config()
        config.consume_fuel = True
        config.epoch_interruption = True
        config.wasm_component_model = True
        config.max_wasm_stack = 2 << 20  # less traps on nested parentheses; more aborts the process
        config.parallel_compilation = not forked()  # its threads would not have come along
        self.engine = wasmtime.Engine(config)
        self.component = self._load(packed, say or _say)
        self.ticker = EpochTicker(self.engine.increment_epoch)

    @classmethod
    def shared(cls) -> PythonEngine:
        """Made at the first use: a session without Python never pays for it."""
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    def _load(self, packed: bytes, say: Callable[[str], None]) -> component.Component:
        key = hashlib.sha256(
            b"\0".join([packed, metadata.version("wasmtime").encode(), sys.platform.encode(), b"config-1"])
        ).hexdigest()[:32]

        def compile_module() -> component.Component:
            import zstandard

            say("compiling Python for WebAssembly; this happens once and takes about 15 s ...")
            started = time.monotonic()
            compiled = component.Component(self.engine, zstandard.decompress(packed))
            say(f"compiled Python in {time.monotonic() - started:.0f} s")
            return compiled

        loaded, self.compiled_from_cache = CompiledCache().load(
            f"python-{key}.cwasm",
            from_file=self._from_file,
            compile_module=compile_module,
            serialize=lambda compiled: compiled.serialize(),
        )
        return loaded

    def _from_file(self, name: str) -> component.Component | None:
        try:
            return component.Component.deserialize_file(self.engine, name)
        except wasmtime.WasmtimeError:  # of another version or CPU, or damaged
            return None

    def linker(self, host: Callable[[str], str], seeded: random.Random) -> component.Linker:
        """All that the component can reach. What is not here traps."""
        linker = component.Linker(self.engine)
        with linker.root() as root:
            _define(root, f"wasi:cli/environment@{WASI}", _environment())
            _define(root, f"wasi:filesystem/preopens@{WASI}", {"get-directories": lambda _s: []})
            _define(root, f"wasi:clocks/wall-clock@{WASI}", {"now": _wall_clock, "resolution": _resolution})
            with root.add_instance(f"wasi:io/poll@{WASI}") as poll:
                # Nothing here can be waited for: everything is ready at once, and sleep asks the host.
                poll.add_resource("pollable", component.ResourceType.host(_POLLABLE), lambda *_: None)
                poll.add_func("poll", _poll)
                poll.add_func("[method]pollable.ready", lambda store, item: item.drop(store) is None)
                poll.add_func("[method]pollable.block", lambda store, item: item.drop(store))
            _define(root, f"wasi:clocks/monotonic-clock@{WASI}", _monotonic_clock())
            _define(root, f"wasi:random/random@{WASI}", _randomness(seeded))
            root.add_func("host", lambda _s, request: host(request))
        linker.define_unknown_imports_as_traps(self.component)
        return linker


def _renew_lock() -> None:
    """In a forked child: a thread that held it is gone."""
    PythonEngine._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _define(root: component.LinkerInstance, name: str, functions: dict[str, Any]) -> None:
    with root.add_instance(name) as instance:
        for function, body in functions.items():
            instance.add_func(function, body)


def _poll(store: Any, items: list[Any]) -> list[int]:
    for item in items:  # borrowed: has to be given back before the call ends
        item.drop(store)
    return list(range(len(items)))


def _environment() -> dict[str, Any]:
    return {
        "get-environment": lambda _s: [],
        "get-arguments": lambda _s: [],
        "initial-cwd": lambda _s: None,
    }


def _time(seconds: int, nanoseconds: int) -> component.Record:
    record = component.Record()
    vars(record).update(seconds=seconds, nanoseconds=nanoseconds)
    return record


def _wall_clock(_store: Any) -> component.Record:
    now = time.time_ns()
    return _time(now // 10**9, now % 10**9)


def _resolution(_store: Any) -> component.Record:
    return _time(0, 1_000)


def _monotonic_clock() -> dict[str, Any]:
    def ready(_store: Any, _when: int) -> component.ResourceHost:
        return component.ResourceHost.own(0, _POLLABLE)

    return {
        "now": lambda _s: time.monotonic_ns(),
        "resolution": lambda _s: 1_000,
        "subscribe-duration": ready,
        "subscribe-instant": ready,
    }


def _randomness(seeded: random.Random) -> dict[str, Any]:
    return {
        "get-random-bytes": lambda _s, count: seeded.randbytes(min(count, 1 << 16)),
        "get-random-u64": lambda _s: seeded.getrandbits(64),
    }


def _say(text: str) -> None:
    print(f"rlm-wasm: {text}", file=sys.stderr, flush=True)

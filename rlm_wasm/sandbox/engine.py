"""One wasmtime engine a process, with the guest compiled once and kept ready to instantiate.

The compiled guest is kept in the cache of compiled modules (compiled_cache.py).
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

import wasmtime
from wasmtime import _ffi

from rlm_wasm.errors import InternalError
from rlm_wasm.sandbox.compiled_cache import CompiledCache

_GUEST = Path(__file__).parent.parent / "_guest"


def _prototype(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype = result
    function.argtypes = arguments
    return function


# wasmtime-py's own wrappers convert every argument; a call through plain addresses takes half
# the time. The library is the one that wasmtime-py has loaded; only the prototypes are ours.
_library = ctypes.CDLL(str(_ffi.filename))
_P = ctypes.c_void_p
store_new = _prototype("wasmtime_store_new", _P, _P, _P, _P)
store_delete = _prototype("wasmtime_store_delete", None, _P)
store_context = _prototype("wasmtime_store_context", _P, _P)
store_limiter = _prototype("wasmtime_store_limiter", None, _P, *[ctypes.c_int64] * 5)
set_fuel = _prototype("wasmtime_context_set_fuel", _P, _P, ctypes.c_uint64)
get_fuel = _prototype("wasmtime_context_get_fuel", _P, _P, _P)
instantiate = _prototype("wasmtime_instance_pre_instantiate", _P, _P, _P, _P, _P)
export_get = _prototype(
    "wasmtime_instance_export_get", ctypes.c_bool, _P, _P, ctypes.c_char_p, ctypes.c_size_t, _P
)
call_unchecked = _prototype("wasmtime_func_call_unchecked", _P, _P, _P, _P, ctypes.c_size_t, _P)
memory_data = _prototype("wasmtime_memory_data", _P, _P, _P)
memory_data_size = _prototype("wasmtime_memory_data_size", ctypes.c_size_t, _P, _P)
memory_grow = _prototype("wasmtime_memory_grow", _P, _P, _P, ctypes.c_uint64, _P)


def guest_path() -> Path:
    """The shipped guest module, or what says how to build it."""
    path = _GUEST / "guest.wasm"
    if not path.is_file():
        raise InternalError(
            f"the guest image {path} is missing: install the package (pip install .), "
            "or run python build/make_guest.py in a source tree"
        )
    return path


_home = os.getpid()


def forked() -> bool:
    """Whether this process is a fork of the one that imported rlm_wasm."""
    return os.getpid() != _home


class Engine:
    """The compiled guest. ``Engine.shared()`` is what everybody uses."""

    _shared: ClassVar[Engine | None] = None
    _kept: ClassVar[dict[str, Engine]] = {}
    """Those of other guests, by their SHA-256."""
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, guest: Path | bytes | None = None) -> None:
        self._guest = guest_path() if guest is None else guest
        self.image_hash = _image_hash(self._guest)
        config = wasmtime.Config()
        config.consume_fuel = True
        # No epochs: to look at one at every loop and call costs a tenth of all time, and fuel traps as well.
        config.cranelift_nan_canonicalization = True  # the same bits on every machine
        config.wasm_threads = False
        config.memory_init_cow = True
        config.parallel_compilation = not forked()  # its threads would not have come along
        self.wasmtime_engine = wasmtime.Engine(config)
        self.module = self._load()
        self.image_size = _memory_size(self.module)
        linker = wasmtime.Linker(self.wasmtime_engine)
        self._pre = linker.instantiate_pre(self.module)
        self.engine_pointer = address(self.wasmtime_engine.ptr())
        self.pre_pointer = address(self._pre.ptr())
        self.report_at: int | None = None
        """Where guests leave what is wanted after every run; 0: nowhere, None: nobody has asked yet."""

    @classmethod
    def shared(cls) -> Engine:
        """The process's engine, made at the first call."""
        if cls._shared is None:
            with cls._lock:
                if cls._shared is None:
                    cls._shared = cls()
        return cls._shared

    @classmethod
    def of(cls, image: bytes) -> Engine:
        """The engine of another guest, such as an earlier release's, made at the first call."""
        key = hashlib.sha256(image).hexdigest()
        with cls._lock:
            if key not in cls._kept:
                cls._kept[key] = cls(image)
            return cls._kept[key]

    def image(self) -> bytes:
        """The guest as it ships: a WebAssembly module, whose SHA-256 is ``image_hash``."""
        return self._guest if isinstance(self._guest, bytes) else self._guest.read_bytes()

    def _compiled(self) -> wasmtime.Module:
        if isinstance(self._guest, bytes):
            return wasmtime.Module(self.wasmtime_engine, self._guest)
        return wasmtime.Module.from_file(self.wasmtime_engine, self._guest)

    def _load(self) -> wasmtime.Module:
        module, self.compiled_from_cache = CompiledCache().load(
            f"guest-{self.cache_key()}.cwasm",
            from_file=lambda name: wasmtime.Module.deserialize_file(self.wasmtime_engine, name),
            compile_module=self._compiled,
            serialize=lambda module: module.serialize(),
        )
        return module

    def remember_report(self, at: int) -> None:
        """A guest of this engine has said where it leaves its reports."""
        self.report_at = at

    def cache_key(self) -> str:
        """Changes with everything that compiled code depends on."""
        library = Path(_ffi.filename).stat()  # stands for its version: asking for that takes 20 ms
        parts = [
            self.image_hash,
            f"{library.st_size}-{library.st_mtime_ns}",
            platform.machine(),
            sys.platform,
            "config-2",
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _renew_lock() -> None:
    """In a forked child: a thread that held it is gone."""
    Engine._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _memory_size(module: wasmtime.Module) -> int:
    """Bytes of linear memory that a fresh instance has."""
    for export in module.exports:
        if isinstance(export.type, wasmtime.MemoryType):
            return export.type.limits.min * 65536
    raise InternalError("the guest exports no memory")


def _image_hash(path: Path | bytes) -> str:
    """The module's SHA-256: from the build's own note where it fits, else computed."""
    if isinstance(path, bytes):
        return hashlib.sha256(path).hexdigest()
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if note["bytes"] == path.stat().st_size:
            return str(note["sha256"])
    except (OSError, ValueError, KeyError):
        pass
    return hashlib.sha256(path.read_bytes()).hexdigest()


def address(pointer: Any) -> int:
    """The address that a ctypes pointer holds."""
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0

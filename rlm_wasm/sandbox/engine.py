"""One wasmtime engine a process, with the guest compiled once and kept ready to instantiate.

The compiled guest is cached as a ``.cwasm`` file in the user's cache folder. Loading such a
file is running its native code, so the folder is the user's alone (mode 0700) and is not used
where it is not.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import platform
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import wasmtime
from wasmtime import _ffi

from rlm_wasm.errors import InternalError

TICK_S = 0.05
"""How often the epoch moves while a guest runs."""

_GUEST = Path(__file__).parent.parent / "_guest"
_EXPORTS = (
    "rlm_inbox",
    "rlm_run",
    "rlm_outbox",
    "rlm_outbox_length",
    "rlm_steps",
    "rlm_heap_used",
    "rlm_page_map",
    "rlm_page_map_length",
)


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
set_epoch_deadline = _prototype("wasmtime_context_set_epoch_deadline", None, _P, ctypes.c_uint64)
instantiate = _prototype("wasmtime_instance_pre_instantiate", _P, _P, _P, _P, _P)
export_get = _prototype(
    "wasmtime_instance_export_get", ctypes.c_bool, _P, _P, ctypes.c_char_p, ctypes.c_size_t, _P
)
call_unchecked = _prototype("wasmtime_func_call_unchecked", _P, _P, _P, _P, ctypes.c_size_t, _P)
memory_data = _prototype("wasmtime_memory_data", _P, _P, _P)
memory_data_size = _prototype("wasmtime_memory_data_size", ctypes.c_size_t, _P, _P)
memory_grow = _prototype("wasmtime_memory_grow", _P, _P, _P, ctypes.c_uint64, _P)
increment_epoch = _prototype("wasmtime_engine_increment_epoch", None, _P)


def guest_path() -> Path:
    """The shipped guest module, or what says how to build it."""
    path = _GUEST / "guest.wasm"
    if not path.is_file():
        raise InternalError(
            f"the guest image {path} is missing: install the package (pip install .), "
            "or run python build/make_guest.py in a source tree"
        )
    return path


def cache_dir() -> Path:
    """Where compiled code is kept: RLM_WASM_CACHE, or the user's cache folder."""
    given = os.environ.get("RLM_WASM_CACHE")
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("rlm-wasm"))


def private_cache_dir() -> Path | None:
    """The cache folder, made if need be; None where it cannot be the user's alone."""
    path = cache_dir()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sys.platform != "win32":
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                return None
            if status.st_mode & 0o077:
                path.chmod(0o700)
    except OSError:
        return None
    return path


def write_atomically(path: Path, content: bytes | bytearray) -> None:
    """Write so that a reader sees all of it or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class Engine:
    """The compiled guest. ``Engine.shared()`` is what everybody uses."""

    _shared: ClassVar[Engine | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, guest: Path | None = None) -> None:
        path = guest or guest_path()
        self.image_hash = _image_hash(path)
        config = wasmtime.Config()
        config.consume_fuel = True
        config.epoch_interruption = True
        config.cranelift_nan_canonicalization = True  # the same bits on every machine
        config.wasm_threads = False
        config.memory_init_cow = True
        self.compiled_from_cache = True
        self.wasmtime_engine = wasmtime.Engine(config)
        self.module = self._load(path)
        self.image_size = _memory_size(self.module)
        linker = wasmtime.Linker(self.wasmtime_engine)
        self._pre = linker.instantiate_pre(self.module)
        self.engine_pointer = address(self.wasmtime_engine.ptr())
        self.pre_pointer = address(self._pre.ptr())
        self.ticker = _Ticker(self.engine_pointer)
        self.exports = {name: name.encode() for name in _EXPORTS}

    @classmethod
    def shared(cls) -> Engine:
        """The process's engine, made at the first call."""
        if cls._shared is None:
            with cls._lock:
                if cls._shared is None:
                    cls._shared = cls()
        return cls._shared

    def _load(self, path: Path) -> wasmtime.Module:
        folder = private_cache_dir()
        if folder is None:
            self.compiled_from_cache = False
            return wasmtime.Module.from_file(self.wasmtime_engine, path)
        cached = folder / f"guest-{self.cache_key()}.cwasm"
        if cached.is_file():
            try:
                return wasmtime.Module.deserialize_file(self.wasmtime_engine, str(cached))
            except wasmtime.WasmtimeError:
                pass  # another CPU, or a damaged file: compile again
        self.compiled_from_cache = False
        module = wasmtime.Module.from_file(self.wasmtime_engine, path)
        try:
            write_atomically(cached, module.serialize())
            # What is deserialised from a file is mapped, so that its pages are shared.
            return wasmtime.Module.deserialize_file(self.wasmtime_engine, str(cached))
        except OSError:
            return module

    def cache_key(self) -> str:
        """Changes with everything that compiled code depends on."""
        library = Path(_ffi.filename).stat()  # stands for its version: asking for that takes 20 ms
        parts = [
            self.image_hash,
            f"{library.st_size}-{library.st_mtime_ns}",
            platform.machine(),
            sys.platform,
            "config-1",
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _memory_size(module: wasmtime.Module) -> int:
    """Bytes of linear memory that a fresh instance has."""
    for export in module.exports:
        if isinstance(export.type, wasmtime.MemoryType):
            return export.type.limits.min * 65536
    raise InternalError("the guest exports no memory")


def _image_hash(path: Path) -> str:
    """The module's SHA-256: from the build's own note where it fits, else computed."""
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


class _Ticker:
    """Moves the engine's epoch while guests run; parks itself when nothing has run for a while."""

    def __init__(self, engine_pointer: int) -> None:
        self._engine = engine_pointer
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self.busy_until = 0.0
        """On the monotonic clock: no entry into wasm that began so far lasts longer than this."""
        self.parked = True

    def wake(self) -> None:
        """To be called before an entry into wasm where ``parked`` is set."""
        self.parked = False
        if self._thread is None or not self._thread.is_alive():  # also after a fork
            self._thread = threading.Thread(target=self._tick, name="rlm-wasm epochs", daemon=True)
            self._thread.start()
        # Set last: where the thread is about to park, it finds this and goes round again.
        self._wanted.set()

    def _tick(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            while time.monotonic() < self.busy_until:
                time.sleep(TICK_S)
                increment_epoch(self._engine)
            self.parked = True

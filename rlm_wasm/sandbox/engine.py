"""One wasmtime engine a process, with the guest compiled once and kept ready to instantiate.

The compiled guest is kept in the cache of compiled modules (compiled_cache.py).
"""

from __future__ import annotations

import ast
import os
import sys
import threading
import weakref
from collections.abc import Callable
from ctypes import addressof, c_void_p
from typing import TYPE_CHECKING, ClassVar

from rlm_wasm.errors import InternalError
from rlm_wasm.sandbox import c_api as wasm
from rlm_wasm.sandbox.compiled_cache import CompiledCache

if TYPE_CHECKING:
    from pathlib import Path

FAR = 1 << 40
"""Where fuel stands while no program runs."""

_GUEST = os.path.join(os.path.dirname(os.path.dirname(__file__)), "_guest", "guest.wasm")


class Module:
    """A compiled module; it goes with the last that has it."""

    __slots__ = ("__weakref__", "at")

    def __init__(self, at: int) -> None:
        self.at = at
        """The address of its handle."""
        _owned(self, wasm.module_delete, at)


def _owned(owner: object, delete: Callable[[int], None], at: int) -> None:
    """What stands there goes with its owner; at the end of the process with that."""
    weakref.finalize(owner, delete, at).atexit = False


def guest_path() -> str:
    """Where the shipped guest module is. Raises InternalError, which says how to build one."""
    if not os.path.isfile(_GUEST):
        raise InternalError(
            f"the guest image {_GUEST} is missing: install the package (pip install .), "
            "or run python build/make_guest.py in a source tree"
        )
    return _GUEST


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

    def __init__(self, guest: str | Path | bytes | None = None) -> None:
        self._guest = guest if isinstance(guest, bytes) else os.fspath(guest or guest_path())
        self.image_hash = _image_hash(self._guest)
        config = wasm.config_new()
        wasm.config_consume_fuel(config, True)
        # No epochs: to look at one at every loop and call costs a tenth of all time, and fuel traps as well.
        wasm.config_nan_canonicalization(config, True)  # the same bits on every machine
        wasm.config_threads(config, False)
        wasm.config_memory_init_cow(config, True)
        wasm.config_parallel_compilation(config, not forked())  # its threads would not have come along
        self.engine_pointer: int = wasm.engine_new(config)
        _owned(self, wasm.engine_delete, self.engine_pointer)
        self.module = self._load()
        linker, pre = wasm.linker_new(self.engine_pointer), c_void_p()
        failed = wasm.linker_instantiate_pre(linker, self.module.at, addressof(pre))
        wasm.linker_delete(linker)
        if failed:
            raise InternalError(f"the guest cannot be linked: {wasm.text_of_error(failed)}")
        self.pre_pointer = pre.value or 0
        _owned(self, wasm.pre_delete, self.pre_pointer)
        self.image_size = self._image_size()
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
        key = _sha256(image)
        with cls._lock:
            if key not in cls._kept:
                cls._kept[key] = cls(image)
            return cls._kept[key]

    def image(self) -> bytes:
        """The guest as it ships: a WebAssembly module, whose SHA-256 is ``image_hash``."""
        return self._guest if isinstance(self._guest, bytes) else _content(self._guest)

    def instantiate(self, memory_limit: int) -> tuple[int, int, wasm.Handle]:
        """A new instance: its store, the store's context, and the handle.

        Raises InternalError where there is no room for one, and for a guest that does not start.
        """
        store = wasm.store_new(self.engine_pointer, None, None)
        context = wasm.store_context(store)
        instance, trap = wasm.Handle(), c_void_p()
        wasm.store_limiter(store, memory_limit, -1, 1, -1, 1)
        wasm.set_fuel(context, FAR)
        failed = wasm.pre_instantiate(self.pre_pointer, context, addressof(instance), addressof(trap))
        if failed or trap.value:
            message = failure_of(failed, trap.value)[1]
            wasm.store_delete(store)
            raise InternalError(f"the guest cannot be instantiated: {message}")
        return store, context, instance

    def _image_size(self) -> int:
        """Bytes of linear memory that a fresh instance has."""
        store, context, instance = self.instantiate(-1)
        memory = wasm.export(context, addressof(instance), "memory", wasm.MEMORY)
        size = 0 if memory is None else wasm.memory_data_size(context, memory[1])
        wasm.store_delete(store)
        if memory is None:
            raise InternalError("the guest exports no memory")
        return int(size)

    def _compiled(self) -> Module:
        image, module = self.image(), c_void_p()
        failed = wasm.module_new(self.engine_pointer, image, len(image), addressof(module))
        if failed:
            raise InternalError(f"the guest cannot be compiled: {wasm.text_of_error(failed)}")
        return Module(module.value or 0)

    def _from_file(self, name: str) -> Module | None:
        module = c_void_p()
        failed = wasm.module_from_file(self.engine_pointer, os.fsencode(name), addressof(module))
        if failed:
            wasm.error_delete(failed)
            return None
        return Module(module.value or 0)

    def _load(self) -> Module:
        module, self.compiled_from_cache = CompiledCache().load(
            f"guest-{self.cache_key()}.cwasm",
            from_file=self._from_file,
            compile_module=self._compiled,
            serialize=_serialized,
        )
        return module

    def remember_report(self, at: int) -> None:
        """A guest of this engine has said where it leaves its reports."""
        self.report_at = at

    def cache_key(self) -> str:
        """Changes with everything that compiled code depends on."""
        library = os.stat(wasm.LIBRARY)  # stands for its version: asking for that takes 20 ms
        version = f"{library.st_size:x}-{library.st_mtime_ns:x}"
        return "-".join((self.image_hash[:32], version, _machine(), sys.platform, "config2"))


def _renew_lock() -> None:
    """In a forked child: a thread that held it is gone."""
    Engine._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _machine() -> str:
    """As ``platform.machine`` says it, which takes longer to import than most that is needed here."""
    if hasattr(os, "uname"):
        return os.uname().machine
    import platform

    return platform.machine()


def _serialized(module: Module) -> bytes:
    given = wasm.Bytes()
    failed = wasm.module_serialize(module.at, addressof(given))
    if failed:
        raise InternalError(f"the compiled guest cannot be kept: {wasm.text_of_error(failed)}")
    return wasm.taken(given)


_REASONS = {wasm.OUT_OF_FUEL: "fuel", wasm.STACK_OVERFLOW: "stack"}


def failure_of(error: int | None, trap: int | None) -> tuple[str, str]:
    """Reason and message of what a C call returned; frees it."""
    if trap:
        code, message = wasm.trapped(trap)
        return "trap" if code is None else _REASONS.get(code, "trap"), message
    return "trap", wasm.text_of_error(error) if error else "no reason was given"


def _image_hash(guest: str | bytes) -> str:
    """The module's SHA-256: from the build's own note where it fits, else computed."""
    if isinstance(guest, bytes):
        return _sha256(guest)
    try:
        # JSON of numbers and texts: Python reads it, too, without a module that nothing else here needs.
        note = ast.literal_eval(_content(f"{os.path.splitext(guest)[0]}.json").decode())
        if note["bytes"] == os.stat(guest).st_size:
            return str(note["sha256"])
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):
        pass
    return _sha256(_content(guest))


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()

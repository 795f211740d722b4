"""What the sandbox calls of wasmtime's C API: prototypes of ours for the library that wasmtime-py brings.

wasmtime-py converts every argument and result, and declares all of the API when it is imported: that takes
longer than everything else that one program needs. So its package is found, and not imported: that is left
to Python for the guest.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import addressof, c_bool, c_char_p, c_int64, c_size_t, c_uint8, c_uint64, c_void_p
from typing import Any

from rlm_wasm.lazy import spec_of

_LIBRARIES = {"win32": "_wasmtime.dll", "darwin": "_libwasmtime.dylib"}


def _library_path() -> str:
    """Where the library is: beside the package's modules, in a folder by the name of its platform."""
    spec = spec_of("wasmtime")
    name = _LIBRARIES.get(sys.platform, "_libwasmtime.so")
    if spec is not None and spec.submodule_search_locations:
        folder = spec.submodule_search_locations[0]
        places = [os.path.join(folder, each, name) for each in os.listdir(folder)]
        found = [place for place in places if os.path.isfile(place)]
        if len(found) == 1:
            return found[0]
    from wasmtime import _ffi  # it knows, or says what is wrong

    return str(_ffi.filename)


LIBRARY = _library_path()
_library = ctypes.CDLL(LIBRARY)
_P = c_void_p


def _prototype(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype = result
    function.argtypes = arguments
    return function


class Bytes(ctypes.Structure):
    """wasm_byte_vec_t, and what else the API gives as a vector."""

    _fields_ = (("size", c_size_t), ("data", c_void_p))

    size: int
    data: int | None


class Handle(ctypes.Structure):
    """wasmtime_instance_t, and a function's or a memory's, which differ in what is private."""

    _fields_ = (("store_id", c_uint64), ("private", c_uint64))


class Extern(ctypes.Structure):
    """wasmtime_extern_t; the union of its handles has room for its largest."""

    _fields_ = (("kind", c_uint8), ("of", c_uint64 * 3))

    kind: int


class Value(ctypes.Structure):
    """wasmtime_val_raw_t: sixteen bytes, of which numbers take the first."""

    _fields_ = (("i64", c_int64), ("upper", c_int64))


config_new = _prototype("wasm_config_new", _P)
config_consume_fuel = _prototype("wasmtime_config_consume_fuel_set", None, _P, c_bool)
config_nan_canonicalization = _prototype(
    "wasmtime_config_cranelift_nan_canonicalization_set", None, _P, c_bool
)
config_threads = _prototype("wasmtime_config_wasm_threads_set", None, _P, c_bool)
config_memory_init_cow = _prototype("wasmtime_config_memory_init_cow_set", None, _P, c_bool)
config_parallel_compilation = _prototype("wasmtime_config_parallel_compilation_set", None, _P, c_bool)
engine_new = _prototype("wasm_engine_new_with_config", _P, _P)
engine_delete = _prototype("wasm_engine_delete", None, _P)
module_new = _prototype("wasmtime_module_new", _P, _P, c_char_p, c_size_t, _P)
module_from_file = _prototype("wasmtime_module_deserialize_file", _P, _P, c_char_p, _P)
module_serialize = _prototype("wasmtime_module_serialize", _P, _P, _P)
module_delete = _prototype("wasmtime_module_delete", None, _P)
bytes_delete = _prototype("wasm_byte_vec_delete", None, _P)
linker_new = _prototype("wasmtime_linker_new", _P, _P)
linker_delete = _prototype("wasmtime_linker_delete", None, _P)
linker_instantiate_pre = _prototype("wasmtime_linker_instantiate_pre", _P, _P, _P, _P)
pre_delete = _prototype("wasmtime_instance_pre_delete", None, _P)
pre_instantiate = _prototype("wasmtime_instance_pre_instantiate", _P, _P, _P, _P, _P)
store_new = _prototype("wasmtime_store_new", _P, _P, _P, _P)
store_delete = _prototype("wasmtime_store_delete", None, _P)
store_context = _prototype("wasmtime_store_context", _P, _P)
store_limiter = _prototype("wasmtime_store_limiter", None, _P, *[c_int64] * 5)
set_fuel = _prototype("wasmtime_context_set_fuel", _P, _P, c_uint64)
get_fuel = _prototype("wasmtime_context_get_fuel", _P, _P, _P)
export_get = _prototype("wasmtime_instance_export_get", c_bool, _P, _P, c_char_p, c_size_t, _P)
call_unchecked = _prototype("wasmtime_func_call_unchecked", _P, _P, _P, _P, c_size_t, _P)
memory_data = _prototype("wasmtime_memory_data", _P, _P, _P)
memory_data_size = _prototype("wasmtime_memory_data_size", c_size_t, _P, _P)
memory_grow = _prototype("wasmtime_memory_grow", _P, _P, _P, c_uint64, _P)
error_message = _prototype("wasmtime_error_message", None, _P, _P)
error_delete = _prototype("wasmtime_error_delete", None, _P)
trap_message = _prototype("wasm_trap_message", None, _P, _P)
trap_code = _prototype("wasmtime_trap_code", c_bool, _P, _P)
trap_delete = _prototype("wasm_trap_delete", None, _P)

_OF = Extern.of.offset


FUNCTION, MEMORY = 0, 3
"""Kinds of exports."""


def export(context: int, instance: int, name: str, kind: int) -> tuple[Extern, int] | None:
    """An export of an instance: what holds its handle, and the handle's address. None: there is none such."""
    extern = Extern()
    encoded = name.encode()
    if not export_get(context, instance, encoded, len(encoded), addressof(extern)) or extern.kind != kind:
        return None
    return extern, addressof(extern) + _OF


def taken(given: Bytes) -> bytes:
    """Bytes that the API gave, which are freed."""
    content = ctypes.string_at(given.data, given.size) if given.data else b""
    bytes_delete(addressof(given))
    return content


def text_of_error(error: int) -> str:
    """What an error says; frees it."""
    said = Bytes()
    error_message(error, addressof(said))
    error_delete(error)
    return taken(said).decode("utf-8", "replace")


STACK_OVERFLOW, OUT_OF_FUEL = 0, 11
TRAPS = (
    "stack overflow",
    "memory out of bounds",
    "heap misaligned",
    "table out of bounds",
    "indirect call to null",
    "bad signature",
    "integer overflow",
    "integer division by zero",
    "bad conversion to integer",
    "unreachable",
    "interrupt",
    "out of fuel",
)
"""What a trap is called, by the number of its code; others do not happen in a guest like ours."""


def trapped(trap: int) -> tuple[int | None, str]:
    """The code of a trap and what it says; frees it."""
    code = c_uint8()
    known = bool(trap_code(trap, addressof(code)))
    said = Bytes()
    trap_message(trap, addressof(said))
    trap_delete(trap)
    text = taken(said).rstrip(b"\0").decode("utf-8", "replace").partition("\n")[0]
    if not known:
        return None, text
    return code.value, TRAPS[code.value] if code.value < len(TRAPS) else text

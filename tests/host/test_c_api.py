"""Our prototypes of wasmtime's C API are those that wasmtime-py has itself."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Any

import pytest
import wasmtime
from wasmtime import _bindings, _ffi

from rlm_wasm.sandbox import c_api

FUNCTIONS = {name: value for name, value in vars(c_api).items() if isinstance(value, ctypes._CFuncPtr)}


def width(kind: Any) -> str:
    """How a type is passed: all addresses alike."""
    if kind is None:
        return "nothing"
    if kind in (ctypes.c_void_p, ctypes.c_char_p) or issubclass(kind, ctypes._Pointer | ctypes._CFuncPtr):
        return "address"
    return f"{kind.__name__}"


def test_the_library_is_the_one_that_the_package_loads() -> None:
    """Found without importing the package, and the same file."""
    assert str(_ffi.filename) == c_api.LIBRARY


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_and_gives_what_its_binding_says(name: str) -> None:
    """Argument by argument; what one has as an address the other has as an address."""
    ours = FUNCTIONS[name]
    theirs = getattr(_bindings, f"_{ours.__name__}")
    assert [width(kind) for kind in ours.argtypes] == [width(kind) for kind in theirs.argtypes]
    assert width(ours.restype) == width(theirs.restype)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (c_api.Bytes, _bindings.wasm_byte_vec_t),
        (c_api.Handle, _bindings.wasmtime_instance_t),
        (c_api.Handle, _bindings.wasmtime_func_t),
        (c_api.Extern, _bindings.wasmtime_extern_t),
        (c_api.Value, _bindings.wasmtime_val_raw_t),
    ],
)
def test_a_structure_is_as_large_as_its_binding(
    ours: type[ctypes.Structure], theirs: type[ctypes.Structure]
) -> None:
    """And what is read of it stands at the same place."""
    assert ctypes.sizeof(ours) == ctypes.sizeof(theirs)
    assert ctypes.alignment(ours) == ctypes.alignment(theirs)


def test_the_handle_in_an_export_stands_where_the_binding_has_it() -> None:
    """Its address is what calls are given."""
    assert c_api.Extern.of.offset == _bindings.wasmtime_extern_t.of.offset
    assert c_api.Extern.kind.offset == _bindings.wasmtime_extern_t.kind.offset
    kinds = [_ffi.WASMTIME_EXTERN_FUNC.value, _ffi.WASMTIME_EXTERN_MEMORY.value]
    assert kinds == [c_api.FUNCTION, c_api.MEMORY]


def test_traps_are_called_as_wasmtime_calls_them() -> None:
    """By their numbers."""
    called = {code.value: code.name.lower().replace("_", " ") for code in wasmtime.TrapCode}
    assert {number: called[number] for number in range(len(c_api.TRAPS))} == dict(enumerate(c_api.TRAPS))
    assert wasmtime.TrapCode.OUT_OF_FUEL.value == c_api.OUT_OF_FUEL
    assert wasmtime.TrapCode.STACK_OVERFLOW.value == c_api.STACK_OVERFLOW


def test_an_export_of_another_kind_is_none() -> None:
    """A guest whose memory is a function is refused, not read."""
    from rlm_wasm.sandbox.engine import Engine

    store, context, instance = Engine.shared().instantiate(-1)
    at = ctypes.addressof(instance)
    try:
        assert c_api.export(context, at, "memory", c_api.MEMORY) is not None
        assert c_api.export(context, at, "memory", c_api.FUNCTION) is None
        assert c_api.export(context, at, "rlm_run", c_api.MEMORY) is None
        assert c_api.export(context, at, "nothing", c_api.FUNCTION) is None
    finally:
        c_api.store_delete(store)


def test_one_expression_does_not_import_wasmtimes_python() -> None:
    """It declares all of the API, which takes longer than the rest of the start."""
    code = (
        "import sys, rlm_wasm; assert rlm_wasm.run('(+ 1 2)', provider='echo').value == '3'; "
        "print('wasmtime' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"

"""A component's function from a text to a text, called without what wasmtime's Python does for any function.

That asks for the types of its parameters and makes objects of them at each call, and decodes and copies
texts as a whole while all threads wait: a quarter of the time of a short call, and 60 ms of one of 64 MB.
"""

from __future__ import annotations

import ctypes
from typing import Any

import wasmtime
from wasmtime import _bindings, _ffi, component

from rlm_wasm.errors import InternalError
from rlm_wasm.sandbox.pages import COPIED_AT_ONCE, at_once, gathered

_VALUE: Any = _bindings.wasmtime_component_val_t
_UNION: Any = _bindings.wasmtime_component_valunion_t
_BYTES: Any = _bindings.wasm_byte_vec_t
_STRING = _VALUE.of.offset + _UNION.string.offset
_SIZE_AT = _STRING + _BYTES.size.offset
_DATA_AT = _STRING + _BYTES.data.offset
_KIND = _ffi.WASMTIME_COMPONENT_STRING.value


class TextFunction:
    """``function`` of an instance in ``store``. Not to be entered twice at once."""

    def __init__(self, store: wasmtime.Store, function: component.Func) -> None:
        self._function = function  # kept: it owns what is pointed to
        self._store = store
        self._function_at = ctypes.pointer(function._func)
        self._context = store._context()
        self._given, self._result = _VALUE(), _VALUE()
        ctypes.c_uint8.from_buffer(self._given, _VALUE.kind.offset).value = _KIND
        self._given_at, self._result_at = ctypes.pointer(self._given), ctypes.pointer(self._result)
        self._given_size = ctypes.c_size_t.from_buffer(self._given, _SIZE_AT)
        self._given_data = ctypes.c_char_p.from_buffer(self._given, _DATA_AT)
        self._result_size = ctypes.c_size_t.from_buffer(self._result, _SIZE_AT)
        self._result_data = ctypes.c_void_p.from_buffer(self._result, _DATA_AT)
        self.closed = False

    def __call__(self, text: bytes, limit: int) -> bytes:
        """``text`` has to be UTF-8, and the result is. Of one beyond ``limit`` bytes, one more than those.

        Raises WasmtimeError for a trap, and InternalError where the store was closed.
        """
        if self.closed:
            raise InternalError("Python's instance was closed")
        self._given_size.value = len(text)
        self._given_data.value = text  # lent: the call copies it
        error = _bindings._wasmtime_component_func_call(
            self._function_at, self._context, self._given_at, 1, self._result_at, 1
        )
        self._given_data.value = None
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)
        try:
            size, data = min(self._result_size.value, limit + 1), self._result_data.value
            if size <= COPIED_AT_ONCE:
                return ctypes.string_at(data, size) if data else b""
            assert data is not None
            return at_once(gathered([(data, size)]))
        finally:
            _bindings._wasmtime_component_val_delete(self._result_at)

    def close(self) -> None:
        """The store is about to go."""
        self.closed = True

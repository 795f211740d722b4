"""The writer of data segments."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

import wasm_image

MODULE = wasmtime.wat2wasm("""
(module
  (memory (export "memory") 1 100)
  (global $sp (mut i32) (i32.const 1024))
  (data (i32.const 8) "hello")
  (func (export "_initialize"))
  (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "grow") (drop (memory.grow (i32.const 2)))))
""")


def _memory(module: bytes, *, poke: tuple[int, int] | None = None, grow: bool = False) -> bytes:
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, module), [])
    exports = instance.exports(store)
    if poke:
        exports["poke"](store, *poke)  # type: ignore[operator]
    if grow:
        exports["grow"](store)  # type: ignore[operator]
    memory = exports["memory"]
    assert isinstance(memory, wasmtime.Memory)
    return bytes(memory.read(store))


def test_a_fresh_instance_has_the_memory_that_was_written_back() -> None:
    """Its size too."""
    memory = _memory(MODULE, poke=(70, 7), grow=True)
    image = wasm_image.rewrite(MODULE, memory)
    assert _memory(image) == memory
    assert len(memory) == 3 * 65536


def test_what_has_run_is_gone() -> None:
    """_initialize must not run a second time."""
    image = wasm_image.rewrite(MODULE, _memory(MODULE))
    names = {export.name for export in wasmtime.Module(wasmtime.Engine(), image).exports}
    assert names == {"memory", "poke", "grow"}


def test_the_rewrite_is_the_same_byte_for_byte() -> None:
    """And of its own result, too."""
    memory = _memory(MODULE, poke=(60000, 1))
    image = wasm_image.rewrite(MODULE, memory)
    assert wasm_image.rewrite(MODULE, memory) == image
    assert wasm_image.rewrite(image, memory) == image


@given(st.dictionaries(st.integers(0, 65535), st.integers(1, 255), max_size=30))
def test_segments_hold_every_byte_that_is_not_zero(content: dict[int, int]) -> None:
    """And none outside of them."""
    memory = bytearray(65536)
    for at, byte in content.items():
        memory[at] = byte
    rebuilt = bytearray(65536)
    for start, end in wasm_image.segments_of(bytes(memory)):
        rebuilt[start:end] = memory[start:end]
    assert rebuilt == memory


@pytest.mark.parametrize(
    ("wat", "why"),
    [
        ('(module (import "a" "b" (func)) (memory (export "memory") 1))', "imports"),
        (
            "(module (global (mut i32) (i32.const 1)) (global (mut i32) (i32.const 1)) (memory 1))",
            "mutable globals",
        ),
        ("(module (memory i64 1))", "32-bit memory"),
    ],
)
def test_a_module_of_another_kind_is_refused(wat: str, why: str) -> None:
    """Rather than rewritten wrongly."""
    with pytest.raises(wasm_image.BadModule, match=why):
        wasm_image.rewrite(wasmtime.wat2wasm(wat), bytes(65536))
    with pytest.raises(wasm_image.BadModule):
        wasm_image.rewrite(b"elf", b"")

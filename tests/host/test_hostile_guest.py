"""A guest that lies: whatever it answers, the host stays whole and the session comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
import wasmtime

from rlm_wasm import InternalError, Limits, Result, Runtime
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.testing import InlineProvider

OUTBOX = 4096

# $run's body; the outbox holds the bytes of `said`.
GUEST = """
(module
  (memory (export "memory") 4 100)
  (global $length (mut i32) (i32.const {length}))
  (data (i32.const {at}) "{said}")
  (func (export "rlm_inbox") (param i32) (result i32) {inbox})
  (func (export "rlm_run") (param i32 i64) (result i32) {run})
  (func (export "rlm_outbox") (result i32) {outbox})
  (func (export "rlm_outbox_length") (result i32) (global.get $length))
  (func (export "rlm_steps") (result i64) (i64.const 0))
  (func (export "rlm_heap_used") (result i64) (i64.const 0))
  (func (export "rlm_page_map") (result i32) {page_map})
  (func (export "rlm_page_map_length") (result i32) (i32.const 64)))
"""

Run = Callable[..., Any]


def _guest(folder: Path, said: Any = None, raw: bytes | None = None, **parts: str) -> Engine:
    """An engine whose guest always says the same."""
    data = raw if raw is not None else cbor2.dumps(said if said is not None else [])
    known = {
        "inbox": "(i32.const 1024)",
        "run": "(i32.const 0)",
        "outbox": f"(i32.const {OUTBOX})",
        "length": str(len(data)),
        "page_map": "(i32.const 0)",
        "at": str(OUTBOX),
        "said": "".join(f"\\{byte:02x}" for byte in data),
    }
    path = folder / "guest.wasm"
    path.write_bytes(wasmtime.wat2wasm(GUEST.format(**{**known, **parts})))
    return Engine(path)


async def _result(engine: Engine, limits: Limits | None = None) -> Result:
    async with Runtime(provider=InlineProvider(), engine=engine, limits=limits) as runtime:
        return await runtime.run("(+ 1 2)")


NINE = ["call", 1, "sleep", cbor2.dumps([9])]

LIES: dict[str, dict[str, Any]] = {
    "an outbox outside of memory": {"outbox": "(i32.const 0x7fffff00)"},
    "an outbox that wraps around": {"outbox": "(i32.const -16)", "length": "64"},
    "an endless outbox": {"length": "0x7fffffff"},
    "an inbox outside of memory": {"inbox": "(i32.const 0x7ffffff0)"},
    "no CBOR": {"raw": b"\xff\xff\xff"},
    "nested without end": {"raw": b"\x81" * 5000},
    "no array": {"said": {"done": 1}},
    "messages of a strange shape": {"said": [1, 2]},
    "an unknown message": {"said": [["dance"]]},
    "a done without content": {"said": [["done"]]},
    "a status that there is none": {"run": "(i32.const 77)"},
    "failure": {"said": [["failed", "broken"]], "run": "(i32.const 3)"},
    "a trap": {"run": "(unreachable)"},
    "recursion without end": {"run": "(call 1 (local.get 0) (local.get 1))"},
    "waiting for nothing": {"run": "(i32.const 1)"},
    "a call twice": {"said": [NINE, NINE], "run": "(i32.const 1)"},
    "a call without arguments": {"said": [["call", 1, "sleep"]], "run": "(i32.const 1)"},
    "a call without a number": {"said": [["call", "x", "sleep", b"\x80"]], "run": "(i32.const 1)"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_a_crash_of_the_sandbox(lie: str, tmp_path: Path) -> None:
    """Nothing is read outside, nothing hangs, and the Result says what happened."""
    result = await _result(_guest(tmp_path, **LIES[lie]))
    assert result.status == "error"
    assert result.error is not None
    assert result.error.type == "sandbox-crashed"
    assert result.rolled_back


@pytest.mark.parametrize("status", ["dancing", None, 5])
async def test_an_outcome_without_meaning_is_a_defect(status: Any, tmp_path: Path) -> None:
    """It cannot be told what the program did."""
    with pytest.raises(InternalError, match="status"):
        await _result(_guest(tmp_path, said=[["done", {"status": status}]]))


async def test_unknown_operations_are_denied(tmp_path: Path) -> None:
    """And the guest, which never ends, is stopped by the clock."""
    engine = _guest(tmp_path, said=[["call", 1, "format-disk", b"\x80"]], run="(i32.const 1)")
    result = await _result(engine, Limits(timeout_s=0.2))
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == "timeout_s"
    assert result.rolled_back


@pytest.mark.parametrize("run", ["(loop $l (br $l)) (i32.const 0)", "(i32.const 2)"])
async def test_a_guest_that_never_comes_back_is_stopped(run: str, tmp_path: Path) -> None:
    """By fuel, whatever it does about steps; an interrupt that it ignores costs it its instance."""
    result = await _result(_guest(tmp_path, run=run), Limits(fuel=1_000_000, timeout_s=2))
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind in ("fuel", "timeout_s")
    assert result.rolled_back


async def test_a_million_notes_are_bounded(tmp_path: Path) -> None:
    """Output is cut where the limit stands, whoever made it."""
    said = [["note", "out", "x" * 1000]] * 100 + [["done", {"status": "ok", "value": "y" * 60_000}]]
    result = await _result(_guest(tmp_path, said=said), Limits(output_bytes=5_000))
    assert result.status == "ok"
    assert len(result.stdout) < 5_100
    assert len(result.value) < 5_100
    assert set(result.truncated) == {"stdout", "value"}

"""Chibi's libraries give read-line a number where Racket's mode stands."""

from __future__ import annotations

from rlm_wasm import Runtime


async def test_a_number_is_no_mode_and_lines_come_whole(runtime: Runtime) -> None:
    """As (chibi mime) reads headers; a mode that there is none is an error still."""
    result = await runtime.run('(read-line (open-input-string "a: b\\r\\nc") 4096)')
    assert result.value == "a: b"
    assert (await runtime.run('(read-line (open-input-string "a") \'lines)')).status == "error"

"""A program that is run in slices of a size that the test chooses."""

from __future__ import annotations

from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.protocol import Done, GuestStatus
from rlm_wasm.sandbox.sandbox import Sandbox


def value_of(program: str, steps: int, memory: int = 256 << 20) -> str:
    """What the program's value is written as, in slices of so many steps."""
    sandbox = Sandbox(Engine.shared(), memory)
    message: bytes | None = protocol.evaluate(program, "test.scm", {})
    while sandbox.run(message, steps, 1 << 50) == GuestStatus.PREEMPTED:
        message = None
    (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
    sandbox.close()
    assert done.error is None, done.error
    return done.value or ""

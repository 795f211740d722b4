"""Takes guests' memories from standard input and goes on with each in a fresh instance.

Run as a process of its own by test_suspension.py. Input: CBOR [image hash, [[memory, waiting calls], …]]; output:
CBOR [[notes, done, steps], …].
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import cbor2

from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.pages import at_once
from rlm_wasm.sandbox.sandbox import SUSPENDED, Sandbox
from rlm_wasm.sandbox.snapshot import MemoryImage

STEPS = 10_000_000
FUEL = 1 << 50
MEMORY = 64 << 20


def answer(call: protocol.Call) -> Any:
    """What a call gets, whoever serves it."""
    if call.operation == "llm":
        return [f"<{protocol.decode(call.arguments)[1]}>", call.id, "m", 1, 1, 0, False]
    return None


def go_on(
    sandbox: Sandbox,
    status: int,
    waiting: list[Any],
    suspended: Callable[[list[Any]], None] = lambda _w: None,
) -> list[Any]:
    """Serve a guest, one reply at a time, to its end; ``suspended`` is told each time it waits."""
    notes: list[Any] = []
    done: Any = None
    while True:
        for message in protocol.messages(sandbox.outbox()) if status != -1 else []:
            if isinstance(message, protocol.Call):
                waiting.append([message.id, message.operation, message.arguments])
            elif isinstance(message, protocol.Done):
                done = [message.status, message.value, message.data, str(message.error)]
            elif isinstance(message, protocol.Output):
                notes.append([message.stream, message.text])
        if status not in (SUSPENDED, -1):
            return [notes, done, sandbox.steps()]
        if status != -1:
            suspended(waiting)
        call = protocol.Call(*waiting.pop(0))
        status = sandbox.run(
            protocol.replies_of([protocol.encode([call.id, True, protocol.reply_value(answer(call))])]),
            STEPS,
            FUEL,
        )


def main() -> None:
    """One round for each memory."""
    engine = Engine.shared()
    image, memories = cbor2.loads(sys.stdin.buffer.read())
    assert image == engine.image_hash, "the guest was built anew meanwhile"
    out = []
    for plain, waiting in memories:
        sandbox = Sandbox(engine, engine.image_size + MEMORY, at_once(MemoryImage.from_state(plain, 1 << 32)))
        out.append(go_on(sandbox, -1, waiting))
        sandbox.close()
    sys.stdout.buffer.write(protocol.encode(out))


if __name__ == "__main__":
    main()

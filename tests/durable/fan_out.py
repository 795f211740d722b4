"""A durable session in a process of its own, which dies by kill -9 when it is told to.

    fan_out.py STORE LOG CALLS KILL_AT [SLEEP_S]

Begins the session, or goes on with it, and prints its value. The provider writes a line into LOG when a
call is sent and when it is answered. KILL_AT N: the process ends at the N-th time that its guest waits;
0: never. Used by test_kill.py, and by benchmarks/durability.py.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime
from rlm_wasm.errors import UsageError
from rlm_wasm.sandbox.protocol import GuestStatus
from rlm_wasm.sandbox.sandbox import Sandbox

PROGRAM = """
(define answers
  (map-async (lambda (i) (llm-query-async #:instruction "Say it" #:data (number->string i))) (range {calls})))
(define deep (syntax-e (llm-query #:instruction "Count" #:data "a b c" #:recursive 1)))
(finish (string-append (string-join answers ",") ";" deep))
"""
CHILD = """```scheme
(finish (string-join (map-async (lambda (w) (llm-query-async #:instruction "Child" #:data w)) (string-split context " ")) "+"))
```"""


class Logged:
    """Answers with what it was sent, after a while, and writes down what it did."""

    def __init__(self, path: str, sleep_s: float) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._sleep_s = sleep_s

    def _write(self, what: str, request: CompletionRequest) -> None:
        os.write(self._file, f"{what} {request.idempotency_key} {request.purpose}\n".encode())

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        self._write("sent", request)
        await asyncio.sleep(random.random() * self._sleep_s)
        self._write("answered", request)
        if request.purpose == "program":
            return Completion(text=CHILD, prompt_tokens=7, completion_tokens=3)
        return Completion(text=f"[{request.data}]", prompt_tokens=7, completion_tokens=3)


def die_at(count: int) -> None:
    """By kill -9, at the so-manieth time that a guest waits."""
    run, left = Sandbox.run, count

    def counted(self: Sandbox, *arguments: Any) -> int:
        nonlocal left
        status = run(self, *arguments)
        if status == GuestStatus.SUSPENDED:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return status

    Sandbox.run = counted  # type: ignore[method-assign]


async def main(store: str, log: str, calls: int, sleep_s: float) -> None:
    """Begin, or go on."""
    provider = Logged(log, sleep_s)
    limits = Limits(concurrency=64, tokens=10_000_000)
    async with Runtime(provider=provider, store=store, durable=True, python="off", limits=limits) as runtime:
        try:
            session = await runtime.resume("work")
        except UsageError:
            session = runtime.session(name="work")
        if session.suspended:
            result = await session.resume()
        elif session.calls_made:
            print("over")
            return
        else:
            result = await session.execute(PROGRAM.format(calls=calls))
        print(result.status, result.value if result.ok else result.error)
        used = session.state()["used"]
        print(used["calls"], used["tokens"])


if __name__ == "__main__":
    _, store, log, calls, kill_at, *rest = sys.argv
    if int(kill_at):
        die_at(int(kill_at))
    asyncio.run(main(store, log, int(calls), float(rest[0]) if rest else 0.01))

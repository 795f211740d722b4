"""A durable question in a process of its own, which dies by kill -9 when it is told to.

    asking.py STORE LOG KILL_AT

Asks it, or goes on with it, and prints what came of it. KILL_AT N: the process ends at the N-th time that its
guest waits for a call; -N: when it sends its N-th call to the root model. Used by test_kill.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fan_out import Logged, die_at

from rlm_wasm import Completion, CompletionRequest, Runtime

TEXT = "alpha beta gamma delta"
REPLIES = (
    "Let me think.",
    '```scheme\n(define words (string-split (get-context "text") " "))\n```',
    '```scheme\n(define said (map-async (lambda (w) (llm-query-async #:instruction "Read" #:data w)) words))\n```',
    '```scheme\n(finish (string-append (string-join said "+") (syntax-e (llm-query #:instruction "Sum"))))\n```',
)


class Root(Logged):
    """The root answers by how far the question has come."""

    def __init__(self, path: str, die_at: int) -> None:
        super().__init__(path, 0.005)
        self._left = die_at

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        if request.purpose == "query":
            return await super().complete(request)
        self._left -= 1
        if self._left == 0:
            self._write("sent", request)
            os.kill(os.getpid(), signal.SIGKILL)
        await super().complete(request)
        done = request.data.count("## Iteration")
        return Completion(text=REPLIES[done], prompt_tokens=7, completion_tokens=3)


async def main(store: str, log: str, kill_at: int) -> None:
    """Ask, or go on."""
    if kill_at > 0:
        die_at(kill_at)
    async with Runtime(Root(log, max(-kill_at, 0)), store=store, durable=True, python="off") as runtime:
        answer = await runtime.ask("What do they say?", {"text": TEXT}, name="report")
    print(answer.status, answer.value, answer.asked_again, len(answer.steps), answer.execution.calls)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))

"""Many sessions suspended on calls at once: python benchmarks/suspended.py [COUNT]

Starts COUNT (10,000) sessions in one process, each waiting for an LLM call, and prints the private
memory that they take; then answers all of them and checks the results.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from rlm_wasm import Completion, CompletionRequest, Runtime


class Held:
    """Answers when it is told to."""

    free = True

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.waiting = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        """Wait for everybody."""
        self.waiting += 1
        await self.released.wait()
        return Completion(text=request.instruction, model="held")


def resident_bytes() -> int:
    """This process's private memory, as the kernel counts it."""
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Private_"))


async def main(count: int) -> None:
    """Suspend, measure, go on."""
    provider = Held()
    async with Runtime(provider=provider) as runtime:
        await runtime.run("(+ 1 2)")
        before, started = resident_bytes(), time.monotonic()
        tasks = [
            asyncio.create_task(
                runtime.run(f'(define x {i}) (+ x (string-length (syntax-e (llm-query #:instruction "q"))))')
            )
            for i in range(count)
        ]
        while provider.waiting < count:
            await asyncio.sleep(0.05)
        used, took = resident_bytes() - before, time.monotonic() - started
        live = runtime.stats()["live_instances"]
        print(
            f"{count:,} sessions suspended in {took:.1f} s: {used / 2**20:.0f} MiB, {used / count / 1024:.1f} KiB each; {live:,} hold an instance"
        )
        started = time.monotonic()
        provider.released.set()
        results = [await task for task in tasks]
        assert [result.value for result in results] == [str(i + 1) for i in range(count)]
        print(f"all of them resumed and finished in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))

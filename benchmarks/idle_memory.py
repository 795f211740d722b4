"""Private memory of idle sessions: python benchmarks/idle_memory.py [COUNT]

Makes COUNT (500) sessions that have run one expression and hold their instance, and prints what each
takes of the process's private memory: WebAssembly pages that it wrote, page tables, Python objects.
"""

from __future__ import annotations

import asyncio
import gc
import sys

from suspended import resident_bytes

from rlm_wasm import Runtime


async def main(count: int) -> None:
    """Measure."""
    async with Runtime(provider="echo") as runtime:
        for _ in range(40):
            await runtime.run("(+ 1 2)")
        gc.collect()
        before = resident_bytes()
        sessions = [runtime.session() for _ in range(count)]
        for session in sessions:
            await session.execute("(+ 1 2)")
        used = resident_bytes() - before
        print(f"{count:,} idle sessions: {used / count / 1024:.1f} KiB each")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))

"""What it costs to look a program through before its first LLM call: fuel, and CPU time.

    python benchmarks/check_cost.py

Each program runs with the check and without it; its calls are answered on the spot, so that nothing but the
evaluation counts. The share should be below 5 % (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from rlm_wasm import Runtime
from rlm_wasm.testing import InlineProvider

ROOT = Path(__file__).parents[1]
PROGRAMS = [
    *sorted((ROOT / "examples").glob("*.scm")),
    *sorted((ROOT / "tests" / "corpus" / "dialect").glob("dense-*.rkt")),
]
CALL = '(void (llm-query #:instruction "q"))\n'
TEXT = "alpha beta\n" * 2_000
ROUNDS = 15


async def cost(source: str, *, check: bool) -> tuple[int, float]:
    """Fuel, and the least milliseconds of CPU time of some rounds."""
    fuel, best = 0, float("inf")
    async with Runtime(provider=InlineProvider(lambda request: "NONE")) as runtime:
        for _ in range(ROUNDS):
            async with runtime.session() as session:
                await session.load_context(TEXT)
                began = time.process_time()
                result = await session.execute(source, check=check)
                best = min(best, time.process_time() - began)
                fuel = result.execution.fuel
    return fuel, best * 1000


async def main() -> None:
    """A line for each program, and the sum."""
    total = [0, 0]
    for path in PROGRAMS:
        text = path.read_text(encoding="utf-8")
        if text.startswith("#lang"):
            text = text.split("\n", 1)[1]
        source = text if path.suffix == ".scm" else CALL + text
        without, without_ms = await cost(source, check=False)
        with_it, with_ms = await cost(source, check=True)
        total = [total[0] + without, total[1] + with_it]
        share = 100 * (with_it / without - 1)
        print(
            f"{path.stem:26} {without:>13,} fuel {share:+6.2f} %   {without_ms:7.2f} ms → {with_ms:7.2f} ms"
        )
    print(f"{'all':26} {total[0]:>13,} fuel {100 * (total[1] / total[0] - 1):+6.2f} %")


if __name__ == "__main__":
    asyncio.run(main())

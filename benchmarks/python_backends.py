"""Python inside WebAssembly against plain exec and pydantic-monty, side by side in one run.

Run: python benchmarks/python_backends.py   (pip install pydantic-monty for its column)
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from rlm_wasm import Limits
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.python.wasi import WasiPython

LOOP = "n = 0\nfor i in range(300000):\n    n += i * i % 7\nn"
FUEL = 1 << 50


def median_ms(act: Callable[[], Any], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def evaluate(code: str, space: dict[str, Any]) -> Any:
    *statements, last = code.split("\n")
    exec("\n".join(statements), space)
    return eval(last, space)


def main() -> None:
    loop = asyncio.new_event_loop()
    rows: dict[str, dict[str, float]] = {}

    def wasi(backend: WasiPython, operation: str, *arguments: Any) -> Any:
        return loop.run_until_complete(backend.run(operation, list(arguments), fuel=FUEL, timeout_s=120))

    def fresh() -> None:
        one = WasiPython(limits=Limits(), workspace=Workspace(None))
        wasi(one, "eval", "1 + 1")
        loop.run_until_complete(one.aclose())

    backend = WasiPython(limits=Limits(), workspace=Workspace(None))
    wasi(backend, "eval", "1 + 1")
    space: dict[str, Any] = {}
    texts = {"1 MB": "x" * 1_000_000, "10 MB": "x" * 10_000_000}

    def row(name: str, rounds: int, **ways: Callable[[], Any]) -> None:
        rows[name] = {way: median_ms(act, rounds) for way, act in ways.items()}

    row("new instance + first eval", 15, wasi=fresh, exec=lambda: evaluate("1 + 1", {}))
    row("warm eval", 200, wasi=lambda: wasi(backend, "eval", "1 + 1"), exec=lambda: evaluate("1 + 1", space))
    row("warm exec", 100, wasi=lambda: wasi(backend, "exec", "x = 1"), exec=lambda: exec("x = 1", space))
    for size, text in texts.items():
        wasi(backend, "set", "text", text)
        row(f"{size} in", 5, wasi=lambda text=text: wasi(backend, "set", "v", text))  # type: ignore[misc]
        row(f"{size} out", 5, wasi=lambda: wasi(backend, "eval", "text"))
    row("CPU loop", 5, wasi=lambda: wasi(backend, "eval", LOOP), exec=lambda: evaluate(LOOP, {}))
    loop.run_until_complete(backend.aclose())
    add_monty(rows, texts)

    print(f"{'ms, median':<28}{'wasi':>10}{'exec':>10}{'monty':>10}{'wasi/exec':>11}")
    for name, found in rows.items():
        cells = "".join(
            f"{found[k]:>10.3f}" if k in found else f"{'-':>10}" for k in ("wasi", "exec", "monty")
        )
        ratio = f"{found['wasi'] / found['exec']:>11.1f}" if found.get("exec") else f"{'-':>11}"
        print(f"{name:<28}{cells}{ratio}")


def add_monty(rows: dict[str, dict[str, float]], texts: dict[str, str]) -> None:
    """pydantic-monty runs a Python of its own in a pool of subprocess workers."""
    try:
        import pydantic_monty
    except ImportError:
        print("pydantic-monty is not installed: its column is left out")
        return

    def first(pool: Any) -> None:
        with pool.checkout() as session:
            session.feed_run("1 + 1")

    with pydantic_monty.Monty() as pool:
        first(pool)
        rows["new instance + first eval"]["monty"] = median_ms(lambda: first(pool), 15)
        with pool.checkout() as session:
            rows["warm eval"]["monty"] = median_ms(lambda: session.feed_run("1 + 1"), 200)
            rows["warm exec"]["monty"] = median_ms(lambda: session.feed_run("x = 1"), 100)
            for size, text in texts.items():
                inputs = {"v": text}
                rows[f"{size} in"]["monty"] = median_ms(lambda: session.feed_run("len(v)", inputs=inputs), 5)  # noqa: B023
            rows["CPU loop"]["monty"] = median_ms(lambda: session.feed_run(LOOP), 5)


if __name__ == "__main__":
    main()

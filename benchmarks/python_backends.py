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
        backend = WasiPython(limits=Limits(), workspace=None)
        wasi(backend, "eval", "1 + 1")
        loop.run_until_complete(backend.aclose())

    backend = WasiPython(limits=Limits(), workspace=None)
    wasi(backend, "eval", "1 + 1")
    space: dict[str, Any] = {}
    text1, text10 = "x" * 1_000_000, "x" * 10_000_000
    wasi(backend, "set", "text1", text1)
    wasi(backend, "set", "text10", text10)
    rows["new instance + first eval"] = {"wasi": median_ms(fresh, 15), "exec": median_ms(lambda: evaluate("1 + 1", {}), 15)}
    rows["warm eval"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "1 + 1"), 200), "exec": median_ms(lambda: evaluate("1 + 1", space), 200)}
    rows["warm exec"] = {"wasi": median_ms(lambda: wasi(backend, "exec", "x = 1"), 100), "exec": median_ms(lambda: exec("x = 1", space), 100)}
    rows["1 MB in"] = {"wasi": median_ms(lambda: wasi(backend, "set", "v", text1), 9)}
    rows["1 MB out"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "text1"), 9)}
    rows["10 MB in"] = {"wasi": median_ms(lambda: wasi(backend, "set", "v", text10), 3)}
    rows["10 MB out"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "text10"), 3)}
    rows["CPU loop"] = {"wasi": median_ms(lambda: wasi(backend, "eval", LOOP), 5), "exec": median_ms(lambda: evaluate(LOOP, {}), 5)}
    try:
        import pydantic_monty
    except ImportError:
        print("pydantic-monty is not installed: its column is left out")
    else:
        def first(pool: Any) -> None:
            with pool.checkout() as session:
                session.feed_run("1 + 1")

        with pydantic_monty.Monty() as pool:  # a pool of subprocess workers
            first(pool)
            rows["new instance + first eval"]["monty"] = median_ms(lambda: first(pool), 15)
            with pool.checkout() as session:
                rows["warm eval"]["monty"] = median_ms(lambda: session.feed_run("1 + 1"), 200)
                rows["warm exec"]["monty"] = median_ms(lambda: session.feed_run("x = 1"), 100)
                rows["1 MB in"]["monty"] = median_ms(lambda: session.feed_run("len(v)", inputs={"v": text1}), 9)
                rows["10 MB in"]["monty"] = median_ms(lambda: session.feed_run("len(v)", inputs={"v": text10}), 3)
                rows["CPU loop"]["monty"] = median_ms(lambda: session.feed_run(LOOP), 5)
    loop.run_until_complete(backend.aclose())

    backend = WasiPython(limits=Limits(), workspace=None)
    wasi(backend, "eval", "1 + 1")
    space: dict[str, Any] = {}
    text1, text10 = "x" * 1_000_000, "x" * 10_000_000
    wasi(backend, "set", "text1", text1)
    wasi(backend, "set", "text10", text10)
    rows["new instance + first eval"] = {"wasi": median_ms(fresh, 15), "exec": median_ms(lambda: evaluate("1 + 1", {}), 15)}
    rows["warm eval"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "1 + 1"), 200), "exec": median_ms(lambda: evaluate("1 + 1", space), 200)}
    rows["warm exec"] = {"wasi": median_ms(lambda: wasi(backend, "exec", "x = 1"), 100), "exec": median_ms(lambda: exec("x = 1", space), 100)}
    rows["1 MB in"] = {"wasi": median_ms(lambda: wasi(backend, "set", "v", text1), 9)}
    rows["1 MB out"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "text1"), 9)}
    rows["10 MB in"] = {"wasi": median_ms(lambda: wasi(backend, "set", "v", text10), 3)}
    rows["10 MB out"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "text10"), 3)}
    rows["CPU loop"] = {"wasi": median_ms(lambda: wasi(backend, "eval", LOOP), 5), "exec": median_ms(lambda: evaluate(LOOP, {}), 5)}
    try:
        import pydantic_monty
    except ImportError:
        print("pydantic-monty is not installed: its column is left out")
    else:
        def first(pool: Any) -> None:
            with pool.checkout() as session:
                session.feed_run("1 + 1")

        with pydantic_monty.Monty() as pool:  # a pool of subprocess workers
            first(pool)
            rows["new instance + first eval"]["monty"] = median_ms(lambda: first(pool), 15)
            with pool.checkout() as session:
                rows["warm eval"]["monty"] = median_ms(lambda: session.feed_run("1 + 1"), 200)
                rows["warm exec"]["monty"] = median_ms(lambda: session.feed_run("x = 1"), 100)
                rows["1 MB in"]["monty"] = median_ms(lambda: session.feed_run("len(v)", inputs={"v": text1}), 9)
                rows["10 MB in"]["monty"] = median_ms(lambda: session.feed_run("len(v)", inputs={"v": text10}), 3)
                rows["CPU loop"]["monty"] = median_ms(lambda: session.feed_run(LOOP), 5)
    loop.run_until_complete(backend.aclose())

    backend = WasiPython(limits=Limits(), workspace=None)
    wasi(backend, "eval", "1 + 1")
    space: dict[str, Any] = {}
    text1, text10 = "x" * 1_000_000, "x" * 10_000_000
    wasi(backend, "set", "text1", text1)
    wasi(backend, "set", "text10", text10)
    rows["new instance + first eval"] = {"wasi": median_ms(fresh, 15), "exec": median_ms(lambda: evaluate("1 + 1", {}), 15)}
    rows["warm eval"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "1 + 1"), 200), "exec": median_ms(lambda: evaluate("1 + 1", space), 200)}
    rows["warm exec"] = {"wasi": median_ms(lambda: wasi(backend, "exec", "x = 1"), 100), "exec": median_ms(lambda: exec("x = 1", space), 100)}
    rows["1 MB in"] = {"wasi": median_ms(lambda: wasi(backend, "set", "v", text1), 9)}
    rows["1 MB out"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "text1"), 9)}
    rows["10 MB in"] = {"wasi": median_ms(lambda: wasi(backend, "set", "v", text10), 3)}
    rows["10 MB out"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "text10"), 3)}
    rows["CPU loop"] = {"wasi": median_ms(lambda: wasi(backend, "eval", LOOP), 5), "exec": median_ms(lambda: evaluate(LOOP, {}), 5)}
    try:
        import pydantic_monty
    except ImportError:
        print("pydantic-monty is not installed: its column is left out")
    else:
        def first(pool: Any) -> None:
            with pool.checkout() as session:
                session.feed_run("1 + 1")

        with pydantic_monty.Monty() as pool:  # a pool of subprocess workers
            first(pool)
            rows["new instance + first eval"]["monty"] = median_ms(lambda: first(pool), 15)
            with pool.checkout() as session:
                rows["warm eval"]["monty"] = median_ms(lambda: session.feed_run("1 + 1"), 200)
                rows["warm exec"]["monty"] = median_ms(lambda: session.feed_run("x = 1"), 100)
                rows["1 MB in"]["monty"] = median_ms(lambda: session.feed_run("len(v)", inputs={"v": text1}), 9)
                rows["10 MB in"]["monty"] = median_ms(lambda: session.feed_run("len(v)", inputs={"v": text10}), 3)
                rows["CPU loop"]["monty"] = median_ms(lambda: session.feed_run(LOOP), 5)
    loop.run_until_complete(backend.aclose())

    backend = WasiPython(limits=Limits(), workspace=None)
    wasi(backend, "eval", "1 + 1")
    space: dict[str, Any] = {}
    text1, text10 = "x" * 1_000_000, "x" * 10_000_000
    wasi(backend, "set", "text1", text1)
    wasi(backend, "set", "text10", text10)
    rows["new instance + first eval"] = {"wasi": median_ms(fresh, 15), "exec": median_ms(lambda: evaluate("1 + 1", {}), 15)}
    rows["warm eval"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "1 + 1"), 200), "exec": median_ms(lambda: evaluate("1 + 1", space), 200)}
    rows["warm exec"] = {"wasi": median_ms(lambda: wasi(backend, "exec", "x = 1"), 100), "exec": median_ms(lambda: exec("x = 1", space), 100)}
    rows["1 MB in"] = {"wasi": median_ms(lambda: wasi(backend, "set", "v", text1), 9)}
    rows["1 MB out"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "text1"), 9)}
    rows["10 MB in"] = {"wasi": median_ms(lambda: wasi(backend, "set", "v", text10), 3)}
    rows["10 MB out"] = {"wasi": median_ms(lambda: wasi(backend, "eval", "text10"), 3)}
    rows["CPU loop"] = {"wasi": median_ms(lambda: wasi(backend, "eval", LOOP), 5), "exec": median_ms(lambda: evaluate(LOOP, {}), 5)}
    try:
        import pydantic_monty
    except ImportError:
        print("pydantic-monty is not installed: its column is left out")
    else:
        def monty(code: str) -> Any:
            return pydantic_monty.Monty(code).run()

        rows["warm eval"]["monty"] = median_ms(lambda: monty("1 + 1"), 200)
        rows["new instance + first eval"]["monty"] = median_ms(lambda: monty("1 + 1"), 50)
        rows["CPU loop"]["monty"] = median_ms(lambda: monty(LOOP), 5)
    loop.run_until_complete(backend.aclose())
    print(f"{'ms, median':<28}{'wasi':>10}{'exec':>10}{'monty':>10}{'wasi/exec':>11}")
    for name, row in rows.items():
        cells = "".join(f"{row[k]:>10.3f}" if k in row else f"{'-':>10}" for k in ("wasi", "exec", "monty"))
        ratio = f"{row['wasi'] / row['exec']:>11.1f}" if row.get("exec") else f"{'-':>11}"
        print(f"{name:<28}{cells}{ratio}")


if __name__ == "__main__":
    main()

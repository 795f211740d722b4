"""Process-cold start: python benchmarks/cold_start.py [--json]

``python -c`` that imports rlm_wasm and runs one expression, caches filled, less the bare
interpreter's start. Medians of 15, in milliseconds; with what importing asyncio and wasmtime alone takes.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAMS = {
    "bare interpreter": "pass",
    "import asyncio": "import asyncio",
    "import wasmtime": "import wasmtime",
    "import rlm_wasm": "import rlm_wasm",
    "import rlm_wasm and run (+ 1 2)": (
        "import asyncio, rlm_wasm; assert asyncio.run(rlm_wasm.Runtime('echo').run('(+ 1 2)')).value == '3'"
    ),
}


@functools.cache
def with_bytecode() -> dict[str, str]:
    """The environment of a process that finds its modules compiled, as those of installed packages are."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder.name}


def measure(program: str) -> float:
    """Milliseconds of wall clock, median."""
    subprocess.run([sys.executable, "-c", program], check=True, env=with_bytecode())
    samples = []
    for _ in range(15):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, env=with_bytecode())
        samples.append((time.perf_counter() - started) * 1e3)
    return statistics.median(samples)


if __name__ == "__main__":
    figures = {title: measure(program) for title, program in PROGRAMS.items()}
    bare = figures["bare interpreter"]
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for title, figure in figures.items():
            print(f"{title:35} {figure:7.1f} ms   {figure - bare:+7.1f} ms beyond bare")

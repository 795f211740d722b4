"""``rlm-wasm compile``: fill the caches ahead of time, so that no first run has to wait."""

from __future__ import annotations

import asyncio
import importlib.util
import time

import click

from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.report import note
from rlm_wasm.cli.terminal import echo
from rlm_wasm.results import seconds


@click.command(name="compile", cls=Command)
@click.option("--no-python", is_flag=True, help="Only the Scheme guest, not the Python one.")
def compile_command(*, no_python: bool) -> None:
    """Compile the guests into the user's cache: done at install time, no run waits for it."""
    from rlm_wasm.sandbox.compiled_cache import CompiledCache
    from rlm_wasm.sandbox.engine import Engine

    problem = CompiledCache().problem
    if problem:
        note(f"{problem}: nothing would be kept (see rlm-wasm doctor)")
    started = time.perf_counter()
    engine = Engine.shared()
    _say("Scheme guest", cached=engine.compiled_from_cache, took=time.perf_counter() - started)
    if no_python or importlib.util.find_spec("rlm_wasm.python") is None:
        return
    from rlm_wasm.runtime import Runtime

    async def run() -> str:
        async with Runtime(provider="extractive", python="wasi") as runtime:
            result = await runtime.run('(py-eval "6 * 7")')
            return result.value or str(result.error)

    started = time.perf_counter()
    value = asyncio.run(run())
    if value != "42":
        raise click.ClickException(f"the Python guest does not work: {value}")
    _say("Python guest", cached=False, took=time.perf_counter() - started)


def _say(what: str, *, cached: bool, took: float) -> None:
    how = "was there already" if cached else "ready"
    echo(f"{what}: {how} ({seconds(took)})")

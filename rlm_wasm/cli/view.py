"""``rlm-wasm view``: the page of runs, served on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import webbrowser
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import click

from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.report import note
from rlm_wasm.cli.terminal import echo
from rlm_wasm.named_sessions import default_store_url
from rlm_wasm.viewer.server import Viewer
from rlm_wasm.viewer.sources import FileSource, StoreSource


@click.command(cls=Command)
@click.argument("run", required=False, metavar="[RUN]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port.  [default: any free one]")
@click.option("--open/--no-open", "show", default=True, help="Whether a browser is opened.")
@click.option(
    "--store", metavar="URL", help="Where runs are kept.  [default: RLM_WASM_STORE, or a file of yours]"
)
def view(run: str | None, *, port: int, show: bool, store: str | None) -> None:
    """Show runs in a browser, also while they go on.

    RUN is a file that run --log writes, or the id of a run in the store, or its beginning; without it the
    store's newest is shown.

    The page is served to this machine only, until Ctrl-C. The address holds a secret: who has it, reads
    the log.
    """
    asyncio.run(_view(run, port, store, show=show))


async def _view(run: str | None, port: int, store: str | None, *, show: bool) -> None:
    if run is not None and (run.endswith(".jsonl") or Path(run).exists()):
        file = FileSource(run)
        await file.start()
        try:
            await _serve(Viewer(file, port=port), show=show)
        finally:
            await file.aclose()
        return
    from rlm_wasm.store import open_store

    opened = open_store(store or default_store_url())
    try:
        wanted = None if run is None else await opened.runs.find(run)
        await _serve(Viewer(StoreSource(opened.runs), port=port, run=wanted), show=show)
    finally:
        await opened.aclose()


async def _serve(serving: AbstractAsyncContextManager[Viewer], *, show: bool) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, or not the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, over.set)
    async with serving as viewer:
        echo(viewer.url)
        note("Ctrl-C ends it")
        if show:
            await asyncio.to_thread(webbrowser.open, viewer.url)
        await over.wait()

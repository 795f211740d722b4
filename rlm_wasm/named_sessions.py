"""Sessions that are kept: loaded before an execution, saved while it runs and when it has ended.

An execution that is interrupted (Ctrl-C, a crash) is found again in the middle: ``sessions resume``
goes on with it; its calls in flight are sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

import click

from rlm_wasm.cli.report import note
from rlm_wasm.errors import RlmError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from rlm_wasm.results import OnProgress, Result
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.session import Session
    from rlm_wasm.store.database import DatabaseStore
    from rlm_wasm.store.sessions import SessionShelf

SAVE_EVERY_S: Final = 10.0


def default_store_url() -> str:
    """RLM_WASM_STORE, or a SQLite file in the user's data folder."""
    given = os.environ.get("RLM_WASM_STORE")
    if given:
        return given
    import platformdirs

    folder = platformdirs.user_data_path("rlm-wasm")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'state.db'}"


class KeptSession:
    """One name in a store, and the session that lives under it now."""

    def __init__(self, store: DatabaseStore, name: str) -> None:
        self._shelf: SessionShelf = store.sessions
        self.name = name

    async def open(self, runtime: Runtime, *, suspended: bool) -> Session:
        """The session as it was kept, or (for a new execution) a new one.

        A usage error where its state does not fit: suspended, and a new execution is asked for; or
        not there or not suspended, and it is to be resumed.
        """
        snapshot = await self._shelf.load(self.name)
        if snapshot is None:
            if suspended:
                raise click.UsageError(await no_such_session(self._shelf, self.name))
            return runtime.session()
        if snapshot.suspended and not suspended:
            raise click.UsageError(
                f"session {self.name} is in the middle of an execution: rlm-wasm sessions resume"
                f" {self.name} goes on with it, rlm-wasm sessions rm {self.name} forgets it"
            )
        if suspended and not snapshot.suspended:
            raise click.UsageError(
                f"session {self.name} is not in the middle of an execution: nothing to resume"
            )
        return await runtime.restore(snapshot)

    async def execute(
        self, session: Session, work: Callable[[OnProgress], Awaitable[Result]], display: OnProgress
    ) -> Result:
        """Execute, and keep what comes of it: every few seconds, at Ctrl-C, and at the end."""
        async with self._saving(session):
            result = await work(display)
        if result.status == "cancelled":
            note(f"kept in the middle: rlm-wasm sessions resume {self.name} goes on")
        else:
            said = str(result.error) if result.error else result.value
            await self._shelf.save(self.name, await session.snapshot(), status=result.status, note=said)
        return result

    @contextlib.asynccontextmanager
    async def _saving(self, session: Session) -> AsyncIterator[None]:
        """Save now and then; at Ctrl-C save once more, then cancel the execution."""
        loop = asyncio.get_running_loop()

        async def save() -> None:
            if session.running:
                snapshot: Snapshot = await session.snapshot()
                await self._shelf.save(self.name, snapshot, status="suspended")

        async def now_and_then() -> None:
            while True:
                await asyncio.sleep(SAVE_EVERY_S)
                await save()

        async def stop() -> None:
            try:
                await save()
            except RlmError as error:
                note(f"could not be kept: {error}")
            finally:
                session.cancel()

        stopping: list[asyncio.Task[None]] = []

        def interrupted() -> None:
            loop.remove_signal_handler(signal.SIGINT)
            saver.cancel()
            stopping.append(loop.create_task(stop()))

        saver = loop.create_task(now_and_then())
        try:
            with contextlib.suppress(NotImplementedError, RuntimeError):
                loop.add_signal_handler(signal.SIGINT, interrupted)
            yield
        finally:
            with contextlib.suppress(NotImplementedError, RuntimeError):
                loop.remove_signal_handler(signal.SIGINT)
            saver.cancel()
            await asyncio.wait([saver, *stopping])
            # A save that failed is told, not raised over the execution's own outcome.
            if not saver.cancelled() and saver.exception() is not None:
                note(f"could not be kept: {saver.exception()}")


async def no_such_session(shelf: SessionShelf, name: str) -> str:
    """What to say, with near misses."""
    import difflib

    names = [session.name for session in await shelf.list()]
    near = difflib.get_close_matches(name, names, n=1)
    return f"there is no session {name}." + (f" Did you mean {near[0]}?" if near else "")

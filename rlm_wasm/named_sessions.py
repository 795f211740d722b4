"""Named sessions: opened from a store, saved while they run and when they have run.

An execution that is interrupted (Ctrl-C, a crash) is found again in the middle: ``rlm-wasm sessions
resume`` goes on with it; its calls in flight are sent again. A store that fails never costs a result:
what could not be saved is told to ``notify``, and the result is returned all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
import os
from typing import TYPE_CHECKING, Final

from rlm_wasm.errors import SnapshotError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from rlm_wasm.results import Result
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.session import Session
    from rlm_wasm.store.sessions import SessionRepository

    Notify = Callable[[str], None]

log = logging.getLogger("rlm_wasm.named_sessions")

AUTOSAVE_S: Final = 10.0
"""Seconds between two saves of an execution that runs."""


def default_store_url() -> str:
    """RLM_WASM_STORE, or a SQLite file in the user's data folder."""
    given = os.environ.get("RLM_WASM_STORE")
    if given:
        return given
    import platformdirs

    folder = platformdirs.user_data_path("rlm-wasm")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'state.db'}"


class NamedSession:
    """One name in a store, and the session that lives under it now.

    ``notify`` takes messages for people (a sentence each, without a full stop); by default they are
    logged. ``autosave_s`` is the time between two saves of an execution that runs, in seconds.
    """

    def __init__(
        self,
        repository: SessionRepository,
        name: str,
        *,
        notify: Notify = log.warning,
        autosave_s: float = AUTOSAVE_S,
    ) -> None:
        self.name = name
        self._repository = repository
        self._notify = notify
        self._autosave_s = autosave_s
        self._writing = asyncio.Lock()
        self._interrupted = False
        self.kept = True
        """Whether what was to be saved last is in the store."""
        self.found = False
        """Whether ``open`` found it in the store."""

    async def load(self) -> Snapshot:
        """What is saved under the name. Raises UsageError, with the near name, where nothing is."""
        snapshot = await self._repository.load(self.name)
        if snapshot is None:
            raise UsageError(await no_such_session(self._repository, self.name))
        return snapshot

    async def open(self, runtime: Runtime, *, suspended: bool = False) -> Session:
        """The session as it was saved, or a new one where there is none of that name.

        Its checkpoints are those of the namespace of its name.

        ``suspended``: the one that was interrupted in the middle of an execution, for ``resume``.
        Raises UsageError where its state does not fit: in the middle, and a new execution is asked
        for; absent or not in the middle, and it is to be resumed; saved by another release; or where
        nothing can be saved under that name.
        """
        self._repository.check_name(self.name)  # now, not when the money is spent
        try:
            snapshot = await self.load() if suspended else await self._repository.load(self.name)
            if snapshot is None:
                return runtime.session(namespace=self.name)
            self.found = True
            if snapshot.suspended and not suspended:
                raise UsageError(
                    f"session {self.name} is in the middle of an execution: rlm-wasm sessions resume"
                    f" {self.name} goes on with it, rlm-wasm sessions rm {self.name} forgets it"
                )
            if suspended and not snapshot.suspended:
                raise UsageError(
                    f"session {self.name} is not in the middle of an execution: nothing to resume"
                )
            # What a snapshot says of its namespace counts for nothing: the name decides.
            return await runtime.restore(snapshot, namespace=self.name)
        except SnapshotError as error:
            raise UsageError(
                f"session {self.name} cannot be taken up again ({error}): use another name, or forget it"
                f" by rlm-wasm sessions rm {self.name}"
            ) from error

    async def save(self, session: Session, *, status: str = "ok", note: str = "") -> bool:
        """Save the session as it is now; False where that failed, which ``notify`` was told.

        ``status`` is what the list of sessions shows (a snapshot in the middle of an execution is
        "suspended" whatever is given), ``note`` the text beside it.
        """
        try:
            await self._write(session, status, note)
        except Exception as error:
            log.debug("saving session %s failed", self.name, exc_info=True)
            self._notify(f"session {self.name} is not saved: {error}")
            self.kept = False
            return False
        self.kept = True
        return True

    async def execute(self, session: Session, work: Awaitable[Result]) -> Result:
        """Await ``work``, an execution of the session; save meanwhile, and what came of it.

        Returns the result whatever the store does. After ``interrupt`` the snapshot that was taken
        in the middle stays.
        """
        self._interrupted = False
        async with self._autosaving(session):
            result = await work
        if not self._interrupted:
            await self.save(session, status=result.status, note=str(result.error or result.value))
        return result

    async def interrupt(self, session: Session) -> None:
        """Save the execution in its middle, then cancel it: for Ctrl-C."""
        self._interrupted = True
        try:
            if await self.save(session):
                self._notify(f"kept in the middle: rlm-wasm sessions resume {self.name} goes on")
        finally:
            session.cancel()

    async def _write(self, session: Session, status: str, note: str) -> None:
        async with self._writing:  # the newer snapshot is written later
            await self._repository.save(self.name, await session.snapshot(), status=status, note=note)

    @contextlib.asynccontextmanager
    async def _autosaving(self, session: Session) -> AsyncIterator[None]:
        ended = asyncio.Event()
        saver = asyncio.get_running_loop().create_task(self._autosave(session, ended))
        try:
            yield
        finally:
            ended.set()
            await asyncio.wait([saver])  # a save that was begun is finished: the last one comes after it

    async def _autosave(self, session: Session, ended: asyncio.Event) -> None:
        failing = False
        while not await _within(ended, self._autosave_s):
            if not session.running or self._interrupted:
                continue
            try:
                await self._write(session, "ok", "")
                failing = False
            except Exception as error:
                log.debug("autosaving session %s failed", self.name, exc_info=True)
                if not failing:  # a disk that stays full is told once
                    self._notify(
                        f"session {self.name} could not be saved while it runs: {error};"
                        f" trying again every {self._autosave_s:.0f} s"
                    )
                failing = True


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came before so many seconds were over."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


async def no_such_session(repository: SessionRepository, name: str) -> str:
    """What to say where nothing is saved under a name: with the near one."""
    names = [session.name for session in await repository.list()]
    near = difflib.get_close_matches(name, names, n=1)
    return f"there is no session {name}." + (f" Did you mean {near[0]}?" if near else "")

"""Named sessions for people: opened by name, left in the middle, said in words.

The command line and the MCP server open them here; what makes them durable is
rlm_wasm/session_parts/durable.py. An execution that is interrupted (Ctrl-C, SIGTERM, a crash) is found
again in the middle: ``rlm-wasm sessions resume`` goes on with it.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from rlm_wasm.errors import ProviderError, SnapshotError, UsageError
from rlm_wasm.execution.history import History, asked_of
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.session_parts import durable
from rlm_wasm.session_parts.resending import EFFECTS
from rlm_wasm.store.records import check_name

if TYPE_CHECKING:
    from rlm_wasm.execution.history import PastCall
    from rlm_wasm.execution.journal import Trouble
    from rlm_wasm.limits import Limits
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session
    from rlm_wasm.store.database import DatabaseStore

log = logging.getLogger("rlm_wasm.named_sessions")


def default_store_url() -> str:
    """RLM_WASM_STORE, or a SQLite file in the user's data folder."""
    given = os.environ.get("RLM_WASM_STORE")
    if given:
        return given
    import platformdirs

    folder = platformdirs.user_data_path("rlm-wasm")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'state.db'}"


def store_that_is_there() -> str | None:
    """The default store's URL where there is one already; nothing is made."""
    given = os.environ.get("RLM_WASM_STORE")
    if given:
        return given
    import platformdirs

    path = platformdirs.user_data_path("rlm-wasm") / "state.db"
    return f"sqlite:///{path}" if path.is_file() else None


def kept_limits(store: DatabaseStore, name: str) -> Limits | None:
    """The limits that a session runs under; None where there is none of that name.

    Raises UsageError for what is no name, SnapshotCorrupt, StoreError.
    """
    check_name(name)
    data = store.run_now(lambda: store.durable.account(name))
    return None if data is None else durable.Account.load(data, name).limits


async def open_named(
    runtime: Runtime,
    name: str,
    *,
    suspended: bool = False,
    limits: Limits | None = None,
    notify: Trouble = log.warning,
) -> Session:
    """The session as it was left, or a new one where there is none of that name.

    Its checkpoints are those of the namespace of its name. ``suspended``: the one that was left in the
    middle of an execution, to be resumed. ``limits``: in place of its own. ``notify`` takes messages for
    people (a sentence each, without its full stop).

    Raises UsageError where its state does not fit: in the middle, and a new execution is asked for; absent
    or not in the middle, and it is to be resumed; saved by another release; in use by another process; or
    where nothing can be saved under that name. Raises StoreError where the store cannot be written.
    """
    try:
        session = await runtime.resume(name, limits=limits, make=not suspended, notify=notify)
    except SnapshotError as error:
        raise UsageError(
            f"session {name} cannot be taken up again ({error}): use another name, or forget it"
            f" by rlm-wasm sessions rm {name}"
        ) from error
    if session.suspended == suspended:
        return session
    await session.aclose()
    if suspended:
        raise UsageError(f"session {name} is not in the middle of an execution: nothing to resume")
    raise UsageError(
        f"session {name} is in the middle of an execution: rlm-wasm sessions resume"
        f" {name} goes on with it, rlm-wasm sessions rm {name} forgets it"
    )


async def leave(session: Session, notify: Trouble) -> None:
    """Leave the execution in its middle, in the store, and end it here: for Ctrl-C and SIGTERM."""
    if await session.suspend():
        notify(f"kept in the middle: rlm-wasm sessions resume {session.name} goes on")


class AnswersOfThen:
    """Gives the answers of an earlier execution, as long as the same is asked.

    It is a provider; its ``reply`` is what ``Session.answer_as_then`` takes.
    """

    name = "answers of then"
    free = True

    def __init__(self) -> None:
        self._history = History()
        self._calls: list[PastCall] = []
        self._asked = 0
        self._difference: str | None = None

    def expect(self, history: History) -> None:
        """What was asked then, in its order."""
        self._history, self._calls, self._asked, self._difference = history, history.calls(), 0, None

    def reply(self, operation: str, arguments: bytes) -> tuple[int, bytes] | None:
        """What such a request was given then; forks, Python, checkpoints and host functions, too.

        Raises ProviderError for what has an effect and was not asked then: nothing is done.
        """
        if operation == "llm":
            past = self._calls[self._asked] if self._asked < len(self._calls) else None
            if self._difference is not None or past is None or past.arguments != arguments:
                return None  # it is compared as the provider is asked
            self._asked += past.reply is not None
            return past.reply
        known = self._history.reply(operation, arguments)
        if known is None and (operation in EFFECTS or operation in ("fork", "checkpoint")):
            asked = f"{operation} {_shown(asked_of(operation, arguments))}".strip()
            if self._difference is None:
                self._difference = f"{asked}, which was not asked then"
            raise ProviderError(f"this was not asked then: {asked}")
        return known

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider. Raises ProviderError where nothing is known, from the first difference on."""
        if self._difference is None:
            self._difference = self._compare(request)
        if self._difference is not None:
            raise ProviderError(f"this was not asked then: {self._difference}")
        past = self._calls[self._asked]
        self._asked += 1
        if past.answer is None:
            raise ProviderError(past.failed or "there was no answer yet")
        return Completion(text=past.answer)

    def _compare(self, request: CompletionRequest) -> str | None:
        if self._asked >= len(self._calls):
            return f"one call more, after the {len(self._calls)} of then: {_shown(request.instruction)}"
        past = self._calls[self._asked]
        for what, now, then in (
            ("instruction", request.instruction, past.instruction),
            ("data", request.data, past.data),
        ):
            if now != then:
                return f"call {past.number} asked by the {what} {_shown(then)}, and now by {_shown(now)}"
        return None

    def difference(self) -> str | None:
        """The first one; None where the execution asked for just what was asked then."""
        if self._difference is None and self._asked < len(self._calls):
            return f"{len(self._calls)} calls were made, and now {self._asked}"
        return self._difference


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")

"""All sessions of a server: opened by name or for one client alone, bounded, the oldest closed first.

A session that nobody named belongs to one client. Its key cannot be guessed, and its checkpoints are in
a namespace of its own, which ends with it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from rlm_wasm.errors import UsageError
from rlm_wasm.mcp.bounds import ServerBounds
from rlm_wasm.mcp.session_queue import SessionQueue

if TYPE_CHECKING:
    from rlm_wasm.mcp.session_queue import Changed
    from rlm_wasm.runtime import Runtime

log = logging.getLogger("rlm_wasm.mcp")

UNNAMED: Final = "unnamed-"
"""What keys of sessions begin with that no client named. Nobody can name a session so."""

MAX_NAME_CHARACTERS: Final = 255
"""What a store keeps."""

_REMEMBERED: Final = 1_000
"""Names of sessions that were closed to make room, so that whoever comes back is told."""


class SessionRegistry:
    """Sessions by key. ``changed`` is told of the resources of each of them that change."""

    def __init__(self, runtime: Runtime, bounds: ServerBounds, changed: Changed) -> None:
        self.runtime = runtime
        self.bounds = bounds
        self._changed = changed
        self._open: OrderedDict[str, SessionQueue] = OrderedDict()
        """The one used last at the end."""
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._opening = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def named(self, name: str) -> SessionQueue:
        """The session of a name, opened where it is not; or one that an answer gave its key of.

        Raises UsageError for a key that there is no longer, for what cannot be a name, and where there
        is no room.
        """
        if len(name) > MAX_NAME_CHARACTERS:
            raise UsageError(f"a session's name has 1 to {MAX_NAME_CHARACTERS} characters, not {len(name):,}")
        async with self._opening:
            queue = self._open.get(name)
            if queue is None:
                if name.startswith(UNNAMED):
                    raise UsageError(
                        f"there is no session {name}: it was forgotten. Name one yourself to keep it longer"
                    )
                self._make_room()
                # One that is being closed has to be saved before it is opened anew.
                await asyncio.gather(*self._closing, return_exceptions=True)
                queue = await SessionQueue.open(self.runtime, name, changed=self._changed, bounds=self.bounds)
                self._add(queue)
        self.touch(queue)
        return queue

    def unnamed(self) -> SessionQueue:
        """A new session for one client alone. Raises UsageError where there is no room."""
        self._make_room()
        key = f"{UNNAMED}{secrets.token_hex(16)}"
        queue = SessionQueue(
            self.runtime,
            # Not the key: a namespace stands in spans and states, and the key opens the session.
            self.runtime.session(namespace=f"{UNNAMED}{secrets.token_hex(16)}"),
            key=key,
            changed=self._changed,
            bounds=self.bounds,
        )
        self._open[key] = queue
        return queue

    def _add(self, queue: SessionQueue) -> None:
        self._open[queue.key] = queue
        if self._forgotten.pop(queue.key, self) is None and queue.is_new:
            queue.tell_next(forgotten(queue.key))

    def touch(self, queue: SessionQueue) -> None:
        """It is used now: others go before it."""
        if queue.key in self._open:
            self._open.move_to_end(queue.key)

    def _make_room(self) -> None:
        bounds = self.bounds
        total = sum(queue.bytes for queue in self._open.values())
        for queue in list(self._open.values()):
            if len(self._open) < bounds.sessions and total <= bounds.session_bytes:
                return
            if not queue.busy:
                total -= queue.bytes
                self._forget(queue)
        if len(self._open) >= bounds.sessions:
            raise UsageError(
                f"{len(self._open)} sessions are at work, and there is no room for more: try again later"
            )

    def _forget(self, queue: SessionQueue) -> None:
        log.info(
            "%s is closed to make room",
            "an unnamed session" if queue.name is None else f"session {queue.name}",
        )
        self._forgotten[queue.key] = None
        while len(self._forgotten) > _REMEMBERED:
            self._forgotten.popitem(last=False)
        self.close(queue)

    def close(self, queue: SessionQueue) -> asyncio.Task[None]:
        """Close a session; a named one can be opened again. The task ends when that is done."""
        self._open.pop(queue.key, None)
        task = asyncio.get_running_loop().create_task(queue.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    def __len__(self) -> int:
        return len(self._open)

    async def aclose(self) -> None:
        """Close every session. Idempotent."""
        for queue in list(self._open.values()):
            self.close(queue)
        await asyncio.gather(*self._closing, return_exceptions=True)


def forgotten(key: str) -> str:
    """What a client is told whose session was closed to make room."""
    which = "your earlier session" if key.startswith(UNNAMED) else f"the earlier session {key}"
    return f"this session is new: {which} was forgotten, because this server had no room for more"

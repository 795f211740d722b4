"""Lines of standard input for the stdio transport, read by a thread that nobody has to wait for.

A read that blocks cannot be taken back: a server that waited for it would end at Ctrl-C only when the client
(or the person at the terminal) has sent one more line. Meanwhile descriptor 0 is the null device, so that
nothing that a program starts can read the client's messages away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PIECE: Final = 1 << 16
_AHEAD: Final = 16
"""Lines that are read before the server takes them."""


@contextlib.asynccontextmanager
async def input_lines() -> AsyncIterator[AsyncIterator[str]]:
    """The lines of descriptor 0, until it ends. Within, nobody else reads from it."""
    wire = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    lines = _Lines(wire)
    try:
        yield lines.taken()
    finally:
        lines.close()
        # The wire stays open: the thread may still read from it, and its number must not be another file's.
        os.dup2(wire, 0)


class _Lines:
    """What the thread has read and the server has not taken."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._read: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="rlm-wasm-stdin", daemon=True).start()

    async def taken(self) -> AsyncIterator[str]:
        """One after the other."""
        while True:
            line = await self._read.get()
            self._room.release()
            if line is None:
                return
            yield line.decode("utf-8", "replace")

    def close(self) -> None:
        """Nothing more is wanted; what comes is thrown away."""
        self._closed.set()
        self._room.release()

    def _run(self) -> None:
        pieces: list[bytes] = []
        while piece := self._more():
            *whole, rest = piece.split(b"\n")
            for line in whole:
                self._give(b"".join([*pieces, line]))
                pieces = []
            if rest:
                pieces.append(rest)
        if pieces:
            self._give(b"".join(pieces))
        self._give(None)

    def _more(self) -> bytes:
        try:
            return b"" if self._closed.is_set() else os.read(self._descriptor, _PIECE)
        except OSError:  # a terminal that was closed
            return b""

    def _give(self, line: bytes | None) -> None:
        self._room.acquire()
        if not self._closed.is_set():
            with contextlib.suppress(RuntimeError):  # the loop has gone meanwhile
                self._loop.call_soon_threadsafe(self._read.put_nowait, line)

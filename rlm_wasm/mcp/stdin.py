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
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PIECE: Final = 1 << 16
_AHEAD_BYTES: Final = 1 << 20
"""What is read before the server takes it, and one line more."""

_SHOWN: Final = 1_000
"""Of a line that is too long this much is given, which is no message, so that it is answered as such."""


@contextlib.asynccontextmanager
async def input_lines(max_bytes: int, sizes: deque[int]) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of descriptor 0, until it ends, with their sizes in bytes. Within, nobody else reads from it.

    Of a line of more than ``max_bytes`` only the beginning comes.
    """
    wire = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    lines = _Lines(wire, max_bytes)
    try:
        yield lines.taken(sizes)
    finally:
        lines.close()
        # The wire stays open: the thread may still read from it, and its number must not be another file's.
        os.dup2(wire, 0)


class _Lines:
    """What the thread has read and the server has not taken."""

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._read: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ahead = 0
        self._room = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, name="rlm-wasm-stdin", daemon=True).start()

    async def taken(self, sizes: deque[int]) -> AsyncIterator[str]:
        """One after the other."""
        while True:
            line = await self._read.get()
            if line is None:
                return
            with self._room:
                self._ahead -= len(line) + 1
                self._room.notify()
            sizes.append(len(line))
            yield line.decode("utf-8", "replace")

    def close(self) -> None:
        """Nothing more is wanted; what comes is thrown away."""
        with self._room:
            self._closed = True
            self._room.notify()

    def _run(self) -> None:
        pieces: list[bytes] = []
        length = 0
        while piece := self._more():
            *whole, rest = piece.split(b"\n")
            for end in whole:
                self._give(pieces, length, end)
                pieces, length = [], 0
            length += len(rest)
            if rest and length <= self._max_bytes:
                pieces.append(rest)
            elif rest:
                del pieces[1:]
        if pieces:
            self._give(pieces, length, b"")
        self._read_put(None)

    def _more(self) -> bytes:
        try:
            return b"" if self._closed else os.read(self._descriptor, _PIECE)
        except OSError:  # a terminal that was closed
            return b""

    def _give(self, pieces: list[bytes], length: int, end: bytes) -> None:
        too_long = length + len(end) > self._max_bytes
        line = (pieces[0] if pieces else end)[:_SHOWN] if too_long else b"".join([*pieces, end])
        with self._room:
            self._room.wait_for(lambda: self._closed or self._ahead <= _AHEAD_BYTES)
            self._ahead += len(line) + 1
            closed = self._closed
        if not closed:
            self._read_put(line)

    def _read_put(self, line: bytes | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has gone meanwhile
            self._loop.call_soon_threadsafe(self._read.put_nowait, line)

"""What clients have asked and not been answered: bounded in number and bytes, and read as it is taken.

The SDK begins whatever arrives at once, holds it until it is answered, and holds its answer until the client
has read it. Who asks without end, or never reads, would so fill the process: here the one is refused, the
other not read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from rlm_wasm.errors import UsageError
from rlm_wasm.mcp.bounds import ServerBounds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALL_BYTES: Final = 256 << 10
"""What a request may have where others have used up the room: it is bounded by their number then."""

_UNSENT_BYTES: Final = 8 << 20
_MESSAGE_BYTES: Final = 1 << 10
"""What a message takes beside its texts."""

Id = str | int


class Room:
    """Where requests wait for their answers: those of one stream, or of all HTTP connections."""

    def __init__(self, bounds: ServerBounds) -> None:
        self._bounds = bounds
        self._requests = 0
        self._bytes = 0

    def enter(self) -> bool:
        """Whether there is room for one more; then it is in, until it leaves."""
        if self._requests >= self._bounds.requests:
            return False
        self._requests += 1
        return True

    def take(self, size: int, had: int = 0) -> bool:
        """Whether one that ``had`` so many bytes may have more; then it has them, until it leaves.

        One alone may have any number: what a single request may have is its transport's to say.
        """
        others = self._bytes - had
        mine = had + size
        if others and mine > SMALL_BYTES and others + mine > self._bounds.request_bytes:
            return False
        self._bytes += size
        return True

    def leave(self, size: int = 0) -> None:
        """One of so many bytes is answered, or never will be."""
        self._requests -= 1
        self._bytes -= size

    @property
    def refusal(self) -> str:
        """What is told to whoever there is no room for."""
        return (
            f"there is no room for this request: {self._requests:,} of {self._bytes:,} bytes together wait"
            " for their answers. Send it again when some of them are answered"
        )


@contextlib.asynccontextmanager
async def bounded(
    read: Any, write: Any, sizes: deque[int], bounds: ServerBounds
) -> AsyncIterator[tuple[_Asked, _Unsent]]:
    """Both streams of a connection, as a server takes them; ``sizes`` are those of what is read."""
    unsent = _Unsent(write, Room(bounds))
    try:
        yield _Asked(read, unsent, sizes), unsent
    finally:
        await unsent.drop()


class _Stream:
    """A stream of the SDK's over another one, which is closed with it."""

    def __init__(self, below: Any) -> None:
        self._below = below

    async def aclose(self) -> None:
        """Close the stream below."""
        await self._below.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class _Unsent(_Stream):
    """The way to the client: what waits there until it reads, and for which requests."""

    last_context: None = None

    def __init__(self, write: Any, room: Room) -> None:
        super().__init__(write)
        self._room = room
        self._asked: dict[Id, int] = {}
        self._bytes = 0
        self._fits = asyncio.Event()
        self._fits.set()
        self._posting: set[asyncio.Task[None]] = set()

    # ---- requests

    def asked(self, number: Id, size: int) -> types.ErrorData | None:
        """A request of so many bytes has come; why it is refused, if it is."""
        if number in self._asked:
            return types.ErrorData(
                code=types.INVALID_REQUEST, message="a request with this id is still without an answer"
            )
        if not self._room.enter():
            return types.ErrorData(code=types.INTERNAL_ERROR, message=self._room.refusal)
        if not self._room.take(size):
            self._room.leave()
            return types.ErrorData(code=types.INTERNAL_ERROR, message=self._room.refusal)
        self._asked[number] = size
        return None

    def answered(self, number: Any) -> None:
        """Nothing is held any more for a request, if it is one that waits."""
        size = self._asked.pop(number, None) if isinstance(number, str | int) else None
        if size is not None:
            self._room.leave(size)

    # ---- messages

    async def send(self, item: SessionMessage, /) -> None:
        """As streams of the SDK: it ends when the message is taken."""
        self._count(size := _size(item.message))
        await self._send(item, size)

    async def _send(self, item: SessionMessage, size: int) -> None:
        message = item.message
        try:
            await self._below.send(item)
        finally:
            self._count(-size)
            if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                self.answered(message.id)

    def post(self, number: Id | None, error: types.ErrorData) -> None:
        """Send a refusal, without waiting for it."""
        item = SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=number, error=error))
        self._count(size := _size(item.message))
        task = asyncio.get_running_loop().create_task(self._posted(item, size))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _posted(self, item: SessionMessage, size: int) -> None:
        try:
            # Not as other answers: the id may be that of a request that still waits.
            await self._below.send(item)
        except Exception:  # noqa: S110  # the client has gone
            pass
        finally:
            self._count(-size)

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > _UNSENT_BYTES:
            self._fits.clear()
        else:
            self._fits.set()

    async def drained(self) -> None:
        """Wait until the client has read enough to be listened to."""
        await self._fits.wait()

    async def drop(self) -> None:
        """Nobody reads any more."""
        for task in self._posting:
            task.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)


class _Asked(_Stream):
    """What the client sends, as far as there is room for it; the rest is answered here."""

    def __init__(self, read: Any, unsent: _Unsent, sizes: deque[int]) -> None:
        super().__init__(read)
        self._unsent = unsent
        self._sizes = sizes

    @property
    def last_context(self) -> Any:
        """As the stream below: where the message was read."""
        return getattr(self._below, "last_context", None)

    async def receive(self) -> SessionMessage:
        """The next message. A line that is none is answered: nobody waits for it in vain."""
        while True:
            await self._unsent.drained()
            item = await self._below.receive()
            size = self._sizes.popleft() if self._sizes else 0
            if isinstance(item, Exception):
                refused = types.ErrorData(
                    code=types.PARSE_ERROR, message="a line was no JSON-RPC message, or too long"
                )
                self._unsent.post(None, refused)
                continue
            message = item.message
            if isinstance(message, types.JSONRPCRequest):
                error = self._unsent.asked(message.id, size)
                if error is not None:
                    self._unsent.post(message.id, error)
                    continue
            elif (
                isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled"
            ):
                # One that was cancelled gets no answer.
                self._unsent.answered((message.params or {}).get("requestId"))
            return item  # type: ignore[no-any-return]

    def __aiter__(self) -> _Asked:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def _size(message: Any) -> int:
    """About what a message takes."""
    size = _MESSAGE_BYTES
    work: list[Any] = [getattr(message, name, None) for name in ("result", "params")]
    while work:
        item = work.pop()
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            size += 64 * len(item)
            work.extend(item)
            work.extend(item.values())
        elif isinstance(item, list):
            size += 64 * len(item)
            work.extend(item)
    return size


class RequestRoom:
    """In front of an ASGI application: who sends more than there is room for gets 503, as HTTP has it."""

    def __init__(self, app: ASGIApp, bounds: ServerBounds) -> None:
        self._app = app
        self._room = Room(bounds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it. Requests without a body, such as those that listen, are bounded by the SDK."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if not self._room.enter():
            await _unavailable(send, self._room.refusal)
            return
        size = 0
        begun = False
        refusal = ""

        async def counted() -> Message:
            nonlocal size, refusal
            message = await receive()
            more = len(message.get("body", b""))
            if not self._room.take(more, size):
                refusal = self._room.refusal
                raise UsageError(refusal)  # ends the reading of the body
            size += more
            return message

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, sending)
        except UsageError:
            if not refusal:
                raise
            if not begun:
                await _unavailable(send, refusal)
        finally:
            self._room.leave(size)


async def _unavailable(send: Send, reason: str) -> None:
    body = f"{reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Who asks, as far as the protocol lets one tell; which session is theirs; who is told what has changed.

    era                      a client is                        its own session ends
    handshake                a connection                       with the connection
    2026-07-28, a stream     the stream (stdio, in memory)      with the stream
    2026-07-28, HTTP         a request: nothing says who sent   with the request, unless something stands
                             two of them                        in it: then the answer gives its key

A client that names a session uses that one for that request; it never becomes the client's own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from rlm_wasm.errors import UsageError
from rlm_wasm.mcp.notifier import ProgressNotifier
from rlm_wasm.mcp.session_registry import SessionRegistry, forgotten

if TYPE_CHECKING:
    from mcp.server.connection import Connection
    from mcp.server.context import ServerRequestContext
    from mcp.server.session import ServerSession

    from rlm_wasm.mcp.bounds import ServerBounds
    from rlm_wasm.mcp.session_queue import SessionQueue
    from rlm_wasm.runtime import Runtime

    Request = ServerRequestContext[Any, Any]


_MAX_URI: Final = 2_000


def uri_of_named(name: str, uri: str) -> str:
    """The URI by which everybody finds a resource of a named session."""
    return f"rlm://sessions/{quote(name, safe='')}/{uri.removeprefix('rlm://')}"


class ClientState:
    """One client: its own session, what it subscribed to, the log level that it wants."""

    def __init__(self) -> None:
        self.queue: SessionQueue | None = None
        self.log_level = "info"
        self.passing = False
        """Whether it is one request only."""
        self._subscriptions: dict[str, ServerSession] = {}
        self._connection: ServerSession | None = None
        self._news: dict[str, None] = {}
        self._listing = False
        self._sending: asyncio.Task[None] | None = None

    def seen(self, connection: ServerSession) -> None:
        """It asked something, by this way back."""
        self._connection = connection

    def subscribe(self, uri: str, connection: ServerSession, max_count: int) -> None:
        """Tell the connection when the resource changes. Raises UsageError beyond ``most``."""
        if len(uri) > _MAX_URI:
            raise UsageError(f"a resource's URI has at most {_MAX_URI:,} characters")
        if uri not in self._subscriptions and len(self._subscriptions) >= max_count:
            raise UsageError(f"this connection has {max_count:,} subscriptions already")
        self._subscriptions[uri] = connection

    def unsubscribe(self, uri: str) -> None:
        """Tell it no more. Without a subscription nothing happens."""
        self._subscriptions.pop(uri, None)

    def choose_level(self, level: str) -> None:
        """Send log messages from this level on."""
        self.log_level = level

    def changed(self, uris: list[str], *, listing: bool) -> None:
        """Tell the client. One that does not read is told once, however often something changed."""
        wanted = [uri for uri in uris if self._wants(uri)]
        if not wanted and not listing:
            return
        self._news.update(dict.fromkeys(wanted))
        self._listing = self._listing or listing
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    def _wants(self, uri: str) -> bool:
        return uri in self._subscriptions

    async def _send(self) -> None:
        while self._news or self._listing:
            news, self._news = self._news, {}
            listing, self._listing = self._listing, False
            for uri in news:
                await self._tell(uri)
            if listing:
                await self._tell_listing()

    async def _tell(self, uri: str) -> None:
        connection = self._subscriptions.get(uri)
        if connection is not None:
            await connection.send_resource_updated(uri)

    async def _tell_listing(self) -> None:
        if self._connection is not None:
            await self._connection.send_resource_list_changed()

    def leave(self) -> None:
        """It has gone."""
        if self._sending is not None:
            self._sending.cancel()


class Listeners(ClientState):
    """A client of the protocol without connections, or all of them: told by ``subscriptions/listen``."""

    def __init__(self, max_count: int) -> None:
        super().__init__()
        self._bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self._bus, max_subscriptions=max_count)

    def _wants(self, uri: str) -> bool:
        return True  # the handler knows who listens to what

    async def _tell(self, uri: str) -> None:
        await self._bus.publish(ResourceUpdated(uri))

    async def _tell_listing(self) -> None:
        await self._bus.publish(ResourcesListChanged())


class ServerState:
    """What all clients of a server share: the registry of sessions, and who is told of their changes."""

    def __init__(
        self,
        runtime: Runtime,
        bounds: ServerBounds,
        *,
        session: str | None = None,
        viewer_url: str | None = None,
    ) -> None:
        self.runtime = runtime
        self.viewer_url = viewer_url
        self.bounds = bounds
        self.default = session
        self.registry = SessionRegistry(runtime, bounds, self._changed)
        self.listeners = Listeners(bounds.subscriptions)
        self.clients: set[ClientState] = set()

    def _changed(self, queue: SessionQueue, uris: list[str], listing: bool) -> None:
        everybodys = [] if queue.name is None else [uri_of_named(queue.name, uri) for uri in uris]
        for client in self.clients:
            own = client.queue is queue
            client.changed([*uris, *everybodys] if own else everybodys, listing=listing and own)
        if everybodys:
            self.listeners.changed(everybodys, listing=False)

    async def aclose(self) -> None:
        """Close every session. Idempotent."""
        for client in [*self.clients, self.listeners]:
            client.leave()
        await self.registry.aclose()


class Clients:
    """The clients that come by one of the server's streams, or by HTTP."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._stream = Listeners(server.bounds.subscriptions)
        """The one client of a stream, in the era without connections."""

    @property
    def runtime(self) -> Runtime:
        """The server's."""
        return self._server.runtime

    @property
    def bounds(self) -> ServerBounds:
        """The server's."""
        return self._server.bounds

    @property
    def viewer_url(self) -> str | None:
        """The address of the page that shows the runs, where there is one."""
        return self._server.viewer_url

    def client(self, ctx: Request) -> ClientState:
        """Who sent a request."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            if ctx.request is not None:  # an HTTP request by itself, not one of a stream
                passing = ClientState()
                passing.passing = True
                return passing
            self._server.clients.add(self._stream)
            return self._stream
        connection = _connection(ctx)
        client: ClientState | None = connection.state.get("rlm_wasm.client")
        if client is None:
            client = connection.state["rlm_wasm.client"] = ClientState()
            self._server.clients.add(client)
            connection.exit_stack.push_async_callback(self._leave, client)
        client.seen(ctx.session)
        return client

    def listeners(self, ctx: Request) -> Listeners:
        """Those among whom the sender of ``subscriptions/listen`` is."""
        client = self.client(ctx)
        return client if isinstance(client, Listeners) else self._server.listeners

    def notifier(self, ctx: Request, queue: SessionQueue, timeout_s: float | None) -> ProgressNotifier:
        """Who tells a request's client how far the execution is; ``timeout_s`` is what it asked for."""
        limit = queue.session.limits.timeout_s
        return ProgressNotifier(
            ctx.session,
            ctx.request_id,
            limit if timeout_s is None else min(timeout_s, limit),
            self.client(ctx).log_level,
            self.bounds,
        )

    async def queue(self, ctx: Request, name: str | None = None) -> SessionQueue:
        """The session that a request is about: the named one, or the client's own."""
        client, registry = self.client(ctx), self._server.registry
        name = name or self._server.default
        if name is not None:
            queue = await registry.named(name)
            if name == self._server.default:
                client.queue = queue  # the operator says that this is everybody's own
            return queue
        own = client.queue
        if own is None or own.closed:
            client.queue = registry.unnamed()
            if own is not None:
                client.queue.tell_next(forgotten(own.key))
            if client.passing:
                _connection(ctx).exit_stack.push_async_callback(self._end_of_request, client.queue)
                client.queue.tell_key()
            return client.queue
        registry.touch(own)
        return own

    async def _end_of_request(self, queue: SessionQueue) -> None:
        if queue.unused:
            await self._server.registry.close(queue)

    async def _leave(self, client: ClientState) -> None:
        self._server.clients.discard(client)
        client.leave()
        if client.queue is not None and client.queue.name is None:
            await self._server.registry.close(client.queue)

    async def aclose(self) -> None:
        """The stream has ended."""
        await self._leave(self._stream)


def _connection(ctx: Request) -> Connection:
    # The SDK documents Connection.state and exit_stack for just this purpose, but hands no handler the
    # connection yet.
    connection: Connection = ctx.session._connection
    return connection

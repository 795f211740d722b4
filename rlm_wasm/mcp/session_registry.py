"""Which client works in which session, and who is told when a resource changes.

A connection of the handshake era (until 2025-11-25) has a session of its own, which ends with it.
From 2026-07-28 on the protocol knows no connections: all clients of one server process then share
one session, unless they name one. A named session can be used from anywhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mcp.server.subscriptions import (
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    SubscriptionBus,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from rlm_wasm.mcp.session_queue import SessionQueue

if TYPE_CHECKING:
    from mcp.server.connection import Connection
    from mcp.server.context import ServerRequestContext
    from mcp.server.session import ServerSession

    from rlm_wasm.runtime import Runtime


class ClientState:
    """One connection: its session, what it subscribed to, the log level that it wants."""

    def __init__(self) -> None:
        self.queue: SessionQueue | None = None
        self.subscriptions: dict[str, ServerSession] = {}
        self.connection: ServerSession | None = None
        self.log_level = "info"

    def subscribe(self, uri: str, connection: ServerSession) -> None:
        """Tell the connection when the resource changes."""
        self.subscriptions[uri] = connection

    def unsubscribe(self, uri: str) -> None:
        """Tell it no more. Without a subscription nothing happens."""
        self.subscriptions.pop(uri, None)

    def choose_level(self, level: str) -> None:
        """Send log messages from this level on."""
        self.log_level = level


class SessionRegistry:
    """All sessions of a server. ``session`` names the one that clients get who name none."""

    def __init__(self, runtime: Runtime, bus: SubscriptionBus, *, session: str | None = None) -> None:
        self.runtime = runtime
        self.bus = bus
        self._default = session
        self._shared = ClientState()
        self._clients: set[ClientState] = {self._shared}
        self._named: dict[str, SessionQueue] = {}
        self._opening = asyncio.Lock()
        self._sending: set[asyncio.Task[None]] = set()

    def client(self, ctx: ServerRequestContext[Any, Any]) -> ClientState:
        """The connection's."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return self._shared
        # The SDK documents Connection.state and exit_stack for just this purpose, but hands no
        # handler the connection yet.
        connection: Connection = ctx.session._connection
        client: ClientState | None = connection.state.get("rlm_wasm.client")
        if client is None:
            client = connection.state["rlm_wasm.client"] = ClientState()
            self._clients.add(client)
            connection.exit_stack.push_async_callback(self._leave, client)
        client.connection = ctx.session
        return client

    async def queue(self, ctx: ServerRequestContext[Any, Any], name: str | None = None) -> SessionQueue:
        """The session that a request is about: the named one, or the connection's."""
        name = name or self._default
        if name is not None:
            async with self._opening:
                if name not in self._named:
                    self._named[name] = await SessionQueue.open(self.runtime, name, changed=self._changed)
                queue = self._named[name]
            client = self.client(ctx)
            client.queue = client.queue or queue
            return queue
        client = self.client(ctx)
        if client.queue is None:
            client.queue = SessionQueue(self.runtime, self.runtime.session(), changed=self._changed)
        return client.queue

    def _changed(self, queue: SessionQueue, uris: list[str], listing: bool) -> None:
        if not listing and not any(
            client is self._shared or not client.subscriptions.keys().isdisjoint(uris)
            for client in self._clients
            if client.queue is queue
        ):
            return
        task = asyncio.get_running_loop().create_task(self._publish(queue, uris, listing))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _publish(self, queue: SessionQueue, uris: list[str], listing: bool) -> None:
        for client in list(self._clients):
            if client.queue is not queue:
                continue
            if client is self._shared:
                events: list[ServerEvent] = [ResourceUpdated(uri) for uri in uris]
                for event in [*events, ResourcesListChanged()] if listing else events:
                    await self.bus.publish(event)
                continue
            for uri in uris:
                if uri in client.subscriptions:
                    await client.subscriptions[uri].send_resource_updated(uri)
            if listing and client.connection is not None:
                await client.connection.send_resource_list_changed()

    async def _leave(self, client: ClientState) -> None:
        self._clients.discard(client)
        if client.queue is not None and client.queue.name is None:
            await client.queue.aclose()

    async def aclose(self) -> None:
        """Close every session. Idempotent."""
        for client in list(self._clients):
            await self._leave(client)
        for queue in self._named.values():
            await queue.aclose()
        for task in self._sending:
            task.cancel()

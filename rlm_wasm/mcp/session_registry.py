"""Which client sits at which desk, and who is told when a resource changes.

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

from rlm_wasm.mcp.session_queue import Desk

if TYPE_CHECKING:
    from mcp.server.connection import Connection
    from mcp.server.context import ServerRequestContext
    from mcp.server.session import ServerSession

    from rlm_wasm.runtime import Runtime


class Seat:
    """One connection: its desk, what it subscribed to, the log level that it wants."""

    def __init__(self) -> None:
        self.desk: Desk | None = None
        self.subscriptions: dict[str, ServerSession] = {}
        self.client: ServerSession | None = None
        self.level = "info"


class House:
    """All desks of a server. ``session`` names the one that clients get who name none."""

    def __init__(self, runtime: Runtime, bus: SubscriptionBus, *, session: str | None = None) -> None:
        self.runtime = runtime
        self.bus = bus
        self._default = session
        self._shared = Seat()
        self._seats: set[Seat] = {self._shared}
        self._named: dict[str, Desk] = {}
        self._opening = asyncio.Lock()
        self._sending: set[asyncio.Task[None]] = set()

    def seat(self, ctx: ServerRequestContext[Any, Any]) -> Seat:
        """The connection's."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return self._shared
        # The SDK documents Connection.state and exit_stack for just this purpose, but hands no
        # handler the connection yet.
        connection: Connection = ctx.session._connection
        seat: Seat | None = connection.state.get("rlm_wasm.seat")
        if seat is None:
            seat = connection.state["rlm_wasm.seat"] = Seat()
            self._seats.add(seat)
            connection.exit_stack.push_async_callback(self._leave, seat)
        seat.client = ctx.session
        return seat

    async def desk(self, ctx: ServerRequestContext[Any, Any], name: str | None = None) -> Desk:
        """The desk that a request is about: the named one, or the connection's."""
        name = name or self._default
        if name is not None:
            async with self._opening:
                if name not in self._named:
                    self._named[name] = await Desk.named(self.runtime, name, self._changed)
                desk = self._named[name]
            seat = self.seat(ctx)
            seat.desk = seat.desk or desk
            return desk
        seat = self.seat(ctx)
        if seat.desk is None:
            seat.desk = Desk(self.runtime, self.runtime.session(), changed=self._changed)
        return seat.desk

    def _changed(self, desk: Desk, uris: list[str], listing: bool) -> None:
        if not listing and not any(
            seat is self._shared or not seat.subscriptions.keys().isdisjoint(uris)
            for seat in self._seats
            if seat.desk is desk
        ):
            return
        task = asyncio.get_running_loop().create_task(self._announce(desk, uris, listing))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _announce(self, desk: Desk, uris: list[str], listing: bool) -> None:
        for seat in list(self._seats):
            if seat.desk is not desk:
                continue
            if seat is self._shared:
                events: list[ServerEvent] = [ResourceUpdated(uri) for uri in uris]
                for event in [*events, ResourcesListChanged()] if listing else events:
                    await self.bus.publish(event)
                continue
            for uri in uris:
                if uri in seat.subscriptions:
                    await seat.subscriptions[uri].send_resource_updated(uri)
            if listing and seat.client is not None:
                await seat.client.send_resource_list_changed()

    async def _leave(self, seat: Seat) -> None:
        self._seats.discard(seat)
        if seat.desk is not None and seat.desk.name is None:
            await seat.desk.aclose()

    async def aclose(self) -> None:
        """Close every desk. Idempotent."""
        for seat in list(self._seats):
            await self._leave(seat)
        for desk in self._named.values():
            await desk.aclose()
        for task in self._sending:
            task.cancel()

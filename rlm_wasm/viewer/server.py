"""Serves the page on this machine: its address holds a secret, so that nobody else there can read it."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
from typing import TYPE_CHECKING, Any, Final, Self

from rlm_wasm.errors import StoreError, UsageError
from rlm_wasm.runlog.events import Record, plain
from rlm_wasm.viewer.page import POLICY, SCRIPTS, STYLES, Colours, asset, served_page

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp import web

    from rlm_wasm.viewer.sources import Source

HOST: Final = "127.0.0.1"
_HEADERS: Final = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_KEEP_ALIVE_S: Final = 15.0
_MAX_WHOLE: Final = 500_000
"""Records of a run that are sent in one answer."""


class Viewer:
    """A server for one source. An async context manager; ``url`` is the page's address while it runs."""

    def __init__(self, source: Source, *, port: int = 0, run: str | None = None) -> None:
        """``port`` 0: any that is free. ``run``: the one to show; None: the newest."""
        self._source = source
        self._port = port
        self._run = run
        self._secret = secrets.token_urlsafe(16)
        self._runner: web.AppRunner | None = None
        self._streams: set[asyncio.Task[Any]] = set()
        self.url = ""

    async def start(self) -> Self:
        """Begin to serve.

        Raises:
            UsageError: the port is taken.
        """
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/{secret}/{name:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(f"port {self._port} is not free: {error.strerror or error}") from None
        port = self._runner.addresses[0][1]
        self._port = port
        self.url = f"http://{HOST}:{port}/{self._secret}/"
        return self

    async def aclose(self) -> None:
        """End it. Idempotent."""
        for task in list(self._streams):
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # ---- requests

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        # A web page of elsewhere can make a browser ask this address, under another host's name at the most.
        if request.host not in (f"{HOST}:{self._port}", f"localhost:{self._port}"):
            return web.Response(status=421, text="this server answers to its own address only\n")
        if not hmac.compare_digest(request.match_info["secret"].encode(), self._secret.encode()):
            return web.Response(status=404, text="there is nothing here: the address is incomplete\n")
        name = request.match_info["name"]
        if name == "":
            return web.Response(text=served_page(self._run), content_type="text/html", headers=_HEADERS)
        if name in STYLES or name in SCRIPTS:
            kind = "text/css" if name in STYLES else "text/javascript"
            return web.Response(text=asset(name), content_type=kind, charset="utf-8", headers=_HEADERS)
        try:
            if name == "runs":
                return self._json({"runs": await self._listed(), "troubles": self._source.troubles})
            if name == "records":
                return await self._records(request)
            if name == "events":
                return await self._events(request)
        except StoreError as error:
            return web.Response(status=503, text=f"{error}\n", headers=_HEADERS)
        return web.Response(status=404, text="there is no such page\n", headers=_HEADERS)

    def _json(self, value: Any) -> web.Response:
        from aiohttp import web

        text = json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
        return web.Response(text=text, content_type="application/json", headers=_HEADERS)

    async def _listed(self) -> list[dict[str, str]]:
        return [{"run": item.run, "label": item.label} for item in await self._source.listed()]

    async def _records(self, request: web.Request) -> web.StreamResponse:
        """What is there of a run now, as one array, sent as it is read."""
        from aiohttp import web

        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "application/json"})
        records = self._source.follow(request.query.get("run", ""), 0)
        known = 0
        text = b"["
        while known < _MAX_WHOLE:
            try:
                async with asyncio.timeout(0.2 if known else 1.0):
                    batch = await anext(records, None)
            except TimeoutError:
                break
            if batch is None:
                break
            if not response.prepared:
                await response.prepare(request)
            await response.write(text + await asyncio.to_thread(_array_items, batch))
            text = b","
            known += len(batch)
        if not response.prepared:
            await response.prepare(request)
        await response.write(b"]" if known else b"[]")
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: batches of records, until the run's end."""
        from aiohttp import web

        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        after = request.headers.get("Last-Event-ID") or request.query.get("after", "0")
        work = self._send(
            response, request.query.get("run", ""), int(after) if _NUMBER.fullmatch(after) else 0
        )
        task = asyncio.get_running_loop().create_task(work)
        self._streams.add(task)
        try:
            await task
        except (ConnectionError, asyncio.CancelledError):
            task.cancel()
        finally:
            self._streams.discard(task)
        return response

    async def _send(self, response: web.StreamResponse, run: str, after: int) -> None:
        records = self._source.follow(run, after)
        colours = Colours()
        waiting = asyncio.ensure_future(anext(records, None))
        try:
            while True:
                done, _ = await asyncio.wait({waiting}, timeout=_KEEP_ALIVE_S)
                if not done:
                    await response.write(b": still here\n\n")
                    continue
                batch = waiting.result()
                if batch is None:
                    break
                after += len(batch)
                await response.write(await asyncio.to_thread(_event, batch, after, colours))
                waiting = asyncio.ensure_future(anext(records, None))
            await response.write(b"event: end\ndata: {}\n\n")
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)


def _event(batch: list[Record], after: int, colours: Colours) -> bytes:
    """On a thread: a hostile program takes a second to be coloured."""
    tokens = colours.of(batch)
    text = f"event: tokens\ndata: {json.dumps(tokens)}\n\n" if tokens else ""
    head = f"{text}id: {after}\ndata: [".encode("utf-8", "replace")
    return b"".join((head, _array_items(batch), b"]\n\n"))


def _array_items(batch: list[Record]) -> bytes:
    """Records as JSON, one at a time: while one call encodes all of them, no other thread runs."""
    return b",".join(
        json.dumps(plain(record), ensure_ascii=False, default=str).encode("utf-8", "replace")
        for record in batch
    )

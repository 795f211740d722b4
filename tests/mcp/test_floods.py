"""Clients that ask without end, with megabytes, or never read: what the server holds for them is bounded."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2 as httpx
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from rlm_wasm import Limits, Runtime
from rlm_wasm.mcp import make_server
from rlm_wasm.mcp.bounds import ServerBounds
from rlm_wasm.mcp.flow import RequestRoom, bounded
from rlm_wasm.mcp.stdin import _Lines
from rlm_wasm.mcp.transports import http_app
from rlm_wasm.testing import GatedProvider

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "flood", "version": "1"},
}


class RawClient:
    """A client that keeps no rule but those of JSON-RPC, over a stream."""

    def __init__(self, to_server: Any, from_server: Any, sizes: deque[int]) -> None:
        self._to_server = to_server
        self._from_server = from_server
        self._sizes = sizes
        self.next_id = 0

    async def send(self, text: str) -> None:
        """A line, whatever it is; like the SDK's transport of standard input."""
        self._sizes.append(len(text))
        try:
            item: Any = SessionMessage(types.jsonrpc_message_adapter.validate_json(text, by_name=False))
        except ValueError as error:
            item = error
        await self._to_server.send(item)

    async def ask(self, method: str, params: dict[str, Any] | None = None, number: int | None = None) -> int:
        """A request, and its number."""
        if number is None:
            self.next_id += 1
            number = self.next_id
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
        await self.send(json.dumps(message))
        return number

    async def run(self, code: str, **options: Any) -> int:
        """A program, and the number of its request."""
        return await self.ask(
            "tools/call", {"name": "execute_scheme", "arguments": {"code": code}}, **options
        )

    async def answer(self) -> Any:
        """The next answer; what nobody asked for is skipped."""
        while True:
            message = (await self._from_server.receive()).message
            if not isinstance(message, types.JSONRPCNotification):
                return message


@asynccontextmanager
async def raw_client(provider: Any = "echo", **bounds: Any) -> AsyncIterator[RawClient]:
    """Connected to a server within these bounds."""
    sizes: deque[int] = deque()
    limits = ServerBounds(**bounds)
    to_server, asked = anyio.create_memory_object_stream[Any](0)
    answers, from_server = anyio.create_memory_object_stream[Any](0)
    async with (
        Runtime(provider, python="off", limits=Limits(timeout_s=60)) as runtime,
        bounded(asked, answers, sizes, limits) as (read, write),
    ):
        server = make_server(runtime, bounds=limits)
        serving = asyncio.create_task(server.run(read, write, server.create_initialization_options()))
        client = RawClient(to_server, from_server, sizes)
        await client.ask("initialize", INITIALIZE)
        await client.answer()
        await client.send('{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        try:
            yield client
        finally:
            await to_server.aclose()
            from_server.close()
            await serving


async def test_requests_beyond_those_that_may_wait_are_refused_and_answered_later() -> None:
    """A thousand at once, say: the error names how many wait, and when they are answered there is room again."""
    provider = GatedProvider()
    async with raw_client(provider, requests=3) as client:
        waiting = [await client.run('(llm-query #:instruction "wait")') for _ in range(3)]
        refused = await client.run("1")
        answer = await client.answer()
        assert answer.id == refused
        assert "3 of" in answer.error.message
        assert "no room" in answer.error.message
        answered = []
        for _ in waiting:
            await provider.arrived(1)
            provider.release_all()
            answered.append((await client.answer()).id)
        assert answered == waiting
        again = await client.run("(+ 1 1)")
        answer = await client.answer()
        assert (answer.id, answer.result["structuredContent"]["value"]) == (again, "2")


async def test_texts_of_megabytes_do_not_pile_up_behind_a_program_that_runs() -> None:
    """Neither programs nor contexts: a large one is refused while others fill the room, a small one waits its turn."""
    provider = GatedProvider()
    async with raw_client(provider, request_bytes=2 << 20) as client:
        waiting = [await client.run('(llm-query #:instruction "wait")')]
        large = {"data": "x" * (1 << 20)}
        waiting.append(await client.ask("tools/call", {"name": "load_context", "arguments": large}))
        refused = [await client.ask("tools/call", {"name": "load_context", "arguments": large})]
        refused.append(await client.run(f'(string-length "{"x" * (1 << 20)}")'))
        for number in refused:
            answer = await client.answer()
            assert answer.id == number
            assert "no room" in answer.error.message
        waiting.append(await client.run("(string-length context)"))
        await provider.arrived(1)
        provider.release_all()
        answers = {answer.id: answer for answer in [await client.answer() for _ in waiting]}
        assert answers.keys() == set(waiting)
        assert answers[waiting[-1]].result["structuredContent"]["value"] == str(1 << 20)


async def test_one_request_of_any_size_is_let_in_where_nothing_else_waits() -> None:
    """What a single one may have is the transport's to say."""
    async with raw_client(request_bytes=1 << 10) as client:
        number = await client.run(f'(string-length "{"x" * (1 << 20)}")')
        answer = await client.answer()
        assert (answer.id, answer.result["structuredContent"]["value"]) == (number, str(1 << 20))


async def test_a_request_that_was_cancelled_takes_no_room() -> None:
    """It gets no answer, and its room is another's."""
    provider = GatedProvider()
    async with raw_client(provider, requests=1) as client:
        for _ in range(5):
            number = await client.run('(llm-query #:instruction "wait")')
            await provider.arrived(1)
            cancelled = {"method": "notifications/cancelled", "params": {"requestId": number}}
            await client.send(json.dumps({"jsonrpc": "2.0", **cancelled}))
            while provider.waiting:
                await asyncio.sleep(0)
        number = await client.run("3")
        assert (await client.answer()).id == number


async def test_an_id_that_is_not_answered_yet_is_refused() -> None:
    """Two of one id could not be told apart, nor be cancelled; the first one is answered as if nothing had been."""
    provider = GatedProvider()
    async with raw_client(provider) as client:
        number = await client.run('(llm-query #:instruction "wait")')
        await client.run("2", number=number)
        answer = await client.answer()
        assert answer.error.code == types.INVALID_REQUEST
        await provider.arrived(1)
        provider.release_all()
        answer = await client.answer()
        assert answer.id == number
        assert answer.result["structuredContent"]["status"] == "ok"


@pytest.mark.parametrize(
    "line",
    ["", "{}", "[]", "null", "[" * 100_000, '{"a":' * 100_000, '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "\\ud800"}}'],
    ids=str,
)  # fmt: skip
async def test_a_line_that_is_no_message_is_answered(line: str) -> None:
    """By the error that JSON-RPC has for it, so that nobody waits in vain; what comes after it is served."""
    async with raw_client() as client:
        await client.send(line)
        answer = await client.answer()
        assert (answer.id, answer.error.code) == (None, types.PARSE_ERROR)
        number = await client.ask("ping")
        assert (await client.answer()).id == number


async def test_a_client_that_never_reads_is_not_read() -> None:
    """What waits for it is bounded by bytes; when it reads, every request has its answer."""
    async with raw_client() as client:
        await client.run("(finish (make-string 900000 #\\v))")
        await client.answer()
        asked: list[int] = []

        async def flood() -> None:
            while len(asked) < 100:
                number = await client.ask("resources/read", {"uri": "rlm://runs/1"})
                asked.append(number)

        flooding = asyncio.create_task(flood())
        for _ in range(2_000):
            await asyncio.sleep(0)
        assert len(asked) < 20
        answered = [(await client.answer()).id for _ in range(100)]
        await flooding
        assert sorted(answered) == asked


async def test_what_a_client_sent_is_not_repeated_to_it_by_the_megabyte() -> None:
    """Names of tools, prompts, resources and arguments in refusals are cut; a context's name has a bound."""
    name = "n" * 1_000_000
    async with raw_client() as client:
        for method, params in (
            ("tools/call", {"name": name}),
            ("tools/call", {"name": "execute_scheme", "arguments": {name: 1}}),
            ("tools/call", {"name": "load_context", "arguments": {"data": "x", "name": name}}),
            ("tools/call", {"name": "get_pattern_details", "arguments": {"patterns": "[" * 1_000_000}}),
            ("prompts/get", {"name": name}),
            ("resources/read", {"uri": f"rlm://{name}"}),
            ("resources/read", {"uri": f"rlm://sessions/{name}/log"}),
            ("resources/subscribe", {"uri": f"rlm://{name}"}),
        ):
            await client.ask(method, params)
            answer = await client.answer()
            assert "defect" not in answer.model_dump_json()
            assert len(answer.model_dump_json()) < 6_000, (method, str(params)[:60])


@pytest.mark.parametrize("length", [100, 100_000, 1_000_000])
async def test_a_line_without_an_end_is_not_kept(length: int) -> None:
    """Of a line beyond the bound only the beginning is held and given; those before and after it are whole."""
    read, write = os.pipe()
    sizes: deque[int] = deque()
    lines = _Lines(read, 50)

    def flood() -> None:
        with os.fdopen(write, "wb") as pipe:
            pipe.write(b"first\n" + b"x" * length + b"\nlast\n" + b"y" * length)

    thread = threading.Thread(target=flood)
    thread.start()
    got = [line async for line in lines.taken(sizes)]
    thread.join()
    os.close(read)
    assert [got[0], got[2]] == ["first", "last"]
    assert all(0 < len(line) <= 1_000 and set(line) in ({"x"}, {"y"}) for line in got[1::2])
    assert list(sizes) == list(map(len, got))


async def test_bodies_that_are_not_answered_share_a_room_over_http() -> None:
    """Beyond it a large one gets 503 and is not read to its end; a small one, and one after the others, are served."""
    provider = GatedProvider()
    bounds = ServerBounds(request_bytes=1 << 20)
    async with Runtime(provider, python="off") as runtime:
        app = http_app(runtime, bounds=bounds)
        transport = httpx.ASGITransport(app)
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1", headers=headers) as client,
        ):

            async def post(message: dict[str, Any]) -> httpx.Response:
                return await client.post("/mcp", json={"jsonrpc": "2.0", **message})

            opened = await post({"id": 0, "method": "initialize", "params": INITIALIZE})
            client.headers["mcp-session-id"] = opened.headers["mcp-session-id"]
            await post({"method": "notifications/initialized"})

            def program(number: int, code: str) -> dict[str, Any]:
                arguments = {"code": code}
                params = {"name": "execute_scheme", "arguments": arguments}
                return {"id": number, "method": "tools/call", "params": params}

            large = f'(begin (llm-query #:instruction "wait") "{"x" * 900_000}")'
            first = asyncio.create_task(post(program(1, large)))
            await provider.arrived(1)
            refused = await post(program(2, large))
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert "no room" in refused.text
            small = asyncio.create_task(post(program(3, "(+ 1 1)")))
            provider.release_all()
            assert (await first).status_code == (await small).status_code == 200
            assert '"value":"2"' in (await small).text
            again = asyncio.create_task(post(program(4, large)))
            await provider.arrived(1)
            provider.release_all()
            assert (await again).status_code == 200


async def test_requests_beyond_the_bound_are_refused_over_http() -> None:
    """Without being read; what the application itself refuses is left to it."""
    gate = asyncio.Event()
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        await gate.wait()

    async def receive() -> Any:
        raise AssertionError("it was read")

    async def send(message: Any) -> None:
        sent.append(message)

    room = RequestRoom(app, ServerBounds(requests=2))
    scope: Any = {"type": "http", "method": "POST"}
    waiting = [asyncio.create_task(room(scope, receive, send)) for _ in range(2)]
    await asyncio.sleep(0)
    await room(scope, receive, send)
    assert sent[0]["status"] == 503
    gate.set()
    await asyncio.gather(*waiting)
    sent.clear()
    await room(scope, receive, send)
    assert sent == []

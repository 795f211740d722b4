"""Attacks of one client on another, and of a stranger on the server."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from rlm_wasm import Runtime, UsageError
from rlm_wasm.cli.main import main
from rlm_wasm.mcp import make_server
from rlm_wasm.mcp.bearer import read_token
from rlm_wasm.mcp.bounds import ServerBounds
from rlm_wasm.mcp.transports import check_address, http_app, is_loopback, what_is_shared
from rlm_wasm.store import open_store

MODERN = "2026-07-28"
TOKEN = "correct-horse-battery-staple"


async def executed(client: Client, code: str, **more: Any) -> dict[str, Any]:
    """A program's structured result."""
    result = await client.call_tool("execute_scheme", {"code": code, **more})
    content: dict[str, Any] = result.structured_content
    return content


def wrong(content: dict[str, Any]) -> str:
    """What a result says went wrong."""
    return str(content["error"]["message"])


# ---- sessions


async def test_naming_a_session_does_not_make_it_the_default_of_others(mode: str) -> None:
    """Nor the client's own."""
    async with Runtime("echo", python="off") as runtime:
        server = make_server(runtime)
        async with Client(server, mode=mode) as victim, Client(server, mode=mode) as other:
            await executed(victim, '(define secret "s3cret")', session="victim")
            assert "unbound variable" in wrong(await executed(other, "secret"))
            assert "unbound variable" in wrong(await executed(victim, "secret"))
            await executed(victim, '(define own "mine")')
            assert "unbound variable" in wrong(await executed(other, "own"))
            assert (await executed(victim, "own"))["value"] == "mine"
            assert (await executed(other, "secret", session="victim"))["value"] == "s3cret"


async def test_an_unnamed_client_s_resources_are_its_own(mode: str) -> None:
    """Also when it named a session before: that one's are found by the name."""
    async with Runtime("echo", python="off") as runtime:
        server = make_server(runtime)
        async with Client(server, mode=mode) as one, Client(server, mode=mode) as two:
            await one.call_tool("load_context", {"data": "private", "name": "papers"})
            await executed(one, '(finish "in the team")', session="the team")
            assert not [r for r in (await two.list_resources()).resources if "papers" in r.uri]
            with pytest.raises(MCPError, match="there is no resource"):
                await two.read_resource("rlm://contexts/papers")
            assert (await one.read_resource("rlm://contexts/papers")).contents[0].text == "private"
            run = (await two.read_resource("rlm://sessions/the%20team/runs/1")).contents[0]
            assert run.uri == "rlm://sessions/the%20team/runs/1"
            assert json.loads(run.text)["result"]["value"] == "in the team"


async def test_checkpoints_are_separated_by_session(mode: str, tmp_path: Path) -> None:
    """Of named ones by the name, also in the store; those of an unnamed one end with it."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    async with Runtime("echo", python="off", store=url) as runtime:
        server = make_server(runtime)
        async with Client(server, mode=mode) as one, Client(server, mode=mode) as two:
            await executed(one, '(checkpoint "k" "of a")', session="a")
            await executed(one, '(checkpoint "k" "own")')
            assert (await executed(one, '(restore "k")'))["value"] == "own"
            assert (await executed(two, '(restore "k")', session="a"))["value"] == "of a"
            for options in ({}, {"session": "b"}, {"session": "default"}):
                assert (await executed(two, '(restore "k")', **options))["value"] == "#f"
    store = open_store(url)
    with store._engine.connect() as connection:
        left = connection.exec_driver_sql("SELECT namespace FROM rlm_checkpoints").scalars().all()
    await store.aclose()
    assert left == ["a"]


async def test_nobody_can_name_a_session_as_unnamed_ones_are(mode: str) -> None:
    """Their keys cannot be made up."""
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime), mode=mode) as client:
        result = await client.call_tool("execute_scheme", {"code": "1", "session": "unnamed-" + "0" * 32})
    assert result.is_error
    assert "there is no session unnamed-" in result.content[0].text


# ---- HTTP


@asynccontextmanager
async def application(**options: Any) -> AsyncIterator[tuple[Any, Runtime]]:
    """The ASGI application over a runtime of its own, started."""
    async with Runtime("echo", python="off") as runtime:
        app = http_app(runtime, **options)
        async with app.router.lifespan_context(app):
            yield app, runtime


def asgi(app: Any, **headers: str) -> httpx.AsyncClient:
    """A client that speaks to the application without a socket."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1:8123", headers=headers
    )


def modern(method: str, **params: Any) -> dict[str, Any]:
    """A request of the era without connections."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


async def called(client: httpx.AsyncClient, name: str, **arguments: Any) -> dict[str, Any]:
    """A tool's answer by one HTTP request."""
    response = await client.post(
        "/mcp",
        json=modern("tools/call", name=name, arguments=arguments),
        headers={
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": MODERN,
            "mcp-method": "tools/call",
            "mcp-name": name,
        },
    )
    assert response.status_code == 200, response.text
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        text = text.rsplit("data: ", 1)[1]
    answer: dict[str, Any] = json.loads(text)["result"]
    return answer


async def test_requests_that_nothing_ties_together_have_sessions_of_their_own() -> None:
    """And the answer says by which key to go on; what holds nothing ends with its request."""
    async with application() as (app, runtime), asgi(app) as one, asgi(app) as two:
        defined = (await called(one, "execute_scheme", code="(define mine 1)"))["structuredContent"]
        for client in (one, two):
            answer = (await called(client, "execute_scheme", code="mine"))["structuredContent"]
            assert "unbound variable" in wrong(answer)
            assert answer["session"] != defined["session"]
        again = await called(one, "execute_scheme", code="(finish mine)", session=defined["session"])
        assert again["structuredContent"]["value"] == "1"
        assert f"[session {defined['session']}" in again["content"][0]["text"]
        loaded = (await called(one, "load_context", data="text"))["structuredContent"]
        read = await called(one, "execute_scheme", code="(finish context)", session=loaded["session"])
        assert read["structuredContent"]["value"] == "text"
        assert loaded["session"] not in [session.namespace for session in runtime.sessions]
        before = len(runtime.sessions)
        assert not (await called(two, "get_status"))["structuredContent"]["running"]
        assert len(runtime.sessions) == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": TOKEN},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Basic {TOKEN}"},
        {"cookie": f"authorization=Bearer {TOKEN}"},
    ],
)
@pytest.mark.parametrize("path", ["/mcp", "/", "/mcp/", "/other"])
async def test_without_the_token_nothing_is_answered(headers: dict[str, str], path: str) -> None:
    """Whatever is asked: 401, with the way to ask."""
    async with application(token=TOKEN) as (app, runtime), asgi(app, **headers) as client:
        for response in (await client.post(path, json=modern("tools/list")), await client.get(path)):
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == 'Bearer realm="rlm-wasm"'
            assert TOKEN not in response.text
        assert runtime.sessions == []


async def test_two_authorization_headers_are_none() -> None:
    """A proxy may look at the other one."""
    async with application(token=TOKEN) as (app, _), asgi(app) as client:
        both = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer other-token-of-a-proxy")]
        assert (await client.post("/mcp", json={}, headers=both)).status_code == 401


async def test_with_the_token_programs_run() -> None:
    """The scheme's name is written in any case."""
    async with application(token=TOKEN) as (app, _), asgi(app, authorization=f"bearer {TOKEN}") as client:
        assert (await called(client, "execute_scheme", code="(+ 1 2)"))["structuredContent"]["value"] == "3"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_loopback_needs_no_token(host: str) -> None:
    """But may have one."""
    assert is_loopback(host)
    check_address(host, None)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "localhost.evil.org", "127.1"]
)
def test_beyond_loopback_a_token_is_required(host: str) -> None:
    """The message names the option."""
    with pytest.raises(UsageError, match="--token-file"):
        check_address(host, None)
    check_address(host, TOKEN)


def test_the_command_refuses_to_bind_beyond_loopback_without_a_token(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Before anything is started; a token for standard input is a mistake."""
    (tmp_path / "token").write_text(TOKEN)
    for options in (["--http", "0.0.0.0:8123"], ["--token-file", str(tmp_path / "token")]):
        with pytest.raises(SystemExit) as ended:
            main(["mcp", "-p", "echo", *options])
        assert ended.value.code == 2
        assert "--token-file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "short", "with a blank in it, but long", "é" * 20, "a" * 20 + "\n" + "b"]
)
def test_a_token_that_is_none_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    """One that is too short can be guessed."""
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_token(str(path))
    assert not content or content not in str(caught.value)
    path.write_text(f"  {TOKEN}\n")
    assert read_token(str(path)) == TOKEN


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
async def test_a_page_of_the_web_does_not_reach_a_local_server(host: str) -> None:
    """Neither by a name of its own (DNS rebinding), nor from its own origin."""
    async with application(host=host) as (app, _), asgi(app) as client:
        for headers in ({"host": "evil.org:80"}, {"host": f"{host}:80", "origin": "http://evil.org"}):
            response = await client.post("/mcp", json=modern("tools/list"), headers=headers)
            assert response.status_code in (403, 421)


async def test_the_start_says_in_one_line_what_is_shared(tmp_path: Path) -> None:
    """And no more than that: no store's URL, no token."""
    async with Runtime("echo", python="off", workspace=tmp_path, store="sqlite://u:hunter2@/") as runtime:
        line = what_is_shared(runtime, "::1", 8000, None, TOKEN)
        assert line == (
            f"MCP at http://[::1]:8000/mcp, for whoever has the token; clients share the provider and its key,"
            f" the workspace {tmp_path.resolve()} and sessions by name; limits are a session's"
        )
        assert "one session, team" in what_is_shared(runtime, "127.0.0.1", 8000, "team", None)


# ---- what is kept


async def test_sessions_beyond_the_bound_are_closed_oldest_first(caplog: pytest.LogCaptureFixture) -> None:
    """The name can be used again, and whoever comes back is told."""
    bounds = ServerBounds(sessions=3)
    async with (
        Runtime("echo", python="off") as runtime,
        Client(make_server(runtime, bounds=bounds), mode=MODERN) as client,
    ):
        with caplog.at_level(logging.INFO, "rlm_wasm.mcp"):
            for number in range(150):
                assert "notice" not in await executed(client, f"(define x {number}) x", session=f"s{number}")
                assert len(runtime.sessions) <= 3
        assert (await executed(client, "x", session="s148"))["value"] == "148"
        gone = await client.call_tool("execute_scheme", {"code": "x", "session": "s0"})
        assert "unbound variable" in wrong(gone.structured_content)
        assert "the earlier session s0 was forgotten" in gone.structured_content["notice"]
        assert gone.content[0].text.startswith("this session is new")
        assert "notice" not in await executed(client, "1", session="s0")


async def test_a_named_session_that_was_closed_is_taken_up_from_the_store(tmp_path: Path) -> None:
    """Nothing is lost, and so nothing is said."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    async with (
        Runtime("echo", python="off", store=url) as runtime,
        Client(make_server(runtime, bounds=ServerBounds(sessions=1))) as client,
    ):
        await executed(client, "(define x 1)", session="a")
        await executed(client, "(define x 2)", session="b")
        back = await executed(client, "x", session="a")
    assert back["value"] == "1"
    assert "notice" not in back


async def test_large_sessions_make_room_before_there_are_many() -> None:
    """By bytes: contexts count, and what the sandbox takes."""
    async with Runtime("echo", python="off") as runtime:
        server = make_server(runtime, bounds=ServerBounds(session_bytes=10_000_000))
        async with Client(server, mode=MODERN) as client:
            for number in range(20):
                await client.call_tool("load_context", {"data": "x" * 4_000_000, "session": f"s{number}"})
                assert len(runtime.sessions) <= 4


async def test_a_session_at_work_is_never_closed_for_another() -> None:
    """Where all are at work, a further one is refused."""
    from rlm_wasm.testing import GatedProvider

    gate = GatedProvider()
    async with (
        Runtime(gate, python="off") as runtime,
        Client(make_server(runtime, bounds=ServerBounds(sessions=1)), mode=MODERN) as client,
    ):
        running = asyncio.create_task(executed(client, '(syntax-e (llm-query #:instruction "x" #:data "y"))'))
        await gate.arrived(1)
        refused = await client.call_tool("execute_scheme", {"code": "1", "session": "other"})
        assert refused.is_error
        assert "no room for more" in refused.content[0].text
        gate.release()
        assert (await running)["value"] == "y"


async def test_a_client_whose_own_session_was_closed_is_told() -> None:
    """Its next program runs in a new one."""
    async with Runtime("echo", python="off") as runtime:
        server = make_server(runtime, bounds=ServerBounds(sessions=1))
        async with Client(server, mode="legacy") as one, Client(server, mode="legacy") as two:
            await executed(one, "(define x 1)")
            await executed(two, "(define x 2)")
            back = await executed(one, "x")
    assert "unbound variable" in wrong(back)
    assert "your earlier session was forgotten" in back["notice"]


async def test_kept_runs_are_bounded_by_count_and_by_bytes() -> None:
    """The newest stays, however large it is."""
    bounds = ServerBounds(runs=5, run_bytes=100_000)
    async with (
        Runtime("echo", python="off") as runtime,
        Client(make_server(runtime, bounds=bounds)) as client,
    ):

        async def kept() -> list[int]:
            runs = (await client.read_resource("rlm://runs")).contents[0].text
            return [run["id"] for run in json.loads(runs)]

        for _ in range(8):
            await executed(client, "1")
        assert await kept() == [4, 5, 6, 7, 8]
        for _ in range(3):
            await executed(client, f"(string-length {json.dumps('x' * 40_000)})")
        assert await kept() == [10, 11]
        await executed(client, f"(string-length {json.dumps('x' * 200_000)})")
        assert await kept() == [12]


async def test_programs_that_wait_are_bounded() -> None:
    """A further one is refused, and says why."""
    from rlm_wasm.testing import GatedProvider

    gate = GatedProvider()
    async with (
        Runtime(gate, python="off") as runtime,
        Client(make_server(runtime, bounds=ServerBounds(waiting=2))) as client,
    ):
        first = asyncio.create_task(executed(client, '(syntax-e (llm-query #:instruction "x" #:data "y"))'))
        await gate.arrived(1)
        waiting = [asyncio.create_task(executed(client, "2")) for _ in range(2)]
        while (await client.call_tool("get_status", {})).structured_content["queued"] < 2:
            await asyncio.sleep(0)
        refused = await client.call_tool("execute_scheme", {"code": "3"})
        assert refused.is_error
        assert "2 programs wait in this session already" in refused.content[0].text
        gate.release()
        await asyncio.gather(first, *waiting)


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_subscriptions_are_bounded() -> None:
    """By number, and each by its length."""
    bounds = ServerBounds(subscriptions=2)
    async with (
        Runtime("echo", python="off") as runtime,
        Client(make_server(runtime, bounds=bounds), mode="legacy") as client,
    ):
        for uri in ("rlm://log", "rlm://status", "rlm://log"):
            await client.subscribe_resource(uri)
        for uri in ("rlm://runs", "rlm://" + "x" * 3_000):
            with pytest.raises(MCPError, match=r"subscriptions already|at most"):
                await client.subscribe_resource(uri)


async def test_contexts_of_one_session_are_bounded(text_of: Any) -> None:
    """By number and by bytes; loading in place of one always fits."""
    bounds = ServerBounds(context_bytes=1_000)
    async with (
        Runtime("echo", python="off") as runtime,
        Client(make_server(runtime, bounds=bounds)) as client,
    ):
        assert not (await client.call_tool("load_context", {"data": "x" * 900})).is_error
        refused = await client.call_tool("load_context", {"data": "y" * 200, "name": "more"})
        assert refused.is_error
        assert "more than 1,000 bytes" in text_of(refused)
        assert not (await client.call_tool("load_context", {"data": "z" * 950})).is_error


async def test_names_of_sessions_are_bounded(text_of: Any) -> None:
    """Also where no store says so; the refusal does not repeat them."""
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime)) as client:
        refused = await client.call_tool("execute_scheme", {"code": "1", "session": "n" * 1_000_000})
        assert refused.is_error
        assert len(text_of(refused)) < 200
        unknown = await client.call_tool("execute_scheme", {"code": "1", "s" * 100_000: 1})
        assert len(text_of(unknown)) < 2_100
        assert runtime.sessions == []


async def test_checkpoints_in_memory_go_with_the_session_that_was_closed_to_make_room() -> None:
    """Else names without end would keep them without end."""
    async with Runtime("echo", python="off") as runtime:
        server = make_server(runtime, bounds=ServerBounds(sessions=1))
        async with Client(server, mode=MODERN) as client:
            for number in range(5):
                await executed(client, '(checkpoint "k" "v")', session=f"s{number}")
            held = [await runtime.store.keys(f"s{number}") for number in range(5)]
    assert held == [[], [], [], [], ["k"]]

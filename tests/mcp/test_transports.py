"""The real thing: a subprocess on pipes, a server on a socket, and an assistant that works by the protocol alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mcp import Client, StdioServerParameters

from rlm_wasm import Runtime, UsageError
from rlm_wasm.cli.main import cli
from rlm_wasm.mcp.stdin import input_lines
from rlm_wasm.mcp.transports import host_and_port, http_app
from rlm_wasm.testing import Fault, GatedProvider, OpenAIServer

COMMAND = [sys.executable, "-m", "rlm_wasm", "mcp", "--python", "off"]


def server(*options: str, **environment: str) -> StdioServerParameters:
    """`rlm-wasm mcp` as a client's configuration starts it."""
    return StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], *options], env={**os.environ, **environment}
    )


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_subprocess_serves_on_its_pipes(era: str) -> None:
    """What a client's configuration starts, in both eras."""
    async with Client(server("--provider", "extractive"), mode=era) as client:
        assert len((await client.list_tools()).tools) == 16
        await client.call_tool("execute_scheme", {"code": "(define x 20)"})
        result = await client.call_tool("execute_scheme", {"code": "(finish (+ x 22))"})
        assert result.structured_content["value"] == "42"


STRAY = """
import sys
sys.argv = ["rlm-wasm", "mcp", "--python", "off", "--provider", "extractive"]
from rlm_wasm.mcp.tools import table as tools
before = tools.call
async def noisy(*arguments):
    import os, subprocess
    print("stray print")
    os.write(1, b"stray write\\n")
    subprocess.run(["echo", "stray child"])
    return await before(*arguments)
tools.call = noisy
from rlm_wasm.cli import main
main()
"""


async def test_stray_prints_do_not_corrupt_the_wire(tmp_path: Path) -> None:
    """Neither print, nor a write to descriptor 1, nor a child process: they go to standard error."""
    errors = tmp_path / "errors"
    command = f'exec "{sys.executable}" -c "$PROGRAM" 2> "{errors}"'
    environment = {**os.environ, "PROGRAM": STRAY}
    parameters = StdioServerParameters(command="/bin/sh", args=["-c", command], env=environment)
    async with Client(parameters, mode="legacy") as client:
        for number in range(3):
            result = await client.call_tool("execute_scheme", {"code": f"(finish {number})"})
            assert result.structured_content["value"] == str(number)
    assert {"stray print", "stray write", "stray child"} <= set(
        errors.read_text(encoding="utf-8").splitlines()
    )


def test_nothing_but_the_protocol_is_on_standard_output() -> None:
    """Line for line, down to the end of the input; what the program says with eprintf is in the log."""
    messages: list[dict[str, Any]] = [
        {"method": "initialize", "id": 1, "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
        {"method": "notifications/initialized"},
        {"method": "tools/call", "id": 2, "params": {
            "name": "execute_scheme", "arguments": {"code": '(eprintf "said\\n") (display "shown") 7'}}},
    ]  # fmt: skip
    with subprocess.Popen(
        [*COMMAND, "--provider", "extractive"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for message in messages:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            process.stdin.flush()
        lines: list[dict[str, Any]] = []
        while not any(line.get("id") == 2 for line in lines):
            lines.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        assert process.wait(30) == 0
        rest = process.stdout.read()
        errors = process.stderr.read()
    assert rest == "" or [json.loads(line) for line in rest.splitlines()]
    answer = next(line for line in lines if line.get("id") == 2)
    assert answer["result"]["structuredContent"]["value"] == "7"
    assert "INFO said" in errors
    assert "shown" not in errors


async def test_a_client_that_dies_in_mid_call_leaves_no_work_behind() -> None:
    """The LLM request of its program is aborted, and the server's process ends."""
    async with OpenAIServer() as llm:
        llm.next(Fault.hang())
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "--provider", "openai", "--base-url", llm.base_url,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "OPENAI_API_KEY": "test"},
        )  # fmt: skip
        assert process.stdin is not None
        for message in (
            {"method": "initialize", "id": 1, "params": {
                "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
            {"method": "notifications/initialized"},
            {"method": "tools/call", "id": 2, "params": {
                "name": "execute_scheme", "arguments": {"code": '(llm-query #:instruction "x" #:model "m")'}}},
        ):  # fmt: skip
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await process.stdin.drain()
        await llm.wait_for_requests(1)
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 30) == 0
        await llm.wait_for_disconnects(1)


@asynccontextmanager
async def serving(runtime: Runtime) -> AsyncIterator[str]:
    """The HTTP application on a free port."""
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(
        uvicorn.Config(http_app(runtime), log_level="error", timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(running.serve(sockets=[listening]))
    while not running.started:
        await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    finally:
        running.should_exit = True
        await task
        listening.close()


async def test_http_serves_both_eras_with_progress() -> None:
    """Sessions by connection in the handshake era, by name in the modern one."""
    gate = GatedProvider()
    heard: list[str] = []

    async def progress(_progress: float, _total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async with Runtime(gate, python="off") as runtime, serving(runtime) as url:
        async with Client(url, mode="legacy") as one, Client(url, mode="legacy") as two:
            await one.call_tool("execute_scheme", {"code": "(define mine 1)"})
            other = await two.call_tool("execute_scheme", {"code": "mine"})
            assert "unbound variable" in other.structured_content["error"]["message"]
        async with Client(url, mode="2026-07-28") as modern:
            call = asyncio.create_task(
                modern.call_tool(
                    "execute_scheme",
                    {"code": '(syntax-e (llm-query #:instruction "x" #:data "y"))', "session": "s"},
                    progress_callback=progress,
                )
            )
            await gate.arrived(1)
            status = await modern.call_tool("get_status", {"session": "s"})
            assert status.structured_content["running"]
            gate.release()
            assert (await call).structured_content["value"] == "y"
    assert any(message.startswith("0/1 done — 1 active: gated×1") for message in heard)


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_request_cancelled_by_http_aborts_its_calls(era: str) -> None:
    """By a notification in the handshake era, by closing the answer's stream in the modern one."""
    gate = GatedProvider()
    async with (
        Runtime(gate, python="off") as runtime,
        serving(runtime) as url,
        Client(url, mode=era) as client,
    ):
        call = asyncio.create_task(
            client.call_tool("execute_scheme", {"code": '(llm-query #:instruction "x")'})
        )
        await gate.arrived(1)
        call.cancel()
        await asyncio.wait([call])
        while not gate.cancelled:
            await asyncio.sleep(0)
        after = await client.call_tool("execute_scheme", {"code": "(+ 1 1)"})
        assert after.structured_content["value"] == "2"
    assert gate.waiting == []


async def test_needle_is_found_by_the_protocol_alone() -> None:
    """An assistant reads the guide, loads a haystack, estimates, searches, and looks at the log."""
    haystack = "".join(
        f"Line {n}: {'the magic number is 483920' if n == 7321 else 'nothing to see here'}.\n"
        for n in range(10_000)
    )
    async with Client(server("--provider", "extractive"), mode="legacy") as client:
        guide = (await client.call_tool("get_usage_guide", {})).structured_content["markdown"]
        assert "load_context" in guide
        loaded = (await client.call_tool("load_context", {"data": haystack})).structured_content
        assert loaded["characters"] == len(haystack)
        planned = await client.call_tool(
            "plan_strategy", {"task_description": "Find the magic number", "priority": "cost"}
        )
        program = planned.structured_content["recommended"]["program"]
        estimated = (await client.call_tool("estimate_cost", {"code": program})).structured_content
        assert estimated["calls"] >= len(haystack) // 20_000
        result = (
            await client.call_tool("execute_scheme", {"code": program, "timeout": 120})
        ).structured_content
        assert result["status"] == "finished"
        assert "483920" in result["value"]
        assert result["execution"]["calls"] >= 17
        log = (await client.call_tool("get_scope_log", {})).structured_content
        assert (
            sum(entry["op"].startswith("llm-query") for entry in log["entries"])
            == result["execution"]["calls"]
        )
        done = (await client.call_tool("reset", {})).structured_content
        assert done["reset"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        ("[::1]:80", ("::1", 80)),
        (":8000", ("127.0.0.1", 8000)),
        ("8000", ("127.0.0.1", 8000)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    """With the local host where none is named."""
    assert host_and_port(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "localhost:0", "localhost:99999", "x:y"])
def test_a_wrong_address_is_a_usage_error(text: str) -> None:
    """That shows a right one."""
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:8000"):
        host_and_port(text)


def test_the_command_explains_itself() -> None:
    """In the group's help and its own."""
    assert "mcp" in CliRunner().invoke(cli, ["--help"]).output
    assert "--http" in CliRunner().invoke(cli, ["mcp", "--help"]).output


HELLO = [
    {"method": "initialize", "id": 1, "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
    {"method": "notifications/initialized"},
]  # fmt: skip


async def test_ctrl_c_ends_a_server_whose_client_says_nothing(tmp_path: Path) -> None:
    """At once, not after one more line; what runs is cancelled, and a named session is kept with that."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    async with OpenAIServer() as llm:
        llm.next(Fault.hang())
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "--provider", "openai", "--base-url", llm.base_url, "--store", url, "--session", "kept",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        code = '(define before 7) (llm-query #:instruction "x" #:model "m")'
        call = {
            "method": "tools/call",
            "id": 2,
            "params": {"name": "execute_scheme", "arguments": {"code": code}},
        }
        for message in (*HELLO, call):
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        await process.stdin.drain()
        await llm.wait_for_requests(1)
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), 30)
        await llm.wait_for_disconnects(1)
    assert process.returncode == 130
    assert "Traceback" not in errors.decode()
    async with Runtime("echo", store=url, durable=True) as runtime, await runtime.resume("kept") as session:
        assert not session.suspended
        assert (await session.execute("before")).value == "7"


async def test_ctrl_c_ends_a_server_on_a_socket_without_errors_about_who_is_cut_off() -> None:
    """A program of a client runs meanwhile: what its user reads is that the server was interrupted."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    async with OpenAIServer() as llm:
        llm.next(Fault.hang())
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "--provider", "openai", "--base-url", llm.base_url, "--http", address,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        while b"MCP at http" not in await process.stderr.readline():
            pass
        asking = asyncio.create_task(_ask_over_http(address))
        await llm.wait_for_requests(1)
        process.send_signal(signal.SIGINT)
        said = (await asyncio.wait_for(process.stderr.read(), 60)).decode()
        asking.cancel()
        await asyncio.wait([asking])
    assert await process.wait() == 130
    assert "interrupted" in said
    assert "ERROR" not in said
    assert "gave up" not in said


async def _ask_over_http(address: str) -> None:
    host, port = host_and_port(address)
    while True:
        with contextlib.suppress(ConnectionRefusedError):  # it is said a moment before it listens
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            break
    async with Client(f"http://{address}/mcp", mode="legacy") as client:
        await client.call_tool("execute_scheme", {"code": '(llm-query #:instruction "x" #:model "m")'})


def test_started_by_hand_it_says_what_it_is_and_how_to_leave() -> None:
    """A terminal that shows nothing and takes no Ctrl-C looks like a broken program."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--provider", "echo"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = ""
    while "Ctrl-C ends it." not in shown:
        shown += os.read(ours, 65536).decode()
    assert "waits for the messages of an assistant" in shown
    assert "rlm-wasm mcp --install CLIENT" in shown
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    os.close(ours)


async def test_what_a_program_starts_cannot_read_the_client_s_messages() -> None:
    """Standard input is the null device for everybody but the server."""
    read, write = os.pipe()
    before = os.dup(0)
    os.dup2(read, 0)
    try:
        async with input_lines(1_000, deque()) as lines:
            os.write(write, "first\nsec\u00f6nd".encode())
            assert await anext(lines) == "first"
            child = await asyncio.create_subprocess_exec("cat", stdout=asyncio.subprocess.PIPE)
            assert await child.communicate() == (b"", None)
            os.write(write, b"\n\xff\nlast")
            os.close(write)
            assert [line async for line in lines] == ["sec\u00f6nd", "\ufffd", "last"]
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(read)

"""What the MCP adapter costs: (+ 1 2) by the tool, against a bare echo tool of the SDK and the Python API.

    python benchmarks/mcp_overhead.py [--calls 300]

Both servers are subprocesses on pipes, called in turn in the same run, so that the machine's moods
meet both. The target: at most 1 ms over the bare echo tool (median).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from typing import Any

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from rlm_wasm import Runtime

TARGET_MS = 1.0


async def echo() -> None:
    """The bare server: one tool that gives back what it got."""

    async def list_tools(_ctx: Any, _params: Any) -> types.ListToolsResult:
        schema = {"type": "object", "properties": {"code": {"type": "string"}}}
        return types.ListToolsResult(tools=[types.Tool(name="echo", input_schema=schema)])

    async def call(_ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(text=str(params.arguments))])

    server: Server[Any] = Server("echo", on_list_tools=list_tools, on_call_tool=call)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def measure(calls: int) -> dict[str, float]:
    """Median milliseconds of each way."""
    environment = dict(os.environ)
    ours = StdioServerParameters(
        command=sys.executable,
        args=["-m", "rlm_wasm", "mcp", "--provider", "extractive", "--python", "off"],
        env=environment,
    )
    bare = StdioServerParameters(command=sys.executable, args=[__file__, "--serve-echo"], env=environment)
    times: dict[str, list[float]] = {"echo tool": [], "execute_scheme": [], "Python API": []}
    async with (
        Client(ours, mode="legacy") as ours_client,
        Client(bare, mode="legacy") as bare_client,
        Runtime("extractive", python="off") as runtime,
        runtime.session() as session,
    ):
        ways = {
            "echo tool": lambda: bare_client.call_tool("echo", {"code": "(+ 1 2)"}),
            "execute_scheme": lambda: ours_client.call_tool("execute_scheme", {"code": "(+ 1 2)"}),
            "Python API": lambda: session.execute("(+ 1 2)"),
        }
        for number in range(calls + 20):
            for name, way in ways.items():
                started = time.perf_counter()
                await way()
                if number >= 20:  # the first ones warm up
                    times[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(all_of_them) for name, all_of_them in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve-echo", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_echo:
        asyncio.run(echo())
        return
    found = asyncio.run(measure(options.calls))
    over = found["execute_scheme"] - found["echo tool"]
    if options.json:
        print(json.dumps({**found, "over echo": over, "target": TARGET_MS}))
        return
    for name, milliseconds in found.items():
        print(f"{name:15} {milliseconds:7.3f} ms")
    print(f"{'over echo':15} {over:7.3f} ms (target: at most {TARGET_MS} ms)")


if __name__ == "__main__":
    main()

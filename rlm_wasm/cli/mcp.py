"""``rlm-wasm mcp``: the runtime as an MCP server."""

from __future__ import annotations

import asyncio

import click

from rlm_wasm.cli.options import RuntimeOptions, runtime_options


@click.command()
@click.option("--http", metavar="HOST:PORT", help="Streamable HTTP there, instead of stdin and stdout.")
@click.option(
    "--session", metavar="NAME", help="One session for all clients; with --store it survives restarts."
)
@runtime_options
def mcp(*, http: str | None, session: str | None, options: RuntimeOptions) -> None:
    """Serve assistants by MCP.

    The Model Context Protocol goes over stdin and stdout, or over HTTP with --http.
    """
    from rlm_wasm.mcp.transports import host_and_port, log_to_stderr, serve_http, serve_stdio

    address = None if http is None else host_and_port(http)
    log_to_stderr()

    async def serve() -> None:
        async with options.runtime() as runtime:
            if address is None:
                await serve_stdio(runtime, session=session)
            else:
                await serve_http(runtime, *address, session=session)

    asyncio.run(serve())

"""``rlm-wasm mcp``: the runtime as an MCP server."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from typing import Final

import click

from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.inputs import Quantity
from rlm_wasm.cli.mcp_clients import CLIENTS, SERVER, install
from rlm_wasm.cli.options import RuntimeOptions, runtime_options
from rlm_wasm.cli.report import note
from rlm_wasm.cli.terminal import echo, is_terminal, visible

log = logging.getLogger("rlm_wasm.mcp")

_BY_HAND: Final = """\
this is a server: on standard input it waits for the messages of an assistant (MCP), not for yours.
  rlm-wasm mcp --install CLIENT      lets an assistant start it by itself
  rlm-wasm mcp --http HOST:PORT      serves on a socket
  rlm-wasm repl                      is what people talk to
Ctrl-C ends it."""


class _KeepsArguments(Command):
    """A command that knows what it was called with, as it was written."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As the base class."""
        ctx.meta["rlm_wasm.arguments"] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=_KeepsArguments)
@click.option(
    "--install",
    "client",
    type=click.Choice(list(CLIENTS)),
    help="Set the server up in a client's configuration, with the other options given, and end.",
)
@click.option("--http", metavar="HOST:PORT", help="Streamable HTTP there, instead of stdin and stdout.")
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="With --http: the bearer token that every request must carry. Required beyond this machine.",
)
@click.option(
    "--session", metavar="NAME", help="One session for all clients; with --store it survives restarts."
)
@click.option(
    "--result-chars",
    type=Quantity("characters", minimum=2_000),
    default=20_000,
    metavar="N",
    help="Characters of a result's text, and of its data; the rest is a resource.  [default: 20,000]",
)
@click.option(
    "--view",
    "viewed",
    is_flag=True,
    help="Serve a page that shows the runs, on this machine; without --http its address is a resource.",
)
@runtime_options
@click.pass_context
def mcp(
    ctx: click.Context,
    /,
    *,
    client: str | None,
    http: str | None,
    token_file: str | None,
    session: str | None,
    result_chars: int,
    viewed: bool,
    options: RuntimeOptions,
) -> None:
    """Serve assistants by MCP.

    The Model Context Protocol goes over stdin and stdout, or over HTTP with --http.
    """
    from rlm_wasm.mcp.bearer import read_token
    from rlm_wasm.mcp.bounds import ServerBounds
    from rlm_wasm.mcp.transports import check_address, host_and_port, serve_http, serve_stdio

    if client is not None:
        _install(client, ctx.meta["rlm_wasm.arguments"], http=http)
        return
    if token_file is not None and http is None:
        raise click.UsageError("--token-file belongs to --http: standard input needs no token")
    address = None if http is None else host_and_port(http)
    token = None if token_file is None else read_token(token_file)
    if address is not None:
        check_address(address[0], token)
    _log_to_stderr()
    bounds = ServerBounds(result_chars=result_chars)

    async def serve() -> None:
        async with options.runtime() as runtime:
            url = (await runtime.viewer()).url if viewed else None
            if url is not None:
                log.info("the runs are shown at %s", url)
            gc.collect()
            gc.freeze()  # what was loaded stays: full collections, which stop everybody, pass over it
            if address is None:
                if sys.stdin.isatty():
                    note(_BY_HAND)
                await serve_stdio(runtime, session=session, bounds=bounds, viewer_url=url)
            else:
                await serve_http(runtime, *address, session=session, token=token, bounds=bounds)

    asyncio.run(serve())


def _install(client: str, arguments: list[str], *, http: str | None) -> None:
    if http is not None:
        raise click.UsageError(
            "--install is for standard input and output; by HTTP a client needs the address"
        )
    rest = iter(arguments)
    options = []
    for argument in rest:
        if argument == "--install":
            next(rest, None)
        elif not argument.startswith("--install="):
            options.append(argument)
    path, replaced = install(client, options)
    done = "changed" if replaced else "added"
    echo(f"{SERVER} was {done} in {path} ({CLIENTS[client].title}). Restart the client.")
    if os.environ.get("OPENAI_API_KEY"):
        note("no key was written: the client must start the server with OPENAI_API_KEY set")


class _Lines(logging.Formatter):
    """A record's line, of which a terminal obeys nothing that a program chose."""

    def format(self, record: logging.LogRecord) -> str:
        """As the base class."""
        line = super().format(record)
        return visible(line) if is_terminal(err=True) else line


def _log_to_stderr() -> None:
    """The server's log, which holds what programs say with eprintf, goes to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(message)s"))
    for name in ("rlm_wasm.mcp", "rlm_wasm.providers"):
        log = logging.getLogger(name)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False

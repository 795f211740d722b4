"""``rlm-wasm sessions``: list, show, resume, fork and remove kept sessions."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from rlm_wasm.cli import exits
from rlm_wasm.cli.options import RuntimeOptions, runtime_options
from rlm_wasm.cli.progress import Display
from rlm_wasm.cli.report import note, print_json, print_result
from rlm_wasm.cli.run import interruptibly
from rlm_wasm.cli.terminal import echo, echo_json, in_line, is_terminal
from rlm_wasm.errors import UsageError
from rlm_wasm.named_sessions import NamedSession, default_store_url, no_such_session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rlm_wasm.results import Result
    from rlm_wasm.store.sessions import SessionRepository

_store_option = click.option(
    "--store", metavar="URL", help="Where sessions are kept.  [default: RLM_WASM_STORE, or a file of yours]"
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def sessions() -> None:
    """Kept sessions: those of rlm-wasm run --session NAME."""


@sessions.command(name="list")
@_store_option
@_json_option
def list_command(store: str | None, *, as_json: bool) -> None:
    """List kept sessions, the one used last first."""
    listed = asyncio.run(_with_repository(store, lambda repository: repository.list()))
    if as_json:
        echo_json([asdict(session) for session in listed])
        return
    for session in listed:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.written_at))
        first_line = " ".join(session.note.split())[:60]
        name = in_line(session.name) if is_terminal(err=False) else session.name
        echo(f"{name:<20} {session.status:<10} {when}  {session.bytes:>10,} B  {first_line}")


@sessions.command()
@click.argument("name")
@_store_option
@_json_option
def show(name: str, store: str | None, *, as_json: bool) -> None:
    """Show what session NAME holds, without running it."""
    snapshot = asyncio.run(_with_repository(store, lambda repository: NamedSession(repository, name).load()))
    body = snapshot.body
    contexts = {key or "context": len(text) for key, text in body.get("contexts", [])}
    description: dict[str, Any] = {
        "name": name,
        "suspended": snapshot.suspended,
        "namespace": snapshot.header.get("namespace"),
        "guest": snapshot.image_hash,
        "used": snapshot.header.get("used"),
        "memory_bytes": snapshot.memory().size,
        "contexts": contexts,
        "limits": body.get("limits"),
        "log": body.get("log", []),
    }
    if as_json:
        print_json(description)
        return
    for key, value in description.items():
        if key == "log":
            echo(f"{key + ':':<13} {len(value)} entries (all of them with --json)")
        else:
            echo(f"{key + ':':<13} {value}")


@sessions.command()
@click.argument("name")
@runtime_options
@_json_option
@click.option("--quiet", "-q", is_flag=True, help="No progress and no words of the program on stderr.")
@click.pass_context
def resume(ctx: click.Context, /, name: str, *, as_json: bool, quiet: bool, options: RuntimeOptions) -> None:
    """Go on with session NAME's execution where it was interrupted.

    Provider, workspace and the other grants are no part of what was kept: give them again.
    """
    options = replace(options, store=options.store or default_store_url())
    result, kept = asyncio.run(_resume(name, options, as_json=as_json, quiet=quiet))
    if as_json:
        print_json(result.to_dict())
    else:
        if result.status == "cancelled":
            note("interrupted")
        print_result(result, source="", name=name, quiet=quiet, streamed=True)
    ctx.exit(exits.status_of_result(result, kept=kept))


async def _resume(name: str, options: RuntimeOptions, *, as_json: bool, quiet: bool) -> tuple[Result, bool]:
    async with options.runtime() as runtime:
        named = NamedSession(options.opened_store().sessions, name, notify=note)
        async with await named.open(runtime, suspended=True) as session:
            with Display(quiet=quiet, output=not as_json) as display:
                result = await interruptibly(
                    session, session.resume(on_progress=display, on_output=display.output), named
                )
        return result, named.kept


@sessions.command()
@click.argument("name")
@click.argument("new_name")
@_store_option
def fork(name: str, new_name: str, store: str | None) -> None:
    """Keep a copy of session NAME as NEW_NAME; both go on by themselves."""

    async def copy(repository: SessionRepository) -> None:
        if new_name in {session.name for session in await repository.list()}:
            raise UsageError(f"there is a session {new_name} already")
        repository.check_name(new_name)
        if not await repository.copy(name, new_name):
            raise UsageError(await no_such_session(repository, name))

    asyncio.run(_with_repository(store, copy))


@sessions.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_store_option
def rm(names: tuple[str, ...], store: str | None) -> None:
    """Forget sessions."""

    async def remove(repository: SessionRepository) -> None:
        listed = {session.name for session in await repository.list()}
        for name in names:
            if name not in listed:
                raise UsageError(await no_such_session(repository, name))
        for name in names:
            await repository.delete(name)

    asyncio.run(_with_repository(store, remove))


async def _with_repository(url: str | None, work: Callable[[SessionRepository], Awaitable[Any]]) -> Any:
    from rlm_wasm.store import open_store

    store = open_store(url or default_store_url())
    try:
        return await work(store.sessions)
    finally:
        await store.aclose()

"""``rlm-wasm sessions``: list, show, resume, fork and remove kept sessions."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from rlm_wasm.cli import exits
from rlm_wasm.cli.options import RuntimeOptions, runtime_options
from rlm_wasm.cli.progress import Display
from rlm_wasm.cli.report import note, print_json, print_result
from rlm_wasm.named_sessions import KeptSession, default_store_url, no_such_session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rlm_wasm.results import Result
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.store.sessions import SessionShelf

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
    found = asyncio.run(_with_shelf(store, lambda shelf: shelf.list()))
    if as_json:
        click.echo(json.dumps([asdict(session) for session in found], ensure_ascii=False))
        return
    for session in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.written_at))
        first_line = " ".join(session.note.split())[:60]
        click.echo(f"{session.name:<20} {session.status:<10} {when}  {session.bytes:>10,} B  {first_line}")


@sessions.command()
@click.argument("name")
@_store_option
@_json_option
def show(name: str, store: str | None, *, as_json: bool) -> None:
    """Show what session NAME holds, without running it."""
    snapshot = asyncio.run(_with_shelf(store, lambda shelf: _loaded(shelf, name)))
    body = snapshot.body
    contexts = {key or "context": len(text) for key, text in body.get("contexts", [])}
    shown: dict[str, Any] = {
        "name": name,
        "suspended": snapshot.suspended,
        "namespace": snapshot.header.get("namespace"),
        "guest": snapshot.image_hash,
        "used": snapshot.header.get("used"),
        "memory_bytes": snapshot.memory.size,
        "contexts": contexts,
        "limits": body.get("limits"),
        "log": body.get("log", []),
    }
    if as_json:
        print_json(shown)
        return
    for key, value in shown.items():
        if key == "log":
            click.echo(f"{key + ':':<13} {len(value)} entries (all of them with --json)")
        else:
            click.echo(f"{key + ':':<13} {value}")


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
    result = asyncio.run(_resume(name, options, quiet=quiet))
    if as_json:
        print_json(result.to_dict())
    else:
        if result.status == "cancelled":
            note("interrupted")
        print_result(result, source="", name=name, quiet=quiet)
    ctx.exit(exits.status_of_result(result))


async def _resume(name: str, options: RuntimeOptions, *, quiet: bool) -> Result:
    async with options.runtime() as runtime:
        kept = KeptSession(options.opened_store(), name)
        async with await kept.open(runtime, suspended=True) as session:
            with Display(quiet=quiet) as display:
                return await kept.execute(session, lambda d: session.resume(on_progress=d), display)


@sessions.command()
@click.argument("name")
@click.argument("new_name")
@_store_option
def fork(name: str, new_name: str, store: str | None) -> None:
    """Keep a copy of session NAME as NEW_NAME; both go on by themselves."""

    async def copy(shelf: SessionShelf) -> None:
        there = {session.name: session for session in await shelf.list()}
        if new_name in there:
            raise click.UsageError(f"there is a session {new_name} already")
        snapshot = await _loaded(shelf, name)
        await shelf.save(new_name, snapshot, status=there[name].status, note=there[name].note)

    asyncio.run(_with_shelf(store, copy))


@sessions.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_store_option
def rm(names: tuple[str, ...], store: str | None) -> None:
    """Forget sessions."""

    async def remove(shelf: SessionShelf) -> None:
        there = {session.name for session in await shelf.list()}
        for name in names:
            if name not in there:
                raise click.UsageError(await no_such_session(shelf, name))
        for name in names:
            await shelf.delete(name)

    asyncio.run(_with_shelf(store, remove))


async def _loaded(shelf: SessionShelf, name: str) -> Snapshot:
    snapshot = await shelf.load(name)
    if snapshot is None:
        raise click.UsageError(await no_such_session(shelf, name))
    return snapshot


async def _with_shelf(url: str | None, work: Callable[[SessionShelf], Awaitable[Any]]) -> Any:
    from rlm_wasm.store import open_store

    store = open_store(url or default_store_url())
    try:
        return await work(store.sessions)
    finally:
        await store.aclose()

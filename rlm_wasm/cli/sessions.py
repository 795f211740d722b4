"""``rlm-wasm sessions``: list, show, resume, fork, upgrade and remove kept sessions."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rlm_wasm.cli import completion, exits
from rlm_wasm.cli.environment import Group
from rlm_wasm.cli.inputs import read_program
from rlm_wasm.cli.options import RuntimeOptions, runtime_options
from rlm_wasm.cli.progress import Display
from rlm_wasm.cli.report import note, print_json
from rlm_wasm.cli.run import Shown, interruptibly, run_to_its_end
from rlm_wasm.cli.terminal import echo, echo_json, in_line, is_terminal
from rlm_wasm.errors import JournalDiverged, UsageError
from rlm_wasm.named_sessions import AnswersOfThen, default_store_url, open_named
from rlm_wasm.runtime import Runtime
from rlm_wasm.runtime_parts.opening import no_such_session
from rlm_wasm.sandbox.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rlm_wasm.results import Result
    from rlm_wasm.runtime_parts.upgrading import Upgrade
    from rlm_wasm.session import Session
    from rlm_wasm.store.sessions import SessionRepository

_store_option = click.option(
    "--store", metavar="URL", help="Where sessions are kept.  [default: RLM_WASM_STORE, or a file of yours]"
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


_VALUE_S = 5.0
_VALUE = 200
"""Seconds for the text of a variable's value, and characters of it."""


@click.group(cls=Group)
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
    if not listed:
        note("no session is kept: rlm-wasm run --session NAME keeps one")
    current = Engine.shared().image_hash if listed else None
    for session in listed:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.written_at))
        first_line = " ".join(session.note.split())[:60]
        name = in_line(session.name) if is_terminal(err=False) else session.name
        echo(f"{name:<20} {session.status:<10} {when}  {session.bytes:>10,} B  {first_line}")
        if session.held_by is not None:
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(session.held_since))
            echo(f"{'':<20} held by {session.held_by} since {since}")
        if session.guest not in (None, current):
            release = "an earlier release" if session.release is None else f"release {session.release}"
            echo(f"{'':<20} on guest {session.guest[:12]} of {release}")


@sessions.command()
@click.argument("name", shell_complete=completion.sessions)
@click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="CALL",
    help="As it was when its last execution made this LLM call: variables, and what the program waited for.",
)
@_store_option
@_json_option
def show(name: str, at: int | None, store: str | None, *, as_json: bool) -> None:
    """Show what session NAME holds, without running it."""
    description = asyncio.run(_described(name, store or default_store_url(), at))
    if as_json:
        print_json(description)
        return
    for key, value in description.items():
        if key == "log":
            echo(f"{key + ':':<13} {len(value)} entries (all of them with --json)")
        elif key == "values":
            for variable, shown in value.items():
                echo(f"  {variable} = {in_line(shown) if is_terminal(err=False) else shown}")
        elif key == "waiting":
            echo(f"{key + ':':<13} {len(value)} requests")
            for request in value:
                call = "" if request["call_id"] is None else f" call {request['call_id']}"
                echo(f"  {request['operation']}{call}: {' '.join(request['asks'].split())}")
        else:
            echo(f"{key + ':':<13} {value}")


async def _described(name: str, store: str, at: int | None) -> dict[str, Any]:
    async with (
        Runtime(provider="echo", store=store, python="off") as runtime,
        await runtime.look(name, until=at) as session,
    ):
        snapshot, state = await session.snapshot(), session.state()
        description = {
            "name": name,
            "suspended": session.suspended,
            "namespace": session.namespace,
            "guest": snapshot.image_hash,
            "release": snapshot.header["release"],
            "used": state["used"],
            "memory_bytes": snapshot.memory().size,
            "variables": state["variables"],
            "contexts": state["contexts"],
            "limits": state["limits"],
            "waiting": session.pending(),
            "log": session.scope_log(),
        }
        if at is not None:
            description["values"] = await _values(session)
        return description


async def _values(session: Session) -> dict[str, str]:
    """The beginning of each variable's value, asked of a copy."""
    async with await session.fork() as copy:
        if copy.suspended:
            copy.abandon()
        values = {}
        for name in await copy.definitions():
            result = await copy.execute(name, timeout_s=_VALUE_S)
            values[name] = (result.value if result.ok else f"#<{result.error}>")[:_VALUE]
        return values


@sessions.command()
@click.argument("name", shell_complete=completion.sessions)
@click.option(
    "--until", type=click.IntRange(min=1), metavar="CALL", help="As far as the moment of this LLM call."
)
@click.option(
    "--program",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Run this program with the answers of then, in place of the one that asked for them.",
)
@_store_option
@_json_option
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    name: str,
    until: int | None,
    program: str | None,
    store: str | None,
    *,
    as_json: bool,
) -> None:
    """Run session NAME's last execution again from its journal.

    No model is asked and nothing is written. Exit status 1: it is not what it was then, and the first
    difference is shown: by its journal, or by the calls of another program.
    """
    replayed = asyncio.run(_replayed(name, until, program, store or default_store_url()))
    if as_json:
        print_json(replayed)
    else:
        echo(f"{replayed['calls']} LLM calls, {replayed['answers']} answered")
        difference = replayed["difference"]
        echo("as it was then" if difference is None else f"the first difference: {difference}")
    ctx.exit(exits.OK if replayed["difference"] is None else exits.GUEST_ERROR)


async def _replayed(name: str, until: int | None, program: str | None, store: str) -> dict[str, Any]:
    recorded = AnswersOfThen()
    async with Runtime(provider=recorded, store=store, python="off") as runtime:
        try:
            async with await runtime.look(name, whole=True, until=until) as session:
                history, difference = session.history, None
        except JournalDiverged as error:
            return {"calls": 0, "answers": 0, "difference": str(error)}
        if program is not None:
            recorded.expect(history)
            async with await runtime.look(name, until=0) as before, await before.fork() as copy:
                copy.answer_as_then(recorded.reply)
                await copy.execute(read_program(program))
                difference = recorded.difference()
        calls = history.calls()
        answers = sum(call.answer is not None for call in calls)
        return {"calls": len(calls), "answers": answers, "difference": difference}


@sessions.command()
@click.argument("name", shell_complete=completion.sessions)
@runtime_options
@_json_option
@click.option("--quiet", "-q", is_flag=True, help="No progress and no words of the program on stderr.")
@click.pass_context
def resume(ctx: click.Context, /, name: str, *, as_json: bool, quiet: bool, options: RuntimeOptions) -> None:
    """Go on with session NAME's execution where it was interrupted.

    Provider, workspace and the other grants are no part of what was kept: give them again.
    """
    options = options.for_session(name)
    shown = Shown("", name, as_json=as_json, quiet=quiet)
    result, kept = run_to_its_end(_resume(name, options, shown, as_json=as_json, quiet=quiet))
    ctx.exit(exits.status_of_result(result, kept=kept))


async def _resume(
    name: str, options: RuntimeOptions, show: Callable[[Result], None], *, as_json: bool, quiet: bool
) -> tuple[Result, bool]:
    async with options.runtime() as runtime:
        async with await open_named(
            runtime, name, suspended=True, limits=options.limits, notify=note
        ) as session:
            with Display(quiet=quiet, output=not as_json) as display:
                result = await interruptibly(
                    session, session.resume(on_progress=display, on_output=display.output)
                )
            show(result)
        return result, session.kept


@sessions.command()
@click.argument("name", shell_complete=completion.sessions)
@click.argument("new_name")
@_store_option
def fork(name: str, new_name: str, store: str | None) -> None:
    """Keep a copy of session NAME as NEW_NAME; both go on by themselves."""
    asyncio.run(_fork(name, new_name, store or default_store_url()))


async def _fork(name: str, new_name: str, store: str) -> None:
    async with Runtime(provider="echo", store=store, python="off") as runtime:
        await runtime.copy(name, new_name)


@sessions.command()
@click.argument("name", shell_complete=completion.sessions)
@click.option("--dry-run", is_flag=True, help="Only say what would come of it.")
@click.option(
    "--drop-pending", is_flag=True, help="Also where it waits for what it asked for: that is given up."
)
@click.option("--keep", metavar="NEW_NAME", help="Keep the session as it was under this name.")
@_store_option
@_json_option
def upgrade(
    name: str, *, dry_run: bool, drop_pending: bool, keep: str | None, store: str | None, as_json: bool
) -> None:
    """Carry idle session NAME over to this release's guest.

    Sessions go on with the guest that they began on. This makes one again on the present guest: what it
    defined, from its programs' texts, its data, contexts, log and accounts. What could not go (closures,
    continuations, ports) is listed with the reason, and is unbound afterwards.
    """
    done = asyncio.run(
        _upgraded(name, store or default_store_url(), dry_run=dry_run, drop_pending=drop_pending, keep=keep)
    )
    if as_json:
        print_json(asdict(done))
        return
    if done.guest_before == done.guest:
        echo(f"session {name} stands on this release's guest already")
        return
    from_to = f"from guest {done.guest_before[:12]} of {done.release_before} to {done.guest[:12]}"
    echo(f"session {name}{'' if done.saved else ' could go'} {from_to}: {len(done.carried):,} variables")
    for variable, why in done.left.items():
        line = f"left behind: {variable}: {why}"
        echo(in_line(line) if is_terminal(err=False) else line)
    for text in done.notes:
        echo(in_line(f"note: {text}") if is_terminal(err=False) else f"note: {text}")


async def _upgraded(name: str, store: str, *, dry_run: bool, drop_pending: bool, keep: str | None) -> Upgrade:
    async with Runtime(provider="echo", store=store) as runtime:
        return await runtime.upgrade(name, dry_run=dry_run, drop_pending=drop_pending, keep=keep)


@sessions.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=completion.sessions)
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

"""``rlm-wasm log``: what runs did, from a store or a file of ``run --log``."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rlm_wasm.cli import exits
from rlm_wasm.cli.environment import Group
from rlm_wasm.cli.inputs import Measure, Quantity
from rlm_wasm.cli.report import note
from rlm_wasm.cli.terminal import echo, echo_json, in_line, is_terminal
from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.named_sessions import default_store_url
from rlm_wasm.results import money
from rlm_wasm.runlog.events import Record, plain
from rlm_wasm.runlog.otlp import otlp
from rlm_wasm.runlog.reading import LogFile
from rlm_wasm.runlog.rendering import duration, one_line, text_of, when
from rlm_wasm.runlog.story import CallStory, RunStory, figures, stories

if TYPE_CHECKING:
    from rlm_wasm.store.runs import RunRepository

_store_option = click.option(
    "--store", metavar="URL", help="Where runs are kept.  [default: RLM_WASM_STORE, or a file of yours]"
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which runs, or which calls of a run, are wanted."""

    model: str | None
    failed: bool
    slower_than: float | None
    search: str | None

    def takes_call(self, call: CallStory) -> bool:
        """Whether a call is wanted."""
        if self.model is not None and self.model not in (call.model, call.queued.model):
            return False
        if self.failed and call.status != "failed":
            return False
        if self.slower_than is not None and (call.seconds or 0.0) <= self.slower_than:
            return False
        if self.search is None:
            return True
        texts = [call.queued.instruction.text, call.queued.data.text]
        if call.ended is not None:
            texts += ["" if call.ended.answer is None else call.ended.answer.text, call.ended.error or ""]
        whole = "\n".join(texts).casefold()
        return all(word in whole for word in self.search.casefold().split())

    def takes_run(self, story: RunStory) -> bool:
        """Whether a run of a file is wanted, as a store would say."""
        calls = list(story.calls.values())
        if self.model is not None and not any(self.model == call.model for call in calls):
            return False
        if self.failed and story.status in ("ok", "finished", "running") and not story.failed_calls:
            return False
        if self.slower_than is not None and max(story.seconds, story.slowest_s) <= self.slower_than:
            return False
        return self.search is None or any(
            Filters(None, False, None, self.search).takes_call(call) for call in calls
        )


def _filter_options(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def with_filters(
        *arguments: Any,
        model: str | None,
        failed: bool,
        slower_than: float | None,
        search: str | None,
        **more: Any,
    ) -> None:
        command(*arguments, filters=Filters(model, failed, slower_than, search), **more)

    decorated: Callable[..., None] = with_filters
    for option in (
        click.option("--search", metavar="WORDS", help="Only where a text has all of these words."),
        click.option("--slower-than", type=Measure(min=0), metavar="S", help="Only what took more seconds."),
        click.option("--failed", is_flag=True, help="Only what failed."),
        click.option("--model", "-m", metavar="M", help="Only what this model answered."),
    ):
        decorated = option(decorated)
    return decorated


@click.group(cls=Group)
def log() -> None:
    """What runs did: those of rlm-wasm run --log."""


@log.command(name="list")
@click.argument("file", required=False)
@_filter_options
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="So many.")
@_store_option
@_json_option
def list_command(file: str | None, filters: Filters, *, limit: int, store: str | None, as_json: bool) -> None:
    """List runs, the newest first: of a store, or of a FILE."""
    if file is not None:
        listed = [asdict(figures(story)) for story in _read(file).values() if filters.takes_run(story)]
        listed = sorted(listed, key=lambda row: -row["started_at"])[:limit]
    else:
        kept = _with_runs(
            store,
            lambda runs: runs.list(
                model=filters.model,
                failed=filters.failed,
                slower_than_s=filters.slower_than,
                search=filters.search,
                limit=limit,
            ),
        )
        listed = [asdict(run) for run in kept]
    if as_json:
        echo_json(listed)
        return
    if not listed:
        kept_where = "no such run is kept: rlm-wasm run --log store keeps one"
        note(kept_where if file is None else f"{file} has no such run")
    for row in listed:
        echo(_table_line(row))


def _table_line(row: dict[str, Any]) -> str:
    name = row["chapter"] or row["name"]  # of a question's iterations all programs have one name
    name = in_line(name) if is_terminal(err=False) else one_line(name, 60)
    failed = f" ({row['failed_calls']} failed)" if row["failed_calls"] else ""
    return (
        f"{row['run']}  {when(row['started_at'])}  {name[:30]:<30}  {one_line(row['status'], 20):<9}"
        f"  {row['calls']:>6,} calls{failed}  {row['tokens']:>9,} tokens"
        f"  {money(row['cost_usd']) or '-':>9}  {duration(row['seconds']):>9}"
    )


@log.command()
@click.argument("run", metavar="RUN")
@_filter_options
@click.option("--full", is_flag=True, help="All texts whole, and the program.")
@_store_option
@_json_option
def show(run: str, filters: Filters, *, full: bool, store: str | None, as_json: bool) -> None:
    """Show a run as text: its fibers and calls, with durations and costs.

    RUN is the id of a kept run, or its beginning, or a file, whose runs are shown one after the other.
    The filters choose among the calls.
    """
    found = _found(run, store)
    if as_json:
        for records in found.values():
            for record in records:
                echo_json(plain(record))
        return
    for story in stories(record for records in found.values() for record in records).values():
        echo(text_of(story, wanted=filters.takes_call, full=full))


@log.command()
@click.argument("run", metavar="RUN")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "otel"]),
    default="jsonl",
    show_default=True,
    help="The records, or spans as OTLP JSON, a run a line.",
)
@click.option("--texts", is_flag=True, help="With otel: prompts and answers, too.")
@click.option("--endpoint", metavar="URL", help="With otel: send it there, such as http://localhost:4318.")
@click.option("--output", "-o", metavar="FILE", help="Write a file.  [default: standard output]")
@_store_option
def export(
    run: str, *, form: str, texts: bool, endpoint: str | None, output: str | None, store: str | None
) -> None:
    """Export a run: its records as JSON lines, or its spans for OpenTelemetry.

    RUN is the id of a kept run, or its beginning, or a file.
    """
    if endpoint is not None and form != "otel":
        raise click.UsageError("--endpoint belongs to --format otel")
    if form == "jsonl" and Path(run).exists():
        _copy(run, output)
        return
    found = _found(run, store)
    if form == "jsonl":
        lines = [plain(record) for records in found.values() for record in records]
    else:
        told = stories(record for records in found.values() for record in records)
        lines = [otlp(story, texts=texts) for story in told.values()]
    if endpoint is not None:
        asyncio.run(_send(endpoint, lines))
        return
    text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
    if output is None:
        echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise click.UsageError(f"cannot write {output}: {error.strerror or error}") from None


def _copy(path: str, output: str | None) -> None:
    """The records of a file, however large it is, one after the other."""
    file = LogFile(path, max_bytes=None)
    lines = (json.dumps(plain(record), ensure_ascii=False, default=str) + "\n" for record in file)
    if output is None:
        for line in lines:
            echo(line, nl=False)
    elif Path(output).exists() and Path(output).samefile(path):
        raise click.UsageError(f"{output} is the log itself")
    else:
        try:
            with Path(output).open("w", encoding="utf-8", errors="backslashreplace") as out:
                out.writelines(lines)
        except OSError as error:
            raise click.UsageError(f"cannot write {output}: {error.strerror or error}") from None
    _tell(path, file.told, read=file.read > 0)


async def _send(endpoint: str, requests: list[dict[str, Any]]) -> None:
    """To a collector's HTTP receiver."""
    import aiohttp

    address = endpoint.rstrip("/")
    address = address if address.endswith("/v1/traces") else f"{address}/v1/traces"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client:
            for request in requests:
                async with client.post(address, json=request) as response:
                    if response.status >= 300:
                        raise UsageError(f"{address} refused the spans ({response.status})")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise UsageError(f"{address} cannot be reached: {error}") from None
    note(f"sent to {address}")


@log.command()
@click.argument("runs", nargs=-1, metavar="RUN...")
@click.option("--older-than", type=Measure(min=0), metavar="DAYS", help="All that are older.")
@click.option(
    "--larger-than", type=Quantity("size"), metavar="SIZE", help="The oldest, until all have less than this."
)
@_store_option
def rm(
    runs: tuple[str, ...], *, older_than: float | None, larger_than: int | None, store: str | None
) -> None:
    """Forget runs: by their ids, their age or their size."""
    if not runs and older_than is None and larger_than is None:
        raise click.UsageError("say which: ids, --older-than or --larger-than")

    async def forget(repository: RunRepository) -> int:
        gone = await repository.delete([await repository.find(run) for run in runs])
        if older_than is not None or larger_than is not None:
            age = float("inf") if older_than is None else older_than * 86_400
            gone += await repository.prune(
                max_age_s=age, max_bytes=1 << 62 if larger_than is None else larger_than
            )
        return gone

    note(f"forgotten: {_with_runs(store, forget):,}")


# ---- where runs come from


def _read(path: str) -> dict[str, RunStory]:
    file = LogFile(path)
    told = stories(file)
    _tell(path, file.told, read=bool(told))
    return told


def _tell(name: str, troubles: list[str], *, read: bool) -> None:
    """Say what is wrong with a log. One in which nothing could be read ends the command."""
    for trouble in troubles:
        note(f"{name}: {trouble}")
    if not read:
        click.get_current_context().exit(exits.USAGE)


def _found(run: str, store: str | None) -> dict[str, list[Record]]:
    """Records by the run, of a file or of the kept run whose id begins so."""
    found: dict[str, list[Record]] = {}
    if Path(run).exists() or run.endswith(".jsonl"):
        file = LogFile(run)
        for record in file:
            found.setdefault(record.run, []).append(record)
        troubles = file.told
    else:

        async def read(repository: RunRepository) -> Any:
            return await repository.read(await repository.find(run))

        reader = _with_runs(store, read)
        for record in reader:
            found.setdefault(record.run, []).append(record)
        troubles = reader.told
    _tell(run, troubles, read=bool(found))
    return found


def _with_runs(url: str | None, work: Callable[[RunRepository], Any]) -> Any:
    from rlm_wasm.store import open_store

    async def do() -> Any:
        store = open_store(url or default_store_url())
        try:
            return await work(store.runs)
        finally:
            await store.aclose()

    return asyncio.run(do())

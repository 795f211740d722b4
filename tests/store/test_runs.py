"""Runs that are kept in a database: found by what they were, searched by their texts, forgotten in time."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import pytest
import sqlalchemy as sa

from rlm_wasm import Runtime, UsageError
from rlm_wasm.errors import ProviderError, StoreError
from rlm_wasm.providers.base import CompletionRequest
from rlm_wasm.runlog.events import CallEnded, CallQueued, CallSent, Record, RunEnded, RunStarted, Text
from rlm_wasm.runlog.story import figures, stories
from rlm_wasm.store import open_store
from rlm_wasm.store.database import DatabaseStore
from rlm_wasm.testing import InlineProvider

URLS = ["sqlite", *(["postgresql"] if os.environ.get("RLM_WASM_TEST_POSTGRESQL") else [])]


@pytest.fixture(params=URLS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DatabaseStore]:
    url = {"sqlite": f"sqlite:///{tmp_path / 'runs.db'}"}.get(
        request.param, os.environ.get("RLM_WASM_TEST_POSTGRESQL", "")
    )
    opened = open_store(url)
    await opened.runs.delete([run.run for run in await opened.runs.list(limit=None)])
    yield opened
    await opened.aclose()


async def keep(
    store: DatabaseStore,
    run: str,
    *,
    at: float,
    text: str = "words",
    status: str = "ok",
    model: str = "m",
    took: float = 1.0,
    failed: bool = False,
) -> None:
    log = store.run_log(max_age_s=1e9)
    log(RunStarted(run=run, at=at, name=f"{run}.scm", program=Text("(car 5)")))
    log(CallQueued(run=run, at=at, call=1, model=model, data=Text(text)))
    log(
        CallEnded(
            run=run,
            at=at + took,
            call=1,
            model=model,
            status="failed" if failed else "done",
            answer=Text("an answer"),
        )
    )
    if status != "running":
        log(RunEnded(run=run, at=at + took, status=status, elapsed=took, calls=1))
    await log.aclose()


async def test_every_run_is_kept_with_its_summary(store: DatabaseStore) -> None:
    def answer(request: CompletionRequest) -> str:
        if request.data == "bad":
            raise ProviderError("no")
        return "yes"

    async with Runtime(provider=InlineProvider(answer), log=store) as runtime:
        await runtime.run(
            '(map-async (lambda (x) (llm-query-async #:instruction "q" #:data x #:model "gpt")) (list "a" "bad") #:on-error "x")'
        )
        await runtime.run("(+ 1 2)")
    newest, oldest = await store.runs.list()
    assert (newest.status, newest.calls) == ("ok", 0)
    assert (oldest.calls, oldest.failed_calls, oldest.status) == (2, 1, "ok")
    assert oldest.models == ("gpt",)
    assert oldest.tokens > 0
    assert oldest.bytes > 500
    [story] = stories(await store.runs.read(oldest.run)).values()
    assert [call.status for call in story.calls.values()] == ["done", "failed"]


async def test_runs_are_found_by_model_failure_and_time(store: DatabaseStore) -> None:
    now = time.time()
    await keep(store, "aa", at=now - 3, model="small")
    await keep(store, "bb", at=now - 2, status="error", model="large")
    await keep(store, "cc", at=now - 1, failed=True, model="small%")
    await keep(store, "dd", at=now, took=90, model="x_y")

    async def found(**filters: object) -> list[str]:
        return [run.run for run in await store.runs.list(**filters)]  # type: ignore[arg-type]

    assert await found() == ["dd", "cc", "bb", "aa"]
    assert await found(model="small") == ["aa"]
    assert await found(model="x%y") == []
    assert await found(failed=True) == ["cc", "bb"]
    assert await found(slower_than_s=10) == ["dd"]
    assert await found(limit=2) == ["dd", "cc"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("lighthouse", True),
        ("LIGHTHOUSE tall", True),
        ("lighthouse low", False),
        ("light", False),
        ('"; DROP TABLE rlm_runs; --', False),
        ("an answer", True),
        ("car", True),
        ("NEAR(", False),
        ("'", True),
    ],
)
async def test_texts_are_searched_by_whole_words(store: DatabaseStore, search: str, found: bool) -> None:
    await keep(store, "aa", at=time.time(), text="A tall lighthouse.")
    assert bool(await store.runs.list(search=search)) is found


async def test_a_run_is_found_by_the_beginning_of_its_id(store: DatabaseStore) -> None:
    await keep(store, "abcd", at=time.time())
    await keep(store, "abce", at=time.time())
    assert await store.runs.find("abcd") == "abcd"
    with pytest.raises(UsageError, match="several runs begin with abc"):
        await store.runs.find("abc")
    with pytest.raises(UsageError, match="there is no run ff"):
        await store.runs.find("ff")
    with pytest.raises(UsageError, match="is no run's id"):
        await store.runs.find("a%")


async def test_old_runs_and_the_oldest_of_too_many_bytes_go_and_what_is_under_way_stays(
    store: DatabaseStore,
) -> None:
    now = time.time()
    await keep(store, "aa", at=now - 50 * 86_400)
    await keep(store, "bb", at=now - 20, status="running", text="x" * 5_000)
    await keep(store, "cc", at=now - 10, text="x" * 5_000)
    await keep(store, "dd", at=now, text="x" * 5_000)
    assert await store.runs.prune(max_age_s=30 * 86_400, max_bytes=1 << 30) == 1
    assert await store.runs.prune(max_age_s=1e9, max_bytes=8_000) == 1
    assert [run.run for run in await store.runs.list()] == ["dd", "bb"]
    assert await store.runs.list(search="answer", limit=10) != []
    assert (await store.runs.read("cc")).told == []
    assert list(await store.runs.lines("cc")) == []


async def test_retention_is_applied_when_a_run_has_ended(store: DatabaseStore) -> None:
    await keep(store, "aa", at=time.time() - 100)
    async with Runtime(provider="echo", log=store.run_log(max_age_s=50)) as runtime:
        await runtime.run("1")
    assert "aa" not in [run.run for run in await store.runs.list()]


async def test_a_process_that_died_leaves_a_run_without_an_end(store: DatabaseStore) -> None:
    await keep(store, "aa", at=time.time(), status="running")
    [run] = await store.runs.list()
    assert (run.status, run.calls) == ("running", 1)


async def test_texts_that_a_database_cannot_hold_are_kept_as_far_as_they_can(store: DatabaseStore) -> None:
    await keep(store, "aa", at=time.time(), text="nul \0 half \ud800 end")
    [story] = stories(await store.runs.read("aa")).values()
    assert story.calls[1].queued.data.text.startswith("nul \0 half ")
    assert len(await store.runs.list(search="half end")) == 1


async def test_a_database_that_fails_ends_the_log_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_store(f"sqlite:///{tmp_path / 'runs.db'}")

    def broken(work: object) -> None:
        raise sa.exc.OperationalError("INSERT", {}, Exception("disk full"))

    monkeypatch.setattr(opened, "in_transaction", broken)
    log = opened.run_log()
    async with Runtime(provider="echo", log=log) as runtime:
        assert (await runtime.run("(+ 1 2)")).value == "3"
        await log.aclose()
        assert "the log ends early" in (runtime.log_trouble or "")
    with pytest.raises(StoreError):
        await opened.runs.list()
    await opened.aclose()


async def test_a_list_shows_the_same_figures_of_a_file_and_of_a_store(store: DatabaseStore) -> None:
    """They are counted in one place. Names of models may be anything."""
    at = time.time()
    records: list[Record] = [
        RunStarted(run="ab" * 8, at=at, name="x.scm"),
        CallQueued(run="ab" * 8, at=at, call=1, model="m\n\n<b>"),
        CallSent(run="ab" * 8, at=at + 0.5, call=1),
        CallEnded(run="ab" * 8, at=at + 2, call=1, model="m\n\n<b>", prompt_tokens=3, cost_usd=None),
        CallQueued(run="ab" * 8, at=at, call=2),
        CallEnded(run="ab" * 8, at=at + 1, call=2, status="failed", error="no"),
    ]
    log = store.run_log(max_age_s=1e9)
    for record in records:
        log(record)
    await log.aclose()
    [kept] = await store.runs.list()
    shown = asdict(kept)
    assert shown.pop("bytes") > 0
    assert shown == asdict(figures(stories(records)["ab" * 8]))
    assert (shown["models"], shown["slowest_s"], shown["failed_calls"]) == (("m <b>", "default"), 1.5, 1)

"""What comes while a batch of a run's records is being written to a store is kept as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlm_wasm.runlog.events import Record, RunEnded, RunStarted
from rlm_wasm.runlog.story import RunStory
from rlm_wasm.store.database import DatabaseStore
from rlm_wasm.store.runs import RunRepository, StoreLog


async def test_an_end_that_comes_while_the_beginning_is_written_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DatabaseStore(f"sqlite:///{tmp_path / 'state.db'}")
    log = StoreLog(store, max_age_s=1e12)
    append = RunRepository.append
    batches: list[int] = []

    async def slow(
        self: RunRepository, story: RunStory, first: int, records: list[Record], lines: list[str]
    ) -> None:
        if not batches:
            log(RunEnded(run="aa", at=2.0, status="finished"))
        batches.append(first)
        await append(self, story, first, records, lines)

    monkeypatch.setattr(RunRepository, "append", slow)
    log(RunStarted(run="aa", at=1.0, version=1))
    await log.aclose()
    assert batches == [1, 2]
    lines = await log.runs.lines("aa")
    assert [json.loads(line)["type"] for line in lines] == ["run_started", "run_ended"]
    [kept] = await log.runs.list()
    assert kept.status == "finished"
    await store.aclose()

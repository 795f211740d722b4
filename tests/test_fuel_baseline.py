"""benchmarks/regress.py: what fails, and that its baseline is of its jobs."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def regress() -> ModuleType:
    spec = importlib.util.spec_from_file_location("regress", ROOT / "benchmarks" / "regress.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_baseline_has_every_job_and_no_other(regress: ModuleType) -> None:
    baseline = json.loads(regress.BASELINE.read_text(encoding="utf-8"))
    assert list(baseline) == list(regress.JOBS)
    assert len(baseline) >= 40


def test_two_per_cent_more_is_allowed_and_one_unit_beyond_it_is_not(regress: ModuleType) -> None:
    assert regress.worse({"job": 102_000}, {"job": 100_000}) == []
    assert regress.worse({"job": 102_001}, {"job": 100_000}) == ["job: 100,000 -> 102,001 (+2.0%)"]


def test_a_job_that_takes_less_is_fine(regress: ModuleType) -> None:
    assert regress.worse({"job": 1}, {"job": 100_000}) == []


def test_a_job_without_a_baseline_fails(regress: ModuleType) -> None:
    assert regress.worse({"new": 7}, {}) == ["new: 7, and no baseline"]


async def test_the_count_of_a_job_is_the_same_every_time(
    regress: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("a call", "map-async of 100", "a wrong argument", "hash counting")
    monkeypatch.setattr(regress, "JOBS", {name: regress.JOBS[name] for name in few})
    assert await regress.count() == await regress.count()

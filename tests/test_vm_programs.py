"""benchmarks/programs/: each program says the same in the guest and in CPython, and vm_speed.py measures it fairly."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rlm_wasm import Runtime

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
NAMES = sorted(path.stem for path in (BENCHMARKS / "programs").glob("*.scm"))


@pytest.fixture
def vm_speed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("vm_speed")


def test_there_are_twenty_programs_each_in_three_languages() -> None:
    files = sorted(path.name for path in (BENCHMARKS / "programs").iterdir() if path.is_file())
    assert len(NAMES) >= 20
    assert files == sorted(name + end for name in NAMES for end in (".scm", ".py", ".js"))


@pytest.mark.parametrize("name", NAMES)
async def test_a_program_gives_the_same_answer_in_the_guest_and_in_cpython(
    vm_speed: ModuleType, name: str
) -> None:
    """A ratio of two different things says nothing."""
    program = vm_speed.programs()[name]
    async with Runtime(provider="echo") as runtime:
        result = await runtime.run(program.scheme)
    assert result.ok, result.error
    assert vm_speed.same({"guest": result.value, "CPython": vm_speed.evaluate(program.python)})


class Fakes:
    """Two languages with answers and times as they are given; None: cannot run it."""

    def __init__(self, **answers: list[tuple[Any, float]] | None) -> None:
        self.names = tuple(answers)
        self._answers = answers
        self.asked: list[str] = []

    async def run(self, language: str, program: object) -> tuple[Any, float]:
        self.asked.append(language)
        answers = self._answers[language]
        if answers is None:
            raise NotImplementedError(language)
        return answers.pop(0)


async def test_the_languages_take_turns_and_medians_are_taken(vm_speed: ModuleType) -> None:
    fakes = Fakes(guest=[("7", 3.0), ("7", 1.0), ("7", 2.0)], CPython=[(7, 5.0), (7, 9.0), (7, 6.0)])
    assert await vm_speed.medians(fakes, None, 3) == {"guest": 2.0, "CPython": 6.0}
    assert fakes.asked == ["guest", "CPython"] * 3


async def test_a_language_that_cannot_run_a_program_is_left_out_of_its_line(vm_speed: ModuleType) -> None:
    fakes = Fakes(guest=[("7", 1.0), ("7", 1.0)], monty=None)
    assert await vm_speed.medians(fakes, None, 2) == {"guest": 1.0}
    assert fakes.asked == ["guest", "monty", "guest"]


async def test_answers_that_differ_end_the_benchmark(vm_speed: ModuleType) -> None:
    fakes = Fakes(guest=[("7", 1.0)], CPython=[(8, 1.0)])
    with pytest.raises(SystemExit, match="the answers differ"):
        await vm_speed.medians(fakes, None, 1)


def test_a_mean_counts_only_the_programs_that_the_other_can_run(vm_speed: ModuleType) -> None:
    found = {"a": {"guest": 2.0, "CPython": 1.0, "monty": 4.0}, "b": {"guest": 8.0, "CPython": 1.0}}
    assert vm_speed.mean(vm_speed.ratios(found, "CPython")) == pytest.approx(4.0)
    assert vm_speed.ratios(found, "monty") == [0.5]


def test_a_python_text_without_a_last_expression_is_refused(vm_speed: ModuleType) -> None:
    with pytest.raises(SystemExit, match="its answer"):
        vm_speed.evaluate("x = 1")

"""The long proofs, for a moment each: the Nth thing fails, random programs, damaged bytes, many sessions."""

from __future__ import annotations

import random
import runpy
import sys
from pathlib import Path

import pytest

from proof import compare, fuzz, inputs, soak, sweep
from proof.programs import PROGRAMS
from rlm_wasm import Limits, Result

FEW = {"fuel": 4, "memory": 8, "calls": 3, "cancellation": 12, "store": 3}
"""How many N of each sweep: the commands of docs/testing.md try them all."""


@pytest.mark.parametrize("which", sweep.SWEEPS)
@pytest.mark.parametrize("program", PROGRAMS)
async def test_whatever_fails_the_session_answers_and_its_accounts_agree(which: str, program: str) -> None:
    """The first, the last and some between."""
    runs = [run async for run in sweep.SWEEPS[which](PROGRAMS[program], runs=FEW[which])]
    assert runs


async def test_a_sweep_finds_what_is_wrong() -> None:
    """It is no sweep that cannot fail."""
    provider = sweep.Answers()
    async with sweep.runtime_for(provider) as runtime, runtime.session() as session:
        result = await session.execute('(llm-query #:instruction "q")')
        await sweep.check_after(session, provider, result, "as it was")
        lost = Result(status="ok", execution=type(result.execution)(calls=2))
        with pytest.raises(sweep.Anomaly, match="count calls differently"):
            await sweep.check_after(session, provider, lost, "with a call too many")


async def test_a_sweep_of_memory_ends_in_the_result() -> None:
    """Some cap is enough, and a smaller one is not."""
    deeper = PROGRAMS["deep recursion"].replace("100000", "200000")  # more than the image has room for
    runs = [run async for run in sweep.memory(deeper, runs=12)]
    assert {runs[0].result.status, runs[-1].result.status} == {"limit", "ok"}


async def test_random_programs_give_the_same_in_slices_and_through_snapshots() -> None:
    """From a fixed seed here, from a new one with each run of the command."""
    report = await fuzz.ways(fuzz.Clock(inputs=40), seed=7)
    assert report.found == []
    assert report.tried == 40


async def test_random_programs_end_with_a_value_and_make_calls() -> None:
    """Otherwise the comparison would compare errors."""
    rng = random.Random(11)
    results = [
        await fuzz._plain(fuzz.Generator(rng).program(), Limits(fuel=2_000_000_000)) for _ in range(30)
    ]
    assert [result.status for result in results] == ["ok"] * 30
    assert sum(result.execution.calls for result in results) > 10


async def test_damaged_messages_and_snapshots_are_refused_or_do_no_harm() -> None:
    """Never another exception than the project's own."""
    report = await fuzz.border(fuzz.Clock(inputs=1_500), seed=7)
    assert report.found == []


def test_damaged_programs_crash_nothing_in_the_native_build() -> None:
    """With sanitizers where the machine has them."""
    import native

    try:
        report = fuzz.core(fuzz.Clock(inputs=60), seed=7)
    except native.NoNativeBuild as error:
        pytest.skip(str(error))
    assert report.found == []


def test_damaged_texts_have_the_answers_that_python_gives() -> None:
    """JSON, numbers, data and regular expressions, and damaged messages, in the native build."""
    import native

    try:
        report = fuzz.data(fuzz.Clock(inputs=24), seed=7)
    except native.NoNativeBuild as error:
        pytest.skip(str(error))
    assert report.found == []
    assert report.tried > 600


def test_the_kept_corpora_have_the_answers_that_python_gives() -> None:
    """As they are: what a fuzzer once found is in them."""
    import native

    try:
        built = native.build(say=lambda text: None)
    except native.NoNativeBuild as error:
        pytest.skip(str(error))
    report = fuzz.Report()
    with native.Sessions(built, native.Options(seconds=60)) as sessions:
        for name, kind in inputs.KINDS.items():
            texts = inputs.corpus(name)
            answers = fuzz._answers(sessions, kind, texts, report)
            for text, answer in zip(texts, answers, strict=True):
                assert answer is not None, (name, text)
                assert kind.judge(text, answer) is None, (name, text)
        for text in inputs.corpus("messages"):
            assert sessions.send(bytes.fromhex(text)).crash is None
    assert report.found == []


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("json", "[1]", ["ok", "[1.0]"]), ("json", "[1", ["ok", "[1]"]), ("json", "[1]", ["error", "bad JSON"]),
        ("json", '{"a":1,"b":2}', ["ok", '{"a":1}']), ("json", "NaN", ["ok", "null"]),
        ("numbers", "12", ["ok", ["13", True]]), ("numbers", "-0.0", ["ok", ["0.0", True]]),
        ("numbers", "2/4", ["ok", ["2/4", True]]), ("numbers", "1.5", ["ok", [False, True]]),
        ("numbers", "#xff", ["ok", ["255", False]]), ("numbers", "1", ["error", "trouble"]),
        ("reader", "(1)", ["ok", "(1 . ())"]), ("patterns", "a+\nbaa", ["ok", ["a"]]),
        ("patterns", "(a)|(b)\nb", ["ok", ["b", "", "b"]]), ("patterns", "c\na", ["ok", ["c"]]),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_told(kind: str, text: str, answer: list[object]) -> None:
    """They are no judges that let everything pass."""
    assert inputs.KINDS[kind].judge(text, answer)


async def test_many_sessions_leave_nothing_behind() -> None:
    """Cancelled, forked, snapshotted, reset, starved."""
    figures = await soak.soak(300, at_once=20)
    assert figures.wrong == []
    assert figures.executions >= 300
    assert set(figures.statuses) >= {"ok", "limit", "cancelled"}


@pytest.mark.parametrize("which", compare.NUMBERS)
def test_numbers_are_what_python_says_they_are(which: str) -> None:
    """From a fixed seed here, from a new one with each run of the command."""
    import native

    try:
        report = compare.run(which, fuzz.Clock(inputs=3), seed=5)
    except native.NoNativeBuild as error:
        pytest.skip(str(error))
    assert report.found == []
    assert report.tried == 3 * compare.BATCH


def test_a_comparison_finds_what_differs() -> None:
    """It is no comparison that cannot fail; and Python's forms are the language's."""
    shown = [
        compare.shown(number)
        for number in (
            1.0,
            -0.0,
            1e21,
            1e13,
            1234567890123456789.0,
            1e-7,
            0.0001,
            0.00012,
            1e-5,
            5e-324,
            123.456,
            float("inf"),
        )
    ]
    assert shown == [
        "1.0",
        "-0.0",
        "1e+21",
        "10000000000000.0",
        "1234567890123456800.0",
        "1e-7",
        "0.0001",
        "0.00012",
        "1e-5",
        "5e-324",
        "123.456",
        "+inf.0",
    ]
    assert compare._comparable("1\n\nerror: car: no") == compare._comparable("1\n\nerror: something else")
    assert compare._comparable("1\n") != compare._comparable("2\n")


async def test_random_programs_for_racket_run_and_print() -> None:
    """Otherwise the comparison would compare failures. Racket itself is only there for the command."""
    rng = random.Random(3)
    async with sweep.runtime_for(sweep.Answers(), limits=Limits(fuel=2_000_000_000)) as runtime:
        results = [await runtime.run(compare.Programs(rng).program()) for _ in range(30)]
    assert sum(result.status == "ok" for result in results) >= 25
    assert sum(result.stdout.count("failed") for result in results) < 60
    assert all(result.stdout for result in results if result.status == "ok")


def test_without_racket_the_comparison_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path and the variable are named."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("RLM_WASM_RACKET", raising=False)
    with pytest.raises(compare.NoRacketError, match="RLM_WASM_RACKET"):
        compare.Racket()


def test_the_guided_fuzzer_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where atheris is not installed, in a sentence."""
    monkeypatch.setitem(sys.modules, "atheris", None)  # as if it were not
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit, match="needs atheris, which is not installed"):
        runpy.run_path(str(Path(__file__).parent / "guided.py"))

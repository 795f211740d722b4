"""The core as a native process, with sanitizers: a sample of the test programs, and what the driver says."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import native
import pytest

SAMPLE = 40


@pytest.fixture(scope="module")
def built() -> native.Native:
    """The build; made only where the C changed."""
    try:
        return native.build(say=lambda text: None)
    except native.NoNativeBuild as error:
        pytest.skip(str(error))


@pytest.fixture
def sessions(built: native.Native) -> Iterator[native.Sessions]:
    """A booted process."""
    with native.Sessions(built) as made:
        yield made


def test_a_sample_of_the_corpora_runs_as_expected(built: native.Native) -> None:
    """No crash, no complaint of a sanitizer, no broken invariant, and the same output as the guest's."""
    sample = native.spread(native.cases(), SAMPLE)
    report = native.run_cases(built, sample)
    assert report.failed == {}
    assert report.passed + len(report.skipped) == SAMPLE
    assert report.passed > SAMPLE * 3 / 4


def test_programs_survive_a_collection_after_every_allocation(built: native.Native) -> None:
    """What the collector moves, nobody holds on to: small programs of several kinds."""
    programs = {
        "(map (lambda (x) (* x x)) '(1 2 3))": "(1 4 9)",
        '(string-append "a" (number->string (expt 7 30)))': "a22539340290692258087863249",
        "(hash-ref (hash-set (hash 'a 1) 'b (list 2)) 'b)": "(2)",
        "(call/cc (lambda (k) (for-each k '(1 2)) 3))": "1",
    }
    with native.Sessions(built, native.Options(collect_every=1)) as sessions:
        for source, value in programs.items():
            outcome = sessions.run(source)
            assert outcome.crash is None
            assert outcome.outcome is not None
            assert outcome.outcome["value"] == value


def test_a_time_slice_may_end_anywhere(built: native.Native) -> None:
    """Seven steps at a time: every long operation goes on where it stopped."""
    with native.Sessions(built, native.Options(steps=7)) as sessions:
        outcome = sessions.run("(println (sort '(3 1 2) <)) (string-length (number->string (expt 3 2000)))")
    assert (outcome.crash, outcome.stdout) == (None, "'(1 2 3)\n")
    assert outcome.outcome is not None
    assert outcome.outcome["value"] == "955"


def test_memory_that_cannot_grow_ends_the_program_with_the_limit(built: native.Native) -> None:
    """The emergency collection has room to copy, the program is dropped, and the host is told."""
    sources = [
        "(let loop ((kept '())) (loop (cons (make-vector 100 0) kept)))",
        '(let loop ((s "0123456789")) (loop (string-append s s)))',
        "(define (deep n) (+ 1 (deep (+ n 1)))) (deep 0)",
    ]
    with native.Sessions(built, native.Options(memory_mib=24)) as sessions:
        for source in sources:
            outcome = sessions.run(source)
            assert outcome.crash is None
            assert "limit exceeded: memory_bytes" in native.error_text(outcome)
        small = sessions.run("(length (iota 1000))").outcome
    assert small is not None
    assert small["value"] == "1000"


def test_sessions_do_not_see_each_other(sessions: native.Sessions) -> None:
    """Each is forked from the booted image."""
    assert sessions.run("(define x 1) x").crash is None
    assert "unbound variable: x" in native.error_text(sessions.run("x"))


def test_a_program_that_needs_the_host_ends_where_it_waits(sessions: native.Sessions) -> None:
    """Nobody answers, and the operation is named."""
    outcome = sessions.run('(println "before") (syntax-e (llm-query #:instruction "hello"))')
    assert outcome.waits_for == "llm"
    assert outcome.outcome is None


def test_a_wrong_expectation_is_reported(built: native.Native) -> None:
    """With what came instead."""
    case = native.Case("wrong", "(println 1)", native.prints("2\n"))
    report = native.run_cases(built, [case])
    assert report.failed == {"wrong": "gave '1\\n'\n    instead of '2\\n'"}


def test_the_driver_prints_output_value_and_error(built: native.Native, tmp_path: Path) -> None:
    """The value of a program from a file; an error with its place; the exit status tells them apart."""
    program = tmp_path / "program.scm"
    program.write_text('(display "out ") (+ 1 2)', encoding="utf-8")

    def run(source: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*native.command_line(built), source],
            cwd=native.ROOT,
            env=native.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    good = run(str(program))
    assert (good.stdout, good.stderr, good.returncode) == ("out 3\n", "", 0)
    bad = run("-", "\n (car 1)")
    assert bad.returncode == 1
    assert "type: exn:fail:contract\n" in bad.stderr
    assert "line: 2\ncolumn: 2\n" in bad.stderr

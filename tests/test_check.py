"""``session.check``: what is wrong with a program, before any of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_wasm import Limits, Runtime
from rlm_wasm.errors import LimitExceeded, UsageError
from rlm_wasm.testing import InlineProvider

ROOT = Path(__file__).parents[1]
RIGHT = sorted(
    [*(ROOT / "tests" / "corpus" / "dialect").glob("*.rkt"), *(ROOT / "examples").rglob("*.scm")],
)
CHECKS = (ROOT / "tests" / "scheme" / "r7rs" / "check.scm").read_text(encoding="utf-8")
SUITES = sorted(
    path
    for path in (ROOT / "tests" / "scheme").rglob("*.scm")
    # these use unbound names on purpose, or libraries that their tests hand in
    if path.name not in ("6.11-exceptions.scm", "core.scm", "check.scm")
    and path.parent.name in ("r7rs", "srfi")
)


async def found(runtime: Runtime, program: str) -> list[str]:
    """The problems, as they are shown."""
    async with runtime.session() as session:
        return [str(problem) for problem in await session.check(program)]


@pytest.mark.parametrize("program", RIGHT, ids=lambda path: path.stem)
async def test_a_program_that_runs_rightly_has_no_problem(runtime: Runtime, program: Path) -> None:
    """No corpus program and no example."""
    assert await found(runtime, program.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
async def test_no_check_of_the_standard_has_an_error(runtime: Runtime, suite: Path) -> None:
    """They define libraries, evaluate, and bind in every way there is."""
    problems = await found(runtime, CHECKS + suite.read_text(encoding="utf-8"))
    assert [problem for problem in problems if problem.startswith("error")] == []


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (
            "(define (f x)\n  (if x (strng-append x) 1))",
            "error: unbound variable: strng-append (line 2, column 9).",
        ),
        (
            "(if #f (f 1 2)) (define (f x) x)",
            "error: f: called with a wrong number of arguments: 2 (line 1, column 8).",
        ),
        ("(define (f x [y 1]) x) (lambda () (f))", "It takes 1 to 2."),
        ("(lambda () (hash-ref))", "error: hash-ref: called with a wrong number of arguments: 0"),
        ("(lambda () (map-async car '() #:onerror 1))", "error: map-async: there is no keyword #:onerror"),
        ('(lambda () (llm-query #:instructoin "q"))', "error: llm-query: there is no keyword #:instructoin"),
        ("(define (f #:a a [x 1]) a) (lambda () (f #:b 1))", "error: f: there is no keyword #:b"),
        ("(define (f #:a a [x 1]) a) (lambda () (f 1))", "error: f: the keyword #:a is missing"),
        (
            "(define (f #:a [a 1]) a) (lambda () (f 1 #:a 2))",
            "error: f: called with a wrong number of arguments: 1",
        ),
        ('(lambda () (regexp "a("))', "error: "),
        (r'(lambda (s) (string-contains? s "\\d"))', r'warning: string-contains?: "\\d" is a string'),
        (r'(lambda (s) (regexp-match? #rx"\\d" s))', "means that letter"),
        (
            "(lambda (v) (match v [(pont x) x]))",
            "error: match: there is no pattern, and no struct, named pont",
        ),
        ("(lambda () (let ([x]) x))", "error: "),
        ("(lambda () (list 1 2)", "error: "),
        ("(require racket/lisst)", "did you mean racket/list?"),
        ("(eval 'x) (lambda () (f))", "warning: unbound variable: f"),
    ],
)
async def test_what_would_fail_only_later_is_found_first(
    runtime: Runtime, program: str, problem: str
) -> None:
    """With its place, and what to write."""
    (shown,) = await found(runtime, program)
    assert problem in shown


async def test_every_problem_is_listed_in_the_order_of_its_place(runtime: Runtime) -> None:
    """Mending them one at a time would cost a turn each."""
    async with runtime.session() as session:
        problems = await session.check("(define (f) (g 1))\n(car 1 2)\n(define (h) (g 2) (k))")
    assert [(p.line, p.message.split(":")[1].strip()) for p in problems] == [
        (1, "g"),
        (2, "called with a wrong number of arguments"),
        (3, "k"),
    ]


@pytest.mark.parametrize(
    "program",
    [
        "(define (f) (g)) (define (g) 1)",
        "(define f #f) (set! f (lambda (a b) a)) (f 1 2)",
        "(define (f x) x) (set! f (lambda (a b) a)) (f 1 2)",
        "(struct p (x y) #:transparent) (define (f v) (match v [(p a b) a])) (p-x (p 1 2))",
        "(define-syntax-rule (twice e) (begin e e)) (twice (display 1))",
        "(define (f #:a [a 1] . rest) a) (f) (f #:a 2 3 4) (f 1 2)",
        "(define (f . rest) (apply llm-query rest)) (apply f '())",
        "(list #:a 1) (hash-union (hash) (hash) #:combine +)",
        "(define-values (a b) (values 1 2)) (+ a b)",
        "(define (take l) l) (take '(1))",
        '(string-append context (get-context "x" ""))',
        "(import (srfi 1)) (fold + 0 '(1 2))",
        "(helper 1) x",
    ],
)
async def test_what_a_program_or_its_session_defines_is_known(program: str) -> None:
    """Below, by set!, by macros, by libraries, by the embedder, by an earlier program."""
    async with Runtime(provider="echo", host_functions={"helper": lambda x: x}) as runtime:
        async with runtime.session() as session:
            await session.execute("(define x 1)")
            assert await session.check(program) == ()
        async with runtime.session() as fresh:
            assert await fresh.check(f"(define x 1) {program}") == ()


async def test_checking_runs_nothing_and_leaves_the_session_as_it_was(answers: InlineProvider) -> None:
    """Neither definitions nor calls nor output; also in the code of a macro."""
    program = (
        '(display "out") (define y 2) (llm-query #:instruction "q") (set! x 5)'
        "(define-syntax m (er-macro-transformer (lambda (form rename compare)"
        ' (llm-query #:instruction "in a macro")))) (m)'
    )
    async with Runtime(provider=answers) as runtime, runtime.session() as session:
        await session.execute("(define x 1)")
        (problem,) = await session.check(program)
        assert problem.severity == "warning"
        assert "cannot be checked" in problem.message
        assert (await session.execute("x")).data == 1
        assert "unbound variable: y" in str((await session.execute("y")).error)
    assert answers.requests == []


async def test_a_macro_without_end_ends_by_the_limits() -> None:
    """As a program would."""
    async with (
        Runtime(provider="echo", limits=Limits(fuel=200_000_000)) as runtime,
        runtime.session() as session,
    ):
        with pytest.raises(LimitExceeded):
            await session.check(
                "(define-syntax m (er-macro-transformer (lambda (f r c) (let loop () (loop))))) (m)"
            )
        assert (await session.execute("1")).data == 1


async def test_a_program_that_is_no_text_is_refused(runtime: Runtime) -> None:
    """Bytes are none; what cannot be read is a problem."""
    async with runtime.session() as session:
        with pytest.raises(UsageError):
            await session.check(b"1")  # type: ignore[arg-type]
        assert [p.severity for p in await session.check("(a\0b)")] == ["error"]

"""Loops that count: what their own instructions do is what the instructions behind them would have done."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime
from rlm_wasm.session import Session

FIXNUM_MOST = 2**62 - 1
TURNS = 6
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
}


@pytest.fixture
async def session() -> Session:
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        yield session


EDGES = (0, 7, -7, 2046, 2048, -2049, 2**29, 2**30, -(2**30), 2**61, -(2**61), FIXNUM_MOST, -FIXNUM_MOST - 1)
NEAR = st.tuples(st.sampled_from(EDGES), st.integers(-4, 4)).map(sum)
STARTS = NEAR | st.sampled_from([0.5, -3.0])


def written(number: float) -> str:
    return str(number)


def expected(compare: str, start: Any, step: int, limit: Any, inverted: bool) -> tuple[str, list[Any]]:
    """How the loop ends, and what its variable was, turn by turn."""
    went, i = [], start
    for _ in range(TURNS):
        if COMPARISONS[compare](i, limit) == inverted:
            return "end", went
        went.append(i)
        i += step
    return "cut", went


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(COMPARISONS)),
    STARTS,
    st.integers(-3, 3) | st.sampled_from([2047, -2047, 5000]),
    STARTS,
    st.sampled_from(["literal", "local", "global", "first"]),
    st.booleans(),
    st.permutations(["i", "n", "went"]),
)
@example("<", FIXNUM_MOST - 2, 1, FIXNUM_MOST, "literal", False, ["i", "n", "went"])
@example("<", FIXNUM_MOST - 1, 2, FIXNUM_MOST, "local", False, ["n", "went", "i"])
@example(">", -FIXNUM_MOST, -1, -FIXNUM_MOST - 1, "global", False, ["n", "i", "went"])
@example("=", FIXNUM_MOST, 1, 3, "literal", True, ["i", "n", "went"])
async def test_a_loop_that_counts_goes_through_the_numbers_that_it_says(
    compare: str, start: Any, step: int, limit: Any, kind: str, inverted: bool, order: list[str]
) -> None:
    names = {"literal": written(limit), "local": "limit", "global": "the-limit", "first": "limit"}
    test = f"({compare} {names[kind]} i)" if kind == "first" else f"({compare} i {names[kind]})"
    if kind == "first":
        compare = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}[compare]
    begun = {"i": written(start), "n": "0", "went": "'()"}
    turn = {"i": f"(+ i {step})" if step >= 0 else f"(- i {-step})", "n": "(+ n 1)", "went": "(cons i went)"}
    again = f"(loop {' '.join(turn[name] for name in order)})"
    on = f"(if (= n {TURNS}) (list 'cut (reverse went)) {again})"
    end = "(list 'end (reverse went))"
    branches = f"{end} {on}" if inverted else f"{on} {end}"
    program = (
        f"(define the-limit {written(limit)}) (define (run limit) (let loop ("
        + " ".join(f"[{name} {begun[name]}]" for name in order)
        + f") (if {test} {branches}))) (run the-limit)"
    )
    async with Runtime(provider="echo") as runtime:
        result = await runtime.run(program)
    how, went = expected(compare, start, step, limit, inverted)
    assert result.ok, (program, result.error)
    assert result.value == f"({how} ({' '.join(map(written, went))}))" if went else f"({how} ())"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("(let loop ([a 1] [b 2] [n 0]) (if (= n 3) (list a b) (loop b a (+ n 1))))", "(2 1)"),
        ("(let loop ([a 0] [b 1] [n 0]) (if (< n 10) (loop b (+ a b) (+ n 1)) a))", "55"),
        ("(let loop ([i 0] [s 0]) (if (< i 10) (let ([x (* i i)]) (loop (+ i 1) (+ s x))) s))", "285"),
        ("(let loop ([i 0] [s 0]) (if (< i 4) (loop (+ i 1) (+ s 0.5)) s))", "2.0"),
        (
            "(let loop ([i 0] [s 4611686018427387900]) (if (< i 4) (loop (+ i 1) (+ s i)) s))",
            "4611686018427387906",
        ),
        (
            "(let loop ([i 0] [s 4611686018427387900]) (if (< i 4) (loop (+ i 1) (+ s (* i 2))) s))",
            "4611686018427387912",
        ),
        ("(let loop ([i 0] [l '()]) (if (= i 3) l (loop (+ i 1) (cons (* i i) l))))", "(4 1 0)"),
        (
            "(let loop ([i 0] [k (lambda () 0)]) (if (< i 3) (loop (+ i 1) (lambda () (cons i (k)))) (k)))",
            "(2 1 0 . 0)",
        ),
        ("(let loop ([i 3] [s '()]) (if (zero? i) s (loop (- i 1) (cons i s))))", "(1 2 3)"),
        (
            "(let outer ([i 0] [s 0]) (if (< i 3) (let inner ([j i] [s s]) (if (< j 3) (inner (+ j 1) (+ s j)) (outer (+ i 1) s))) s))",
            "8",
        ),
        (
            "(define n 3) (let loop ([i 0]) (if (< i n) (begin (if (= i 1) (set! n 5)) (loop (+ i 1))) i))",
            "5",
        ),
        (
            "(define n 3) (let loop ([i 0]) (if (< i n) (begin (if (= i 1) (set! n 2.5)) (loop (+ i 1))) i))",
            "3",
        ),
        ("(let loop ([i 0] [j 10]) (if (< i j) (loop (+ i 1) (- j 1)) (list i j)))", "(5 5)"),
        (
            "(let loop ([i 0] [l '()]) (begin (if (= i i) (set! l (cons i l))) (if (< (length l) 3) (loop (+ i 1) l) l)))",
            "(2 1 0)",
        ),
        ("(let loop ([i 9]) (if (or (>= i i) (eq? i 3)) (if (= i 0) 'went (loop (- i 1))) i))", "went"),
        (
            "(let loop ([i 0]) (let ([same i]) (if (not (<= i same)) 'left (if (= i 5) i (loop (+ i 1))))))",
            "5",
        ),
        ("(let loop ([i 0]) (cond [(< i 5) (loop (+ i 1))] [(< i 9) (loop (+ i 2))] [else i]))", "9"),
        ("(for*/sum ([i 4] [j (in-range i 4)]) (* i j))", "25"),
        ("(for/sum ([x '(1 2 3)] [i (in-naturals)]) (* x i))", "8"),
        ("(let loop ([i 0] [x 5]) (let ([y x]) (if (< i 3) (loop (+ i 1) (+ y i)) (list x y))))", "(8 8)"),
        ("(let ([x 1]) (let ([y x]) (set! x 2) (list x y)))", "(2 1)"),
        ("(let ([x 1]) (let ([y x]) (set! y 2) (list x y)))", "(1 2)"),
    ],
)
async def test_variables_of_a_loop_have_the_values_of_the_turn_before(
    session: Session, source: str, value: str
) -> None:
    assert (await session.execute(source)).value == value


async def test_a_continuation_taken_in_a_turn_finds_the_turns_values_again(session: Session) -> None:
    source = """
      (define again #f)
      (define tries 0)
      (define out
        (let loop ([i 0] [s 0])
          (if (< i 5)
              (loop (+ i 1) (+ s (call/cc (lambda (k) (if (= i 2) (set! again k)) i))))
              s)))
      (set! tries (+ tries 1))
      (if (< tries 3) (again (* 100 tries)) out)"""
    assert (await session.execute(source)).value == "208"


@pytest.mark.parametrize(
    ("source", "message", "line"),
    [
        (
            "(let loop ([i 0] [s 0])\n  (if (< i 5)\n      (loop (+ i 1)\n            (+ s (if (= i 3) 'x i)))\n      s))",
            "+",
            4,
        ),
        ("(let loop ([i 'a])\n  (if (< i 5)\n      (loop (+ i 1)) i))", "<", 2),
        ("(define n 'x)\n(let loop ([i 0])\n  (if (< i n)\n      (loop (+ i 1)) i))", "<", 3),
        ("(let loop ([i 0] [j 'x])\n  (if (< i 5)\n      (loop (+ i 1)\n            (+ j 1)) i))", "+", 4),
    ],
)
async def test_an_error_in_a_turn_names_its_place(
    session: Session, source: str, message: str, line: int
) -> None:
    error = (await session.execute(source)).error
    assert error.message.startswith(message)
    assert error.line == line


@pytest.mark.parametrize("limit", ["1000000", "n", "the-limit"])
async def test_a_loop_that_counts_is_preempted_as_any_other(limit: str) -> None:
    """Its turns are steps: another fiber gets its turn, and a limit of fuel ends it."""
    source = f"(define the-limit 1000000) (define (run n) (let loop ([i 0]) (if (< i {limit}) (loop (+ i 1)) i))) (run the-limit)"
    async with (
        Runtime(provider="echo", limits=Limits(fuel=20_000_000)) as runtime,
        runtime.session() as session,
    ):
        result = await session.execute(source)
        assert (result.status, result.error.kind) == ("limit", "fuel")
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        side = "(define seen '()) (define h (spawn (lambda () (set! seen (cons 'side seen))))) "
        result = await session.execute(side + source + " (set! seen (cons 'main seen)) (await h) seen")
        assert result.value == "(main side)"


async def test_a_turn_of_a_loop_takes_no_more_than_its_due(session: Session) -> None:
    """In fuel, where it only counts: see docs/performance.md."""

    async def turns(source: str) -> float:
        fuel = []
        for limit in (100_000, 200_000):
            await session.execute(source.replace("LIMIT", str(limit)))
            fuel.append((await session.execute(source.replace("LIMIT", str(limit)))).execution.fuel)
        return (fuel[1] - fuel[0]) / 100_000

    assert await turns("(let loop ((i 0)) (if (< i LIMIT) (loop (+ i 1)) i))") <= 60
    assert await turns("(do ((i 0 (+ i 1))) ((= i LIMIT) i))") <= 60
    assert await turns("(for ([i LIMIT]) i)") <= 60
    assert await turns("(let loop ((i LIMIT)) (if (> i 0) (loop (- i 1)) i))") <= 60
    assert await turns("(for/sum ([i LIMIT]) i)") <= 130

"""What the machine does in one instruction for several: sorting by a procedure, loops that count, pairs taken apart, sums of products."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scheme.dialect.test_as_racket import Cases, cases, prints, ran

LARGEST = 2**62 - 1  # of the integers that take no object


# ---- sorting by a procedure ----

KEYS = st.lists(st.integers(-5, 5), max_size=40)


@settings(max_examples=25, deadline=None)
@given(KEYS)
async def test_sorting_by_a_procedure_keeps_the_order_of_what_is_equal(keys: list[int]) -> None:
    """By the items, by a key, falling, and of vectors; Python's sort is stable, too."""
    items = [(key, place) for place, key in enumerate(keys)]

    def shown(found: list[tuple[int, int]]) -> str:
        return f"({' '.join(f'({key} {place})' for key, place in found)})"

    result = await ran(
        f"(define items '{shown(items)}) (define (less a b) (< (car a) (car b)))"
        "(for-each writeln (list (sort items less) (sort items (λ (a b) (< a b)) #:key car) (sort items (λ (a b) (> (car a) (car b))))"
        " (vector->list (vector-sort (list->vector items) less)) items))"
    )
    rising = sorted(items, key=lambda item: item[0])
    falling = sorted(items, key=lambda item: -item[0])
    assert result.error is None
    assert result.stdout.splitlines() == [
        shown(rising),
        shown(rising),
        shown(falling),
        shown(rising),
        shown(items),
    ]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=12), st.integers(0, 20))
async def test_a_comparison_that_is_entered_again_sorts_what_there_was(items: list[int], which: int) -> None:
    """With the other answer: as if that had been the answer at once, whatever has been sorted since."""
    result = await ran(
        f"(define items '({' '.join(map(str, items))})) (define kept #f)"
        "(define (answers change) (let ([asked 0]) (λ (a b) (set! asked (+ asked 1)) (change (- asked 1) (< a b)))))"
        f"(define at-once (sort items (answers (λ (n less) (if (= n {which}) (not less) less)))))"
        "(define found '())"
        "(let ([sorted (sort items (answers (λ (n less)"
        f" (if (= n {which}) (call/cc (λ (k) (set! kept (cons k less)) less)) less))))])"
        " (set! found (cons sorted found))"
        " (when kept (let ([k kept]) (set! kept #f) ((car k) (not (cdr k))))))"
        "(list (equal? (last found) (sort items <)) (or (null? (cdr found)) (equal? (car found) at-once)))"
    )
    assert result.error is None
    assert result.value == "(#t #t)"


SORTED: Cases = [
    (
        "an order that escapes",
        "(let/ec out (sort '(3 1 2) (λ (a b) (out (list a b)))))",
        "'(2 1)\n",
    ),
    (
        "an order that sorts",
        "(sort '((3 1) (2 9) (1 7)) (λ (a b) (< (car (sort a (λ (x y) (< x y)))) (car (sort b (λ (x y) (< x y)))))))",
        "'((3 1) (1 7) (2 9))\n",
    ),
    ("an order that is a primitive", '(sort (list "b" "A") string-ci<?)', '\'("A" "b")\n'),
]


@cases(SORTED)
async def test_an_order_may_be_any_procedure(program: str, printed: str) -> None:
    """What it does beside comparing is its own matter."""
    await prints(program, printed)


async def test_a_wrong_order_is_told_with_its_place() -> None:
    """A comparison that fails is the program's: the machine's own frame is in no trace."""
    result = await ran("(define (by a b)\n  (< (car a) (car b)))\n(sort (list '(1) '(2) 3) by)")
    assert result.error is not None
    assert (result.error.line, result.error.message.splitlines()[0]) == (2, "car: contract violation")
    assert not any("merge" in str(frame) for frame in result.error.backtrace)
    result = await ran("(sort '(1 2 3) (λ (a) #t))")
    assert result.error is not None
    assert "arity" in result.error.type


# ---- loops that count ----

NUMBER = st.one_of(
    st.integers(-3, 12),
    st.integers(LARGEST - 4, LARGEST + 4),
    st.integers(-12, 48).map(lambda n: n / 4),
)


@settings(max_examples=40, deadline=None)
@given(NUMBER, NUMBER, st.sampled_from(["<", ">=", "=", ">", "<="]), st.booleans())
async def test_a_loop_that_counts_turns_as_often_as_one_that_adds(
    start: float, limit: float, order: str, known: bool
) -> None:
    """Up to small integers' end and beyond, with fractions, and with nothing to do; 30 turns at the most."""
    begin, end = ("i", repr(limit) if known else "limit")
    result = await ran(
        f"(define (by-one limit) (let loop ([n 0] [i {start}]) (if (and (< n 30) ({order} i {end})) (loop (+ n 1) (+ i 1)) (list n i))))"
        f"(define (first limit) (let loop ([{begin} {start}] [n 0]) (if ({order} i {end}) (if (< n 30) (loop (+ i 1) (+ n 1)) (list n i)) (list n i))))"
        f"(define (alone limit) (let ([n 0]) (let loop ([i {start}]) (if ({order} i {end}) (begin (set! n (+ n 1)) (if (= n 31) (list 30 (- i 0)) (loop (+ i 1)))) (list n i)))))"
        f"(define one (car (list 1))) (define test (car (list {order})))"
        f"(define (plain limit) (let loop ([n 0] [i {start}]) (if (and (< n 30) (test i limit)) (loop (+ n one) (+ i one)) (list n i))))"
        f"(define expected (plain {limit}))"
        f"(list (equal? (by-one {limit}) expected) (equal? (first {limit}) expected) (equal? (alone {limit}) expected))"
    )
    assert result.error is None
    assert result.value == "(#t #t #t)"


@pytest.mark.parametrize(
    ("program", "line", "message"),
    [
        ("(let loop ([i 0])\n  (if (< i 'x)\n      (loop (+ i 1))\n      i))", 2, "<: contract violation"),
        (
            '(let loop ([n 1] [i "a"])\n  (if (< n 2)\n   (loop n\n         (+ i 1))\n  i))',
            4,
            "+: contract violation",
        ),
        ('(define (f x y)\n  (+ 1\n     (* x y)))\n(f 2 "a")', 3, "*: contract violation"),
        ('(define (f x y)\n  (+ "s"\n     (* x y)))\n(f 2 3)', 2, "+: contract violation"),
        ("(define (f x)\n  (if (char=? x\n   #\\a) 1 2))\n(f 5)", 2, "char=?: contract violation"),
        ("(define (f x)\n  (if (null?\n    (cdr x)) 1 2))\n(f 5)", 3, "cdr: contract violation"),
    ],
)
async def test_what_fails_in_the_middle_has_its_own_place(program: str, line: int, message: str) -> None:
    """Though one instruction does it together with another."""
    result = await ran(program)
    assert result.error is not None
    assert (result.error.line, result.error.message.splitlines()[0]) == (line, message)


# ---- sums of products ----

FACTOR = st.one_of(
    st.integers(-9, 9),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)


@settings(max_examples=40, deadline=None)
@given(FACTOR, FACTOR, FACTOR)
async def test_a_sum_with_a_product_is_the_sum_of_the_product(x: float, y: float, z: float) -> None:
    """Of locals and of what was computed, small, large and with fractions."""
    result = await ran(
        "(define times (car (list *))) (define plus (car (list +)))"
        "(define (f x y z) (+ z (* x y))) (define (g x y z) (+ z (* (car x) (car y))))"
        f"(define expected (plus {z} (times {x} {y})))"
        f"(list (eqv? (f {x} {y} {z}) expected) (eqv? (g (list {x}) (list {y}) {z}) expected))"
    )
    assert result.error is None
    assert result.value == "(#t #t)"


# ---- tests and pairs ----

TESTS: Cases = [
    (
        "and with predicates",
        "(define (f x y) (list (and (null? x) y) (and (pair? x) (car x)) (and (eq? x 'a) (eq? y 'b) 'both) (and (not x) (not y))))"
        "(f '() 1) (f '(2) 3) (f 'a 'b) (f #f #f) (f #f 1)",
        "'(1 #f #f #f)\n'(#f 2 #f #f)\n'(#f #f both #f)\n'(#f #f #f #t)\n'(#f #f #f #f)\n",
    ),
    (
        "or with predicates",
        "(define (f x y) (list (or (null? x) y) (or (pair? x) (eq? y 'b) 'neither) (or (not x) y)))"
        "(f '() 1) (f '(2) 3) (f 'a 'b) (f #f #f)",
        "'(#t neither 1)\n'(3 #t 3)\n'(b #t b)\n'(#f neither #t)\n",
    ),
    (
        "for their effect",
        "(define (f x) (and (pair? x) (display (car x))) (or (null? x) (display \"!\")) (void)) (f '(1)) (f '())",
        "1!",
    ),
    (
        "pairs taken apart",
        "(define (f x) (if (pair? x) (let ([a (car x)] [d (cdr x)]) (list a d)) 'no)) (define (g x) (if (pair? x) (cdr x) 'no))"
        "(define (h x) (if (pair? x) (if (null? (cdr x)) (car x) 'more) 'no)) (map (λ (x) (list (f x) (g x) (h x))) '((1 . 2) (1) (1 2) 3))",
        "'(((1 2) 2 more) ((1 ()) () 1) ((1 (2)) (2) more) (no no no))\n",
    ),
    (
        "constants",
        "(define (f x) (cond [(eq? x 'a) 1] [(eqv? 5 x) 2] [(eq? #\\b x) 3] [(not (eq? x '())) 4] [else 5])) (map f '(a 5 #\\b c ()))",
        "'(1 2 3 4 5)\n",
    ),
    (
        "characters and types",
        "(define (f x y) (list (if (char=? x y) 1 2) (if (string? x) 1 2) (if (symbol? y) 1 2))) (f #\\a #\\a) (f #\\a #\\b)",
        "'(1 2 2)\n'(2 2 2)\n",
    ),
]


@cases(TESTS)
async def test_a_test_that_makes_no_boolean_means_the_same(program: str, printed: str) -> None:
    """Whether its value is wanted, or only where it leads."""
    await prints(program, printed)

"""Errors name the line in which they arose, also where a tail call or a fiber left no frame of it."""

from __future__ import annotations

import pytest

from rlm_wasm import Limits, ProviderError, Runtime
from rlm_wasm.testing import InlineProvider

CHECK = '(define (check x)\n  (error "bad" x))\n'


@pytest.mark.parametrize(
    ("program", "place"),
    [
        (CHECK + "(+ 1 (check 1))", (2, 3)),
        (CHECK + "(check 1)", (2, 3)),
        (CHECK + "(map-async check (list 1 2))", (2, 3)),
        (CHECK + "(parallel (list (lambda ()\n  (check 1))))", (2, 3)),
        (CHECK + "(list (await (spawn (lambda () (check 1)))))", (2, 3)),
        (CHECK + "(race (list (lambda () (check 1))))", (2, 3)),
        (CHECK + "(for-each check (list 1))", (2, 3)),
        ("(define (g)\n  (raise 'oops))\n(list (g))", (2, 3)),
        ("(define (g)\n  (call-with-escape-continuation (lambda (k)\n    (car 5))))\n(list (g))", (3, 5)),
        ('(define (g s)\n  (string->number s "x"))\n(list (g 5))', (2, 3)),
        ("(define (f n)\n  (if (= n 0)\n      (string-join 5)\n      (f (- n 1))))\n(list (f 3))", (3, 7)),
        ("(define (g)\n  (llm-query #:instruction 5))\n(list (g))", (2, 3)),
        ('(define (g s)\n  (string-split 5 s))\n(list (g " "))', (2, 3)),
        ('(define (g)\n  (read (open-input-string "\n(")))\n(list (g))', (2, 3)),
        ("(define (f #:k k)\n  k)\n(define (g)\n  (list (f)))\n(list (g))", (4, 9)),
    ],
)
async def test_an_error_in_a_tail_call_has_the_line_of_that_call(
    program: str, place: tuple[int, int]
) -> None:
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(program)).error
    assert error is not None
    assert (error.line, error.column) == place


ER = "(define-syntax m (er-macro-transformer (lambda (form rename compare)\n  {})))\n\n(m)"


@pytest.mark.parametrize(
    ("program", "place"),
    [
        ("\n  foo", (2, 3)),
        ("(begin 1\n  foo)", (2, 3)),
        ("#|\n|# (display 1) foo", (2, 16)),
        ("(call/cc 5)", (1, 1)),
        ("(define (f)\n  (call/ec 5))\n(f)", (2, 3)),
        ('\n(include "nowhere.scm")', (2, 1)),
        ("\n(struct a b (c))", (2, 1)),
        (ER.format("(list 'begin 1 (list 'car 5))"), (4, 1)),
        (ER.format("(list 'begin 1 'foo)"), (4, 1)),
        (ER.format("(list 'begin (list 'define 'x 1) (list 'begin 2 (list 'car 'x)))"), (4, 1)),
        ("(define-syntax m (lambda (stx) #'(begin 1 (car 5))))\n(m)", (2, 1)),
        ("\n(eval 'foo)", (2, 1)),
        ("(define (f)\n  (eval (list 'car 5)))\n\n(list (f))", (2, 3)),
        ("(define (f)\n  (eval (list 'begin 1 (list 'car 5))))\n\n(list (f))", (2, 3)),
        ("(define (f)\n  (eval '(begin 1\n    (car 5))))\n\n(list (f))", (3, 5)),
        ('(define (f)\n  (eval (read (open-input-string "(car 5)"))))\n\n(list (f))', (2, 3)),
    ],
)
async def test_an_error_in_a_form_that_has_no_place_of_its_own_has_one(
    program: str, place: tuple[int, int]
) -> None:
    """A name alone, what a macro made of bare lists, what eval is given, a file that is not there."""
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        error = (await session.execute(program, name="mine")).error
    assert error is not None
    assert (error.line, error.column) == place
    assert error.source in ("mine", None)


@pytest.mark.parametrize(
    "call",
    [
        '(sort (list 1 "a") <)',
        "(map car (list 1))",
        '(filter even? (list "a"))',
        '(foldl + 0 (list "a"))',
        '(fold-left + 0 (list "a"))',
        '(reduce + 0 (list "a" 1))',
        "(for-each car (list 1))",
        "(vector-map car (vector 1))",
        '(string-for-each car "abc")',
        "(append-map car (list 1))",
        "(andmap car (list 1))",
        "(build-list 3 car)",
        "(group-by car (list 1))",
        "(hash-map (hash 1 2) car)",
        "(hash-update (hash 1 2) 1 car)",
        "(hash-ref (hash) 5)",
        "(apply car (list 1))",
        "(apply vector-ref (list (vector 1) 5))",
        "(call-with-values (lambda () 5) car)",
        "((compose car car) 5)",
        "(dynamic-wind void (lambda () (car 1)) void)",
        "(with-handlers ([string? void]) (car 1))",
        "(force (delay (car 5)))",
        "(map-async car (list 1))",
        "(fork-map car (list 1))",
        '(string->jsexpr "{")',
        "(vector-ref (vector) 1)",
    ],
)
async def test_what_the_library_is_given_fails_at_the_line_that_gave_it(call: str) -> None:
    """The library's procedure is called in tail position, and what it calls is a builtin: no line of the program."""
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(f"(define (f x)\n  {call})\n\n(list (f 1))")).error
    assert error is not None
    assert (error.line, error.backtrace[0].split()[0]) == (2, "f")


@pytest.mark.parametrize(
    "raised", ["(error 'bad)", "(raise 5)", "(raise (list 1 2))", "(raise-continuable 5)"]
)
@pytest.mark.parametrize(
    "call",
    [
        "(await (spawn {}))",
        "(await (spawn (lambda () (await (spawn {})))))",
        "(await-all (list (spawn {})))",
        "(await-any (list (spawn {})))",
        "(parallel (list {}))",
        "(race (list {}))",
        "(race (list (lambda () (raise 4)) {}))",
        "(map-async {} (list 1))",
        "(fork-map {} (list 1))",
        "(with-timeout 5 {})",
        "(with-handlers ([string? void]) ({}))",
    ],
)
async def test_what_a_fiber_raises_keeps_its_line_whoever_waits_for_it(call: str, raised: str) -> None:
    thunk = f"(lambda arguments\n    {raised})"
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(f"(define (f)\n  {call.format(thunk)})\n(list (f))")).error
    assert error is not None
    assert (error.line, error.column) == (3, 5)


@pytest.mark.parametrize("call", ["(f)", "(f #:no 1)", "(f 1 #:k 2)"])
async def test_a_wrong_tail_call_of_keywords_has_the_line_of_the_procedure_and_no_wrong_one(
    call: str,
) -> None:
    """Nothing is left of the caller in line 4; the one in line 6 called another procedure."""
    program = f"(define (f #:k k)\n  k)\n(define (g)\n  {call})\n\n(list (g))"
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(program)).error
    assert error is not None
    assert error.line == 1
    assert "The signature is (f #:k k)" in str(error)


async def test_what_is_read_as_data_says_where_it_is_wrong_beside_the_line_that_reads() -> None:
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run('\n(read (open-input-string "\n (3"))')).error
    assert error is not None
    assert "in line 2, column 2 of what is read" in error.message
    assert (error.line, error.column) == (2, 1)


async def test_an_object_raised_again_elsewhere_has_the_place_of_the_last_raise() -> None:
    program = "(guard (e (#t #f))\n  (await (spawn (lambda () (raise 5)))))\n\n(raise 5)"
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(program)).error
    assert error is not None
    assert error.line == 4


async def test_an_error_in_a_fiber_has_the_fibers_backtrace() -> None:
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(CHECK + "(map-async check (list 1 2))")).error
    assert error is not None
    assert error.backtrace == ("check (line 2, column 3)",)


async def test_a_failed_call_that_no_line_awaits_has_the_line_that_sent_it() -> None:
    def fail(request: object) -> str:
        raise ProviderError("overloaded")

    program = '(define (ask x)\n  (llm-query-async #:instruction x))\n(parallel (list (lambda () (ask "q"))))'
    async with Runtime(provider=InlineProvider(fail)) as runtime:
        error = (await runtime.run(program)).error
    assert error is not None
    assert "overloaded" in error.message
    assert (error.line, error.column) == (2, 3)


@pytest.mark.parametrize(
    "loop",
    [
        "(define (loop n) (if (= n 0) 'done (apply loop (list (- n 1)))))",
        "(define (loop n) (if (= n 0) 'done (call/cc (lambda (k) (loop (- n 1))))))",
        "(define (loop n) (if (= n 0) 'done (call-with-values (lambda () (- n 1)) loop)))",
        "(define (loop n) (if (= n 0) 'done ((compose loop sub1) n)))",
        "(define (loop n) (if (= n 0) 'done (hash-ref (hash) n (lambda () (loop (- n 1))))))",
        "(define (loop n) (if (= n 0) 'done (andmap loop (list (- n 1)))))",
        "(define (loop n) (if (= n 0) 'done ((case-lambda ((n) (apply loop (list n)))) (- n 1))))",
        "(define (loop n) (if (= n 0) 'done (let/ec k (apply loop (list (- n 1))))))",
        "(define (loop n) (if (= n 0) 'done (begin (await (spawn void)) (apply loop (list (- n 1))))))",
        "(define (string-join n) (if (= n 0) 'done (string-join (- n 1))))\n(define loop string-join)",
        "(define (error n) (if (= n 0) 'done (error (- n 1))))\n(define loop error)",
    ],
)
async def test_no_loop_grows_by_the_frames_that_are_kept(loop: str) -> None:
    """A frame is kept only while the library runs: a tail call back into the program drops it."""
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        first = await session.execute(f"{loop}\n(loop 100)")
        long = await session.execute("(loop 200000)")
    assert (first.value, long.value) == ("done", "done")
    assert long.execution.memory_bytes < first.execution.memory_bytes + (8 << 20)


async def test_a_kept_frame_holds_no_values() -> None:
    """The stream's head is in a variable of the frame that is kept; its elements go as they are consumed."""
    program = """
        (define (numbers n) (stream-cons n (numbers (+ n 1))))
        (define (go s) (stream-tail s 200000))
        (stream-first (go (numbers 0)))"""
    async with Runtime(provider=InlineProvider(), limits=Limits(memory_bytes=12 << 20)) as runtime:
        assert (await runtime.run(program)).value == "200000"


@pytest.mark.parametrize(
    ("program", "who", "place"),
    [
        ("(if (zero? 'a) 1 2)", "zero?", (1, 5)),
        ("(define (f n)\n  (if (zero? n) 1 (f (- n 1))))\n(f 'a)", "zero?", (2, 7)),
        ("(let loop ([n 'a])\n  (if (zero? n) 1 (loop (- n 1))))", "zero?", (2, 7)),
        ("(let ([n 'a])\n  (or (zero? n) (list n)))", "zero?", (2, 7)),
        ("(let ([n 'a])\n  (and (not (zero? n)) (list n)))", "zero?", (2, 13)),
        ("(zero? 'a)", "zero?", (1, 1)),
        ("(let ([n 'a])\n  (if (= n 0) 1 2))", "=", (2, 7)),
        ("(let ([n 'a])\n  (if (or (= n 0) (zero? n)) 1 2))", "=", (2, 11)),
        ("(let ([n 'a] [m 0])\n  (if (and (zero? m) (= n 0)) 1 2))", "=", (2, 22)),
    ],
)
async def test_a_test_by_zero_is_called_by_its_name_in_the_error(
    program: str, who: str, place: tuple[int, int]
) -> None:
    """The machine compares with 0; whoever reads the error looks for what the program says."""
    async with Runtime(provider=InlineProvider()) as runtime:
        error = (await runtime.run(program)).error
    assert error is not None
    assert error.message == f"{who}: contract violation\n  expected: number?\n  given: 'a"
    assert (error.line, error.column) == place

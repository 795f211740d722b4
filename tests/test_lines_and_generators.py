"""Lines as files have them, and racket/generator."""

from __future__ import annotations

import pytest

from rlm_wasm import Runtime

MIXED = '"a\\r\\nb\\rc\\nd"'


@pytest.mark.parametrize(
    "lines",
    [
        "(for/list ([l (in-lines (open-input-string {}))]) l)",
        "(for/list ([l (in-lines {})]) l)",
        "(port->lines (open-input-string {}))",
        "(read-lines (open-input-string {}))",
        "(let ([p (open-input-string {})]) (for/list ([l (in-producer (lambda () (read-line p)) eof-object?)]) l))",
        "(let ([p (open-input-bytes (string->bytes/utf-8 {}))]) (for/list ([l (in-lines p)]) l))",
        "(with-input-from-string {} (lambda () (for/list ([l (in-lines)]) l)))",
    ],
)
async def test_lines_end_with_linefeed_return_or_both(runtime: Runtime, lines: str) -> None:
    """Data from the world is read as it is meant."""
    result = await runtime.run(lines.format(MIXED))
    assert result.data == ["a", "b", "c", "d"], result.error


async def test_a_number_at_the_end_of_a_crlf_line_is_a_number(runtime: Runtime) -> None:
    """As in Racket."""
    result = await runtime.run(
        '(for/list ([l (in-lines (open-input-string "id\\r\\n7\\r\\n"))]) (string->number l))'
    )
    assert result.data == [False, 7], result.error


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("any", ["a", "b", "c", "d"]),
        ("any-one", ["a", "", "b", "c", "d"]),
        ("linefeed", ["a\r", "b\rc", "d"]),
        ("return", ["a", "\nb", "c\nd"]),
        ("return-linefeed", ["a", "b\rc\nd"]),
    ],
)
@pytest.mark.parametrize(
    "lines",
    [
        "(for/list ([l (in-lines (open-input-string {}) '{})]) l)",
        "(port->lines (open-input-string {}) #:line-mode '{})",
        "(let* ([text {}] [p (open-input-bytes (string->bytes/utf-8 text))])"
        " (let loop ([l (read-line p '{})]) (if (eof-object? l) '() (cons l (loop (read-line p '{}))))))",
    ],
)
async def test_every_mode_of_rackets_acts(
    runtime: Runtime, lines: str, mode: str, expected: list[str]
) -> None:
    """Of text ports and of byte ports."""
    result = await runtime.run(lines.format(MIXED, mode, mode))
    assert result.data == expected, result.error


async def test_a_line_of_a_port_that_is_made_as_it_is_read_may_end_between_its_pieces(
    runtime: Runtime,
) -> None:
    """CR at the end of one piece, LF at the beginning of the next."""
    result = await runtime.run(
        "(import (chibi io))"
        '(define pieces (list "a\\r" "\\nb\\n" ""))'
        "(define p (make-custom-input-port (lambda (str start end)"
        "  (if (null? pieces) 0 (let ([piece (car pieces)]) (set! pieces (cdr pieces)) (string-copy! str start piece) (string-length piece))))))"
        "(list (read-line p) (read-line p))"
    )
    assert result.data == ["a", "b"], result.error


# ---- generators


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("(let ([g (generator () (yield 1) (yield 2) 'end)]) (list (g) (g) (g) (g)))", "(1 2 end end)"),
        ("(for/list ([x (in-generator (yield 1) (yield 2))]) x)", "(1 2)"),
        ("(for/list ([(a b) (in-generator #:arity 2 (yield 1 2))]) (+ a b))", "(3)"),
        ("(for/list ([x (in-generator (let loop ([i 0]) (yield i) (loop (+ i 1))))] [_ 3]) x)", "(0 1 2)"),
        ("(let ([g (generator (a) (let loop ([a a]) (loop (yield (* a 2)))))]) (list (g 1) (g 2) (g 3)))", "(2 4 6)"),
        ("(let ([g (infinite-generator (yield 'a) (yield 'b))]) (list (g) (g) (g)))", "(a b a)"),
        ("(let ([g (sequence->generator \"ab\")]) (list (g) (g) (void? (g))))", "(a b #t)"),
        ("(let ([g (sequence->repeated-generator '(1 2))]) (list (g) (g) (g)))", "(1 2 1)"),
        (
            "(define (leaves t) (generator () (let loop ([t t]) (if (pair? t) (begin (loop (car t)) (loop (cdr t)))"
            " (unless (null? t) (yield t)))) 'done)) (let ([g (leaves '((1) 2))]) (list (g) (g) (g)))",
            "(1 2 done)",
        ),
        ("(let ([g (generator () (yield 1))]) (list (generator-state g) (g) (generator-state g)))", "(fresh 1 suspended)"),
        ("(let ([inner (generator () (yield 1) (yield 2))]) (for/list ([x (in-generator (yield (inner)) (yield (inner)))]) x))", "(1 2)"),
    ],
)  # fmt: skip
async def test_generators_go_on_where_they_yielded(runtime: Runtime, program: str, expected: str) -> None:
    """As racket/generator documents."""
    result = await runtime.run(f"(require racket/generator) {program}")
    assert result.value == expected, result.error


async def test_what_a_generator_raises_is_seen_by_the_handlers_around_its_call(runtime: Runtime) -> None:
    """Not by those around the call that began it; afterwards it is done."""
    result = await runtime.run(
        '(define g (generator () (yield 1) (error "boom")))'
        "(define first (with-handlers ([void (lambda (e) 'wrong)]) (g)))"
        "(list first (with-handlers ([exn:fail? exn-message]) (g)) (generator-state g))"
    )
    assert result.value == "(1 boom done)", result.error


async def test_a_generator_can_wait_within_a_fiber(runtime: Runtime) -> None:
    """Each fiber runs its own."""
    result = await runtime.run(
        "(map-async (lambda (n) (for/sum ([x (in-generator (for ([i n]) (sleep 0) (yield i)))]) x)) '(3 4 5))"
    )
    assert result.data == [3, 6, 10], result.error


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("(yield 1)", "yield: must be called in the body of a generator"),
        ("(define g (generator () (g))) (g)", "cannot call a running generator"),
        ("(generator-state 5)", "generator?"),
    ],
)
async def test_misuse_of_generators_is_told(runtime: Runtime, program: str, says: str) -> None:
    """With what to write."""
    result = await runtime.run(program)
    assert result.error is not None
    assert says in result.error.message

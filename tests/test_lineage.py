"""Text that came from a model keeps the ids of the calls that it derives from."""

from __future__ import annotations

import importlib.util

import pytest

from rlm_wasm import Runtime

SETUP = """
(define a (syntax-e (llm-query #:instruction "alpha beta")))
(define b (syntax-e (llm-query #:instruction "gamma")))
"""


@pytest.mark.parametrize(
    ("expression", "calls"),
    [
        ("a", (1,)),
        ('"plain"', ()),
        ("(string-append a b)", (1, 2)),
        ("(string-append b a)", (1, 2)),
        ("(substring a 2 4)", (1,)),
        ('(format "~a and ~s" a b)', (1, 2)),
        ('(string-join (list a "x" b) ", ")', (1, 2)),
        ("(string-upcase a)", (1,)),
        ('(car (string-split a " "))', (1,)),
        ('(string-replace "x y" "x" b)', (2,)),
        ('(car (regexp-match #px"\\\\w+" a))', (1,)),
        ('(regexp-replace #rx"y" "x y" a)', (1,)),
        ("(list->string (string->list a))", ()),
        ("(hash-ref (string->jsexpr (jsexpr->string (hash 'k a))) 'k)", (1,)),
        ("(jsexpr->string (hash 'k a 'l b))", (1, 2)),
        ("(list 1 (vector a) (cons 2 b))", (1, 2)),
        ("(hash 'k a)", (1,)),
        ("(with-output-to-string (lambda () (display a)))", (1,)),
        ("(let ([p (open-output-string)]) (write b p) (get-output-string p))", (2,)),
        ("(string-length a)", ()),
        ("(llm-query #:instruction \"sum up\" #:data a)", (1, 3)),
        ("(car (map-async (lambda (x) (llm-query-async #:instruction x)) (list a)))", (1, 3)),
        ('(datum->syntax #f "own")', ()),
        ("(let ([v (llm-query #:instruction b)]) (checkpoint \"k\" v))", (2, 3)),
    ],
)  # fmt: skip
async def test_the_result_says_from_which_calls_its_value_derives(
    runtime: Runtime, expression: str, calls: tuple[int, ...]
) -> None:
    """provenance says the same; letters taken apart one by one lose it."""
    result = await runtime.run(f"{SETUP} (finish {expression})")
    assert result.status == "finished", result.error
    assert result.derived_from == calls
    shown = await runtime.run(f"{SETUP} (provenance {expression})")
    assert shown.data == list(calls), shown.error


async def test_cycles_have_a_provenance(runtime: Runtime) -> None:
    """They are walked once."""
    assert (await runtime.run(f"{SETUP} (define l (list a 1)) (set-cdr! (cdr l) l) (provenance l)")).data == [
        1
    ]


@pytest.mark.skipif(
    importlib.util.find_spec("rlm_wasm.python.component") is None, reason="the Python component is not built"
)
@pytest.mark.parametrize(
    ("expression", "calls"),
    [
        ('(py-eval "1 + 1")', ()),
        ("(py-eval \"'text'\")", ()),
        ('(begin (py-set! "x" a) (py-eval "x.upper()"))', (1,)),
        ('(begin (py-set! "x" (list a b)) (py-eval "[x[0], {\'k\': x[1]}]"))', (1, 2)),
        ('(begin (py-set! "x" b) (py-exec "print(x)"))', (2,)),
        ('(begin (py-set! "x" a) (py-exec "print(1)") (py-set! "y" b) (py-eval "y"))', (1, 2)),
    ],
)
async def test_what_python_gives_back_derives_from_all_that_it_was_given(
    runtime: Runtime, expression: str, calls: tuple[int, ...]
) -> None:
    """What it does with a text cannot be followed."""
    result = await runtime.run(f"{SETUP} (finish {expression})")
    assert result.status == "finished", result.error
    assert result.derived_from == calls


async def test_a_separator_derives_from_its_call_however_often_it_is_put_between(runtime: Runtime) -> None:
    """Lineages that were met lately are remembered in few places: two that want the same one come again and again."""
    program = """
        (define texts (map (lambda (i) (syntax-e (llm-query #:instruction (number->string i)))) (range 90)))
        (define kept (make-string 20000 #\\z))
        (define whole (make-list 3000 (first texts)))
        (for/and ([separator (rest texts)])
          (let ([s (string-join whole separator)])
            (and (= (string-length s) (+ (* 3000 (string-length (first texts))) (* 2999 (string-length separator))))
                 (equal? (provenance s) (append (provenance (first texts)) (provenance separator)))
                 (equal? kept (make-string 20000 #\\z)))))"""
    assert (await runtime.run(program)).data is True

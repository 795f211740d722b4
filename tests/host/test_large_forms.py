"""Forms of hundreds of thousands of parts: expanded and compiled in pieces, or refused at once.

Fuel between two looks at the clock is measured, which is exact. What one form may bind is bounded by what the compiler can place
anyway; what a macro may be, by the work that it makes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from host.in_slices import value_of
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import Sandbox

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import loop_gap

PIECE = 40_000_000
"""Some 5 ms: what one step may take beside a list of hundreds of thousands that is counted."""

CALLS = "(map list (make-list 120000 '-) (iota 120000))"
NAMES = '(map (lambda (i) (string->symbol (format "v~a" i))) (iota {n}))'
BOUND = f"(map (lambda (v) (list v 1)) {NAMES})"

IN_PIECES = {
    "a body": f"(eval (list 'lambda '() (cons 'let (cons '() {CALLS}))))",
    "constants in a body": "(eval (list 'lambda '() (cons 'lambda (cons '() (iota 120000)))))",
    "a body behind a definition": f"(eval (list 'lambda '() (cons 'let (cons '() (cons '(define x 1) {CALLS})))))",
    "a begin in a body": f"(eval (list 'lambda '() (list 'let '() (cons 'begin {CALLS}))))",
    "assignments": "(eval (list 'lambda '() (cons 'let (cons '((x 1)) (map (lambda (i) (list 'set! 'x i)) (iota 120000))))))",
    "and": f"(eval (list 'lambda '() (list 'list (cons 'and {CALLS}))))",
    "or": "(eval (list 'lambda '() (list 'list (cons 'or (map list (make-list 120000 'not) (map add1 (iota 120000)))))))",
    "constants in an or": "(eval (list 'lambda '() (cons 'or (make-list 120000 #f))))",
    "when": f"(eval (list 'lambda '() (cons 'when (cons #t {CALLS}))))",
    "a clause of a cond": f"(eval (list 'lambda '() (list 'cond (cons #t {CALLS}))))",
    "a clause of a case": f"(eval (list 'lambda '() (list 'case 1 (cons '(1) {CALLS}))))",
    "begin0": f"(eval (list 'lambda '() (cons 'begin0 {CALLS})))",
    "the commands of a do": f"(eval (list 'lambda '() (cons 'do (cons '((i 0 (+ i 1))) (cons '((= i 1)) {CALLS})))))",
    "the body of a guard": f"(eval (list 'lambda '() (cons 'guard (cons '(e (#t 1)) {CALLS}))))",
    "cond-expand": "(eval (cons 'cond-expand (map (lambda (i) (list 'nope i)) (iota 300000))))",
    "a macro's literals": f"(eval (list 'define-syntax 'q (list 'syntax-rules {NAMES.format(n=40000)} '((_ x) x)))) (eval '(q 1))",
    "many short rules that do not fit": "(eval (list 'define-syntax 'q (cons 'syntax-rules (cons '() (append (map (lambda (i) (list (list '_ i) i)) (iota 20000)) '(((_ x) 'end)))))))"
    " (eval '(q a))",
    "rules that fit nearly": "(eval (list 'define-syntax 'q (cons 'syntax-rules (cons '() (append (map (lambda (i) (list (list '_ '(a b) '... i) i)) (iota 300)) '(((_ x ...) 'end)))))))"
    " (eval (cons 'q (make-list 30000 '(1 2))))",
}  # fmt: skip

REFUSED = {
    "let": (f"(eval (list 'let {BOUND} 1))", "let: more than 12000 variables in one form"),
    "let*": (f"(eval (list 'let* {BOUND} 1))", "let*: more than 12000 variables"),
    "letrec": (f"(eval (list 'letrec {BOUND} 1))", "letrec: more than 12000 variables"),
    "a named let": (f"(eval (list 'let 'loop {BOUND} 1))", "let: more than 12000 variables"),
    "do": (f"(eval (list 'do {BOUND} '(#t 1)))", "do: more than 12000 variables"),
    "let-values": (f"(eval (list 'let-values (map (lambda (v) (list (list v) 1)) {NAMES}) 1))", "more than 12000 variables"),
    "one let-values": (f"(eval (list 'let-values (list (list {NAMES} '(values 1))) 1))", "more than 12000 variables"),
    "lambda": (f"(eval (list 'lambda {NAMES} 1))", "more than 12000 variables"),
    "optional parameters": (f"(eval (list 'lambda {BOUND} 1))", "more than 12000 variables"),
    "keyword parameters": (
        f"(eval (list 'lambda (apply append (map (lambda (v) (list (string->keyword (symbol->string v)) v)) (list-tail {NAMES} 295000))) 1))",
        "more than 1000 keyword parameters",
    ),
    "definitions in a body": (f"(eval (cons 'let (cons '() (append (map (lambda (v) (list 'define v 1)) {NAMES}) '(1)))))", "more than 12000 variables"),
    "a definition behind many expressions": ("(eval (cons 'let (cons '() (append (make-list 20000 '(list 1)) '((define x 1) x)))))", "more than 12000 variables"),
    "define-values": (f"(eval (list 'define-values {NAMES} '(values 1 2)))", "more than 12000 variables"),
    "define-values in a body": (f"(eval (list 'let '() (list 'define-values {NAMES} '(values 1 2)) 1))", "more than 12000 variables"),
    "case-lambda": ("(eval (cons 'case-lambda (map (lambda (i) '((x) x)) (iota 300000))))", "case-lambda: more than 1000 clauses"),
    "rules of a macro": ("(eval (list 'define-syntax 'q (cons 'syntax-rules (cons '() (map (lambda (i) (list (list '_ i) i)) (iota 300000))))))", "rules are too large"),
    "names of a pattern": (f"(eval (list 'define-syntax 'q (list 'syntax-rules '() (list (cons '_ {NAMES}) 1))))", "too many names"),
    "names of a template": (f"(eval (list 'define-syntax 'q (list 'syntax-rules '() (list '(_) (list 'quote {NAMES})))))", "too many names"),
    "a template": ("(eval (list 'define-syntax 'q (list 'syntax-rules '() (list '(_ x) (list 'quote (make-list 300000 'x))))))", "rules are too large"),
    "a macro's use": ("(define-syntax q (syntax-rules () ((_ x ...) '(a (x b) ...)))) (eval (cons 'q (iota 300000)))", "q: this use of the macro takes or becomes more than 170000 parts"),
    "a use that repeats in what it repeats": (
        "(define-syntax q (syntax-rules () ((_ (x ...) y ...) '((x y ...) ...)))) (eval (list 'q (iota 1) 1)) (eval (cons* 'q (iota 3000) (iota 1)))"
        " (define-syntax p (syntax-rules () ((_ (x ...) (y ...)) '(((x y) ...) ...)))) (eval (list 'p (iota 2000) (iota 2000)))",
        "",
    ),
    "the names of a library": (
        f"(eval (list 'define-library '(x) (cons 'export {NAMES}) '(import (scheme base))))",
        "export: more than 32768 names",
    ),
    "a requirement": ("(eval (list 'cond-expand (list (cons 'and (make-list 300000 'r7rs)) 1)))", "cond-expand: bad feature requirement"),
    "the data of a case": ("(eval (list 'case 1 (list (iota 600000) 2)))", "case: a clause of too many data"),
}  # fmt: skip


def longest(program: str, max_fuel: int) -> loop_gap.Measured:
    """Measured in slices of 2,000 steps, in a guest that has run before."""
    bench = loop_gap.Bench(loop_gap.Sizes.scaled(0.01), steps=2_000)
    sandbox = Sandbox(Engine.shared(), 1 << 30)
    try:
        return bench.run(sandbox, program, max_fuel)
    finally:
        sandbox.close()


@pytest.mark.parametrize("name", IN_PIECES)
def test_a_form_of_many_parts_is_worked_on_in_pieces(name: str) -> None:
    """It took up to 250 units of fuel a part in one go, and a cond-expand the square of them. (Inside of a lambda, so that
    nothing but expanding and compiling is measured.)"""
    measured = longest(f"(call-with-values (lambda () {IN_PIECES[name]}) void)", 4_000_000_000)
    assert measured.outcome in ("ok", "cut")
    assert measured.fuel <= PIECE * 11 // 20


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_large_to_be_compiled_is_refused_at_once(name: str) -> None:
    """A pattern of 300,000 names took four minutes in one go, and bindings half a second before the compiler refused them."""
    program, message = REFUSED[name]
    measured = longest(program.replace("{n}", "300000"), 12_000_000_000)
    assert message in measured.outcome
    assert measured.outcome != "ok"
    assert measured.fuel <= PIECE


MEANT = {
    "the last of an and": ("(eval `(list (and ,@(iota 5000)) (and ,@(make-list 4096 1) 2 #f) (and ,@(make-list 2048 1) 3)))", "(4999 #f 3)"),
    "the first of an or": ("(eval `(list (or ,@(make-list 4097 #f) 7 (car 1)) (or ,@(make-list 2047 #f) 8) (or ,@(make-list 5000 #f))))", "(7 8 #f)"),
    "tests of an if": ("(eval `(let ([n 0]) (list (if (and ,@(make-list 3000 '(begin (set! n (+ n 1)) n))) n 'no) (if (or ,@(make-list 3000 '(< n 0))) 'no n))))", "(3000 3000)"),
    "the order of a body": (
        "(eval `(let ([l '()]) ,@(map (lambda (i) `(set! l (cons ,i l))) (iota 6000)) (define (f) (reverse l)) (define k (f)) ,@(map (lambda (i) `(set! l ,i)) (iota 5000)) (list (= (length k) 6000) (car k) (last k) l)))",
        "(#t 0 5999 4999)",
    ),
    "a body's last value": ("(eval `((lambda (x) ,@(map (lambda (i) `(+ x ,i)) (iota 4096)) (* x 2)) 21))", "42"),
    "begin0, do and when": (
        "(eval `(let ([n 0]) (list (begin0 5 ,@(make-list 4097 '(set! n (+ n 1)))) (do ([i 0 (+ i 1)]) ((= i 2) n) ,@(make-list 2500 '(set! n (+ n 1)))) (when #t ,@(make-list 3000 '(set! n 1)) n))))",
        "(5 9097 1)",
    ),
    "a loop in the tail of an or": ("(eval `(let loop ([i 0]) (or ,@(make-list 3000 #f) (and ,@(make-list 3000 #t) (if (< i 200) (loop (+ i 1)) i)))))", "200"),
    "definitions between macros": (
        "(define-syntax two (syntax-rules () ((_ a b) (begin (define a 1) (define b 2)))))"
        " (eval `(let () (two x y) ,@(make-list 3000 '(list x)) (define z 3) ,@(make-list 3000 '(list y)) (list x y z)))",
        "(1 2 3)",
    ),
    "cond-expand": ("(eval `(cond-expand ,@(make-list 500 '(nope 1)) ((library (srfi 1)) 'found) (else 'none)))", "found"),
    "the rule that fits": (
        "(define-syntax q (syntax-rules () ,@'() ((_ 1 x ...) 'one) ((_ (a b) ... 2) '(two a ...)) ((_ x ...) '(three x ...)))) (list (q 1 2) (q (3 4) (5 6) 2) (q 7))",
        None,
    ),
    "many rules": (
        "(eval `(define-syntax q (syntax-rules () ,@(map (lambda (i) `((_ (a b) ... ,i) '(,i a ...))) (iota 300)) ((_ x ...) 'end))))"
        " (list (q (1 2) (3 4) 299) (q (1 2) 300) (length (eval `(q ,@(make-list 4000 '(1 2)) 250))))",
        "((299 1 3) end 4001)",
    ),
}  # fmt: skip
MEANT["the rule that fits"] = (
    MEANT["the rule that fits"][0].replace(" ,@'()", ""),
    "(one (two 3 5) (three 7))",
)


@pytest.mark.parametrize("steps", [60, 1 << 50])
@pytest.mark.parametrize("name", MEANT)
def test_a_form_means_the_same_in_pieces(name: str, steps: int) -> None:
    """Sequences of more than 2,048 parts are nested, and rules are gone through with pauses."""
    program, value = MEANT[name]
    assert value_of(program, steps) == value

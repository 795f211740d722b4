"""Where the dialect's words mean what Racket's do, and what they mean after an import of R7RS's libraries."""

from __future__ import annotations

import pytest

from tests.scheme.dialect.test_as_racket import Cases, cases, prints, ran

WORDS: Cases = [
    ("an empty hash-table pattern", "(for/list ([h (list (hash) (hash 'a 1))]) (match h [(hash-table) 'empty] [_ 'more]))", "'(empty more)\n"),
    ("a hash-table pattern is of the whole table", "(match (hash 'a 1 'b 2) [(hash-table ('a x)) x] [(hash-table ('a x) (_ _) ...) (list x)])", "'(1)\n"),
    ("open, rest, default", "(match (hash 'a 1 'b 2) [(hash 'a x #:open) x]) (match (hash 'a 1 'b 2) [(hash 'a x #:rest r) r]) (match (hash) [(hash* ['a x #:default 7]) x])", "1\n'#hash((b . 2))\n7\n"),
    ("a match expander", "(define-match-expander pt (λ (stx) (syntax-case stx () [(_ a b) #'(list 'pt a b)]))) (match '(pt 1 2) [(pt x y) (+ x y)]) (define-match-expander two (syntax-rules () [(_ a) (cons a (cons a '()))])) (match '(5 5) [(two n) n])", "3\n5\n"),
    ("encoding all characters", '(jsexpr->string "é" #:encode \'all)', '"\\"\\\\u00e9\\""\n'),
    ("a negative zero", "(~r -0.0) (~r 0.0) (~r -2.5)", '"-0"\n"0"\n"-2.5"\n'),
    ("a parameter's first value", "(define p (make-parameter 5 (λ (x) (* x 2)))) (p) (parameterize ([p 5]) (p))", "5\n10\n"),
    ("implications", "(implies #f (error \"never\")) (implies 1 2) (xor #t #f) (xor 1 2) (nand #t #f) (nor #f #f)", "#t\n2\n#t\n#f\n#t\n#t\n"),
    ("tables by position", "(define h (hash 'a 1 'b 2)) (let loop ([i (hash-iterate-first h)]) (when i (print (hash-iterate-key h i)) (print (hash-iterate-value h i)) (loop (hash-iterate-next h i))))", "'a1'b2"),
    ("dictionaries that change", "(define d (make-hash)) (dict-ref! d 'a 1) (dict-update! d 'a add1) (dict-update! d 'b add1 0) (dict-remove! d 'a) d", "1\n'#hash((b . 1))\n"),
    ("values that refer to each other", "(letrec-values ([(even odd) (values (λ (n) (or (= n 0) (odd (- n 1)))) (λ (n) (and (> n 0) (even (- n 1)))))]) (even 10)) (define p (make-parameter 1)) (parameterize* ([p 2] [p (+ (p) 1)]) (p))", "#t\n3\n"),
    ("equality by parts", "(equal?/recur '(1 . 2) '(3 . 4) (λ (a b) #t)) (equal?/recur '(1) 1 eq?) (box-cas! (box 1) 1 2)", "#t\n#f\n#t\n"),
    ("names by value", "(namespace-set-variable-value! 'seven 7) (namespace-variable-value 'seven) (eval 'seven)", "7\n7\n"),
    ("chosen at random", "(random-ref '(a)) (length (random-sample '(1 2 3) 5)) (sort (random-sample '(1 2 3) 3 #:replacement? #f) <)", "'a\n5\n'(1 2 3)\n"),
    ("vectors of numbers of one kind", "(define v (flvector 1.0 2.0)) (flvector-ref v 1) (for/sum ([x (in-flvector v)]) x) (unsafe-fx+ 1 2)", "2.0\n3.0\n3\n"),
    ("futures", "(touch (future (λ () 5)))", "5\n"),
    ("tables in their order", "(for ([(k v) (in-hash (hash 'b 2 'a 1) #t)]) (print k)) (for/list ([k (in-hash-keys (hash 2 0 1 0) #t)]) k)", "'a'b'(1 2)\n"),
    ("structures in messages", '(struct p (a) #:transparent) (with-handlers ([exn:fail? (λ (e) (displayln (exn-message e)))]) (car (p 1)))', "car: contract violation\n  expected: pair?\n  given: (p 1)\n"),
]  # fmt: skip


@cases(WORDS)
async def test_a_word_means_what_it_means_in_racket(program: str, printed: str) -> None:
    """In programs without an import."""
    await prints(program, printed)


@pytest.mark.parametrize("who", ["map", "for-each", "andmap", "ormap", "append-map"])
async def test_lists_of_unequal_length_are_an_error(who: str) -> None:
    """With the lengths, and what to write instead."""
    result = await ran(f"({who} list '(1 2) '(1 2) '(1))")
    assert result.error is not None
    assert result.error.message == (
        f"{who}: all lists must have same size\n  first list length: 2\n  other list length: 1\n"
        "  procedure: #<procedure:list>"
    )
    assert result.error.hint == "To stop with the shortest, write (for/list ([a as] [b bs]) ...)."


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("(import (scheme base)) (map + '(1 2) '(10))", "(11)"),
        ("(import (srfi 1)) (append-map list '(1 2) '(3))", "(1 3)"),
        ("(import (srfi 1)) (map + '(1 2) (circular-list 1))", "(2 3)"),
        ("(import (scheme base)) (define p (make-parameter 5 (lambda (x) (* x 2)))) (p)", "10"),
        ("(import (srfi 39)) ((make-parameter 5 number->string))", "5"),
    ],
)
async def test_an_import_brings_the_standards_meaning(program: str, value: str) -> None:
    """Of the names that the libraries export."""
    assert (await ran(program)).value == value


@pytest.mark.parametrize("name", ["|", "a|b", "a\\b", "a b", "", "1", ".", "#x", "(", "é|", "a;b", '"', "A"])
async def test_a_symbol_reads_back_in_either_language(name: str) -> None:
    """As written by the dialect and by R7RS, whose form has bars."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    program = (
        f'(define s (string->symbol "{quoted}"))'
        "(define (text) (call-with-output-string (lambda (p) (write s p))))"
        "(list (eq? s (read (open-input-string (text)))))"
    )
    assert (await ran(program)).value == "(#t)"
    assert (await ran("(import (scheme write))" + program)).value == "(#t)"


async def test_r7rs_writes_a_symbol_with_bars_in_bars() -> None:
    """As section 7.1.1 has it; the dialect writes Racket's backslashes."""
    symbols = '(for-each write (list (string->symbol "|") (string->symbol "a\\\\ b")))'
    assert (await ran(symbols)).stdout == "\\|a\\\\\\ b"
    assert (await ran("(import (scheme write)) " + symbols)).stdout == "|\\|||a\\\\ b|"


@pytest.mark.parametrize("pattern", ['(* (* "a"))', '(+ (? "a"))', '(= 3 (* "a"))', '(* (or "" "a"))', '(* (: (* "a") (* "a")))', '(* ($ (* "a")))', "(* bos)"])  # fmt: skip
async def test_an_sre_may_repeat_what_may_be_empty(pattern: str) -> None:
    """It matches what the inner one matches, any number of times."""
    result = await ran(
        f'(import (srfi 115)) (map (lambda (s) (and (regexp-matches? \'{pattern} s) #t)) \'("" "aaa" "b"))'
    )
    assert result.value in ("(#t #t #f)", "(#t #f #f)")
    assert (result.value == "(#t #f #f)") == (pattern == "(* bos)")


async def test_a_comparison_of_sort_may_be_entered_again() -> None:
    """Each time it comes back with a sorted list."""
    result = await ran(
        "(define ks '()) (define n 0)"
        "(define r (sort '(5 3 9 1 7 2) (lambda (a b) (call/cc (lambda (k) (set! ks (cons k ks)) (< a b))))))"
        "(set! n (+ n 1)) (define saved (reverse ks))"
        "(if (< n 4) ((list-ref saved n) #t))"
        "(list n (sort r <))"
    )
    assert result.value == "(4 (1 2 3 5 7 9))"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("(llm-query)", 'llm-query: #:instruction is missing; say what is to be done, for example (llm-query #:instruction "Summarize" #:data text)'),
        ('(llm-query-async #:data "x")', "llm-query-async: #:instruction is missing"),
        ("#| abc", "expected a `|#` to close this comment, but the text ended"),
        ('"a\\xD800;"', "unknown escape `\\x` in a string"),
        ("'|\\xDFFF;|", "unknown escape `\\x` in a symbol"),
        ('"a\\x110000;"', "unknown escape `\\x` in a string"),
    ],
)  # fmt: skip
async def test_a_slip_is_told_before_anything_is_done(program: str, message: str) -> None:
    """What is missing, or what a text cannot be."""
    result = await ran(program)
    assert result.error is not None
    assert result.error.message[: len(message)] == message
    assert result.execution.calls == 0


async def test_a_procedure_without_a_name_shows_its_signature_as_it_is_written() -> None:
    """The parameters in their brackets."""
    result = await ran("((lambda (s x) 1) 1)")
    assert result.error is not None
    assert result.error.hint == "The signature is (lambda (s x) ...)"

"""Programs as they are written for Racket, against what Racket prints. A case is named by what it is about."""

from __future__ import annotations

import pytest

from rlm_wasm import Result, Runtime
from rlm_wasm.testing import EchoProvider

Cases = list[tuple[str, str, str]]


async def ran(program: str) -> Result:
    """In a session of its own, without models."""
    async with Runtime(provider=EchoProvider(), python="off") as runtime:
        return await runtime.run(program)


def cases(found: Cases) -> pytest.MarkDecorator:
    """One test each, under its name."""
    return pytest.mark.parametrize(
        ("program", "printed"), [(p, o) for _, p, o in found], ids=[n.replace(" ", "-") for n, _, _ in found]
    )


async def prints(program: str, printed: str) -> None:
    """As a module of Racket's: each top-level expression shows its value."""
    result = await ran("#lang racket\n" + program)
    assert (result.stdout, result.error) == (printed, None)


MODULES: Cases = [
    ("strings are quoted", '"a" #\\b \'c 1.0 #f', '"a"\n#\\b\n\'c\n1.0\n#f\n'),
    ("void and definitions show nothing", "(void) (define x 1) (set! x 2) x", "2\n"),
    ("each of several values has its line", "(values 1 'b)", "1\n'b\n"),
    ("begin is spliced", "(begin 1 (void) 2)", "1\n2\n"),
    ("what a macro puts there is shown", "(define-syntax-rule (two e) (begin e e)) (two 7)", "7\n7\n"),
    ("structures", "(struct p (a) #:transparent) (struct q (a)) (p 1) (q 1)", "(p 1)\n#<q>\n"),
    ("main comes last", "(module+ main (displayln 'main)) (displayln 'body)", "body\nmain\n"),
    ("module* main too", "(module* main #f (displayln 'main)) 1", "1\nmain\n"),
    ("tests do not run", "(module+ test (displayln 'test)) 1", "1\n"),
    ("submodules are bodies", "(module m racket (provide f) (define (f) 1)) (require 'm) (f)", "1\n"),
    (
        "a prefix",
        "(require (prefix-in l: racket/list)) (l:first '(1 2)) (l:for/list ([x 2]) x)",
        "1\n'(0 1)\n",
    ),
    (
        "a prefix of names that were chosen",
        '(require (prefix-in s: (only-in racket/string [string-join j]))) (s:j \'("a" "b") "-")',
        '"a-b"\n',
    ),
    (
        "a procedure's other name",
        "(require (only-in racket/list [first head] rest)) (head '(1 2)) (rest '(1 2))",
        "1\n'(2)\n",
    ),
    (
        "a form's other name",
        "(require (rename-in racket/base [for/list collect])) (collect ([x 3]) x)",
        "'(0 1 2)\n",
    ),
]


@cases(MODULES)
async def test_a_module_runs_as_racket_runs_it(program: str, printed: str) -> None:
    """What it prints, and in which order."""
    await prints(program, printed)


@pytest.mark.parametrize(
    "start", ["#lang racket\n", "; what it does\n#| more |#\n#lang racket/base\n", "(module m racket/base "]
)
async def test_the_last_value_is_the_result_though_it_was_printed(start: str) -> None:
    """So that a model's program may end in its answer, with a #lang line or without."""
    result = await ran(start + "1 (list 2)" + (")" if start.startswith("(") else ""))
    assert (result.stdout, result.value, result.value_printed) == ("1\n'(2)\n", "(2)", True)


async def test_a_program_without_a_lang_line_prints_only_what_it_displays() -> None:
    """Its value is the last expression's."""
    result = await ran("1 (list 2) ; #lang racket")
    assert (result.stdout, result.value, result.value_printed) == ("", "(2)", False)


async def test_what_a_require_cannot_rename_is_named() -> None:
    """With what is near."""
    result = await ran("(require (rename-in racket/base [fr/list f]))")
    assert result.error is not None
    assert result.error.message.startswith(
        "require: there is no fr/list to be called f; did you mean for/list?"
    )


SEQUENCES: Cases = [
    (
        "a list from a port",
        '(for ([x (in-port read (open-input-string "(1 2) () 5"))]) (println x))',
        "'(1 2)\n'()\n5\n",
    ),
    (
        "a list from a procedure",
        "(define items '((1) () end)) (for/list ([x (in-producer (λ () (begin0 (car items) (set! items (cdr items)))) 'end)]) x)",
        "'((1) ())\n",
    ),
    ("map over a list", "(for/list ([x (sequence-map add1 '(1 2))]) x)", "'(2 3)\n"),
    ("map to lists", "(for/list ([x (sequence-map list '(1 2))]) x)", "'((1) (2))\n"),
    (
        "lists in parallel",
        "(for/list ([(a b) (in-parallel '(1 2) '((3) ()))]) (list a b))",
        "'((1 (3)) (2 ()))\n",
    ),
    (
        "a position that is a list",
        "(for/list ([x (make-do-sequence (λ () (values car cdr '(1 2 3) pair? #f #f)))]) x)",
        "'(1 2 3)\n",
    ),
    (
        "a loop takes nothing that it does not use",
        '(define p (open-input-string "a\\nb\\nc\\n")) (for ([i 2] [l (in-lines p)]) (displayln l)) (read-line p)',
        'a\nb\n"c"\n',
    ),
    (
        "lists that a generator yields",
        "(for/list ([x (in-generator (yield '(1)) (yield '()))]) x)",
        "'((1) ())\n",
    ),
    ("before", "(for/list ([x (stop-before '(1 2 3 1) (λ (x) (> x 2)))]) x)", "'(1 2)\n"),
    ("after", "(for/list ([x (stop-after '(1 2 3 1) (λ (x) (> x 2)))]) x)", "'(1 2 3)\n"),
    (
        "one at a time",
        "(define-values (more? next) (sequence-generate '(1 (2)))) (list (more?) (next) (more?) (next) (more?))",
        "'(#t 1 #t (2) #f)\n",
    ),
    ("slices without end", "(for/list ([s (in-slice 2 (in-naturals))] [i 2]) s)", "'((0 1) (2 3))\n"),
    ("between", '(sequence->list (sequence-add-between \'(1 2) ","))', '\'(1 "," 2)\n'),
    ("from the right", "(for/foldr ([acc '()]) ([x 6] #:when (odd? x)) (cons x acc))", "'(1 3 5)\n"),
    (
        "from the right, two values",
        "(for/foldr ([a '()] [n 0]) ([x 3]) (values (cons x a) (+ n 1)))",
        "'(0 1 2)\n3\n",
    ),
    (
        "from the right, no further than asked",
        "(for/foldr ([acc '()] #:delay) ([x (list 1 2 'never)]) (if (eqv? x 2) '(end) (cons x (force acc))))",
        "'(1 end)\n",
    ),
    (
        "tables by their kind",
        "(for/list ([v (in-immutable-hash-values (hash 'a '(1)))]) v) (for/list ([(k v) (in-mutable-hash (make-hash '((a . 1))))]) k)",
        "'((1))\n'(a)\n",
    ),
    (
        "sets by their kind",
        "(seteq 'a) (seteqv 1) (mutable-seteqv 2) (display (seteq 'b))",
        "(seteq 'a)\n(seteqv 1)\n(mutable-seteqv 2)\n#<seteq: b>",
    ),
    ("vectors in place", "(define v (vector 1 2)) (vector-map! add1 v) v", "'#(2 3)\n'#(2 3)\n"),
]


@cases(SEQUENCES)
async def test_a_sequence_gives_every_item(program: str, printed: str) -> None:
    """Lists among them, and none that the loop does not ask for."""
    await prints(program, printed)


async def test_a_generated_sequence_that_is_at_its_end_says_so() -> None:
    """No item is made up."""
    result = await ran("(define-values (more? next) (sequence-generate '())) (next)")
    assert result.error is not None
    assert result.error.message == "sequence-generate: sequence has no more values"


WIDE: Cases = [
    (
        "a table's entries have their dot",
        "(pretty-print (hash 'a (make-list 3 (make-string 26 #\\x))))",
        '\'#hash((a\n        .\n        ("xxxxxxxxxxxxxxxxxxxxxxxxxx"\n'
        '         "xxxxxxxxxxxxxxxxxxxxxxxxxx"\n         "xxxxxxxxxxxxxxxxxxxxxxxxxx")))\n',
    ),
    (
        "structures",
        "(struct p (a b) #:transparent) (pretty-print (list (p (make-string 60 #\\x) 'b) (p 1 '(2)) 'c (make-string 9 #\\y)))",
        f'(list\n (p "{"x" * 60}" \'b)\n (p 1 \'(2))\n \'c\n "yyyyyyyyy")\n',
    ),
    ("a short one is a line", "(pretty-print '(1 (2)))", "'(1 (2))\n"),
    (
        "a column count",
        "(parameterize ([pretty-print-columns 8]) (pretty-write '(aaa bbb . ccc)))",
        "(aaa\n bbb\n .\n ccc)\n",
    ),
]


@cases(WIDE)
async def test_what_is_wide_is_broken_into_lines(program: str, printed: str) -> None:
    """Where Racket breaks it."""
    await prints(program, printed)

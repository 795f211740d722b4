"""Contracts: racket/contract. A contract checks values and calls, and says who broke it."""

from __future__ import annotations

import pytest

from tests.scheme.dialect.test_as_racket import Cases, cases, prints, ran

HOLDS: Cases = [
    ("a definition", "(define/contract (double x) (-> number? number?) (* x 2)) (double 4)", "8\n"),
    ("a value", "(define/contract tau (between/c 6 7) 6.28) tau", "6.28\n"),
    (
        "flat contracts are predicates",
        '(map (or/c string? (and/c integer? positive?)) (list "a" 1 -1 \'x))',
        "'(#t #t #f #f)\n",
    ),
    (
        "structured ones too",
        "((hash/c symbol? (listof integer?)) (hash 'a '(1 x))) ((list/c 'a 2) '(a 2))",
        "#f\n#t\n",
    ),
    ("as a pattern's predicate", "(match 5 [(? (or/c string? number?)) 'yes])", "'yes\n"),
    (
        "optional and keyword arguments",
        "(define/contract (f a [b 2] #:k [k 3]) (->* (integer?) (integer? #:k integer?) integer?) (+ a b k)) (f 1) (f 1 1 #:k 1)",
        "6\n3\n",
    ),
    (
        "arguments that depend on each other",
        "(define/contract (minus x y) (->i ([x number?] [y (x) (>=/c x)]) [r (x y) (=/c (- y x))]) (- y x)) (minus 1 3)",
        "2\n",
    ),
    (
        "several values",
        '(define/contract (both a) (-> any/c (values any/c string?)) (values a "b")) (both 1)',
        '1\n"b"\n',
    ),
    (
        "a case for each count",
        '(define/contract f (case-> (-> integer? any) (-> string? string? any)) (case-lambda [(a) a] [(a b) b])) (f 1) (f "a" "b")',
        '1\n"b"\n',
    ),
    (
        "the names of contracts",
        "(contract-name (-> integer? (or/c #f string?)))",
        "'(-> integer? (or/c #f string?))\n",
    ),
    (
        "how they are shown",
        "(listof string?) (-> any/c any)",
        "#<flat-contract: (listof string?)>\n#<contract: (-> any/c any)>\n",
    ),
    ("which are flat", "(map flat-contract? (list (listof integer?) (-> integer? any) 'a))", "'(#t #f #t)\n"),
    (
        "recursive data",
        "(define tree/c (flat-rec-contract tree (or/c integer? (cons/c tree tree)))) (map tree/c '(1 (1 . (2 . 3)) (1 . x)))",
        "'(#t #t #f)\n",
    ),
    (
        "inside, the procedure is itself",
        "(define/contract (down n) (-> (integer-in 0 5) any) (if (< n -5) n (down (- n 1)))) (down 5)",
        "-6\n",
    ),
    ("a structure", '(struct/contract p ([x number?] [y string?]) #:transparent) (p 1 "a")', '(p 1 "a")\n'),
]


@cases(HOLDS)
async def test_what_keeps_its_contract_goes_on(program: str, printed: str) -> None:
    """And contracts are values."""
    await prints(program, printed)


BROKEN = [
    (
        '(define/contract (f x) (-> number? number?) x) (f "a")',
        'f: contract violation\n  expected: number?\n  given: "a"\n  in: the 1st argument of\n'
        "      (-> number? number?)\n  contract from: (function f)\n  blaming: program",
    ),
    (
        "(define/contract (f x) (-> any/c string?) x) (f 1)",
        "f: broke its own contract\n  promised: string?\n  produced: 1\n  in: the range of\n"
        "      (-> any/c string?)\n  contract from: (function f)\n  blaming: (function f)",
    ),
    (
        "(define/contract (f xs) (-> (listof number?) any) xs) (f '(1 x))",
        "f: contract violation\n  expected: number?\n  given: 'x\n  in: an element of\n      the 1st argument of",
    ),
    (
        "(define/contract (f g) (-> (-> integer? integer?) any) (g 1)) (f (λ (x) 'no))",
        "f: contract violation\n  expected: integer?\n  given: 'no\n  in: the range of\n      the 1st argument of",
    ),
    ("(define/contract x string? 1)", "x: broke its own contract\n  promised: string?\n  produced: 1"),
    (
        "(struct/contract p ([x number?])) (p 'a)",
        "p: contract violation\n  expected: number?\n  given: 'a\n  in: the x field of",
    ),
    (
        "(contract (and/c integer? even?) 3 'me 'you)",
        "me: broke its own contract\n  promised: even?\n  produced: 3\n  in: an and/c case of",
    ),
    (
        "(define/contract (f x #:k k) (-> any/c #:k string? any) x) (f 1 #:k 2)",
        "f: contract violation\n  expected: string?\n  given: 2\n  in: the #:k argument of",
    ),
    (
        "(define/contract f (-> integer? integer? any) car)",
        "f: broke its own contract\n  promised: a procedure that accepts 2 arguments",
    ),
    (
        "(define/contract (f x y) (->i ([x number?] [y (x) (>=/c x)]) any) x) (f 3 1)",
        "f: contract violation\n  expected: (>=/c 3)\n  given: 1\n  in: the 2nd argument of",
    ),
    (
        "(define/contract (f x) (->i ([x number?]) #:pre (x) (> x 0) any) x) (f 0)",
        "f: contract violation\n  #:pre condition violation",
    ),
]


@pytest.mark.parametrize(
    ("program", "message"), BROKEN, ids=[m.split(" in:")[0].replace("\n", " ") for _, m in BROKEN]
)
async def test_who_breaks_a_contract_is_told_what_where_and_by_whom(program: str, message: str) -> None:
    """As a condition that exn:fail:contract? and exn:fail:contract:blame? accept."""
    result = await ran(program)
    assert result.error is not None
    assert result.error.message[: len(message)] == message


async def test_a_call_with_a_wrong_number_of_arguments_is_no_breach() -> None:
    """It is the call's own error."""
    result = await ran("(define/contract (f x) (-> number? number?) x) (f 1 2)")
    assert result.error is not None
    assert (result.error.type, result.error.message.splitlines()[0]) == (
        "exn:fail:contract:arity",
        "f: arity mismatch;",
    )


async def test_a_breach_can_be_handled() -> None:
    """By its own predicate, and as any failure of a contract."""
    await prints(
        "(define/contract (f x) (-> number? any) x)"
        "(define (kind p) (with-handlers ([p (λ (e) (exn:fail:contract:blame? e))]) (f 'a)))"
        "(kind exn:fail:contract?) (kind exn:fail:contract:blame?) (kind exn:fail?)",
        "#t\n#t\n#t\n",
    )


async def test_what_is_no_contract_is_an_error() -> None:
    """Where it is used as one."""
    result = await ran("(or/c string? (vector))")
    assert result.error is not None
    assert result.error.message.startswith("or/c: contract violation\n  expected: contract?\n  given: '#()")

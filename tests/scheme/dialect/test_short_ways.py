"""What the machine and the compiler do in one step where they can: it means what the long way means."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scheme.dialect.test_as_racket import Cases, cases, prints, ran

# a procedure that is only called where the let ends is a place to jump to
JUMPS: Cases = [
    (
        "from each branch",
        "(define (f x) (let ([no (λ () (list 'no x))]) (cond [(= x 1) (no)] [(= x 2) 'two] [else (no)]))) (map f '(1 2 3))",
        "'((no 1) two (no 3))\n",
    ),
    (
        "as an operand",
        "(define (f x) (+ 1 (let ([no (λ () (* 10 x))]) (if (odd? x) (no) (let ([y 5] [z 6]) (if (= x 2) (no) (+ y z))))))) (map f '(1 2 4))",
        "'(11 21 12)\n",
    ),
    (
        "for its effect",
        "(define (f x) (let ([say (λ () (display x))]) (and (odd? x) (say))) (let ([say (λ () (display '!))]) (when (even? x) (say))) x) (map f '(1 2))",
        "1!'(1 2)\n",
    ),
    (
        "with an argument",
        "(define (f x) (let ([k (λ (v) (list v x))]) (if (= x 0) (k 'zero) (let ([a 1] [b 2]) (k (+ a b x)))))) (f 0) (f 5)",
        "'(zero 0)\n'(8 5)\n",
    ),
    (
        "with an argument that is assigned",
        "(define (f x) (let ([k (λ (v) (set! v (+ v 1)) (λ () v))]) (if (= x 0) (k 10) (let ([a 1]) (k a))))) ((f 0)) ((f 1))",
        "11\n2\n",
    ),
    ("that nobody calls", "(let ([k (λ () (error 'never))]) 5)", "5\n"),
    (
        "that is also a value",
        "(define (f x) (let ([k (λ () x)]) (if (= x 0) (k) k))) (f 0) ((f 3))",
        "0\n3\n",
    ),
    (
        "that is also called elsewhere",
        "(define (f x) (let ([k (λ () (* 2 x))]) (if (= x 0) (k) (+ 1 (k))))) (f 0) (f 3)",
        "0\n7\n",
    ),
    (
        "with a wrong number of arguments",
        "(define (f x) (let ([k (λ (v) v)]) (if x (k 1) (with-handlers ([exn:fail:contract:arity? (λ (e) 'arity)]) (k))))) (f #t) (f #f)",
        "1\n'arity\n",
    ),
    (
        "into a loop around it",
        "(let loop ([i 0] [acc '()]) (let ([next (λ () (loop (+ i 1) (cons i acc)))]) (cond [(= i 5) acc] [(even? i) (next)] [else (let ([t i]) (next))])))",
        "'(4 3 2 1 0)\n",
    ),
    (
        "out of a loop in it",
        "(define (f n) (let ([done (λ (v) (list 'done v))]) (let loop ([i n]) (cond [(= i 7) (done i)] [(> i 20) (done 'far)] [else (loop (+ i 3))])))) (f 1) (f 2)",
        "'(done 7)\n'(done far)\n",
    ),
    (
        "out of a loop that is a procedure",
        "(define (f n) (let ([done (λ (v) (list v))]) (let loop ([i n]) (if (= i 0) (done i) (car (list (loop (- i 1)))))))) (f 3)",
        "'(0)\n",
    ),
    (
        "one behind the other",
        "(define (f x) (let ([c (λ () 'c)]) (let ([b (λ () (if (= x 2) 'b (c)))]) (if (= x 1) 'a (b))))) (map f '(1 2 3))",
        "'(a b c)\n",
    ),
    (
        "out of a procedure that is a value",
        "(define (f x) (let ([c (λ () 'c)]) (let ([b (λ () (c))]) (if (= x 1) (b) (map (λ (_) (b)) '(1 2)))))) (f 1) (f 2)",
        "'c\n'(c c)\n",
    ),
    (
        "taken again by a continuation",
        "(define k #f) (define n 0) (define (f x) (let ([j (λ (v) (list v x n))]) (if (call/cc (λ (c) (set! k c) #t)) (j 'first) (let ([a 1]) (j 'again))))) (f 0) (when (< n 1) (set! n 1) (k #f))",
        "'(first 0 0)\n'(again 0 1)\n",
    ),
    (
        "in a match",
        "(define (f e) (match e [(list 'a x) x] [(list 'b x y) #:when (> x y) (list x y)] [(list 'b x y) (=> no) (if (= x y) (no) 'less)] [(or (list 'c x) (list 'd _ x)) (list 'or x)] [_ 'none])) (map f '((a 1) (b 2 1) (b 1 2) (b 1 1) (c 3) (d 4 5) 7))",
        "'(1 (2 1) less none (or 3) (or 5) none)\n",
    ),
    (
        "in a match that is an operand",
        '(define (f e) (string-append "<" (match e [(? number? n) #:when (> n 5) "big"] [1 "one"] [\'a "a"] [#\\b "b"] ["s" "s"] [_ "?"]) ">")) (map f \'(9 1 2 a #\\b "s"))',
        '\'("<big>" "<one>" "<?>" "<a>" "<b>" "<s>")\n',
    ),
]

RECORDS = "(struct p (x [y #:mutable])) (struct q p (z)) (define (x v) (p-x v)) (define (is v) (p? v)) (define (new a b) (p a b)) (define v (new 1 2)) (define w (q 3 4 5))"
KNOWN: Cases = [
    ("accessors", "(list (x v) (x w) (p-y w) (q-z w))", "'(1 3 4 5)\n"),
    ("predicates", "(map is (list v w 5 'a (box 1))) (map q? (list v w))", "'(#t #t #f #f #f)\n'(#f #t)\n"),
    ("what was changed", "(set-p-y! w 9) (p-y w)", "9\n"),
    (
        "names that mean something else later",
        "(set! p-x (λ (v) 'other)) (set! p? list) (set! p +) (x v) (x 5) (is 1) (new 3 4)",
        "'other\n'other\n'(1)\n7\n",
    ),
    (
        "names that mean a primitive later",
        "(set! p-x car) (set! p? symbol?) (set! p cons) (x '(1)) (is 'a) (new 3 4)",
        "1\n#t\n'(3 . 4)\n",
    ),
    (
        "no frame is left by what was in tail position",
        "(set! p-x (λ (n) (if (= n 0) 'end (x (- n 1))))) (x 300000)",
        "'end\n",
    ),
    (
        "a type that was defined again",
        "(define old v) (struct p (x)) (define new-x (λ (v) (p-x v))) (new-x (p 7)) (p? old)",
        "7\n#f\n",
    ),
]

CASES: Cases = [
    (
        "each number of arguments",
        "(list (of) (of 1) (of 1 2) (of 1 2 3))",
        "'(none (one 1) (many 1 (2)) (many 1 (2 3)))\n",
    ),
    (
        "a name that means something else later",
        "(set! f list) (list (of) (of 1) (of 1 2))",
        "'(() (1) (1 2))\n",
    ),
    ("a name that means a primitive later", "(set! f +) (list (of) (of 1) (of 1 2))", "'(0 1 3)\n"),
    (
        "a name that means other cases later",
        "(set! f (case-lambda [() 0] [(a . b) (cons b a)])) (list (of) (of 1) (of 1 2))",
        "'(0 (() . 1) ((2) . 1))\n",
    ),
    (
        "too few or too many",
        "(define g (case-lambda [(a) a] [(a b) b])) (define (h) (g)) (define (k) (+ (g 1 2 3) 1)) (define (wrong f) (with-handlers ([exn:fail:contract:arity? (λ (e) 'arity)]) (f))) (wrong h) (wrong k)",
        "'arity\n'arity\n",
    ),
    (
        "in tail position",
        "(define g (case-lambda [(n) (g n 'end)] [(n v) (if (= n 0) v (g (- n 1)))])) (g 100000)",
        "'end\n",
    ),
]

LOOPS: Cases = [
    (
        "out of the small integers",
        "(- (let loop ([n 0] [i (- (expt 2 61) 3)]) (if (= n 6) i (loop (+ n 1) (+ i 1)))) (expt 2 61))",
        "3\n",
    ),
    (
        "by fractions",
        "(let loop ([n 0] [x 0.5]) (if (> x 3) (list n x) (loop (+ n 1) (+ x 1))))",
        "'(3 3.5)\n",
    ),
    ("of one variable", "(let loop ([i -3]) (if (< i 4) (loop (+ i 2)) i))", "5\n"),
    (
        "of many variables",
        "(let loop ([a 1] [b 2] [c 3] [d 4] [i 0]) (if (= i 3) (list a b c d i) (loop b c d a (+ i 1))))",
        "'(4 1 2 3 3)\n",
    ),
    (
        "that exchange their variables",
        "(let loop ([a 1] [b 2] [i 0]) (if (= i 3) (list a b) (loop b a (+ i 1))))",
        "'(2 1)\n",
    ),
    (
        "that count another variable",
        "(let loop ([i 0] [j 10]) (if (> i 3) (list i j) (loop (+ j 1) (+ i 1))))",
        "'(11 1)\n",
    ),
    (
        "whose last variable was captured",
        "(map (λ (f) (f)) (let loop ([acc '()] [i 0]) (if (= i 3) acc (loop (cons (λ () i) acc) (+ i 1)))))",
        "'(2 1 0)\n",
    ),
]


@cases(JUMPS)
async def test_procedures_that_are_jumped_to(program: str, printed: str) -> None:
    """They are called, for all that a program can tell."""
    await prints(program, printed)


@cases(KNOWN)
async def test_calls_of_a_types_procedures(program: str, printed: str) -> None:
    """By their names, whatever these mean when the call is made."""
    await prints(RECORDS + program, printed)


@cases(CASES)
async def test_calls_of_case_lambdas(program: str, printed: str) -> None:
    """The case is chosen before, as long as the name means the same."""
    of = "(define f (case-lambda [() 'none] [(a) (list 'one a)] [(a . more) (list 'many a more)]))"
    await prints(
        f"{of} (define of (case-lambda [() (f)] [(a) (f a)] [(a b) (list (f a b)) (f a b)] [(a b c) (f a b c)])) {program}",
        printed,
    )


@cases(LOOPS)
async def test_loops_that_count(program: str, printed: str) -> None:
    """The last variable may be counted where it is."""
    await prints(program, printed)


async def test_a_wrong_value_is_told_by_the_accessors_name() -> None:
    """And where it was asked."""
    result = await ran("(struct p (x))\n(define (f v) (+ 1 (p-x v)))\n(f 5)")
    assert result.error is not None
    assert (result.error.message.splitlines()[0], result.error.line) == ("p-x: contract violation", 2)


async def test_an_index_out_of_a_vector_is_told() -> None:
    """Wherever vector and index come from."""
    for call in (
        "(f (vector 1 2) 2)",
        "(g (list (vector 1 2)) 2)",
        "(f (vector 1 2) -1)",
        "(f '(1) 0)",
        "(f (vector) 'a)",
    ):
        result = await ran(
            f"(define (f v i) (vector-ref v i)) (define (g l i) (vector-ref (car l) i)) {call}"
        )
        assert result.error is not None
        assert result.error.message.startswith("vector-ref: ")


NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(2**61 - 2, 2**61 + 2),
    st.integers(-(2**62) - 1, -(2**62) + 1),
    st.sampled_from([0.5, -1.5, 2.0]),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=5, max_size=30))
async def test_three_numbers_are_compared_as_python_compares_them(
    threes: list[tuple[float, float, float]],
) -> None:
    """Small integers, large ones and fractions."""
    calls = "".join(
        f"(let ([a {a}] [b {b}] [c {c}]) (list (< a b c) (<= a b c) (> a b c) (>= a b c) (= a b c)))"
        for a, b, c in threes
    )
    result = await ran(f"(list {calls})")
    expected = [[a < b < c, a <= b <= c, a > b > c, a >= b >= c, a == b == c] for a, b, c in threes]
    rows = ("(" + " ".join("#t" if held else "#f" for held in row) + ")" for row in expected)
    assert result.value == "(" + " ".join(rows) + ")"


async def test_all_three_have_to_be_numbers() -> None:
    """Even where the first two have decided."""
    for program in ("(< 2 1 'a)", "(< 'a 1 2)", '(= 1 2 "3")', "(let ([x '()]) (>= 1 x 2))"):
        result = await ran(program)
        assert result.error is not None
        assert "contract violation" in result.error.message


TEXT = st.text(st.sampled_from('abc ~"\\|\n\té漢'), max_size=5)
ATOM = st.one_of(
    st.integers(),
    st.floats(allow_nan=False),
    TEXT,
    st.booleans(),
    st.sampled_from(["'a", "'|b c|", "'quote", "'#\\x", "#(1 a)"]),
)


def written(value: object) -> str:
    """The value as an expression."""
    if isinstance(value, list):
        return f"(list {' '.join(map(written, value))})"
    if isinstance(value, bool):
        return "#t" if value else "#f"
    if isinstance(value, float):
        return {"inf": "+inf.0", "-inf": "-inf.0"}.get(repr(value), repr(value))
    if isinstance(value, str) and not value.startswith(("'", "#")):
        return (
            '"'
            + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
            + '"'
        )
    return str(value)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.recursive(ATOM, lambda inner: st.lists(inner, max_size=3), max_leaves=8), min_size=1, max_size=8
    )
)
async def test_a_text_is_formatted_the_same_in_one_step_and_piece_by_piece(values: list[object]) -> None:
    """~% goes the long way, and so do texts of more than a thousand characters."""
    result = await ran(
        "(define (long f v) (let ([t (format (string-append f (make-string 1000 #\\.)) v)]) (substring t 0 (- (string-length t) 1000))))"
        '(define (lines f v) (let ([t (format (string-append f "~%") v)]) (substring t 0 (- (string-length t) 1))))'
        f'(for*/or ([v (list {" ".join(map(written, values))})] [f \'("~a" "<~s>" "é~v")])'
        "(and (not (and (equal? (format f v) (long f v)) (equal? (format f v) (lines f v)))) (list f v)))"
    )
    assert result.error is None
    assert result.value == "#f"

"""A program that a session has run before is neither read nor compiled anew, and means what it would mean anew."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime
from rlm_wasm.runlog.events import ItemsCounted, Record
from rlm_wasm.session import Session
from rlm_wasm.testing import InlineProvider


@pytest.fixture
async def session() -> Session:
    async with Runtime(provider=InlineProvider()) as runtime:
        runtime.host_function("add")(lambda a, b: a + b)
        async with runtime.session() as session:
            yield session


async def value(session: Session, source: str) -> str:
    result = await session.execute(source)
    return result.value if result.status == "ok" else result.error.message


async def again(session: Session, source: str, between: str) -> tuple[str, str]:
    """What a program gives, and what it gives once it is well known and another has run since."""
    for _ in range(3):
        first = await value(session, source)
    await session.execute(between)
    return first, await value(session, source)


async def test_what_was_seen_takes_less_fuel_and_the_same_each_time(session: Session) -> None:
    await session.execute("")  # a session's first message tells it more than a program
    fuel = [(await session.execute("(+ 1 (* 2 3))")).execution.fuel for _ in range(4)]
    assert fuel[0] > 2 * fuel[1]
    assert fuel[1] == fuel[2] == fuel[3]


@pytest.mark.parametrize(
    ("source", "between", "values"),
    [
        ("(car (list 1 2))", "(define (car x) 'mine)", ("1", "mine")),
        ("(car (list 1 2))", "(set! car cdr)", ("1", "(2)")),
        ("(define x 1) (car (list x))", "(define-syntax-rule (car x) 'macro)", ("1", "macro")),
        ("(list 1)", "(define-syntax list (syntax-rules () ((_ x) 'macro)))", ("(1)", "macro")),
        ("(let ((a 1)) (+ a 1))", "(define-syntax-rule (let b e) 'mine)", ("2", "mine")),
        ("(if (> 2 1) 'yes 'no)", "(define (> a b) #f)", ("yes", "no")),
        ('(string-upcase "a")', "(eval '(define (string-upcase s) s))", ("A", "a")),
        (
            "(sqrt 16)",
            "(import (only (prefix (scheme base) x-) x-+) (rename (scheme base) (+ sqrt)))",
            ("4", "16"),
        ),
        ("(begin 1 (list 2))", "(define-syntax-rule (begin a b) (list a b))", ("(2)", "(1 (2))")),
        ('(begin (define a 1) 7 "s" (+ a 1))', "(define (+ . all) 'mine)", ("2", "mine")),
        ("(cond (#t 1) (else 2))", "(define-syntax-rule (cond x ...) 'other)", ("1", "other")),
    ],
)
async def test_names_that_another_program_gave_another_meaning_have_it(
    session: Session, source: str, between: str, values: tuple[str, str]
) -> None:
    assert await again(session, source, between) == values


async def test_a_name_that_was_missing_is_there_once_a_program_defines_it(session: Session) -> None:
    before, after = await again(session, "(twice 4)", "(define (twice x) (* 2 x))")
    assert before.startswith("unbound variable: twice")
    assert after == "8"


async def test_a_procedure_that_is_defined_anew_is_the_one_that_is_called(session: Session) -> None:
    await session.execute("(define (f) 1)")
    assert await again(session, "(f)", "(define (f) 2)") == ("1", "2")
    assert await again(session, "(f)", "(define (f) 1)") == ("2", "1")


async def test_a_definition_is_made_each_time(session: Session) -> None:
    """Not only the first time, when its name becomes the program's."""
    for _ in range(3):
        await session.execute("(define n 5)")
        assert await value(session, "n") == "5"
        await session.execute("(set! n (+ n 1))")
        assert await value(session, "n") == "6"


async def test_a_quoted_list_that_was_changed_is_whole_again(session: Session) -> None:
    """The same text has a list of its own each time: code with one is made anew."""
    source = "(let ((l '(3 1 2))) (set-cdr! l '()) l)"
    given = [await value(session, source) for _ in range(4)]
    assert len(set(given)) == 1
    source = "(define l '(1 2 3)) (set-car! l (+ 1 (car l))) (car l)"
    assert len({await value(session, source) for _ in range(4)}) == 1


@pytest.mark.parametrize(
    "source",
    [
        "(match (list 1 (list 2 3)) [(list a (list b c)) (+ a b c)])",
        "(match '(1 2) [(list a b) a])",
        "(for/sum ([i 3] #:when (odd? i)) i)",
        "(for*/list ([i 2] [j '(a b)]) (list i j))",
        '(with-handlers ([exn:fail? exn-message]) (error "no"))',
        "(define (f x) (* x x)) (for/list ([i 3]) (f i))",
    ],
)
async def test_what_macros_of_the_library_make_of_a_form_is_kept(session: Session, source: str) -> None:
    await session.execute("")
    results = [await session.execute(source) for _ in range(4)]
    assert len({result.value for result in results}) == 1
    assert 4 * results[3].execution.fuel < results[0].execution.fuel


async def test_a_struct_that_was_defined_since_is_known_to_patterns(session: Session) -> None:
    source = "(match (list 1 2) [(pair2 a b) 'struct] [_ 'none])"
    before, after = await again(session, source, "(struct pair2 (a b))")
    assert "pair2" in before
    assert after == "none"


async def test_a_match_expander_runs_each_time(session: Session) -> None:
    await session.execute("(define n 0)")
    expander = "(define-match-expander twice (lambda (stx) (set! n (+ n 1)) #'(list a b)))"
    await session.execute(expander)
    for _ in range(4):
        assert await value(session, "(match (list 1 2) [(twice) (+ a b)] [_ n])") == await value(
            session, "(match (list 1 2) [(twice) (+ a b)] [_ n]) ;"
        )
    assert int(await value(session, "n")) >= 8


async def test_a_loop_announces_its_turns_once_its_procedure_makes_calls() -> None:
    """What a loop becomes rests on what the procedures do that its body calls."""
    records: list[Record] = []
    loop = "(length (for/list ([i 2]) (f i)))"
    async with (
        Runtime(provider=InlineProvider(), log=records.append) as runtime,
        runtime.session() as session,
    ):
        for body, announced in (("x", 0), ('(llm-query #:instruction "q")', 2), ("x", 0)):
            await session.execute(f"(define (f x) {body})")
            for _ in range(4):
                records.clear()
                assert (await session.execute(loop)).value == "2"
                counts = [record.announced for record in records if isinstance(record, ItemsCounted)]
                assert max(counts, default=0) == announced


async def test_what_two_quoted_lists_share_they_share_in_every_run(session: Session) -> None:
    await session.execute("(define-syntax-rule (quoted x) (list 'x '(0 x)))")
    source = "(let ((lists (quoted (1 2)))) (set-car! (car lists) 9) lists)"
    for _ in range(3):
        assert await value(session, source) == "((9 2) (0 (9 2)))"


async def test_a_quoted_list_is_each_runs_own_and_keeps_its_places(session: Session) -> None:
    source = "(define old l) (define l '(a (b) c)) (set-car! (cadr l) 'x) (list old l (eq? old l))"
    await session.execute("(define l #f)")
    given = [await value(session, source) for _ in range(4)]
    assert given[1:] == ["((a (x) c) (a (x) c) #f)"] * 3
    told = [(await session.execute("(eval\n  '(begin (car\n    5)))")).error for _ in range(4)]
    assert all(error == told[0] for error in told)


async def test_an_error_names_its_place_and_its_form_each_time(session: Session) -> None:
    source = "(define (f x)\n  (car x))\n(f 5)"
    told = [(await session.execute(source)).error for _ in range(4)]
    assert told[0].line == 2
    assert all(error == told[0] for error in told)


async def test_a_program_that_ran_well_is_refused_once_its_calls_no_longer_fit(session: Session) -> None:
    """The look before the first LLM call is taken each time, since what variables hold may be another thing."""
    await session.execute("(define f (lambda (x) x))")
    source = '(string-length (string-append (f "abc") (substring (syntax-e (llm-query #:instruction "q")) 0 0) (g "")))'
    await session.execute("(define g (lambda (x) x))")
    before, after = await again(session, source, "(set! g (lambda (x y) x))")
    assert before == "3"
    assert "found before the first LLM call was sent" in after


async def test_what_comes_after_the_first_call_is_looked_at_each_time(session: Session) -> None:
    await session.execute("(define g (lambda (x) x))")
    source = '(define a (llm-query #:instruction "q"))\n(g (syntax-e a))\n(string-length (g "abc"))'
    assert (await again(session, source, "(set! g (lambda () 1))"))[0] == "3"
    told = await value(session, source)
    assert "found before the first LLM call was sent" in told


async def test_a_program_interrupted_by_a_limit_is_run_from_its_start_the_next_time() -> None:
    async with (
        Runtime(provider=InlineProvider(), limits=Limits(fuel=2_000_000)) as runtime,
        runtime.session() as session,
    ):
        source = "(define k 0) (define (f) (set! k (+ k 1)) (f)) (f)"
        for _ in range(4):
            assert (await session.execute(source)).status == "limit"
        assert (await session.execute("(define k 0) k")).value == "0"


async def test_a_macro_is_that_of_the_last_program_that_defined_it(session: Session) -> None:
    first = "(define-syntax-rule (q) (quote (1 2))) (define l (q)) (set-car! l (+ 1 (car l))) (car l)"
    other = "(define-syntax-rule (q) (quote (5 6))) (define l (q)) (set-car! l (+ 1 (car l))) (car l)"
    for _ in range(3):
        assert await value(session, first) == "2"
        assert await value(session, first) == "2"
        assert await value(session, other) == "6"


async def test_a_begin_at_the_top_level_costs_what_its_forms_cost(session: Session) -> None:
    """A literal whose value nobody wants costs its reading alone."""
    await session.execute("")
    few = [(await session.execute("(begin 1 2)")).execution.fuel for _ in range(2)]
    many = [(await session.execute("(begin 1 2 3 4 5 6 7 8 9 10)")).execution.fuel for _ in range(2)]
    assert many[1] - few[1] < 8 * 500
    assert many[0] - few[0] < 8 * 2000
    assert await value(session, "(begin 1 2 3)") == "3"
    assert await value(session, "(begin (begin) (begin 4))") == "4"
    assert "unbound variable: nowhere" in await value(session, "(begin 1 nowhere)")


async def test_many_programs_by_turns_stay_right(session: Session) -> None:
    """More than are kept."""
    for _ in range(3):
        for n in range(20):
            assert await value(session, f"(+ {n} 1)") == str(n + 1)


async def test_a_collection_forgets_what_was_seen(session: Session) -> None:
    """It is garbage that is still there: nobody pays for it in memory."""
    source = "(+ 1 2 3)"
    await session.execute("")
    fuel = [(await session.execute(source)).execution.fuel for _ in range(2)]
    await session.execute(
        "(void (make-vector 300000 0)) (void (make-vector 300000 0)) (void (make-vector 300000 0))"
    )
    after = [(await session.execute(source)).execution.fuel for _ in range(2)]
    assert after[1] == fuel[1]
    assert after[0] >= fuel[1]


async def test_a_fork_knows_what_its_session_knew(session: Session) -> None:
    source = "(map (lambda (x) (* x x)) (list 1 2 3))"
    fuel = [(await session.execute(source)).execution.fuel for _ in range(3)]
    async with await session.fork() as fork:
        await fork.execute("")
        result = await fork.execute(source)
    assert result.value == "(1 4 9)"
    assert result.execution.fuel == fuel[2]


FORMS = st.sampled_from(
    [
        "(+ a 1)",
        "(define a 2)",
        "(set! a (+ a 1))",
        "(f a)",
        "(define (f x) (* x 10))",
        "(define (f x) (list x))",
        "(set! f (lambda (x) 'set))",
        "(define-syntax-rule (f x) (quote macro))",
        "(define (+ x y) (- x y))",
        '(list a \'b "c")',
        "(list 'x (f a) '(1 (2) . 3))",
        "(let ((l '(1 2 3))) (set-car! (cdr l) a) l)",
        "(for/sum ([i 3]) (f i))",
        "(for/list ([x '(1 2)]) (list x a))",
        "(match (f a) [(list x) (* 2 x)] [(point x y) x] [_ 'none])",
        "(match '(1 2) [(list x y) (- y x a)])",
        "(struct point (x y))",
        "(define a (with-handlers ([exn:fail? (lambda (e) 7)]) (car (f a))))",
        "(define-syntax-rule (match x y ...) (quote mine))",
        "(let loop ((i 0)) (if (< i 3) (loop (add1 i)) i))",
        "(add a 1)",
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(FORMS, min_size=1, max_size=3).map(" ".join), min_size=2, max_size=4), st.data())
async def test_a_session_that_has_seen_programs_gives_what_one_gives_that_has_not(
    programs: list[str], data: st.DataObject
) -> None:
    """The second gets each of them with a comment of its own, so that each is new."""
    order = data.draw(st.lists(st.sampled_from(programs), min_size=4, max_size=8))
    async with Runtime(provider=InlineProvider()) as runtime:
        runtime.host_function("add")(lambda a, b: a + b)
        async with runtime.session() as knowing, runtime.session() as forgetting:
            for n, program in enumerate(["(define a 1) (define (f x) x)", *order]):
                assert await value(knowing, program) == await value(forgetting, f"{program} ;{n}")


@pytest.mark.parametrize(
    "source",
    [
        "(begin (define begin 5) (list begin))",
        "(begin (define begin (lambda x x)) (begin 1 2))",
        "(begin (define-syntax begin (syntax-rules () ((_ a b) 'mine))) (begin 1 2))",
        "(begin (begin (define begin 5)) (list begin))",
    ],
)
async def test_a_program_that_gives_begin_another_meaning_means_what_it_means_to_the_driver(
    session: Session, source: str
) -> None:
    """What is not ASCII is read by the driver."""
    await session.execute("")
    async with await session.fork() as other:
        assert await value(session, source) == await value(other, source + " ; é")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("(if #t 1)", "1"),
        ("(list (if #f 1) (and 1 (or #f 2)) 'a)", "(#<void> 2 a)"),
        ("(if 1 2 3 4)", "if: expected (if test then [else]), got (if 1 2 3 4)"),
        ("(and . 1)", "and: expected (and expression ...), got (and . 1)"),
        ("(quote 1 2)", "quote: expected (quote datum), got (quote 1 2)"),
        ("(define x 'a) x", "a"),
        ("(define car (if #t car 1)) (car '(1))", "1"),
        ("(define (f) 1) (define f (and f 2)) f", "2"),
        ("(define if 5) if", "5"),
        ("(define quote list) '5", "(5)"),
        ("(define z '(1 2)) (set-car! z 5) z", "(5 2)"),
        ("(if #t (define x 1) 2)", "define: a definition cannot stand where an expression is expected"),
        ("(define-syntax-rule (and a b) (list a b)) (and 1 2)", "(1 2)"),
        ("(and else 1)", "else: "),
    ],
)
async def test_a_form_whose_tree_is_made_at_once_means_what_it_means(
    session: Session, source: str, told: str
) -> None:
    for _ in range(3):
        async with await session.fork() as fork:
            assert (await value(fork, source)).startswith(told)

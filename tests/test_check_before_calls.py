"""A mistake in a program is found before its first LLM call is sent, and a right program never is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rlm_wasm import Limits, Runtime
from rlm_wasm.planning import estimate
from rlm_wasm.results import Result
from rlm_wasm.testing import GatedProvider, InlineProvider

ROOT = Path(__file__).parents[1]
CORPUS = sorted((ROOT / "tests" / "corpus" / "dialect").glob("*.rkt"))
CALL = '(define answer (syntax-e (llm-query #:instruction "q")))\n'

MISTAKES = {
    "a name that nothing defines": ("(if #f (strng-append answer))", "unbound variable: strng-append"),
    "one in a procedure of the program": (
        "(define (f x) (if x (strng-append x) 1)) (f #f)",
        "unbound variable: strng-append",
    ),
    "one that procedures lead to": (
        "(define (f) (g)) (define (g) (when #f (h))) (f)",
        "unbound variable: h",
    ),
    "one below a lambda": (
        "(map (lambda (x) (when #f (undefined-here x))) '(1))",
        "unbound variable: undefined-here",
    ),
    "one in a fiber": ("(await (spawn (lambda () (undefined-here))))", "unbound variable: undefined-here"),
    "one below a loop": ("(for ([x 1]) (undefined-here))", "unbound variable: undefined-here"),
    "an assignment of what is not there": (
        "(when #f (set! undefined-here 1))",
        "unbound variable: undefined-here",
    ),
    "too few arguments": (
        "(when #f (hash-ref (hash)))",
        "hash-ref: called with a wrong number of arguments: 1",
    ),
    "too many": ("(when #f (car answer 1))", "car: called with a wrong number of arguments: 2"),
    "of the program's own": (
        "(define (f x [y 1]) x) (when #f (f 1 2 3))",
        "f: called with a wrong number of arguments: 3",
    ),
    "of an internal procedure": (
        "(define (main) (define (h a b) a) (h 1)) (main)",
        "h: called with a wrong number of arguments: 1",
    ),
    "of a named let": ("(let loop ([i 0]) (when (< i 0) (loop)))", "loop: called with a wrong number"),
    "of a struct that is defined below": (
        "(define (f) (point 1)) (struct point (x y)) (f)",
        "point: called with a wrong number of arguments: 1",
    ),
    "of an accessor": ("(struct point (x y)) (when #f (point-x 1 2))", "point-x: called with a wrong number"),
    "of a substruct": (
        "(struct a (x)) (struct b a (y)) (when #f (b 1))",
        "b: called with a wrong number of arguments: 1",
    ),
    "of a case-lambda": (
        "(define f (case-lambda [(a) 1] [(a b c) 2])) (when #f (f 1 2))",
        "f: called with a wrong number of arguments: 2",
    ),
    "an unknown keyword": ("(map-async car '() #:onerror 1)", "map-async: there is no keyword #:onerror"),
    "a missing keyword": ("(define (f #:a a) a) (when #f (f))", "f: the keyword #:a is missing"),
    "a keyword twice": (
        '(llm-query #:instruction "a" #:instruction "b")',
        "llm-query: the keyword #:instruction is given twice",
    ),
    "an internal procedure's keyword": (
        "(define (main) (define (h #:a [a 1]) a) (h #:b 1)) (main)",
        "h: there is no keyword #:b",
    ),
    "a pattern that is none": (
        "(match answer [(pont x) x])",
        "there is no pattern, and no struct, named pont",
    ),
    "a form of the wrong shape": ("(let ([x]) x)", "let: each binding must be"),
    "a regular expression": ('(when #f (regexp-match "a(" answer))', "missing closing parenthesis"),
    "one of pregexp": ('(define (f) (pregexp "[a")) (f)', "missing closing square bracket"),
    "#:json without the word": (
        '(llm-query #:instruction "List it" #:json #t)',
        'llm-query: #:json #t needs the word "json"',
    ),
    "#:json that is no boolean": ('(llm-query #:json \'yes #:instruction "json")', "#:json must be #t or #f"),
    "a temperature": (
        '(llm-query #:instruction "q" #:temperature 3)',
        "#:temperature must be a number from 0 to 2",
    ),
    "one that is no number": ('(llm-query #:instruction "q" #:temperature \'hot)', "#:temperature must be"),
    "one that the model does not take": (
        '(llm-query-async #:instruction "q" #:model "o3" #:temperature 1/2)',
        "llm-query-async: model o3 does not take #:temperature",
    ),
    "one in cached-query": (
        '(cached-query "q" #:model "gpt-5" #:temperature 0)',
        "cached-query: model gpt-5 does not take #:temperature",
    ),
    "max-tokens": ('(llm-query #:instruction "q" #:max-tokens 0)', "#:max-tokens must be a positive integer"),
    "an instruction that is no text": ("(llm-query #:instruction 'ask)", "#:instruction must be a string"),
    "no instruction": (
        "(define (f d) (llm-query #:data d)) (f answer)",
        "llm-query: #:instruction is missing",
    ),
    "an empty one": (
        '(map (lambda (d) (llm-query-async #:data d #:instruction "")) (list answer))',
        "llm-query-async: #:instruction is missing",
    ),
}


async def ran(provider: InlineProvider, program: str, **options: bool) -> Result:
    """The Result in a session of its own."""
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        return await session.execute(program, **options)


@pytest.mark.parametrize("name", MISTAKES)
async def test_a_mistake_that_comes_after_a_call_is_found_before_it_is_sent(
    name: str, answers: InlineProvider
) -> None:
    """With its place, whatever stands around it."""
    code, message = MISTAKES[name]
    result = await ran(answers, CALL + code)
    assert result.status == "error"
    assert result.error is not None
    assert message in result.error.message
    assert "found before the first LLM call was sent" in result.error.message
    assert "(line 2, column " in result.error.message
    assert result.error.line == 2
    assert (answers.requests, result.execution.calls) == ([], 0)


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_same_program_runs_as_far_as_it_comes_without_the_check(
    name: str, answers: InlineProvider
) -> None:
    """``check=False`` sends the call."""
    await ran(answers, CALL + MISTAKES[name][0], check=False)
    assert len(answers.requests) >= 1


async def test_all_of_them_are_listed_in_one_error(answers: InlineProvider) -> None:
    """To mend them one at a time would cost a model a turn each; also those that the host finds."""
    codes = [code for code, _ in MISTAKES.values() if "(define" not in code and "struct" not in code]
    result = await ran(answers, CALL + "\n".join(codes))
    assert result.error is not None
    for line, code in enumerate(codes, start=2):
        if "undefined-here" not in code:  # told of once, with its lines
            assert f"(line {line}, " in result.error.message, code
    assert "It is also used in line 4, 5, 6" in result.error.message
    assert result.error.line == 2
    assert answers.requests == []


@pytest.mark.parametrize(
    ("code", "type_"),
    [
        ("(undefined-here)", "exn:fail:contract:variable"),
        ("(hash-ref)", "exn:fail:contract:arity"),
        ("(let ([x]) x)", "exn:fail:syntax"),
        ('(llm-query #:instruction "q" #:temperature 9)', "exn:fail:contract"),
    ],
)
async def test_the_error_has_the_type_that_the_first_one_would_have(
    code: str, type_: str, answers: InlineProvider
) -> None:
    """So that whoever looks at types need not know of the check."""
    result = await ran(answers, f"{CALL}{code}\n(car 1 2)")
    assert result.error is not None
    assert result.error.type == type_


async def test_so_many_problems_are_counted_and_not_all_shown(answers: InlineProvider) -> None:
    """A text of bounded length."""
    result = await ran(answers, CALL + "\n".join(f"(undefined-{i})" for i in range(200)))
    assert result.error is not None
    assert result.error.message.startswith("200 problems, found before")
    assert result.error.message.endswith("- and 170 more")


@pytest.mark.parametrize(
    "call",
    [
        '(await-all (map (lambda (x) (llm-query-async #:instruction "q")) \'(1 2 3)))',
        '(map-async (lambda (x) (llm-query-async #:instruction "q")) \'(1 2 3) #:on-error (lambda (m) m))',
        '(try (llm-query #:instruction "q") on-error (lambda (m) m))',
        '(race (list (lambda () (llm-query #:instruction "q")) (lambda () (llm-query #:instruction "r"))))',
        '(define (ask) (unsafe-raw-query #:instruction "q")) (ask)',
        '(cached-query "q")',
        '((memoized (lambda () (llm-query #:instruction "q"))))',
        '(begin (define x 1) (llm-query #:instruction "q") (define y 2))',
    ],
)
@pytest.mark.parametrize("mistake", ["(undefined-here)", '(llm-query #:instruction "q" #:temperature 9)'])
async def test_no_way_of_calling_gets_past_the_check(
    call: str, mistake: str, answers: InlineProvider
) -> None:
    """In fibers, in handlers, in the midst of a form: and nothing catches the refusal."""
    result = await ran(answers, f"{call}\n{mistake}")
    assert result.status == "error"
    assert result.error is not None
    assert "found before the first LLM call was sent" in result.error.message
    assert answers.requests == []


async def test_many_that_call_at_once_are_all_held(gate: GatedProvider, gated: Runtime) -> None:
    """None of twenty workers is faster than the host's word."""
    result = await gated.run(
        '(map-async (lambda (x) (llm-query-async #:instruction "q" #:temperature 0)) (range 20))\n'
        '(llm-query #:instruction "q" #:model "o1" #:temperature 0)'
    )
    assert result.error is not None
    assert "(line 2, column 1)" in result.error.message
    assert gate.requests == []


async def test_the_session_goes_on_after_a_refusal(answers: InlineProvider) -> None:
    """What had run stays; the mended program runs."""
    async with Runtime(provider=answers) as runtime, runtime.session() as session:
        refused = await session.execute(f"(define x 5) (define (f a) a) {CALL} (f 1 2)")
        assert refused.status == "error"
        assert (await session.execute(f"{CALL} (f x)")).data == 5
        refused = await session.execute('(llm-query #:instruction "q" #:temperature 9)')
        assert refused.status == "error"
        assert (await session.execute(f"{CALL} answer")).data == "[q]"
    assert len(answers.requests) == 2


EARLIER = {
    "a name in it": ("(define (f x) (if x (strng-append x) 1))", "(f #f)", "strng-append, in f"),
    "one below a lambda": (
        "(define (f l) (map (lambda (x) (undefined-here x)) l))",
        "(f '())",
        "undefined-here, in f",
    ),
    "one that it leads to": (
        "(define (f) (g)) (define (g) (list undefined-here))",
        "(map (lambda (x) (f)) '())",
        "undefined-here, in g",
    ),
    "one in a default": ("(define (f #:a [a (undefined-here)]) a)", "(f #:a 1)", "undefined-here, in f"),
    "one in a case": (
        "(define f (case-lambda [(a) 1] [(a b) (undefined-here)]))",
        "(f 1)",
        "undefined-here, in f",
    ),
    "of a program before the last": (
        "(define (g) undefined-here)\n;; next\n(define (f) (if #f (g) 1))",
        "(f)",
        "undefined-here, in g",
    ),
}


@pytest.mark.parametrize("name", EARLIER)
async def test_a_mistake_in_what_an_earlier_program_defined_is_found_where_it_is_called(
    name: str, answers: InlineProvider
) -> None:
    """Before the call is sent, at the place of the call in this program."""
    before, after, message = EARLIER[name]
    async with Runtime(provider=answers) as runtime, runtime.session() as session:
        for program in before.split(";; next"):
            assert (await session.execute(program)).ok
        for _ in range(2):  # it is not forgotten
            result = await session.execute(CALL + after)
            assert result.error is not None
            assert f"unbound variable: {message}, which an earlier program defined" in result.error.message
            assert result.error.line == 2
        await session.execute("(define (undefined-here . l) 1) (define (strng-append . l) 1)")
        assert (await session.execute(CALL + after)).ok
    assert len(answers.requests) == 1


@pytest.mark.parametrize(
    "after",
    [
        "(define (later x) x) (f 1)",
        "(define (f x) x) (f 1)",
        "(set! f add1) (f 1)",
        "(eval '(define (later x) x)) (f 1)",
        "(try (f 1) on-error (lambda (m) m))",
        "(define (unused) (f 1))",
        "(finish 1) (f 1)",
        "(caught)",
        "5",
    ],
)
async def test_what_an_earlier_program_defined_refuses_nothing_that_runs(
    after: str, answers: InlineProvider
) -> None:
    """It is defined now, caught, or not called."""
    async with Runtime(provider=answers) as runtime, runtime.session() as session:
        await session.execute(
            "(define (f x) (later x)) (define (caught) (guard (e (#t 1)) (f 1)))"
            "(define (even2? n) (or (= n 0) (odd2? (- n 1)))) (define (odd2? n) (and (> n 0) (even2? (- n 1))))"
        )
        result = await session.execute(CALL + after)
        assert result.ok, result.error
        assert (await session.execute(f"{CALL}(even2? 4)")).data is True
    assert len(answers.requests) == 2


@pytest.mark.parametrize(
    "code",
    [
        '(if (llm-query #:instruction "Spam? yes or no") 1 2)',
        '(when (cached-query "Spam?") 1)',
        '(cond [(llm-query #:instruction "q") 1] [else 2])',
    ],
)
async def test_an_answer_as_a_condition_leaves_a_warning(code: str, answers: InlineProvider) -> None:
    """It is always true."""
    result = await ran(answers, code)
    assert result.ok, result.error
    (warning,) = result.warnings
    assert "its result is the test of a condition, and is always true" in warning
    assert "(line 1, column " in warning


async def test_a_macro_that_eval_defines_is_meant_by_forms_that_were_looked_at(
    answers: InlineProvider,
) -> None:
    """They are expanded again; so is what uses a name that the program imports meanwhile."""
    result = await ran(
        answers,
        f"{CALL} (define (twice x) x) (eval '(define-syntax-rule (twice x) (list x x))) (twice 2)",
    )
    assert result.data == [2, 2], result.error
    result = await ran(answers, f"{CALL} (eval '(define (first l) 'mine)) (first '(1 2))")
    assert result.value == "mine", result.error


async def test_a_begin_within_a_begin_is_looked_into(answers: InlineProvider) -> None:
    """Whatever stands around it, and what comes after it."""
    macro = "(define-syntax-rule (all e ...) (begin (void e) ...))"
    program = (
        f"{CALL}{macro} (begin (all 1 2) (begin (all (car 1 2)) 3) (when #f (undefined-a))) (undefined-b)"
    )
    result = await ran(answers, program)
    assert result.error is not None
    for words in ("car: called with", "undefined-a", "undefined-b"):
        assert words in result.error.message
    deep = "(begin " * 300 + "(void) " + "(void))" * 300 + " (undefined-d)"
    assert "undefined-d" in str((await ran(answers, CALL + deep)).error)
    many = "(begin " + "(void) " * 3000 + "(when #f (undefined-c)))"
    result = await ran(answers, CALL + many)
    assert "undefined-c" in str(result.error)
    assert answers.requests == []


@pytest.mark.parametrize(
    "path", [path for path in CORPUS if path.stem.startswith("dense-")], ids=lambda p: p.stem
)
async def test_the_look_costs_less_than_a_twentieth_of_an_evaluation(path: Path) -> None:
    """In fuel, which is exact: of programs that do each thing once, so that nothing outweighs it."""
    text = path.read_text(encoding="utf-8")
    source = CALL + text.split("\n", 1)[1] if text.startswith("#lang") else CALL + text
    fuel: dict[bool, int] = {}
    for check in (False, True):
        async with Runtime(provider=InlineProvider()) as runtime:
            for _ in range(2):  # the first one warms what they share
                async with runtime.session() as session:
                    result = await session.execute(source, check=check)
            fuel[check] = result.execution.fuel
    assert fuel[True] < 1.05 * fuel[False], fuel


RIGHT = {
    "a name that a later program defines": "(define (f) (later-on))",
    "a wrong call in what nothing calls": "(define (f) (car 1 2))",
    "what eval defines": "(eval '(define zz 1)) (+ zz 1)",
    "what eval defines as a macro": "(eval '(define-syntax-rule (twice x) (+ x x))) (twice 2)",
    "what unsafe-overwrite defines": "(unsafe-overwrite 'zz 1) (+ zz 1)",
    "what is caught": "(with-handlers ([exn:fail? (lambda (e) 1)]) (undefined-here))",
    "what guard catches": "(guard (e (#t 1)) (car 1 2))",
    "what try catches": "(try (undefined-here) on-error (lambda (m) m))",
    "what a handler of R7RS catches": (
        "(call/cc (lambda (k) (with-exception-handler (lambda (e) (k 1)) (lambda () (hash-ref)))))"
    ),
    "what follows finish": "(finish 1) (undefined-here) (let ([x]) x) (llm-query #:instruction 'x)",
    "what follows finish in every branch": "(define t #t) (if t (finish 1) (finish 2)) (undefined-here)",
    "a procedure that is assigned": "(define (f) 1) (set! f (lambda (x) x)) (f 2)",
    "a procedure of the library's that is assigned": "(set! add1 (lambda (a b) a)) (add1 1 2)",
    "a local procedure that is assigned": "(let () (define (f) 1) (set! f (lambda (x) x)) (f 2))",
    "a procedure that is defined twice": "(define (f) 1) (f) (define (f x) x) (f 2)",
    "what is defined below": "(define (f) (g 1)) (define (g x) x) (f)",
    "what a macro defines": "(define-syntax-rule (def n v) (define n v)) (def zz 1) (+ zz 1)",
    "what define-values defines": "(define-values (a b) (values 1 2)) (+ a b)",
    "what a struct defines": "(struct p (x [y #:mutable])) (define v (p 1 2)) (set-p-y! v 3) (p-x v)",
    "a struct with automatic fields": "(struct p (x [y #:auto])) (p-y (p 1))",
    "a substruct": "(struct a (x)) (struct b a (y)) (a-x (b 1 2))",
    "a record": "(define-record-type p (make-p x) p? (x p-x set-p-x!)) (p-x (make-p 1))",
    "a rest list": "(define (f . rest) rest) (f) (f 1 2)",
    "keywords by apply": "(define (f #:a [a 1]) a) (apply f '(#:a 2))",
    "keywords as data": "(list '#:a #:b) (hash-union (hash) (hash) #:combine +)",
    "a name of the library's, redefined": "(define (take l) l) (take '(1))",
    "a keyword of an LLM call, redefined": '(define (regexp-match a) a) (regexp-match "a(")',
    "a procedure that is asked what it takes": (
        "(define (f x) x) (if (procedure-arity-includes? f 2) (f 1 2) (f 1))"
    ),
    "a library": "(import (srfi 1)) (fold + 0 '(1 2))",
    "a module": "(require racket/list) (first '(1))",
    "a parameter": "(define p (make-parameter 1)) (parameterize ([p 2]) (p))",
    "a generator": "(define g (generator () (yield 1))) (g)",
    "quoted code": "'(undefined-here (car 1 2))",
    "a macro of the program's own code": (
        "(define-syntax swap! (er-macro-transformer (lambda (f r c) `(,(r 'list) ,@(cdr f))))) (swap! 1 2)"
    ),
    "literal arguments that are right": (
        '(llm-query #:instruction "q" #:temperature 0.5 #:max-tokens 5 #:model "gpt-4o" #:recursive #f)'
    ),
    "#:json with the word": '(if #f (llm-query #:instruction "As JSON" #:json #t) 1)',
    "an argument that is not literal": (
        '(define t 9) (if #f (llm-query #:instruction "q" #:temperature t #:json (= t 1)) 1)'
    ),
    "the context": "(if #f context 1)",
    "an instruction that is made": '(define i "q") (llm-query #:data "" #:instruction i)',
    "arguments that are made": '(apply llm-query (list \'#:instruction "q"))',
}


@pytest.mark.parametrize("name", RIGHT)
async def test_a_program_that_runs_rightly_is_not_refused(name: str, answers: InlineProvider) -> None:
    """Before the call, after it, and around it."""
    for program in (
        CALL + RIGHT[name],
        RIGHT[name] + "\n" + CALL,
        f"(define k 1)\n{CALL}{RIGHT[name]} {CALL}",
    ):
        result = await ran(answers, program)
        assert result.ok, (program, result.error)
    assert len(answers.requests) >= 2


async def test_what_has_run_already_is_not_held_against_a_program(answers: InlineProvider) -> None:
    """A branch that was not taken, a loop that is over."""
    before = "(define debug #f) (when debug (dump 1)) (for ([x '(1)]) (when debug (dump x)))"
    result = await ran(answers, f"{before} {CALL} answer")
    assert result.value == "[q]"
    assert "unbound variable: dump" in result.warnings[0]


async def test_what_only_may_be_wrong_is_a_warning(answers: InlineProvider) -> None:
    """A later program may define it; or eval; or it is caught."""
    async with Runtime(provider=answers) as runtime, runtime.session() as session:
        result = await session.execute(f"(define (f) (helper 1))\n{CALL}")
        assert result.status == "ok", result.error
        assert [text[:24] for text in result.warnings] == ["unbound variable: helper"]
        await session.execute("(define (helper x) (* 6 7))")
        assert (await session.execute(f"{CALL} (f)")).data == 42
    result = await ran(answers, f"(eval 1) {CALL} (if #f (maybe) 1)")
    assert result.ok
    assert "unbound variable: maybe" in result.warnings[0]
    result = await ran(answers, f"{CALL} (guard (e (#t 1)) (maybe))")
    assert "unbound variable: maybe" in result.warnings[0]


async def test_without_a_call_nothing_is_refused_or_warned_of(answers: InlineProvider) -> None:
    """Such a program costs nothing, and what it printed first is there."""
    result = await ran(answers, '(display "out") (define (f) (g)) (undefined-here)')
    assert result.stdout == "out"
    assert result.error is not None
    assert result.error.type == "exn:fail:contract:variable"
    assert result.warnings == ()


async def test_forms_are_expanded_once_and_in_their_order(answers: InlineProvider) -> None:
    """Ahead or not: a macro of the program's own sees what it saw before."""
    count = (
        "(define-syntax tick (er-macro-transformer (lambda (f r c) (set! n (+ n 1)) n)))"
        " (define n 0) (define before (tick))"
    )
    program = (
        f"{count} {CALL} (define-syntax-rule (later x) (list x before)) (later (tick)) (begin (later (tick)))"
    )
    assert (await ran(answers, program)).data == [3, 1]
    assert (await ran(answers, program, check=False)).data == [3, 1]


async def test_a_continuation_may_enter_a_form_again(answers: InlineProvider) -> None:
    """A form that was expanded ahead runs as often as it is reached."""
    program = f"(define n 0) (define k #f) {CALL} (call/cc (lambda (c) (set! k c))) (set! n (+ n 1)) (if (< n 3) (k 1)) n"
    assert (await ran(answers, program)).data == 3


async def test_a_program_that_was_suspended_in_its_first_call_goes_on(
    gate: GatedProvider, gated: Runtime
) -> None:
    """What was expanded ahead is part of a snapshot."""
    program = f"{CALL} (define-syntax-rule (pair x) (list x x)) (struct p (x)) (p-x (p (pair answer)))"
    async with gated.session() as session:
        running = asyncio.create_task(session.execute(program))
        await gate.arrived(1)
        snapshot = await session.snapshot()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    async with await gated.restore(snapshot) as restored:
        resumed = asyncio.create_task(restored.resume())
        await gate.arrived(1)
        gate.release()
        result = await resumed
    assert result.data == ["[q]", "[q]"], result.error


async def test_a_host_function_is_a_name(answers: InlineProvider) -> None:
    """Granted by the embedder."""
    async with Runtime(provider=answers, host_functions={"lookup": lambda key: key}) as runtime:
        assert (await runtime.run(f"{CALL} (lookup answer)")).data == "[q]"


async def test_limits_hold_while_a_program_is_looked_through(answers: InlineProvider) -> None:
    """A macro that does not end costs fuel, not the event loop."""
    loop = "(define-syntax m (er-macro-transformer (lambda (f r c) (let loop () (loop)))))"
    async with (
        Runtime(provider=answers, limits=Limits(fuel=300_000_000)) as runtime,
        runtime.session() as session,
    ):
        await session.execute(loop)
        result = await session.execute(f"{CALL} (m)")
        assert (result.status, result.error and result.error.kind) == ("limit", "fuel")
        assert (await session.execute(f"{CALL} answer")).data == "[q]"


async def test_a_macro_that_waits_is_not_looked_into(answers: InlineProvider) -> None:
    """It asks the host when its turn has come."""
    macro = (
        "(define-syntax m (er-macro-transformer (lambda (f r c) (sleep 0)"
        ' (syntax-e (llm-query #:instruction "in a macro")))))'
    )
    async with Runtime(provider=answers) as runtime, runtime.session() as session:
        await session.execute(macro)
        result = await session.execute(f"{CALL} (m)")
        assert result.value == "[in a macro]", result.error


# ---- programs of models


async def test_a_sub_models_program_is_checked_before_it_runs() -> None:
    """It is shown back what is wrong, all at once; nothing of the program has run, and its calls are not paid for."""
    wrong = '```scheme\n(define a (llm-query #:instruction "x"))\n(when #f (strng-append a))\n(hash-ref)\n```'
    replies = [wrong, "```scheme\n(finish 42)\n```"]
    provider = InlineProvider(lambda request: replies.pop(0))
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run('(syntax-e (llm-query #:instruction "task" #:data "d" #:recursive #t))')
    assert result.value == "42", result.error
    assert len(provider.requests) == 2
    shown = provider.requests[1].data
    assert "it was not run, since a check found:" in shown
    assert "unbound variable: strng-append (line 2, column 10)" in shown
    assert "hash-ref: called with a wrong number of arguments: 0 (line 3, column 1)" in shown


async def test_a_sub_output_is_checked_before_it_runs(answers: InlineProvider) -> None:
    """Its mistake is a condition of the program that runs it; nothing of it has run."""
    program = (
        '(define x 1) (define r (try (unsafe-exec-sub-output "(set! x 2) (when #f (undefined-here))")'
        " on-error (lambda (m) m))) (list x r)"
    )
    data = (await ran(answers, program)).data
    assert data[0] == 1
    assert "unbound variable: undefined-here (line 1, column 21), found before any of it ran" in data[1]
    right = '(define x 1) (unsafe-exec-sub-output "(define (f y) (+ x y)) (f 2)")'
    assert (await ran(answers, right)).data == 3
    dynamic = '(unsafe-exec-sub-output "(eval \'(define zz 4)) (+ zz 1)")'
    assert (await ran(answers, dynamic)).data == 5


async def test_an_estimate_lists_the_problems(answers: InlineProvider) -> None:
    """With the calls of what could be run."""
    async with Runtime(provider=answers, host_functions={"pay": lambda: 1}) as runtime:
        found = await estimate(runtime, f"{CALL} (when #f (undefined-here)) (when #f (pay))")
        assert [problem.message for problem in found.problems] == ["unbound variable: undefined-here"]
        assert (found.status, found.calls) == ("error", 0)
        assert "undefined-here" in found.to_text()
        fine = await estimate(runtime, f"{CALL} (when #f (pay))")
        assert (fine.status, fine.calls, fine.problems) == ("ok", 1, ())


# ---- nothing that is right is refused


@pytest.mark.parametrize("program", CORPUS, ids=lambda path: path.stem)
async def test_no_program_of_the_corpus_is_refused(program: Path, answers: InlineProvider) -> None:
    """With a call at its beginning the whole of it is looked through; it gives what it gave."""
    text = program.read_text(encoding="utf-8")
    lines = text.split("\n", 1)
    if lines[0].startswith("#lang"):
        text = lines[1]
    call = '(void (llm-query #:instruction "q"))\n'
    checked, unchecked = await ran(answers, call + text), await ran(answers, call + text, check=False)
    assert (checked.status, checked.value, checked.stdout) == (
        unchecked.status,
        unchecked.value,
        unchecked.stdout,
    ), checked.error
    assert len(answers.requests) == 2


@pytest.mark.parametrize("symbol", [False, True])
@pytest.mark.parametrize(
    ("aliases", "refused"),
    [({"cheap": "o3-mini"}, True), ({"o3-mini": "llama3.2"}, False), ({}, False)],
)
async def test_a_literal_call_is_judged_by_the_model_that_its_name_stands_for(
    aliases: dict[str, str], *, refused: bool, symbol: bool, answers: InlineProvider
) -> None:
    """A reasoning model takes no temperature, under whatever name; what is only called so takes one."""
    name = "o3-mini" if "o3-mini" in aliases else "cheap"
    model = f"'{name}" if symbol else f'"{name}"'
    program = f'{CALL}(syntax-e (llm-query #:instruction "q" #:model {model} #:temperature 0.5))'
    async with Runtime(provider=answers, aliases=aliases) as runtime:
        result = await runtime.run(program)
    assert result.status == ("error" if refused else "ok")
    assert result.execution.calls == (0 if refused else 2)

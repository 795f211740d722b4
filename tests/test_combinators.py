"""Every combinator: what it gives, what runs at the same time, and what happens when a call fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rlm_wasm import CompletionRequest, Limits, ProviderError, Runtime
from rlm_wasm.providers.openai import OpenAIProvider
from rlm_wasm.testing import Fault, GatedProvider, InlineProvider, OpenAIServer

ASK = '(define (ask x) (lambda () (llm-query-async #:instruction (format "~a" x))))'
"""(ask x): a thunk that asks for x."""


async def value(runtime: Runtime, program: str) -> Any:
    """A program's value, which must be there."""
    result = await runtime.run(ASK + program)
    assert result.ok, result.error
    return result.data if result.data is not None else result.value


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("(parallel (list (ask 1) (ask 2)))", ["[1]", "[2]"]),
        ("(parallel '())", []),
        ("(parallel (list (ask 1) (ask 2)) #:max-concurrent 1)", ["[1]", "[2]"]),
        ("((sequence add1 (lambda (x) (* 2 x))) 4)", 10),
        ("((sequence) 4)", 4),
        ("(fold-sequential (lambda (acc x) (cons x acc)) '() '(1 2 3))", [3, 2, 1]),
        ("(tree-reduce + '(1 2 3 4 5 6 7))", 28),
        ("(tree-reduce list '(1 2 3) #:branch-factor 2)", [[1, 2], 3]),
        ("(tree-reduce (lambda (a b) (list a b)) '(1 2 3) #:branch-factor 3)", [[1, 2], 3]),
        ("(tree-reduce list '(1 2 3) #:leaf-fn add1)", [2, 3, 4]),
        ("(tree-reduce car '(7))", 7),
        ('((recursive-spawn (lambda () string-upcase)) "abc")', "ABC"),
        (
            "(fan-out-aggregate (lambda (x) ((ask x))) (lambda (xs) (apply string-append xs)) '(1 2))",
            "[1][2]",
        ),
        ("(iterate-until (lambda (x) (* x 2)) (lambda (x) (> x 50)) 1)", 64),
        ("(iterate-until add1 (lambda (x) #f) 0)", 10),
        ("(iterate-until add1 (lambda (x) #f) 0 #:max-iter 3)", 3),
        ("(iterate-until add1 (lambda (x) #t) 0)", 0),
        ('(critique-refine (ask 1) (lambda (d) "more") (lambda (d c) (string-append d "!")))', "[1]!!!"),
        (
            '(critique-refine (ask 1) (lambda (d) (if (string-suffix? d "!") "Approved." "more"))'
            ' (lambda (d c) (string-append d "!")) #:quality-threshold 8)',
            "[1]!",
        ),
        ("((with-validation (lambda (x y) (+ x y)) even?) 1 3)", 4),
        ("(vote (list (ask 1) (ask 2) (ask 1)))", "[1]"),
        ("(vote (list (ask 1) (ask 2)) #:method 'plurality)", "[1]"),
        ("(vote (list (ask 1) (ask 1)) #:method 'consensus)", "[1]"),
        ("(ensemble (list (ask 1) (ask 2)))", "Model 1:\n[1]\n\nModel 2:\n[2]"),
        ("(ensemble (list (ask 1) (ask 2)) #:aggregator length)", 2),
        ("(tiered (lambda (x) ((ask x))) (lambda (firsts) (apply string-append firsts)) '(1 2))", "[1][2]"),
        (
            "(active-learning (lambda (x) ((ask x))) (lambda (x) ((ask (* 10 x))))"
            ' (lambda (first) (if (equal? first "[2]") 0.1 0.9)) \'(1 2 3))',
            ["[1]", "[20]", "[3]"],
        ),
        (
            "(active-learning (lambda (x) ((ask x))) (lambda (x) ((ask (* 10 x)))) (lambda (first) 0.7) '(1 2))",
            ["[1]", "[2]"],
        ),
        ("((memoized (lambda (x) ((ask x)))) 1)", "[1]"),
        ("(let ([n 0]) (define f (memoized (lambda (x) (set! n (+ n 1)) x))) (f 1) (f 1) (f 2) n)", 2),
        (
            "(let ([n 0]) (define f (memoized (lambda (x y) (set! n (+ n 1)) x) #:key-fn (lambda (x y) x)))"
            " (f 1 2) (f 1 3) n)",
            1,
        ),
        ("((choose even? (lambda (x) 'even) (lambda (x) 'odd)) 3)", "odd"),
        ('((try-fallback (lambda (x) (error "no")) (lambda (x) ((ask x)))) 5)', "[5]"),
        ('(try (error "no") on-error (lambda (message) message))', "no"),
        ("(define-values (q rest) (await-any (list ((ask 1))))) (list q rest)", ["[1]", []]),
        ("(map syntax? (await-all-syntax (list ((ask 1)) ((ask 2)))))", [True, True]),
        (
            "(map-async (lambda (x) (parallel (list (ask x) (ask x)))) '(1 2))",
            [["[1]", "[1]"], ["[2]", "[2]"]],
        ),
    ],
)
async def test_a_combinator_gives(runtime: Runtime, program: str, expected: Any) -> None:
    """The value, with handles awaited and scoped values unwrapped."""
    assert await value(runtime, program) == expected


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("(parallel (ask 1))", ["parallel", "list of thunks"]),
        ("(parallel (list ((ask 1))))", ["parallel", "list of thunks", "lambda ()"]),
        ("(parallel '() #:max-concurrent 0)", ["max-concurrent"]),
        ("(race '())", ["race"]),
        ("(race 5)", ["race", "list of thunks"]),
        ("(sequence 5)", ["sequence", "procedure"]),
        ("(fold-sequential + 0 5)", ["fold-sequential", "list"]),
        ("(fold-sequential 0 + '())", ["fold-sequential", "procedure"]),
        ("(tree-reduce + '())", ["tree-reduce", "non-empty"]),
        ("(tree-reduce + '(1 2) #:branch-factor 1)", ["branch-factor"]),
        ("(tree-reduce '())", ["tree-reduce", "non-empty"]),
        ("(fan-out-aggregate 1 2 3)", ["fan-out-aggregate", "procedure"]),
        ("(iterate-until 1 2 3)", ["iterate-until", "procedure"]),
        ("(critique-refine 1 2 3)", ["critique-refine", "procedure"]),
        ("((with-validation (lambda (x) x) even?) 1)", ["validation failed", "1"]),
        ("(vote '())", ["vote"]),
        ("(vote (list (ask 1) (ask 2)))", ["no majority", "2 answers"]),
        ("(vote (list (ask 1) (ask 2)) #:method 'consensus)", ["no consensus"]),
        ("(vote (list (ask 1)) #:method 'coin)", ["'majority", "'plurality", "'consensus"]),
        ("(tiered car cdr 5)", ["tiered", "list"]),
        ("(active-learning car cdr car 5)", ["active-learning", "list"]),
        ("(memoized 5)", ["memoized", "procedure"]),
        ('(await "forged")', ["handle"]),
        ("(await-all (list 1))", ["handle"]),
        ("(await-all 5)", ["list"]),
        ("(cancel 'h)", ["handle"]),
        ("(spawn 5)", ["spawn", "procedure"]),
        ('(llm-query #:instruction "x" #:recursive 0)', ["#:recursive"]),
        ("(define h ((ask 1))) (cancel h) (await h)", ["cancelled"]),
        ("(with-timeout 0.001 (lambda () (sleep 100)))", ["with-timeout", "no result"]),
    ],
)
async def test_a_combinator_explains_a_mistake(runtime: Runtime, program: str, words: list[str]) -> None:
    """By its own name, and what it wants."""
    result = await runtime.run(ASK + program)
    assert result.status == "error"
    for word in words:
        assert word in str(result.error)


CONCURRENT = {
    "parallel": "(parallel (map ask (range 3)))",
    "vote": "(vote (map ask (range 3)) #:method 'plurality)",
    "ensemble": "(ensemble (map ask (range 3)))",
    "race": "(race (map ask (range 3)))",
    "tiered": "(tiered (lambda (x) ((ask x))) length (range 3))",
    "active-learning": "(active-learning (lambda (x) ((ask x))) (lambda (x) x) (lambda (first) 1) (range 3))",
    "fan-out-aggregate": "(fan-out-aggregate (lambda (x) ((ask x))) length (range 3))",
    "tree-reduce": "(tree-reduce (lambda xs ((ask xs))) (range 6) #:branch-factor 2)",
    "map-async": "(map-async (lambda (x) (syntax-e (llm-query #:instruction (~a x)))) (range 3))",
    "await-all": "(await-all (map (lambda (x) ((ask x))) (range 3)))",
    "spawn": "(map await (map (lambda (x) (spawn (lambda () (syntax-e (await ((ask x))))))) (range 3)))",
    "ensemble-vote": '(ensemble-vote (list "a" "b" "c") "which?")',
}


@pytest.mark.parametrize("name", CONCURRENT)
async def test_independent_work_runs_at_the_same_time(gated: Runtime, gate: GatedProvider, name: str) -> None:
    """All three calls are at the provider before the first is answered."""
    task = asyncio.create_task(gated.run(ASK + CONCURRENT[name]))
    await gate.arrived(3)
    assert len(gate.requests) == 3
    while not task.done():
        gate.release_many(100)
        await asyncio.sleep(0)
    assert (await task).ok, (await task).error


@pytest.mark.parametrize(
    "program",
    [
        "(fold-sequential (lambda (acc x) ((ask x))) 0 (range 3))",
        "((sequence (lambda (x) ((ask x))) (lambda (x) ((ask x))) (lambda (x) ((ask x)))) 1)",
        "(iterate-until (lambda (x) ((ask x))) (lambda (x) #f) 1 #:max-iter 3)",
    ],
)
async def test_dependent_work_runs_one_after_the_other(
    gated: Runtime, gate: GatedProvider, program: str
) -> None:
    """Never more than one call at the provider."""
    task = asyncio.create_task(gated.run(ASK + program))
    for _ in range(3):
        await gate.arrived(1)
        gate.release()
        await asyncio.sleep(0)
    assert (await task).ok
    assert (gate.peak, len(gate.requests)) == (1, 3)


class FailsOn(InlineProvider):
    """The Nth call fails, from 1."""

    def __init__(self, nth: int) -> None:
        super().__init__()
        self.nth = nth

    async def complete(self, request: CompletionRequest) -> Any:
        """Answer, or fail."""
        if len(self.requests) + 1 == self.nth:
            self.requests.append(request)
            raise ProviderError("out of order", status=500)
        return await super().complete(request)


TAKES_A_CALL_EACH = [
    "(parallel (map ask (range 3)))",
    "(map-async (lambda (x) ((ask x))) (range 3))",
    "(ensemble (map ask (range 3)))",
    "(vote (map ask '(1 1 1)))",
    "(tiered (lambda (x) ((ask x))) length (range 3))",
    "(fan-out-aggregate (lambda (x) ((ask x))) length (range 3))",
    "(fold-sequential (lambda (acc x) ((ask x))) 0 (range 3))",
    "(tree-reduce (lambda xs ((ask xs))) (range 6) #:branch-factor 3)",
    "(active-learning (lambda (x) ((ask x))) (lambda (x) ((ask x))) (lambda (first) 0) '(1 2))",
    "(await-all (map (lambda (x) ((ask x))) (range 3)))",
    "(iterate-until (lambda (x) ((ask x))) (lambda (x) #f) 0 #:max-iter 3)",
    "(critique-refine (ask 1) (lambda (d) ((ask d))) (lambda (d c) ((ask c))) #:max-iter 1)",
]


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("program", TAKES_A_CALL_EACH)
async def test_whichever_call_fails_the_program_is_told_and_the_session_goes_on(
    program: str, nth: int
) -> None:
    """The condition can be caught; uncaught it names the call; nothing that was defined is lost."""
    async with Runtime(provider=FailsOn(nth)) as runtime, runtime.session() as session:
        caught = await session.execute(
            f"{ASK} (define kept 1) (with-handlers ([exn:fail? (lambda (e) (exn-message e))]) {program})"
        )
        assert caught.status == "ok"
        assert "out of order" in caught.value
        assert (await session.execute("kept")).value == "1"
    async with Runtime(provider=FailsOn(nth)) as runtime:
        result = await runtime.run(ASK + program)
        assert result.status == "error"
        assert "500" in str(result.error)


async def test_race_passes_over_what_fails() -> None:
    """Where all fail, what the last one raised comes out."""
    async with Runtime(provider=FailsOn(1)) as runtime:
        assert (await runtime.run(ASK + "(race (map ask '(1 2)))")).value == "[2]"
        result = await runtime.run('(race (list (lambda () (error "a")) (lambda () (error "b"))))')
        assert "b" in str(result.error)


async def test_a_failed_attempt_is_not_memoized() -> None:
    """The next call with the same key tries again."""
    async with Runtime(provider=FailsOn(1)) as runtime:
        program = (
            ASK + "(define f (memoized (lambda (x) ((ask x))))) (try (f 1) on-error (lambda (m) m)) (f 1)"
        )
        assert (await runtime.run(program)).value == "[1]"


async def test_the_same_key_at_once_is_one_call(gated: Runtime, gate: GatedProvider) -> None:
    """memoized while the first is still under way."""
    task = asyncio.create_task(
        gated.run(ASK + "(define f (memoized (lambda (x) ((ask x))))) (map-async f '(1 1 1))")
    )
    await gate.arrived(1)
    gate.release()
    assert (await task).data == ["[1]"] * 3
    assert len(gate.requests) == 1


async def test_map_async_starts_the_next_as_soon_as_one_ends(gated: Runtime, gate: GatedProvider) -> None:
    """A slow item holds up nobody else."""
    task = asyncio.create_task(
        gated.run(ASK + "(map-async (lambda (x) ((ask x))) (range 5) #:max-concurrent 2)")
    )
    await gate.arrived(2)
    for _ in range(3):
        gate.release(1)
        await asyncio.sleep(0)
        await gate.arrived(2)
    assert gate.waiting[0].instruction == "0"
    while not task.done():
        gate.release_many(5)
        await asyncio.sleep(0)
    assert (await task).data == [f"[{i}]" for i in range(5)]


async def test_a_program_that_redefines_parallel_changes_nothing_inside_of_the_library(
    runtime: Runtime,
) -> None:
    """Combinators are ordinary bindings; the library does not see the program's."""
    program = ASK + "(define (parallel x) 'mine) (vote (map ask '(1 1)))"
    assert await value(runtime, program) == "[1]"


async def test_recursive_spawn_bounds_the_depth() -> None:
    """#:depth 1: the child may not recurse further."""
    program = '```scheme\n(finish (syntax-e (llm-query #:instruction "again" #:recursive #t)))\n```'
    async with Runtime(provider=InlineProvider(lambda request: program)) as runtime:
        result = await runtime.run('((recursive-spawn (lambda () "go") #:depth 1) "data")')
        assert result.status == "error"
        assert "depth 2 is deeper than the limit of 1" in str(result.error)


async def test_children_run_at_the_same_time_and_log_their_depth() -> None:
    """Recursive calls inside of map-async."""

    def answer(request: CompletionRequest) -> str:
        if "one Scheme program" in request.instruction:
            return '```scheme\n(finish (string-append context (syntax-e (llm-query #:instruction "inner"))))\n```'
        return "!"

    provider = GatedProvider(answer)
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        task = asyncio.create_task(
            session.execute(
                '(map-async (lambda (x) (llm-query-async #:instruction "go" #:data x #:recursive #t)) (list "a" "b"))'
            )
        )
        await provider.arrived(2)
        while not task.done():
            provider.release_many(2)
            await asyncio.sleep(0)
        result = await task
        assert provider.peak == 2
        assert result.data == ["a!", "b!"], result.error
        assert result.execution.calls == 4
        log = [entry for entry in session.scope_log() if entry["op"].startswith("llm-query")]
    assert sorted((entry["scope"], entry["depth"]) for entry in log) == [
        ("sub-1", 1), ("sub-1", 1), ("sub-call", 1), ("sub-call", 1),
    ]  # fmt: skip


async def test_a_program_that_never_works_is_given_up_when_the_iterations_are_used() -> None:
    """Each time it is shown the error of the one before."""
    provider = InlineProvider(lambda request: "```scheme\n(car 5)\n```")
    async with Runtime(provider=provider, limits=Limits(iterations=3)) as runtime:
        result = await runtime.run('(llm-query #:instruction "go" #:data "d" #:recursive #t)')
    assert result.status == "error"
    assert "3 times" in str(result.error)
    assert len(provider.requests) == 3
    assert "It failed" in provider.requests[2].data
    assert "(car 5)" in provider.requests[1].data


async def test_the_losers_of_a_race_are_aborted_at_the_server() -> None:
    """Over HTTP: the server sees that nobody waits for them any longer."""
    async with OpenAIServer(lambda request: "won") as server:
        server.next(Fault.hang(), Fault.hang())
        provider = OpenAIProvider(base_url=server.base_url, api_key="test")
        async with Runtime(provider=provider) as runtime:
            result = await runtime.run(
                '(race (map (lambda (x) (lambda () (llm-query #:instruction x))) (list "a" "b" "c")))'
            )
            assert result.value == "won", result.error
            await asyncio.wait_for(server.wait_for_disconnects(2), 10)

"""Calls, handles, fibers."""

from __future__ import annotations

import asyncio

import pytest

from rlm_wasm import Completion, Limits, ProviderError, Runtime
from rlm_wasm.testing import GatedProvider, InlineProvider


async def test_a_call_gives_a_scoped_value(runtime: Runtime) -> None:
    """Opaque: an operation on strings says what to write instead."""
    result = await runtime.run('(syntax? (llm-query #:instruction "q"))')
    assert result.value == "#t"
    result = await runtime.run('(string-append "a" (llm-query #:instruction "q"))')
    assert result.status == "error"
    assert "syntax-e" in str(result.error)
    assert (await runtime.run('(syntax-e (llm-query #:instruction "q"))')).value == "[q]"


async def test_the_request_carries_everything(runtime: Runtime, answers: InlineProvider) -> None:
    """As the program said it."""
    await runtime.run(
        '(llm-query #:instruction "i" #:data "d" #:model "gpt-4o" #:temperature 0.5 #:max-tokens 7)'
    )
    request = answers.requests[0]
    assert (request.instruction, request.data, request.model) == ("i", "d", "gpt-4o")
    assert (request.temperature, request.max_tokens, request.json, request.depth) == (0.5, 7, False, 0)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ('(llm-query #:instruction "x" #:json #t)', ["json", "OpenAI API requirement"]),
        ('(llm-query #:instruction "x" #:model "o3-mini" #:temperature 1)', ["temperature", "o3-mini"]),
        ("(llm-query #:instruction 5)", ["#:instruction", "string"]),
        ("(llm-query)", ["#:instruction"]),
        ('(llm-query #:instruction "x" #:data (llm-query-async #:instruction "y"))', ["await"]),
        ('(llm-query #:instruction (llm-query #:instruction "y"))', ["syntax-e"]),
        ('(llm-query #:instruction "x" #:max-tokens -1)', ["max-tokens"]),
        ("(map-async car 5)", ["list"]),
        ("(await-any '())", ["cannot await-any on empty list"]),
        ('(await (llm-query #:instruction "x"))', ["llm-query-async"]),
        ("(await 5)", ["handle"]),
        ("(token-budget -1)", ["token-budget"]),
        ("(parameterize ((token-budget 'a)) 1)", ["token-budget"]),
        ("(define (finish x) x)", ["cannot redefine scaffold binding", "finish"]),
        ("(set! llm-query 1)", ["cannot redefine scaffold binding", "llm-query"]),
        ("(exit)", ["finish"]),
        ('(map-async (lambda (x) x) "text")', ["split"]),
        ("(with-timeout -1 (lambda () 1))", ["with-timeout"]),
        ("(context-slice 0 1)", ["no context"]),
        ("((with-validation (lambda (x) x) even?) 3)", ["validation failed"]),
    ],
)
async def test_a_mistake_is_explained(
    runtime: Runtime, answers: InlineProvider, program: str, words: list[str]
) -> None:
    """Before any money is spent."""
    result = await runtime.run(program)
    assert result.status == "error"
    for word in words:
        assert word in str(result.error)


async def test_a_local_binding_may_have_a_scaffold_name(runtime: Runtime) -> None:
    """Only the top level is protected."""
    assert (await runtime.run("(let ((finish 5)) (+ finish 1))")).value == "6"
    assert (await runtime.run("(define (tree-reduce x) x) (tree-reduce 3)")).value == "3"


async def test_calls_in_map_async_overlap(gated: Runtime, gate: GatedProvider) -> None:
    """Also those of plain llm-query; never more than was said; the next starts as one ends."""
    task = asyncio.create_task(
        gated.run(
            "(map-async (lambda (i) (syntax-e (llm-query #:instruction (number->string i)))) (range 7) #:max-concurrent 3)"
        )
    )
    for left in range(7, 0, -1):
        await gate.arrived(min(left, 3))
        assert len(gate.waiting) == min(left, 3)
        gate.release()
        await asyncio.sleep(0)
    result = await task
    assert result.data == [f"[{i}]" for i in range(7)]
    assert gate.peak == 3


async def test_two_hundred_items_take_ten_rounds(gated: Runtime, gate: GatedProvider) -> None:
    """At #:max-concurrent 20; rounds are counted, time is not."""
    task = asyncio.create_task(
        gated.run(
            "(length (map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (range 200) #:max-concurrent 20))"
        )
    )
    rounds = 0
    while len(gate.requests) < 200 or gate.waiting:
        await gate.arrived(20)
        gate.release_many(20)
        rounds += 1
        await asyncio.sleep(0)
    assert (await task).value == "200"
    assert rounds == 10


async def test_parallel_overlaps_and_keeps_order(gated: Runtime, gate: GatedProvider) -> None:
    """Whatever the order of the answers."""
    task = asyncio.create_task(
        gated.run(
            "(parallel (map (lambda (i) (lambda () (llm-query #:instruction (number->string i)))) (range 4)))"
        )
    )
    await gate.arrived(4)
    for _ in range(4):
        gate.release(-1)
    assert (await task).data == ["[0]", "[1]", "[2]", "[3]"]


async def test_race_cancels_the_losers(gated: Runtime, gate: GatedProvider) -> None:
    """Their requests are really cancelled, those of nested work too."""
    task = asyncio.create_task(
        gated.run(
            '(race (list (lambda () (llm-query #:instruction "a"))'
            '            (lambda () (map-async (lambda (x) (llm-query #:instruction x)) (list "b" "c")))))'
        )
    )
    await gate.arrived(3)
    gate.release()
    assert (await task).value == "[a]"
    await asyncio.sleep(0)
    assert sorted(request.instruction for request in gate.cancelled) == ["b", "c"]


async def test_await_any_gives_the_first_and_the_rest(gated: Runtime, gate: GatedProvider) -> None:
    """Two values."""
    task = asyncio.create_task(
        gated.run(
            '(define hs (map (lambda (i) (llm-query-async #:instruction i)) (list "a" "b" "c")))'
            "(define-values (first rest) (await-any hs)) (list first (length rest) (sort (await-all rest) string<?))"
        )
    )
    await gate.arrived(3)
    gate.release(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.release_many(2)
    assert (await task).data == ["[b]", 2, ["[a]", "[c]"]]


async def test_awaiting_twice_gives_the_same(runtime: Runtime) -> None:
    """A handle keeps its answer."""
    result = await runtime.run(
        '(define h (llm-query-async #:instruction "a")) (list (syntax-e (await h)) (syntax-e (await h)) (handle-done? h))'
    )
    assert result.data == ["[a]", "[a]", True]


async def test_a_failed_call_names_itself_and_can_be_caught() -> None:
    """The provider's status and message are in the condition."""

    class Broken:
        async def complete(self, request: object) -> Completion:
            raise ProviderError("out of order", status=503)

    async with Runtime(provider=Broken()) as runtime:  # type: ignore[arg-type]
        result = await runtime.run('(llm-query #:instruction "a" #:model "m")')
        assert result.status == "error"
        assert result.error is not None
        assert result.error.type == "exn:fail:llm"
        for word in ("call 1", "503", "out of order"):
            assert word in str(result.error)
        caught = '(with-handlers ([exn:fail? (lambda (e) "caught")]) (llm-query #:instruction "a"))'
        assert (await runtime.run(caught)).value == "caught"


async def test_the_first_failure_of_map_async_cancels_the_rest(gated: Runtime, gate: GatedProvider) -> None:
    """And names the index."""
    task = asyncio.create_task(
        gated.run('(map-async (lambda (i) (llm-query-async #:instruction i)) (list "a" "b" "c"))')
    )
    await gate.arrived(3)
    gate.fail(ProviderError("no"), 1)
    result = await task
    await asyncio.sleep(0)
    assert result.status == "error"
    assert "item 1" in str(result.error)
    assert sorted(request.instruction for request in gate.cancelled) == ["a", "c"]


@pytest.mark.parametrize("nth", range(5))
async def test_whichever_call_fails_the_others_are_kept_with_on_error(nth: int) -> None:
    """Fail the Nth for every N."""

    def answer(request: object) -> str:
        if getattr(request, "instruction", "") == str(nth):
            raise ProviderError("no")
        return "fine"

    async with Runtime(provider=InlineProvider(answer)) as runtime:
        result = await runtime.run(
            "(map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (range 5)"
            ' #:on-error (lambda (e) "bad"))'
        )
        assert result.data == ["bad" if i == nth else "fine" for i in range(5)]


async def test_a_call_that_nobody_awaited_goes_on(gated: Runtime, gate: GatedProvider) -> None:
    """The session's next execution can await it."""
    async with gated.session() as session:
        assert (await session.execute('(define h (llm-query-async #:instruction "a"))')).status == "ok"
        await gate.arrived(1)
        gate.release()
        await asyncio.sleep(0)
        assert (await session.execute("(syntax-e (await h))")).value == "[a]"


async def test_finish_cancels_what_is_in_flight(gated: Runtime, gate: GatedProvider) -> None:
    """So do an error and a limit."""
    for end, status in (("(finish 1)", "finished"), ("(car 5)", "error")):
        result = await gated.run(f'(llm-query-async #:instruction "a") (sleep 0.01) {end}')
        assert result.status == status
        await asyncio.sleep(0)
    assert len(gate.cancelled) == 2


async def test_a_deadlock_names_who_waits_for_what(runtime: Runtime) -> None:
    """Every fiber waits for what cannot come."""
    result = await runtime.run(
        "(define a (spawn (lambda () (await b)))) (define b (spawn (lambda () (await a)))) (await a)"
    )
    assert result.status == "error"
    assert "deadlock" in str(result.error)
    assert "the program waits for" in str(result.error)


async def test_with_timeout_cancels_the_work(gated: Runtime, gate: GatedProvider) -> None:
    """And calls its third argument."""
    result = await gated.run(
        '(with-timeout 0.01 (lambda () (llm-query #:instruction "a")) (lambda () "late"))'
    )
    assert result.value == "late"
    await asyncio.sleep(0)
    assert len(gate.cancelled) == 1


async def test_a_token_budget_is_deducted_and_refuses(runtime: Runtime) -> None:
    """Fifteen tokens a call; nested budgets both count."""
    program = '(parameterize ([token-budget {n}]) (define a (llm-query #:instruction "a")) (token-budget))'
    assert (await runtime.run(program.format(n=100))).value == "85"
    over = await runtime.run(program.format(n=12))
    assert "token budget exceeded" in str(over.error)
    nested = (
        "(parameterize ([token-budget 100]) (parameterize ([token-budget 50])"
        ' (llm-query #:instruction "a")) (token-budget))'
    )
    assert (await runtime.run(nested)).value == "85"


async def test_the_scope_log_is_in_order(runtime: Runtime) -> None:
    """With previews, scopes and the calls' figures."""
    async with runtime.session() as session:
        await session.execute(
            '(define h (llm-query-async #:instruction "a")) (syntax-e (await h)) (checkpoint "k" 1) (restore "k")'
            '(unsafe-interpolate (llm-query #:instruction "b"))'
        )
        log = session.scope_log()
    assert [entry["op"] for entry in log] == [
        "llm-query-async", "await", "syntax-e", "checkpoint", "restore", "llm-query", "unsafe-interpolate",
    ]  # fmt: skip
    assert (log[0]["scope"], log[0]["tokens"], log[0]["model"], log[0]["call_id"]) == (
        "sub-call",
        15,
        "test",
        1,
    )
    assert log[2]["datum_preview"] == "[a]"


async def test_lineage_survives_string_operations(runtime: Runtime) -> None:
    """The Result says from which calls its value derives."""
    result = await runtime.run(
        '(define a (syntax-e (llm-query #:instruction "a"))) (define b (syntax-e (llm-query #:instruction "b")))'
        '(finish (string-append "x: " (substring a 0 2)))'
    )
    assert result.derived_from == (1,)
    assert (await runtime.run('(finish "plain")')).derived_from == ()


async def test_json_answers_are_validated() -> None:
    """Fences are taken off; nonsense is an error that shows it."""
    texts = iter(['```json\n{"a": 1}\n```', "no json"])
    async with Runtime(provider=InlineProvider(lambda request: next(texts))) as runtime:
        asked = '(syntax-e (llm-query #:instruction "json please" #:json #t))'
        assert (await runtime.run(asked)).value == '{"a": 1}'
        assert "no valid JSON" in str((await runtime.run(asked)).error)


async def test_a_recursive_call_runs_a_program_in_a_child() -> None:
    """The sub-model writes it; its data is the child's context; a failed one is shown its error."""
    seen = []

    def answer(request: object) -> str:
        text = f"{getattr(request, 'instruction', '')} | {getattr(request, 'data', '')}"
        seen.append(text)
        if "It failed" in text:
            return "Sorry:\n```scheme\n(finish (string-upcase context))\n```"
        return "```scheme\n(finish (no-such-thing context))\n```"

    async with Runtime(provider=InlineProvider(answer)) as runtime:
        result = await runtime.run(
            '(syntax-e (llm-query #:instruction "Upcase" #:data "abc" #:recursive #t))'
        )
        assert result.value == "ABC"
        assert result.execution.calls == 2
        assert "no-such-thing" in seen[1]


async def test_recursion_has_a_depth() -> None:
    """The condition names it."""
    program = '```scheme\n(finish (syntax-e (llm-query #:instruction "again" #:recursive #t)))\n```'
    async with Runtime(provider=InlineProvider(lambda request: program), limits=Limits(depth=2)) as runtime:
        result = await runtime.run('(syntax-e (llm-query #:instruction "go" #:recursive #t))')
        assert result.status == "error"
        assert "depth" in str(result.error)


async def test_contexts_are_read_without_copying_the_whole(runtime: Runtime) -> None:
    """Length, slices, lines, search, chunks."""
    async with runtime.session() as session:
        await session.load_context("one\ntwo two\nthree\n")
        await session.load_context("named text", "n")
        assert (await session.execute("(context-length)")).value == "18"
        assert (await session.execute('(context-slice 0 3 "n")')).value == "nam"
        assert (await session.execute("(context-lines 1 3)")).data == ["two two", "three"]
        assert (await session.execute('(car (context-search "two"))')).value == "(4 . two two)"
        assert (await session.execute('(length (context-search #px"t[wh]"))')).value == "2"
        assert (await session.execute("(context-chunks 10 2)")).data == ["one\ntwo tw", "two\nthree\n"]
        assert (
            await session.execute("(apply string-append (context-chunks 5 0))")
        ).value == "one\ntwo two\nthree\n"
        assert (await session.execute('(list (get-context "n") (get-context "x" #f) (context-names))')).data == [
            "named text", False, ["n"],
        ]  # fmt: skip
        assert "overlap" in str((await session.execute("(context-chunks 5 5)")).error)
        await session.load_context("new")
        assert (await session.execute("context")).value == "new"
        await session.load_context("newer")
        assert (await session.execute("context")).value == "newer"


async def test_checkpoints_belong_to_the_namespace(runtime: Runtime) -> None:
    """They survive reset and are shared by its sessions."""
    async with runtime.session(namespace="a") as one, runtime.session(namespace="b") as other:
        assert (await one.execute('(checkpoint "k" (hash \'x (list 1 2.5 "z")))')).status == "ok"
        await one.reset()
        assert (await one.execute('(hash-ref (restore "k") \'x)')).data == [1, 2.5, "z"]
        assert (await other.execute('(restore "k")')).value == "#f"
        assert await one.checkpoints() == ["k"]


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("((sequence add1 sqr) 2)", "9"),
        ("(fold-sequential + 0 (list 1 2 3))", "6"),
        ('(tree-reduce (lambda (a b) (string-append a b)) (list "a" "b" "c" "d" "e" "f"))', "abcdef"),
        ("(tree-reduce + (list 1 2 3 4 5 6 7) #:branch-factor 3)", "28"),
        ("(tree-reduce + (list 5))", "5"),
        ("(fan-out-aggregate sqr (lambda (l) (apply + l)) (list 1 2 3))", "14"),
        ("(iterate-until add1 (lambda (x) (> x 4)) 0)", "5"),
        (
            '(critique-refine (lambda () 1) (lambda (d) "Approved") (lambda (d c) 2) #:quality-threshold 0.9)',
            "1",
        ),
        ("((with-validation add1 even?) 3)", "4"),
        ('(vote (list (lambda () "a") (lambda () "b") (lambda () "a ")))', "a"),
        ('(ensemble (list (lambda () "x") (lambda () "y")))', "Model 1:\nx\n\nModel 2:\ny"),
        ("(tiered add1 (lambda (l) (apply + l)) (list 1 2))", "5"),
        (
            "(active-learning add1 (lambda (x) 'hard) (lambda (r) (if (= r 3) 0.1 0.9)) (list 1 2 3))",
            "(2 hard 4)",
        ),
        (
            "(define n 0) (define f (memoized (lambda (x) (set! n (+ n 1)) x))) (list (f 1) (f 1) n)",
            "(1 1 1)",
        ),
        ("((choose even? add1 sub1) 4)", "5"),
        ("((try-fallback (lambda (x) (car x)) (lambda (x) 'fell)) 5)", "fell"),
        ("(try (car 5) on-error (lambda (m) 'caught))", "caught"),
        ('(syntax-e ((recursive-spawn (lambda (d) (llm-query #:instruction d))) "q"))', "[q]"),
        ('(cached-query "q") (cached-query "q") (hash-ref (budget-remaining) \'calls)', "999"),
        ('(ensemble-vote (list "m1" "m2") "q")', "[q]"),
    ],
)
async def test_combinators(runtime: Runtime, program: str, value: str) -> None:
    """One line each; the unhappy path is in the table of mistakes."""
    result = await runtime.run(program)
    assert (str(result.error or ""), result.value) == ("", value)

"""Estimates before anything is spent, and plans whose every program has one."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from rlm_wasm import Limits, Runtime
from rlm_wasm.planning import Task, plan
from rlm_wasm.planning.estimate import estimate
from rlm_wasm.providers.prices import Price, PriceTable
from rlm_wasm.testing import ScriptedProvider

FAN_OUT = """
(define parts (map-async (lambda (x) (llm-query-async #:instruction "Sum up." #:data x #:model "cheap" #:max-tokens 50))
                         (list "a" "b" "c" "d") #:max-concurrent 3))
(finish (syntax-e (llm-query #:instruction "Merge." #:data (string-join parts "\\n") #:model "dear")))
"""


def priced() -> ScriptedProvider:
    """Nothing may be asked of it: it has no answers."""
    prices = PriceTable({"cheap": Price(1, 2), "dear": Price(10, 20)})
    return ScriptedProvider([], prices=prices)


async def test_an_estimate_counts_calls_by_model_and_fan_out_and_spends_nothing() -> None:
    """The provider is never asked."""
    provider = priced()
    async with Runtime(provider, python="off") as runtime:
        outcome = await estimate(runtime, FAN_OUT)
    assert provider.requests == []
    assert outcome.status == "finished"
    assert (outcome.calls, dict(outcome.calls_by_model), outcome.fan_out) == (5, {"cheap": 4, "dear": 1}, 3)
    assert outcome.depth == 0
    assert not outcome.depends_on_answers
    assert outcome.cost_usd is not None
    assert outcome.upper_bound_usd is not None
    assert 0 < outcome.cost_usd < outcome.upper_bound_usd


async def test_the_upper_bound_holds_for_answers_as_long_as_they_may_be() -> None:
    """The same program, run for real with answers of exactly #:max-tokens or 1,024 tokens."""
    from rlm_wasm.providers.base import Completion, CompletionRequest
    from rlm_wasm.providers.tokens import estimate_prompt_tokens

    def long(request: CompletionRequest) -> Completion:
        max_tokens = request.max_tokens or 1024
        return Completion(
            text="word" * max_tokens,
            model=request.model or "",
            prompt_tokens=estimate_prompt_tokens(request.instruction, request.data),
            completion_tokens=max_tokens,
        )

    prices = PriceTable({"cheap": Price(1, 2), "dear": Price(10, 20)})
    async with Runtime(ScriptedProvider(long, prices=prices), python="off") as runtime:
        outcome = await estimate(runtime, FAN_OUT)
        result = await runtime.run(FAN_OUT)
    cost, bound = result.execution.cost_usd, outcome.upper_bound_usd
    assert cost is not None
    assert bound is not None
    assert 0.98 * bound <= cost <= bound


async def test_an_unknown_price_is_said_and_not_guessed() -> None:
    """None, with the model's name."""
    async with Runtime(priced(), python="off") as runtime:
        outcome = await estimate(runtime, '(llm-query #:instruction "x" #:model "nobody-knows-me")')
    assert (outcome.cost_usd, outcome.upper_bound_usd, outcome.unpriced_models) == (
        None,
        None,
        ("nobody-knows-me",),
    )
    assert any("nobody-knows-me" in note for note in outcome.notes)


@pytest.mark.parametrize(
    "code",
    [
        '(if (string-contains? (syntax-e (llm-query #:instruction "x")) "yes") (llm-query #:instruction "y") 1)',
        '(let loop ([n 0]) (if (or (= n 5) (equal? "NONE" (syntax-e (llm-query #:instruction "x")))) n (loop (+ n 1))))',
        '(define h (string->jsexpr (syntax-e (llm-query #:instruction "x")))) (llm-query #:instruction "y")',
    ],
)
async def test_control_flow_that_depends_on_the_answers_is_said(code: str) -> None:
    """A branch, a loop, an answer that has to be JSON."""
    async with Runtime(priced(), python="off") as runtime:
        outcome = await estimate(runtime, code)
    assert outcome.depends_on_answers or outcome.status == "error"
    assert outcome.notes


async def test_a_recursive_call_counts_its_depth_and_says_what_is_unknown() -> None:
    """What sub-models write cannot be known."""
    async with Runtime(priced(), python="off") as runtime:
        outcome = await estimate(
            runtime, '(finish (syntax-e (llm-query #:instruction "x" #:data "y" #:recursive #t)))'
        )
    assert (outcome.status, outcome.depth) == ("finished", 1)
    assert any("#:recursive" in note for note in outcome.notes)


async def test_json_answers_have_the_keys_that_were_asked_for() -> None:
    """So that programs that read them go on."""
    code = """
    (define h (string->jsexpr (syntax-e (llm-query #:instruction "As json: {\\"label\\": text, \\"score\\": number}" #:json #t))))
    (finish (list (string-length (hash-ref h 'label)) (+ 1 (hash-ref h 'score))))
    """
    async with Runtime(priced(), python="off") as runtime:
        outcome = await estimate(runtime, code)
    assert (outcome.status, outcome.calls, outcome.depends_on_answers) == ("finished", 1, False)


async def test_an_estimate_sees_the_session_and_changes_nothing_of_it() -> None:
    """Definitions, contexts and checkpoints are there; none is touched."""
    async with Runtime(priced(), python="off") as runtime, runtime.session() as session:
        await session.load_context("abc")
        await session.execute('(define twice 2) (checkpoint "k" 1)')
        code = """
        (set! twice 3) (define new 1) (checkpoint "k" 9) (checkpoint "l" 9)
        (for ([i twice]) (llm-query #:instruction context))
        """
        outcome = await estimate(runtime, code, session=session)
        assert outcome.calls == 3
        after = await session.execute('(list twice (restore "k") (restore "l"))')
        assert after.data == [2, 1, False]
        assert await session.definitions() == ["twice"]
        assert runtime.sessions == [session]


async def test_an_estimate_of_a_wrong_program_says_what_is_wrong() -> None:
    """As the program's own error would."""
    async with Runtime(priced(), python="off") as runtime:
        outcome = await estimate(runtime, "(finish (strng-append))")
    assert outcome.status == "error"
    assert "strng-append" in outcome.notes[0]


async def test_an_estimate_has_no_effects(tmp_path: Path) -> None:
    """Host functions are not called, the workspace is not written."""
    called = []
    async with Runtime(
        priced(), python="off", workspace=tmp_path, host_functions={"pay": lambda: called.append(1)}
    ) as runtime:
        outcome = await estimate(runtime, "(pay)")
    assert outcome.status == "error"
    assert called == []


async def test_limits_hold_in_a_dry_run() -> None:
    """A program that calls without end is stopped."""
    async with Runtime(priced(), python="off", limits=Limits(calls=20)) as runtime:
        outcome = await estimate(runtime, '(let loop () (llm-query #:instruction "x") (loop))')
    assert outcome.status == "limit"
    assert outcome.calls == 20


PRIORITIES = ("balanced", "speed", "quality", "cost")
TASKS = (
    "Summarize the themes",
    "Classify each review by sentiment",
    "Find the line with the magic number",
    'Say "hello", in\ntwo lines \\ with a backslash and a $dollar',
    "Retell the story in order, its structure is unknown",
)


@pytest.mark.parametrize("priority", PRIORITIES)
async def test_every_program_of_every_plan_passes_its_estimate(priority: str) -> None:
    """With and without data, whatever the task's words are."""
    async with Runtime("extractive", python="off") as runtime, runtime.session() as session:
        for task, loaded in itertools.product(TASKS, (None, "Some words. " * 4000)):
            if loaded is not None:
                await session.load_context(loaded)
            outcome = await plan(
                runtime, Task(task_description=task, priority=priority, scale="small"), session=session
            )
            strategies = [outcome.recommended, *outcome.alternatives, *outcome.creative]
            assert len(outcome.alternatives) >= 1
            assert len(outcome.creative) == 2
            assert len({s.name for s in strategies}) == len(strategies)
            for strategy in strategies:
                assert strategy.estimate.status == "finished", f"{strategy.name}: {strategy.estimate.notes}"
                assert strategy.estimate.calls > 0
            await session.reset()


async def test_scale_coverage_and_constraints_shape_the_plan() -> None:
    """The figures grow with the scale, forbidden models do not occur."""
    async with Runtime("extractive", python="off") as runtime:
        small = await plan(runtime, Task(task_description="Summarize", scale="small"))
        large = await plan(runtime, Task(task_description="Summarize", scale=100))
        half = await plan(runtime, Task(task_description="Summarize", scale=100, coverage_target=0.5))
        without = await plan(
            runtime, Task(task_description="Summarize", constraints="no gpt-4o, no gpt-4.1-nano")
        )
    assert (
        small.recommended.estimate.calls < half.recommended.estimate.calls < large.recommended.estimate.calls
    )
    assert 10 in large.recommended.patterns
    models = set().union(*(s.estimate.calls_by_model for s in (without.recommended, *without.alternatives)))
    assert not {"gpt-4o", "gpt-4.1-nano"} & models


async def test_words_like_find_and_story_choose_fitting_strategies() -> None:
    """By rules alone."""
    async with Runtime("extractive", python="off") as runtime:
        find = await plan(runtime, Task(task_description="Find the contract's end date"))
        story = await plan(runtime, Task(task_description="Follow the conversation and note decisions"))
        quality = await plan(runtime, Task(task_description="Classify the tickets", priority="quality"))
    assert find.recommended.name == "Search every part"
    assert story.recommended.patterns == (5,)
    assert quality.recommended.patterns == (8,)


class Advisor(ScriptedProvider):
    """A model that can judge plans."""

    name = "advisor"
    language_model = True


async def test_a_configured_model_refines_the_recommended_program() -> None:
    """Where its program passes the dry run."""
    better = {
        "name": "Mine",
        "why": "Shorter.",
        "program": '(finish (syntax-e (llm-query #:instruction "Do it" #:data "x")))',
    }
    async with Runtime(Advisor([better]), python="off") as runtime:
        outcome = await plan(runtime, Task(task_description="Summarize"))
    assert (outcome.recommended.name, outcome.recommended.why) == ("Mine", "Shorter.")
    assert outcome.recommended.estimate.calls == 1
    assert outcome.alternatives[0].name == "Parallel fan-out"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("no json", "could not be read"),
        ({"name": "x"}, "could not be read"),
        ({"program": "(finish (car 1))"}, "failed its dry run"),
        (None, "gave no advice"),
    ],
)
async def test_advice_that_is_no_use_leaves_the_rules_plan(answer: object, message: str) -> None:
    """And says why."""
    async with Runtime(Advisor([] if answer is None else [answer]), python="off") as runtime:
        outcome = await plan(runtime, Task(task_description="Summarize"))
    assert outcome.recommended.name == "Parallel fan-out"
    assert any(message in note for note in outcome.notes)


async def test_the_tools_give_estimates_and_plans_as_data(connect, mode, text_of) -> None:
    """And as text that names the figures."""
    async with connect(priced(), mode=mode) as client:
        outcome = await client.call_tool("estimate_cost", {"code": FAN_OUT})
        assert outcome.structured_content["calls_by_model"] == {"cheap": 4, "dear": 1}
        assert "upper bound $" in text_of(outcome)
        await client.call_tool("load_context", {"data": "words " * 5000})
        planned = await client.call_tool(
            "plan_strategy",
            {"task_description": "Summarize", "priority": "cost", "scale": 3, "min_outputs": 2},
        )
        content = planned.structured_content
        assert "at least 2 results" in content["recommended"]["program"]
        again = await client.call_tool("estimate_cost", {"code": content["recommended"]["program"]})
        assert again.structured_content["calls"] == content["recommended"]["estimate"]["calls"]
        json.dumps(content)

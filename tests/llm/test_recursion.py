"""The one parser of answers at work: #:recursive asks again for a program, unsafe-exec-sub-output runs one."""

from __future__ import annotations

import pytest

from rlm_wasm import Limits, Runtime
from rlm_wasm.llm.programs import MAX_ANSWER
from rlm_wasm.testing import InlineProvider

RIGHT = "```scheme\n(finish (string-upcase context))\n```"
PROGRAM = '(syntax-e (llm-query #:instruction "Upcase" #:data "abc" #:recursive #t))'

ANSWERS = {
    "the tag scm": "```scm\n(finish 42)\n```",
    "the tag rkt": "```rkt\n(finish 42)\n```",
    "no tag": "```\n(finish 42)\n```",
    "tildes": "~~~scheme\n(finish 42)\n~~~",
    "an unclosed fence": "Here:\n```scheme\n(finish 42)",
    "bare, with a comment": "(finish 42) ; done",
    "a draft in reasoning": "<think>\n```scheme\n(finish 1)\n```\n</think>\n```scheme\n(finish 42)\n```",
    "Python before Scheme": "```python\nprint(1)\n```\nor better:\n```scheme\n(finish 42)\n```",
    "Scheme before Python": "```scheme\n(finish 42)\n```\nin Python that is\n```python\nprint(42)\n```",
}

NONE = {
    "prose": ("The answer is forty-two.", "holds no Scheme program"),
    "nothing": ("  \n", "empty"),
    "another language": ("```python\nprint(42)\n```", "python, not Scheme"),
    "reasoning without an end": ("<think>(finish 42) might do", "within its reasoning"),
    "half a program": ("```scheme\n(finish (+ 1\n```", "("),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_recursive_call_runs_the_program_in_an_answer(name: str) -> None:
    """Whatever it is written in, at the first attempt."""
    provider = InlineProvider(lambda request: ANSWERS[name])
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(PROGRAM)
    assert (result.value, len(provider.requests)) == ("42", 1), result.error


@pytest.mark.parametrize("name", NONE)
async def test_an_answer_without_a_program_is_shown_back(name: str) -> None:
    """With the reason; what it said is never taken for what a program found."""
    text, reason = NONE[name]
    answers = [text, RIGHT]
    provider = InlineProvider(lambda request: answers.pop(0))
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(PROGRAM)
    assert result.value == "ABC", result.error
    first, second = provider.requests
    assert "`context`: 3 characters" in first.data
    assert second.data.startswith(first.data.partition("Left:")[0])
    assert text in second.data
    assert reason in second.data
    assert second.idempotency_key != first.idempotency_key


async def test_a_program_without_a_value_is_shown_back() -> None:
    """A definition alone, or an empty text, answers nothing."""
    answers = ["```scheme\n(define x 1)\n```", '```scheme\n(finish " ")\n```', RIGHT]
    provider = InlineProvider(lambda request: answers.pop(0))
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(PROGRAM)
    assert result.value == "ABC", result.error
    assert result.execution.calls == 3
    assert "did not call finish" in provider.requests[1].data
    assert "without a value" in provider.requests[2].data
    assert "(define x 1)" in provider.requests[2].data, "every attempt is shown"


async def test_what_was_wrong_at_last_is_said() -> None:
    """After the last of them, with no last word where nothing was found; long ones are shown back cut."""
    provider = InlineProvider(lambda request: "No. " * 5_000)
    async with Runtime(provider=provider, limits=Limits(iterations=3)) as runtime:
        result = await runtime.run(PROGRAM)
    assert result.status == "error"
    assert result.error is not None
    assert result.error.type == "exn:fail:llm"
    assert "3 times; at last: The answer holds no Scheme program" in result.error.message
    assert len(provider.requests) == 3
    assert len(provider.requests[2].data) < 6_000


async def test_definitions_stay_from_program_to_program() -> None:
    """The child lives as long as the call, and the model sees what each program gave."""
    answers = [
        "```scheme\n(define up (string-upcase context))\n(displayln 'seen)\n(list up 1)\n```",
        "```scheme\n(finish up)\n```",
    ]
    provider = InlineProvider(lambda request: answers.pop(0))
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(PROGRAM)
    assert result.value == "ABC", result.error
    assert 'Its value: ("ABC" 1)' in provider.requests[1].data
    assert "It printed:\nseen" in provider.requests[1].data


async def test_an_answer_that_was_not_computed_says_so_to_the_program() -> None:
    """When the iterations are used up, but something was found."""
    answers = ["```scheme\n(string-upcase context)\n```", "ABC, I think"]
    provider = InlineProvider(lambda request: answers.pop(0))
    async with Runtime(provider=provider, limits=Limits(iterations=1)) as runtime:
        result = await runtime.run(PROGRAM)
    assert result.value.startswith("[not computed: "), result.error
    assert result.value.endswith("ABC, I think")
    assert provider.requests[1].purpose == "query"
    assert "ABC" in provider.requests[1].data


async def test_a_long_task_is_a_context_of_the_child() -> None:
    """So that no prompt holds it."""
    provider = InlineProvider(lambda request: '```scheme\n(finish (context-length "question"))\n```')
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(
            '(syntax-e (llm-query #:instruction (make-string 50000 #\\q) #:data "abc" #:recursive #t))'
        )
    assert result.value == "50000", result.error
    assert len(provider.requests[0].instruction) < 10_000


async def test_what_a_check_finds_is_shown_back_before_a_program_runs() -> None:
    """The same program sent again runs: the model may know better."""
    answers = ["```scheme\n(finish (upcase context))\n```"] * 2 + [RIGHT]
    provider = InlineProvider(lambda request: answers.pop(0))
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(PROGRAM)
    assert result.value == "ABC", result.error
    assert "not run, since a check found" in provider.requests[1].data
    assert provider.requests[2].data.count("unbound variable: upcase") == 2


async def test_every_attempt_counts_as_a_call() -> None:
    """So a ceiling on calls ends it."""
    provider = InlineProvider(lambda request: "prose")
    async with Runtime(provider=provider, limits=Limits(calls=2)) as runtime:
        result = await runtime.run(PROGRAM)
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == "calls"
    assert len(provider.requests) == 2


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_same_program_is_executed_in_place(name: str) -> None:
    """By unsafe-exec-sub-output; `finish` there ends the whole."""
    async with Runtime(provider=InlineProvider(lambda request: ANSWERS[name])) as runtime:
        result = await runtime.run('(unsafe-exec-sub-output (llm-query #:instruction "q")) (finish 0)')
    assert result.value == "42", result.error


async def test_what_is_executed_in_place_sees_the_program_around_it() -> None:
    """Its definitions, and gives them its own."""
    answer = "```scheme\n(define twice (* 2 n))\ntwice\n```"
    async with Runtime(provider=InlineProvider(lambda request: answer)) as runtime:
        result = await runtime.run(
            '(define n 21) (define v (unsafe-exec-sub-output (llm-query #:instruction "q"))) (list v twice)'
        )
    assert result.data == [42, 42], result.error


@pytest.mark.parametrize("name", NONE)
async def test_an_answer_without_a_program_is_a_condition_where_it_would_be_executed(name: str) -> None:
    """It says why, so that the program may ask again."""
    text, reason = NONE[name]
    async with Runtime(provider=InlineProvider(lambda request: text)) as runtime:
        result = await runtime.run('(unsafe-exec-sub-output (llm-query #:instruction "q"))')
    assert result.status == "error"
    assert result.error is not None
    assert result.error.message.startswith("unsafe-exec-sub-output: ")
    assert reason in result.error.message
    assert result.error.line == 1


async def test_a_long_answer_is_looked_through_and_a_huge_one_refused() -> None:
    """The first costs fuel for its length."""
    long = f'(unsafe-exec-sub-output (string-append (make-string {MAX_ANSWER // 4} #\\space) "(+ 1 2)"))'
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(long)
        assert result.value == "3", result.error
        assert result.execution.fuel > MAX_ANSWER // 4 * 1_000
        huge = await runtime.run(f"(unsafe-exec-sub-output (make-string {MAX_ANSWER + 1} #\\a))")
    assert huge.error is not None
    assert "1,000,001 characters" in huge.error.message

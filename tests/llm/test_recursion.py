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
    assert second.data.startswith(first.data)
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
    for request in provider.requests[1:]:
        assert "without a value" in request.data
    assert "(define x 1)" not in provider.requests[2].data, "only the last attempt is shown"


async def test_what_was_wrong_at_last_is_said() -> None:
    """After the third answer; a long one is shown back cut."""
    provider = InlineProvider(lambda request: "No. " * 5_000)
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(PROGRAM)
    assert result.status == "error"
    assert result.error is not None
    assert result.error.type == "exn:fail:llm"
    assert "3 times; at last: The answer holds no Scheme program" in result.error.message
    assert len(provider.requests) == 3
    assert len(provider.requests[2].data) < 5_000


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

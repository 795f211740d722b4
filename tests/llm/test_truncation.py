"""Half of a text is no whole one: whether the model was cut off is on the scoped value, in the log, and an error for JSON."""

from __future__ import annotations

import pytest

from rlm_wasm import Runtime
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.testing import InlineProvider


def cut_where_bounded(request: CompletionRequest) -> Completion:
    """The whole text without #:max-tokens, half of it with."""
    if request.max_tokens:
        return Completion(text="12", model="m", finish_reason="length")
    return Completion(text="1234", model="m")


@pytest.fixture
def provider() -> InlineProvider:
    """It is cut where #:max-tokens is given."""
    return InlineProvider(cut_where_bounded)


@pytest.mark.parametrize(
    "call",
    [
        "(llm-query {})",
        "(await (llm-query-async {}))",
        "(car (await-all-syntax (list (llm-query-async {}))))",
    ],
)
async def test_a_scoped_value_says_whether_the_model_was_cut_off(call: str, provider: InlineProvider) -> None:
    """By every way of getting one."""
    async with Runtime(provider=provider) as runtime:
        cut = call.format('#:instruction "q" #:max-tokens 1')
        whole = call.format('#:instruction "q"')
        result = await runtime.run(f"(map truncated? (list {cut} {whole}))")
    assert result.data == [True, False], result.error


async def test_it_is_in_the_log(provider: InlineProvider) -> None:
    """Of the calls that were, and of no other; those whose text is all that the program sees, too."""
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        await session.execute(
            '(llm-query #:instruction "a") (unsafe-raw-query #:instruction "b" #:max-tokens 1)'
            ' (map-async (lambda (x) (llm-query-async #:instruction x #:max-tokens 1)) \'("c"))'
        )
        calls = [entry for entry in session.scope_log() if "call_id" in entry]
    assert [(entry["datum_preview"], entry.get("truncated", False)) for entry in calls] == [
        ("a", False),
        ("b", True),
        ("c", True),
    ]


async def test_json_that_was_cut_off_is_an_error_though_it_reads_well(provider: InlineProvider) -> None:
    """12 of 1234 is valid JSON, and wrong."""
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run('(llm-query #:instruction "as json" #:json #t #:max-tokens 1)')
        assert result.error is not None
        assert result.error.type == "exn:fail:llm"
        assert "was cut off at its limit of tokens; raise #:max-tokens" in result.error.message
        assert (await runtime.run('(llm-query #:instruction "as json" #:json #t)')).ok


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('"text"', "got a string; ask the scoped value"),
        ('(llm-query-async #:instruction "q")', "await it first"),
        ("5", "expected: scoped value"),
    ],
)
async def test_what_is_no_scoped_value_cannot_tell(
    value: str, message: str, provider: InlineProvider
) -> None:
    """And the error says what can."""
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(f"(truncated? {value})")
    assert result.error is not None
    assert message in result.error.message


async def test_a_value_of_the_programs_own_is_whole(provider: InlineProvider) -> None:
    """``datum->syntax`` makes it, and whatever it was made from was another text."""
    async with Runtime(provider=provider) as runtime:
        result = await runtime.run(
            '(define v (llm-query #:instruction "q" #:max-tokens 1))'
            ' (list (truncated? (datum->syntax #f "x")) (truncated? (datum->syntax v "x")))'
        )
    assert result.data == [False, False]


async def test_it_outlives_a_snapshot(provider: InlineProvider) -> None:
    """As the value does."""
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        await session.execute('(define v (llm-query #:instruction "q" #:max-tokens 1))')
        restored = await runtime.restore((await session.snapshot()).dump())
        assert (await restored.execute("(truncated? v)")).data is True
        await restored.aclose()

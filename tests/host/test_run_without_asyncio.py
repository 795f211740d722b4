"""One program by a plain function call."""

from __future__ import annotations

import pytest

import rlm_wasm
from rlm_wasm import Limits, UsageError
from rlm_wasm.testing import InlineProvider


def test_a_program_runs_without_an_event_loop_of_the_callers() -> None:
    """Context, provider and limits as a Runtime takes them; errors and limits stand in the Result."""
    provider = InlineProvider()
    result = rlm_wasm.run(
        '(syntax-e (llm-query #:instruction "q" #:data context))', context="text", provider=provider
    )
    assert result.value == "[q]"
    assert provider.requests[0].data == "text"
    assert rlm_wasm.run("(car 1)", provider=provider).status == "error"
    looping = rlm_wasm.run("(let loop () (loop))", provider=provider, limits=Limits(fuel=1_000_000))
    assert looping.error is not None
    assert looping.error.kind == "fuel"


async def test_within_an_event_loop_it_says_what_to_call() -> None:
    """It would block the loop that it is called on."""
    with pytest.raises(UsageError, match=r"await Runtime\.run"):
        rlm_wasm.run("1")

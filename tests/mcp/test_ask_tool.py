"""The tool ask: a question over what load_context loaded."""

from __future__ import annotations

import asyncio

import pytest

from rlm_wasm import CompletionRequest
from rlm_wasm.testing import GatedProvider, InlineProvider


def model(*replies: str) -> InlineProvider:
    """One that writes these."""
    left = list(replies)

    def answer(request: CompletionRequest) -> str:
        if request.purpose != "program":
            return "perhaps 9"
        return left.pop(0) if len(left) > 1 else left[0]

    return InlineProvider(answer)


async def test_a_question_is_answered_over_the_loaded_contexts(connect, mode, text_of) -> None:
    """Its programs' definitions stay for execute_scheme."""
    provider = model("prose", '```scheme\n(define n (context-length "b"))\n(finish (list n "x"))\n```')
    async with connect(provider, mode=mode) as client:
        await client.call_tool("load_context", {"data": "alpha", "name": "a"})
        await client.call_tool("load_context", {"data": "be", "name": "b"})
        result = await client.call_tool("ask", {"question": "How long?", "name": "b"})
        assert not result.is_error
        content = result.structured_content
        assert content["status"] == "finished"
        assert content["value"] == '(2 "x")'
        assert content["data"] == [2, "x"]
        assert (content["how"], content["computed"], content["asked_again"]) == ("program", True, 1)
        assert [step["number"] for step in content["steps"]] == [1, 2]
        assert "alpha" not in provider.requests[0].data
        defined = await client.call_tool("execute_scheme", {"code": "n"})
        assert defined.structured_content["value"] == "2"


async def test_a_last_word_is_never_passed_off_as_computed(connect, text_of) -> None:
    """Its text begins with that."""
    async with connect(model("prose")) as client:
        await client.call_tool("load_context", {"data": "alpha"})
        result = await client.call_tool("ask", {"question": "How many?", "max_iterations": "2"})
    assert text_of(result).startswith("NOT COMPUTED (limit exceeded: iterations")
    assert "perhaps 9" in text_of(result)
    assert result.structured_content["computed"] is False
    assert result.structured_content["error"]["kind"] == "iterations"


async def test_a_long_answer_is_bounded_as_any_result(connect, text_of) -> None:
    """The rest is a resource."""
    async with connect(model("```scheme\n(finish (make-string 100000 #\\a))\n```")) as client:
        await client.call_tool("load_context", {"data": "alpha"})
        result = await client.call_tool("ask", {"question": "q"})
        assert len(text_of(result)) <= 20_000
        assert "rlm://runs/1" in text_of(result)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "question"),
        ({"question": ""}, "question"),
        ({"question": "q", "name": "nosuch"}, "no context named 'nosuch' (loaded: a)"),
        ({"question": "q", "max_iterations": 0}, "max_iterations"),
    ],
)
async def test_wrong_arguments_are_told(connect, text_of, arguments, words) -> None:
    """So that the client's model can mend them; the session goes on."""
    async with connect(model("```scheme\n(finish 1)\n```")) as client:
        await client.call_tool("load_context", {"data": "alpha", "name": "a"})
        result = await client.call_tool("ask", arguments)
        assert result.is_error
        assert words in text_of(result)
        assert (await client.call_tool("ask", {"question": "q"})).structured_content["value"] == "1"


async def test_it_is_cancelled_like_a_program(connect) -> None:
    """By cancel_call, while the model thinks."""
    gate = GatedProvider()
    async with connect(gate) as client:
        await client.call_tool("load_context", {"data": "alpha"})
        asking = asyncio.ensure_future(client.call_tool("ask", {"question": "q"}))
        await gate.arrived(1)
        await client.call_tool("cancel_call", {"call_id": "execution"})
        result = await asking
    assert result.structured_content["status"] == "cancelled"

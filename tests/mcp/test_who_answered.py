"""Which provider and models answered: in text and in structure, so that a model can judge what it got."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, Execution, ModelUse, Result
from rlm_wasm.mcp.render import structured, to_text
from rlm_wasm.providers.prices import Price, PriceTable
from rlm_wasm.testing import InlineProvider

ASK = '(finish (syntax-e (llm-query #:instruction "Who?" #:data "Ada was the captain." #:model "{}")))'


class Vendor:
    """A priced provider with two models."""

    name = "vendor"
    default_model = "small"
    price = PriceTable({"small": Price(0.03, 0.06), "large": Price(3, 6)}).cost_usd

    async def complete(self, request: CompletionRequest) -> Completion:
        """One word; what is asked of "large-latest" the model "large" answers."""
        model = (request.model or "small").removesuffix("-latest")
        return Completion(text="word", model=model, prompt_tokens=7, completion_tokens=1)


async def test_without_a_key_it_is_said_that_no_language_model_answered(connect, mode, text_of) -> None:
    """Whatever model the program named: it would take quoted sentences for that model's answer."""
    async with connect("extractive", mode=mode) as client:
        result = await client.call_tool("execute_scheme", {"code": ASK.format("gpt-4o")})
    content, text = result.structured_content, text_of(result)
    assert content["execution"]["provider"] == "extractive"
    assert content["execution"]["models"]["extractive"]["calls"] == 1
    assert content["execution"]["models"]["extractive"]["asked_for"] == ["gpt-4o"]
    assert content["answers"].startswith("extractive is no language model, whatever model was asked for")
    assert "by extractive: extractive ×1 (asked for as gpt-4o)]" in text
    assert f"[{content['answers']}]" in text


async def test_a_question_says_so_too(connect, mode, text_of) -> None:
    """By the tool that asks."""
    async with connect("extractive", mode=mode) as client:
        await client.call_tool("load_context", {"data": "The ship left in May.\nThe captain was Ada Smith."})
        result = await client.call_tool("ask", {"question": "Who was the captain?"})
    assert result.structured_content["execution"]["provider"] == "extractive"
    assert "is no language model" in result.structured_content["answers"]
    assert "is no language model" in text_of(result)


async def test_a_vendor_s_models_are_counted_one_by_one(connect, mode, text_of) -> None:
    """Calls, tokens and dollars, with digits enough for a single cheap call; the sums are the execution's."""
    program = (
        '(for-each (lambda (m) (llm-query #:instruction "go" #:model m))'
        ' (list "small" "small" "large" "large-latest"))'
    )
    async with connect(Vendor(), mode=mode) as client:
        result = await client.call_tool("execute_scheme", {"code": program})
        again = await client.call_tool("execute_scheme", {"code": '(llm-query #:instruction "go")'})
    used = result.structured_content["execution"]
    assert used["provider"] == "vendor"
    assert {
        name: (model["calls"], model["tokens"], model["cost_usd"]) for name, model in used["models"].items()
    } == {
        "small": (2, 16, 0.00000054),
        "large": (2, 16, 0.000054),
    }
    assert used["models"]["large"]["asked_for"] == ["large-latest"]
    assert (used["cost_usd"], used["tokens"]) == (0.00005454, 32)
    assert "answers" not in result.structured_content
    assert "$0.000055, " in text_of(result)
    assert "by vendor: small ×2, large ×2 (asked for as large-latest)]" in text_of(result)
    # An execution's own, not the session's.
    assert again.structured_content["execution"]["models"].keys() == {"small"}
    assert again.structured_content["execution"]["cost_usd"] == 2.7e-7


async def test_a_program_without_calls_names_nobody(connect, text_of) -> None:
    """There is nothing to judge."""
    async with connect("extractive") as client:
        result = await client.call_tool("execute_scheme", {"code": "(+ 1 2)"})
    assert result.structured_content["execution"]["provider"] is None
    assert result.structured_content["execution"]["models"] == {}
    assert "answers" not in result.structured_content
    assert "extractive" not in text_of(result)


async def test_models_names_cannot_fill_an_answer(connect, text_of) -> None:
    """They are chosen by programs and servers: a bounded part is shown, and that it is a part."""
    program = (
        '(for ([n (in-range 40)]) (llm-query #:instruction "go"'
        " #:model (string-append (make-string 190 #\\m) (~a n))))"
    )
    async with connect(InlineProvider(lambda request: "x")) as client:
        result = await client.call_tool("execute_scheme", {"code": program})
    content = result.structured_content
    assert len(content["execution"]["models"]) <= 8
    assert "models" in content["truncated"]
    assert len(str(content)) < 10_000
    assert len(text_of(result)) < 5_000


async def test_the_output_schema_describes_it(connect) -> None:
    """A client that checks answers against the schema takes them."""
    async with connect("extractive") as client:
        [tool] = [tool for tool in (await client.list_tools()).tools if tool.name == "execute_scheme"]
    properties: dict[str, Any] = tool.output_schema["properties"]
    execution = properties["execution"]["properties"]
    assert "asked_for" in execution["models"]["additionalProperties"]["properties"]
    assert execution["provider"]["type"] == ["string", "null"]
    assert properties["answers"]["type"] == "string"


@pytest.mark.parametrize("sub", ["extractive", "echo"])
async def test_a_recursive_call_names_who_answered_it(connect, sub: str) -> None:
    """What it is made of is counted for the program that asked."""
    async with connect(sub) as client:
        result = await client.call_tool(
            "execute_scheme",
            {"code": '(llm-query #:instruction "Who?" #:data "Ada was the captain." #:recursive #t)'},
        )
    assert result.structured_content["execution"]["provider"] == sub


@pytest.mark.parametrize("most", [2_000, 20_000])
async def test_an_answer_is_within_its_bound_whatever_models_are_called(most: int) -> None:
    """Their names are part of what a client has to read."""
    used = Execution(
        calls=400,
        provider="p",
        models={
            f"{n}{'m' * 199}": ModelUse(calls=10, asked_for=(f"{n}{'a' * 199}",) * 10) for n in range(40)
        },
    )
    result = Result(status="ok", value="v" * 100_000, stdout="o" * 100_000, execution=used)
    assert len(to_text(result, most, "rlm://runs/1")) <= most
    assert len(json.dumps(structured(result, most, "rlm://runs/1"))) <= most

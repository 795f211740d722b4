"""The examples run: offline with extractive, and unchanged with openai against a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from rlm_wasm import CompletionRequest, Result, Runtime
from rlm_wasm.extractive.provider import answer
from rlm_wasm.providers import OpenAIProvider
from rlm_wasm.testing import ChatRequest, OpenAIServer

EXAMPLES = Path(__file__).parent.parent / "examples"


def make(script: str, path: Path, *arguments: str) -> str:
    """What one of the maker scripts writes."""
    subprocess.run([sys.executable, EXAMPLES / script, path, *arguments], check=True, capture_output=True)
    return path.read_text(encoding="utf-8")


async def run(name: str, context: str) -> Result:
    """The example's Result with the extractive provider."""
    async with Runtime(provider="extractive") as runtime:
        return await runtime.run((EXAMPLES / name).read_text(encoding="utf-8"), context=context)


async def run_with_openai(name: str, context: str) -> tuple[Result, OpenAIServer]:
    """The same over HTTP; the server answers as the extractive provider would."""

    def reply(request: ChatRequest) -> str:
        return answer(CompletionRequest(id=1, instruction=request.system, data=request.user))

    async with OpenAIServer(reply) as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="test")
        async with Runtime(provider=provider) as runtime:
            source = (EXAMPLES / name).read_text(encoding="utf-8")
            return await runtime.run(source, context=context), server


async def test_needle_finds_the_number_in_a_large_text(tmp_path: Path) -> None:
    """Fan-out with a cheap model, one synthesis."""
    text = make("make_haystack.py", tmp_path / "hay.txt", "--lines", "60000", "--number", "123456")
    result = await run("needle.scm", text)
    assert (result.status, result.value) == ("finished", "123456"), result.error
    assert result.execution.calls == -(-len(text) // 100_000) + 1
    assert "1 with a finding" in result.stderr


async def test_needle_runs_unchanged_with_openai(tmp_path: Path) -> None:
    """The same answer, from the models that the program names; calls overlap."""
    text = make("make_haystack.py", tmp_path / "hay.txt", "--lines", "60000")
    result, server = await run_with_openai("needle.scm", text)
    assert (result.status, result.value) == ("finished", "7481926"), result.error
    models = [request.model for request in server.requests]
    assert set(models[:-1]) == {"gpt-4.1-nano"}
    assert models[-1] == "gpt-4o"
    assert server.peak > 1
    assert result.execution.cost_usd is not None
    assert result.execution.cost_usd > 0


async def test_needle_says_when_there_is_none() -> None:
    """It makes nothing up."""
    result = await run("needle.scm", "Nothing here.\n" * 20_000)
    assert result.value == "there is no magic number"


async def test_survey_sums_up_every_module_of_the_standard_library(tmp_path: Path) -> None:
    """A real corpus that every machine has: fan-out and tree reduction."""
    text = make("make_corpus.py", tmp_path / "corpus.txt")
    modules = text.count("\n=== ") + 1
    assert modules > 100
    result = await run("survey.scm", text)
    assert result.status == "finished", result.error
    assert f"{modules} modules" in result.stdout
    assert "asyncio: " in text or "=== asyncio ===" in text
    assert len(result.value) > 100
    assert result.execution.calls > modules


async def test_survey_runs_unchanged_with_openai(tmp_path: Path) -> None:
    """And gives the same overview."""
    text = make("make_corpus.py", tmp_path / "corpus.txt", "--limit", "12")
    (result, server), offline = await asyncio.gather(
        run_with_openai("survey.scm", text), run("survey.scm", text)
    )
    assert result.status == "finished", result.error
    assert result.value == offline.value
    assert {request.model for request in server.requests} == {"gpt-4.1-nano", "gpt-4o-mini"}


async def test_ensemble_lets_three_models_vote_on_each_review() -> None:
    """The majority is right about all of them."""
    reviews = (EXAMPLES / "reviews.txt").read_text(encoding="utf-8")
    result = await run("ensemble.scm", reviews)
    assert (result.status, result.value) == ("finished", "6 positive, 6 negative"), result.error
    assert result.execution.calls == 36
    verdicts = [line.split()[0] for line in result.stdout.splitlines()]
    assert verdicts == ["positive", "negative"] * 6


async def test_ensemble_survives_one_model_that_is_wrong() -> None:
    """That is what it is for."""
    reviews = (EXAMPLES / "reviews.txt").read_text(encoding="utf-8")

    def reply(request: ChatRequest) -> str:
        said = answer(CompletionRequest(id=1, instruction=request.system, data=request.user))
        wrong = {"positive": "Negative.", "negative": "Positive."}
        return wrong[said] if request.model == "middle" else said.capitalize() + "."

    async with OpenAIServer(reply) as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="test")
        async with Runtime(provider=provider) as runtime:
            source = (EXAMPLES / "ensemble.scm").read_text(encoding="utf-8")
            result = await runtime.run(source, context=reviews)
    assert result.value == "6 positive, 6 negative"
    assert len(server.requests) == 36


@pytest.mark.parametrize("program", sorted(path.name for path in EXAMPLES.glob("*.scm")))
def test_every_example_says_how_to_run_it(program: str) -> None:
    """In its first lines, by its own path."""
    text = (EXAMPLES / program).read_text(encoding="utf-8")
    assert f"rlm-wasm run examples/{program} --context " in text
    assert program in (EXAMPLES / "README.md").read_text(encoding="utf-8")

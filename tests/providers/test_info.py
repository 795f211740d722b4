"""What a provider says of itself, and who reads it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rlm_wasm
from rlm_wasm import Completion, CompletionRequest
from rlm_wasm.extractive import ExtractiveProvider
from rlm_wasm.providers import (
    BudgetProvider,
    CachedProvider,
    ConcurrencyProvider,
    EchoProvider,
    OpenAIProvider,
    Provider,
    RecordingProvider,
    ScriptedProvider,
)
from rlm_wasm.providers.info import ProviderInfo, close, info_of
from rlm_wasm.testing import SimulatedModel, SimulatedProvider


class Bare:
    """A provider that has nothing but what it must have."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Say it back."""
        return Completion(text=request.data)


async def test_a_provider_needs_nothing_but_complete() -> None:
    """It has its class's name, and may cost, wait and judge."""
    assert info_of(Bare()) == ProviderInfo(name="Bare")
    await close(Bare())


def test_the_providers_that_come_along_say_what_they_are() -> None:
    """In one place for each fact."""
    made: list[Provider] = [
        OpenAIProvider(api_key="k", model="m"),
        ExtractiveProvider(),
        ScriptedProvider(),
        EchoProvider(),
    ]
    assert [(i.name, i.default_model, i.free, i.inline, i.language_model) for i in map(info_of, made)] == [
        ("openai", "m", False, False, True),
        ("extractive", "extractive", True, False, False),
        ("scripted", "scripted", False, False, False),
        ("echo", "echo", True, True, False),
    ]


def test_the_models_are_named_where_a_provider_knows_them_all() -> None:
    """What is called models and is something else counts for nothing."""
    known = SimulatedProvider({"cheap": SimulatedModel(), "dear": SimulatedModel()})
    assert info_of(known).models == ("cheap", "dear")
    for other in (object(), "text", 5, [1], lambda: ["m"]):
        strange = Bare()
        strange.models = other  # type: ignore[attr-defined]
        assert info_of(strange).models == ()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner, path: BudgetProvider(inner),
        lambda inner, path: CachedProvider(inner),
        lambda inner, path: ConcurrencyProvider(inner, 1),
        lambda inner, path: RecordingProvider(inner, path),
    ],
)
def test_every_wrapper_says_what_its_inner_provider_says(wrap: object, tmp_path: Path) -> None:
    """But none may be run on the spot: it may wait."""
    inner = SimulatedProvider({"cheap": SimulatedModel()})
    info = info_of(wrap(inner, tmp_path / "calls"))  # type: ignore[operator]
    assert (info.name, info.default_model, info.models) == ("simulated", "cheap", ("cheap",))
    assert not info.inline
    assert info.price is not None
    assert info.price("cheap", 1_000_000, 0) == inner.price("cheap", 1_000_000, 0)


def test_a_provider_s_optional_attributes_are_read_in_one_file() -> None:
    """Everybody else asks info_of."""
    optional = {"name", "default_model", "free", "inline", "language_model", "models", "price", "complete"}
    package = Path(rlm_wasm.__file__).parent
    for path in package.rglob("*.py"):
        if path.relative_to(package).as_posix() == "providers/info.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
                asked = node.args[1]
                assert not (isinstance(asked, ast.Constant) and asked.value in optional), (path, node.lineno)

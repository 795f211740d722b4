"""Providers by name."""

from __future__ import annotations

import importlib.metadata

import pytest

from rlm_wasm.errors import MissingKey, UsageError
from rlm_wasm.extractive import ExtractiveProvider
from rlm_wasm.providers import (
    EchoProvider,
    OpenAIProvider,
    provider_names,
    registry,
    resolve_provider,
)


def test_the_four_that_come_along_are_there() -> None:
    """First, and in this order."""
    assert provider_names()[:4] == ["openai", "extractive", "scripted", "echo"]


def test_an_unknown_name_is_answered_with_a_near_miss_and_the_names_there_are() -> None:
    """A usage error, which a command line reports as such."""
    with pytest.raises(UsageError, match=r"unknown provider 'extractve'. Did you mean extractive\?"):
        resolve_provider("extractve")
    with pytest.raises(UsageError, match="There are: openai, extractive, scripted, echo"):
        resolve_provider("zzz")


def test_an_object_with_complete_is_a_provider_and_anything_else_is_not() -> None:
    """The embedder's own."""
    mine = EchoProvider()
    assert resolve_provider(mine) is mine
    with pytest.raises(UsageError, match="complete"):
        resolve_provider(42)  # type: ignore[arg-type]


def test_without_a_choice_the_key_decides_and_it_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr."""
    monkeypatch.setattr(registry, "_said_default", False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert isinstance(resolve_provider(None), ExtractiveProvider)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert isinstance(resolve_provider(None), OpenAIProvider)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("rlm-wasm: using the") == 1


def test_a_missing_key_is_not_an_unknown_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has an error of its own."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(MissingKey):
        resolve_provider("openai")


def test_a_base_url_without_meaning_is_refused() -> None:
    """Rather than ignored."""
    with pytest.raises(UsageError, match="extractive provider takes no base URL"):
        resolve_provider("extractive", base_url="http://x")


class _Plugin:
    """A third party's provider."""

    def __init__(self, *, model: str | None, base_url: str | None) -> None:
        if base_url == "http://bad":
            raise RuntimeError("bad address")
        self.default_model = model

    async def complete(self, request: object) -> object:
        """Never called here."""
        return request


def test_entry_points_add_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed, made with model and base URL, and what fails in them is named."""
    entry = importlib.metadata.EntryPoint("mine", f"{__name__}:_Plugin", registry.ENTRY_POINT_GROUP)
    bad = importlib.metadata.EntryPoint("bad", "no_such_module:x", registry.ENTRY_POINT_GROUP)
    found = importlib.metadata.EntryPoints([entry, bad])
    monkeypatch.setattr(registry, "_entry_points", lambda: found)
    assert provider_names()[-2:] == ["bad", "mine"]
    made = resolve_provider("mine", model="m")
    assert getattr(made, "default_model", None) == "m"
    with pytest.raises(UsageError, match=r"'mine'.*bad address"):
        resolve_provider("mine", base_url="http://bad")
    with pytest.raises(UsageError, match=r"'bad'.*no_such_module"):
        resolve_provider("bad")

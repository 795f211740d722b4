"""A framework that is not installed: what to do is said."""

from __future__ import annotations

import importlib
import sys

import pytest

from rlm_wasm.integrations import missing_extra


@pytest.mark.parametrize(
    ("module", "extra", "framework"),
    [
        ("dspy", "dspy", "dspy"),
        ("pydantic_ai", "pydantic-ai", "pydantic_ai"),
        ("litellm", "litellm", "litellm"),
        ("smolagents", "smolagents", "smolagents"),
        ("langchain", "langchain", "langchain_core"),
    ],
)
def test_a_framework_that_is_not_installed_names_its_extra(
    module: str, extra: str, framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of a bare name, from which nobody learns what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == framework]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, framework, None)  # type: ignore[arg-type]
    monkeypatch.delitem(sys.modules, f"rlm_wasm.integrations.{module}", raising=False)
    with pytest.raises(
        ModuleNotFoundError, match=rf"{framework} is not installed: pip install 'rlm-wasm\[{extra}\]'"
    ):
        importlib.import_module(f"rlm_wasm.integrations.{module}")


def test_another_module_that_is_missing_is_told_of_as_it_is() -> None:
    """The extra would not bring it."""
    error = ModuleNotFoundError("No module named 'torch'", name="torch")
    assert missing_extra("smolagents", error) is error

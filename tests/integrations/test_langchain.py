"""LangChain's agents use our tools. Skipped where it is not installed."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "langchain_core", reason="langchain-core is not installed: pip install 'rlm-wasm[langchain]'"
)

from rlm_wasm.integrations.langchain import OwnSession, tools

pytestmark = pytest.mark.filterwarnings("ignore")


def test_tools_are_called_from_synchronous_code() -> None:
    """In one sandbox."""
    with OwnSession("The captain was Ada.", provider="extractive") as sandbox:
        scheme, ask = tools(sandbox)
        assert scheme.invoke({"code": "(define n 41) n"}) == "41"
        assert scheme.invoke({"code": "(+ n 1)"}) == "42"
        assert "The captain was Ada." in ask.invoke({"question": "Who was the captain?"})
        called = scheme.invoke(
            {"type": "tool_call", "id": "1", "name": "execute_scheme", "args": {"code": "(* 6 7)"}}
        )
        assert called.content == "42"


async def test_tools_are_called_from_asynchronous_code() -> None:
    """On a loop that is not theirs."""
    with OwnSession("text", provider="extractive") as sandbox:
        scheme, ask = tools(sandbox)
        assert await scheme.ainvoke({"code": "context"}) == "text"
        assert "nothing was found" in await ask.ainvoke({"question": "What is the number?"})


def test_a_tools_schema_is_for_the_model() -> None:
    """Names, descriptions, arguments."""
    with OwnSession(provider="echo") as sandbox:
        scheme, ask = tools(sandbox)
        assert (scheme.name, list(scheme.args)) == ("execute_scheme", ["code"])
        assert (ask.name, list(ask.args)) == ("ask", ["question"])
        assert "Scheme" in scheme.description
        assert scheme.invoke({"code": "(nosuch)"}).startswith("error: ")

"""smolagents' agents use our tools. Skipped where it is not installed."""

from __future__ import annotations

import pytest

pytest.importorskip("smolagents", reason="smolagents is not installed: pip install 'rlm-wasm[smolagents]'")

from typing import Any

from smolagents import ToolCallingAgent
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)

from rlm_wasm.integrations.smolagents import OwnSession, tools

pytestmark = pytest.mark.filterwarnings("ignore")


class Scripted(Model):
    """A model that calls these tools."""

    def __init__(self, *calls: tuple[str, dict[str, Any]]) -> None:
        super().__init__()
        self.calls = list(calls)
        self.seen: list[str] = []

    def generate(self, messages: Any, **_: Any) -> ChatMessage:
        """The next call."""
        self.seen.append(str(messages[-1].content))
        name, arguments = self.calls.pop(0)
        call = ChatMessageToolCall(
            id=str(len(self.calls)),
            type="function",
            function=ChatMessageToolCallFunction(name=name, arguments=arguments),
        )
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])


def test_an_agent_runs_programs_and_asks() -> None:
    """In one sandbox: what a program defined is there later."""
    model = Scripted(
        ("execute_scheme", {"code": "(define n 41) n"}),
        ("execute_scheme", {"code": "(+ n 1)"}),
        ("ask", {"question": "Who was the captain?"}),
        ("final_answer", {"answer": "done"}),
    )
    with OwnSession("The captain was Ada.", provider="extractive") as sandbox:
        agent = ToolCallingAgent(tools=tools(sandbox), model=model, max_steps=5, verbosity_level=0)
        assert agent.run("Go") == "done"
    assert "42" in model.seen[2]
    assert "The captain was Ada." in model.seen[3]


def test_a_tools_description_is_for_the_model() -> None:
    """And its arguments are named."""
    with OwnSession(provider="echo") as sandbox:
        scheme, ask = tools(sandbox)
        assert (scheme.name, list(scheme.inputs)) == ("execute_scheme", ["code"])
        assert (ask.name, list(ask.inputs)) == ("ask", ["question"])
        assert scheme(code="(/ 1 0)").startswith("error: /: division by zero")

"""benchmarks/ask.py against a server that answers like OpenAI's: how often a model's answers are right."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rlm_wasm.testing import ChatRequest, Fault, OpenAIServer

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def loaded(name: str) -> ModuleType:
    """A module of the benchmarks."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ask_tasks = loaded("ask_tasks")
benchmark = loaded("ask")


def accuracy(server: OpenAIServer, tasks: str) -> list[str]:
    """What the benchmark prints of tasks over a small text."""
    command = [sys.executable, str(BENCHMARKS / "ask.py"), "--model", "wise", "--sub-model", "quick"]
    how = ["--base-url", server.base_url, "--tasks", tasks, "--sizes", "10", "--frameworks", "rlm-wasm"]
    root = str(BENCHMARKS.parent)
    environment = {**os.environ, "OPENAI_API_KEY": "a-key", "PYTHONPATH": root}
    done = subprocess.run(
        [*command, *how], capture_output=True, text=True, timeout=100, env=environment, check=True
    )
    return done.stdout.strip().splitlines()


def test_answers_of_a_server_are_judged() -> None:
    """The root and the sub-model are asked by their names and with the key; right and wrong are told apart."""
    script = benchmark.replies("rlm-wasm", ask_tasks.TASKS["s-niah"](1 << 10))
    seen: set[tuple[str, str]] = set()

    def answer(request: ChatRequest) -> str:
        text = "\n".join(str(message.get("content", "")) for message in request.body["messages"])
        seen.add((request.model, request.headers.get("Authorization", "")))
        if "legacy_open" in text:
            return '```scheme\n(finish "nobody_does")\n```'
        return script[text.count("## Iteration ")] if request.model == "wise" else ask_tasks.reader(text)

    with OpenAIServer(answer) as server:
        right, total = accuracy(server, "s-niah")
        task = ask_tasks.TASKS["code"](1 << 10)
        wrong = benchmark.run_rlm_wasm(task, server.base_url, "wise", "quick")
    assert "right" in right
    assert total == "rlm-wasm: 1 of 1 right"
    assert not ask_tasks.is_right(task, wrong)
    assert {("wise", "Bearer a-key"), ("quick", "Bearer a-key")} <= seen


def test_a_server_that_refuses_is_an_error_and_no_answer() -> None:
    """Which the row of the table shows."""
    with OpenAIServer() as server:
        server.next(Fault.error(401, "Incorrect API key provided"))
        with pytest.raises(RuntimeError, match="refused the key"):
            benchmark.run_rlm_wasm(ask_tasks.TASKS["s-niah"](1 << 10), server.base_url, "wise", "quick")


@pytest.mark.parametrize(
    ("task", "said", "right"),
    [
        ("s-niah", "The magic number is {answer}.", True),
        ("s-niah", "{answer} or 12", False),
        ("oolong", " **{answer}** ", True),
        ("multi-hop", "'{answer}'.", True),
        ("multi-hop", "not {answer}", False),
        ("code", "`{answer}`", True),
        ("code", "{answer},another_one", False),
    ],
)
def test_an_answer_is_the_known_one_in_whatever_dress(task: str, said: str, right: bool) -> None:
    """A real model likes to say a sentence."""
    known = ask_tasks.TASKS[task](1 << 12)
    assert ask_tasks.is_right(known, said.format(answer=known.answer)) is right

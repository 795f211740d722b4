"""dspy.RLM, Flex and their kin on our interpreters. Skipped where dspy is not installed."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("dspy", reason="dspy is not installed: pip install 'rlm-wasm[dspy]'")

import dspy
from dspy.primitives.sandbox_serializable import SandboxSerializable
from dspy.utils.dummies import DummyLM

from rlm_wasm.integrations.dspy import PythonInterpreter, SchemeInterpreter

pytestmark = pytest.mark.filterwarnings("ignore")


class Actions:
    """A predictor that writes this code, one block after another."""

    def __init__(self, *blocks: str) -> None:
        self.blocks = list(blocks)
        self.signature: Any = None
        self.histories: list[str] = []

    def __call__(self, **given: Any) -> Any:
        self.histories.append(str(given["repl_history"]))
        return dspy.Prediction(reasoning="go on", code=self.blocks.pop(0))


def rlm_with(actions: Actions, **options: Any) -> Any:
    """A dspy.RLM whose model is these actions."""
    rlm = dspy.RLM("context: str, question: str -> answer: str, count: int", max_iters=5, **options)
    actions.signature = rlm.generate_action.signature
    rlm.generate_action = actions
    return rlm


def test_dspys_rlm_runs_on_the_python_guest() -> None:
    """Tools, sub-model calls in a batch, state between iterations, an error that is shown back, a typed answer."""
    prompts: list[str] = []

    def sub_lm(prompt: str) -> list[str]:
        prompts.append(prompt)
        return [prompt.upper()]

    actions = Actions(
        "parts = context.split()\nprint(len(parts))",
        "said = llm_query_batched(parts)\nsaid[9]",
        "print(lookup(key='k'), llm_query('one'))",
        "```python\nSUBMIT(answer=' '.join(said), count=len(parts))\n```",
    )
    rlm = rlm_with(actions, tools=[lookup], sub_lm=sub_lm, interpreter_factory=PythonInterpreter)
    result = rlm(context="alpha beta gamma", question="?")
    assert (result.answer, result.count) == ("ALPHA BETA GAMMA", 3)
    assert sorted(prompts) == ["alpha", "beta", "gamma", "one"]
    assert "IndexError" in actions.histories[2]
    assert "found k ONE" in actions.histories[3]


def lookup(key: str) -> str:
    """Look something up."""
    return f"found {key}"


def test_dspys_rlm_runs_on_the_scheme_guest() -> None:
    """The same loop; dspy's shim for Python is refused, and it goes on without."""
    actions = Actions(
        '(define parts (string-split context " "))\n(displayln (length parts))',
        "(define said (llm_query_batched parts))\n(list-ref said 9)",
        '```\n(displayln (lookup #:key "k"))\n(SUBMIT (string-join said " ") (length parts))\n```',
    )
    rlm = rlm_with(
        actions, tools=[lookup], sub_lm=lambda prompt: [prompt.upper()], interpreter_factory=SchemeInterpreter
    )
    result = rlm(context="alpha beta gamma", question="?")
    assert (result.answer, result.count) == ("ALPHA BETA GAMMA", 3)
    assert "3" in actions.histories[1]
    assert "list-ref" in actions.histories[2]


def test_sub_agents_of_dspy_run_from_the_python_guest() -> None:
    """Its shim works there, and sees the caller's settings."""
    actions = Actions(
        "import dspy\nres = dspy.Predict('question -> answer')(question='ping')\nprint(res.answer)",
        "SUBMIT(answer=res.answer, count=1)",
    )
    rlm = rlm_with(actions, interpreter_factory=PythonInterpreter)
    with dspy.context(lm=DummyLM([{"answer": "from the host"}]), adapter=dspy.ChatAdapter()):
        assert rlm(context="c", question="q").answer == "from the host"


class Table(SandboxSerializable):
    """Data with a form of its own in the sandbox, as dspy's SandboxSerializable says."""

    def sandbox_setup(self) -> str:
        return "import json"

    def to_sandbox(self) -> bytes:
        return json.dumps([1, 2, 3]).encode()

    def sandbox_assignment(self, var_name: str, data_expr: str) -> str:
        return f"{var_name} = json.loads({data_expr})"

    def rlm_preview(self, max_chars: int = 500) -> str:
        return "three numbers"[:max_chars]


def test_data_with_a_form_of_its_own_reaches_the_guest() -> None:
    """Its set-up and its assignment run there."""
    actions = Actions("total = sum(table)", "SUBMIT(answer=str(total))")
    rlm = dspy.RLM("table, question: str -> answer: str", max_iters=3, interpreter_factory=PythonInterpreter)
    actions.signature = rlm.generate_action.signature
    rlm.generate_action = actions
    assert rlm(table=Table(), question="?").answer == "6"


@pytest.mark.parametrize("make", [PythonInterpreter, SchemeInterpreter])
def test_the_model_is_told_where_its_code_runs(make: Any) -> None:
    """By the interpreter's own words, in the instructions of the signature."""
    rlm = dspy.RLM("question -> answer", interpreter_factory=make)
    assert make.execution_instructions in rlm.generate_action.signature.instructions


def test_a_factory_that_is_configured_is_used() -> None:
    """A deployment without deno says so once."""
    made: list[PythonInterpreter] = []

    def factory() -> PythonInterpreter:
        made.append(PythonInterpreter())
        return made[-1]

    rlm = dspy.RLM("question -> answer", max_iters=2)
    actions = Actions("SUBMIT(answer='42')")
    actions.signature = rlm.generate_action.signature
    rlm.generate_action = actions
    with dspy.context(interpreter_factory=factory):
        assert rlm(question="?").answer == "42"
    assert len(made) == 1


async def test_dspys_asynchronous_rlm_awaits_asynchronous_tools() -> None:
    """On the loop of who asks."""

    class Later(Actions):
        async def acall(self, **given: Any) -> Any:
            return self(**given)

    async def add(*, left: int, right: int) -> int:
        return left + right

    actions = Later("total = add(left=19, right=23)", "SUBMIT(answer=str(total))")
    rlm = dspy.RLM("question -> answer", max_iters=3, tools=[add], interpreter_factory=PythonInterpreter)
    actions.signature = rlm.generate_action.signature
    rlm.generate_action = actions
    assert (await rlm.acall(question="?")).answer == "42"


def test_flex_runs_its_module_in_the_guest() -> None:
    """With predictors on the host, tools, and a state that says nothing of the interpreter."""

    class Doubled(dspy.Signature):
        value: int = dspy.InputField()
        result: int = dspy.OutputField()

    def add_two(*, value: int) -> int:
        return value + 2

    source = (
        "class Solved(dspy.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.solve = dspy.Predict('value: int -> result: int')\n\n"
        "    def forward(self, **inputs):\n"
        "        found = self.solve(value=inputs['value'])\n"
        "        return dspy.Prediction(result=add_two(value=found.result))"
    )
    program = dspy.Flex(Doubled, tools=[add_two], interpreter_factory=PythonInterpreter)
    program._bind_code(source)
    again = dspy.Flex(Doubled, tools=[add_two], interpreter_factory=PythonInterpreter)
    again.load_state(program.dump_state())
    for flex in (program, again):
        with dspy.context(lm=DummyLM([{"result": "40"}]), adapter=dspy.ChatAdapter()):
            assert flex(value=20).result == 42

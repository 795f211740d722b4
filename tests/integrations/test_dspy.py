"""dspy's interpreters over our guests: the protocol, and dspy.RLM itself. Skipped where dspy is not installed."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dspy", reason="dspy is not installed: pip install 'rlm-wasm[dspy]'")

import dspy
import pydantic
from dspy.primitives.code_interpreter import (
    CodeExecutionError,
    CodeInterpreter,
    CodeInterpreterError,
    FinalOutput,
)

from rlm_wasm import Limits
from rlm_wasm.integrations.dspy import PythonInterpreter, SchemeInterpreter

pytestmark = pytest.mark.filterwarnings("ignore")


@dataclasses.dataclass
class Language:
    """How the same thing is said in each."""

    make: Callable[..., Any]
    six_by_seven: str
    hello: str
    remember: str
    recall: str
    broken: str
    failing: str
    unknown: str
    call: str
    by_keyword: str
    submit: str
    submit_both: str
    submit_wrong: str
    after_submit: str
    variable: str
    context: str


LANGUAGES = {
    "python": Language(
        PythonInterpreter, "6 * 7", "print('hello')", "kept = 41", "kept + 1", "if", "1 / 0", "nosuch",
        "add(19, 23)['value']", "add(left=19, right=23)['value']", "SUBMIT(42)", "SUBMIT(answer='yes', score=42)",
        "SUBMIT('missing')", "SUBMIT(42)\nadd(1, 2)", "v['a'][1] + 2", "len(context)",
    ),
    "scheme": Language(
        SchemeInterpreter, "(* 6 7)", '(displayln "hello")', "(define kept 41)", "(+ kept 1)", "(if", "(/ 1 0)",
        "nosuch", '(hash-ref (add 19 23) "value")', '(hash-ref (add #:left 19 #:right 23) "value")', "(SUBMIT 42)",
        '(SUBMIT #:answer "yes" #:score 42)', '(SUBMIT "missing")', "(SUBMIT 42) (add 1 2)",
        '(+ 2 (list-ref (hash-ref v "a") 1))', "(string-length context)",
    ),
}  # fmt: skip


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    """Both."""
    return LANGUAGES[request.param]


@pytest.fixture
def interpreter(language: Language) -> Iterator[Any]:
    """One that is shut down in the end."""
    made = language.make()
    yield made
    made.shutdown()


def add(left: int, right: int) -> dict[str, int]:
    """Add two numbers."""
    return {"value": left + right}


def test_it_is_an_interpreter_as_dspy_defines_it(language: Language) -> None:
    """Made without cost, and with words for the model."""
    made = language.make()
    assert isinstance(made, CodeInterpreter)
    assert made.tools == {}
    assert language.make.execution_instructions.strip()  # type: ignore[attr-defined]
    made.shutdown()


def test_start_is_lazy_and_idempotent_and_shutdown_terminal(language: Language) -> None:
    """Afterwards everything is a CodeInterpreterError."""
    made = language.make()
    made.start()
    made.start()
    assert made.execute(language.six_by_seven) == 42
    made.shutdown()
    made.shutdown()
    for again in (made.start, lambda: made.execute("1")):
        with pytest.raises(CodeInterpreterError, match="has ended"):
            again()


def test_values_and_output_come_back(language: Language, interpreter: Any) -> None:
    """The last expression's value, else what was printed, else nothing."""
    assert interpreter.execute(language.six_by_seven) == 42
    assert "hello" in interpreter.execute(language.hello)
    assert interpreter.execute(language.remember) is None
    assert interpreter(language.recall) == 42


def test_instances_share_nothing(language: Language, interpreter: Any) -> None:
    """A name of one is unknown to the other."""
    interpreter.execute(language.remember)
    with language.make() as other, pytest.raises(CodeExecutionError):
        other.execute(language.recall)


def test_errors_of_the_code_can_be_mended(language: Language, interpreter: Any) -> None:
    """The interpreter goes on with all that it knew."""
    interpreter.execute(language.remember)
    with pytest.raises(SyntaxError, match="Invalid"):
        interpreter.execute(language.broken)
    with pytest.raises(CodeExecutionError, match="division by zero"):
        interpreter.execute(language.failing)
    with pytest.raises(CodeExecutionError, match="nosuch"):
        interpreter.execute(language.unknown)
    assert interpreter.execute(language.recall) == 42


def test_tools_are_called_by_place_and_by_keyword(language: Language, interpreter: Any) -> None:
    """With JSON in and out."""
    interpreter.tools["add"] = add
    assert interpreter.execute(language.call) == 42
    assert interpreter.execute(language.by_keyword) == 42


def test_a_tool_that_is_taken_away_cannot_be_called(language: Language, interpreter: Any) -> None:
    """What the code has defined stays."""
    interpreter.bind(tools={"add": add}, output_fields=None)
    interpreter.execute(language.remember)
    assert interpreter.execute(language.call) == 42
    interpreter.bind(tools={}, output_fields=None)
    with pytest.raises(CodeExecutionError):
        interpreter.execute(language.call)
    assert interpreter.execute(language.recall) == 42


def test_a_tool_that_fails_is_an_error_of_the_code(language: Language, interpreter: Any) -> None:
    """With its type and message; the next call may succeed."""
    answers: list[Any] = [ZeroDivisionError("tool broke"), {"value": 7}]

    def failing(left: int, right: int) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    interpreter.tools["add"] = failing
    with pytest.raises(CodeExecutionError, match="ZeroDivisionError: tool broke"):
        interpreter.execute(language.call)
    assert interpreter.execute(language.call) == 7


def test_an_asynchronous_tool_is_awaited(language: Language, interpreter: Any) -> None:
    """Whatever thread it is called in."""

    async def later(left: int, right: int) -> dict[str, int]:
        return {"value": left * right}

    interpreter.tools["add"] = later
    assert interpreter.execute(language.call) == 19 * 23


def test_a_tool_cannot_execute_in_the_interpreter_that_called_it(
    language: Language, interpreter: Any
) -> None:
    """It would wait for itself."""

    def back(left: int, right: int) -> Any:
        return interpreter.execute(language.six_by_seven)

    interpreter.tools["add"] = back
    if language.make is PythonInterpreter:
        with pytest.raises(CodeExecutionError, match="cannot execute from one of its own tools"):
            interpreter.execute(language.call)


def test_submit_ends_the_code_with_typed_outputs(language: Language, interpreter: Any) -> None:
    """One output without fields; by name and place with them; wrong ones are an error that can be mended."""
    calls: list[int] = []
    interpreter.tools["add"] = lambda left, right: calls.append(left)
    assert interpreter.execute(language.submit) == FinalOutput({"output": 42})
    assert interpreter.execute(language.after_submit) == FinalOutput({"output": 42})
    assert calls == []
    interpreter.output_fields = [{"name": "answer", "type": "str"}, {"name": "score", "type": "int"}]
    assert interpreter.execute(language.submit_both) == FinalOutput({"answer": "yes", "score": 42})
    with pytest.raises(CodeExecutionError):
        interpreter.execute(language.submit_wrong)
    assert interpreter.execute(language.six_by_seven) == 42


def test_variables_are_there_before_the_code(language: Language, interpreter: Any) -> None:
    """Large ones as well, and again at every execution."""
    assert interpreter.execute(language.variable, {"v": {"a": [1, 40]}}) == 42
    for _ in range(3):
        assert interpreter.execute(language.context, {"context": "x" * 3_000_000}) == 3_000_000
    assert interpreter.execute(language.context, {"context": "y"}) == 1


class Point(pydantic.BaseModel):
    """A value that is no JSON by itself."""

    x: int


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (Point(x=3), {"x": 3}),
        ({3, 1, 2}, [1, 2, 3]),
        ((1, None, True), [1, None, True]),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (1.5, 1.5),
        ('two "quotes" and a \\ \n line', 'two "quotes" and a \\ \n line'),
    ],
)
def test_values_that_json_knows_cross(value: Any, seen: Any) -> None:
    """As pydantic says them."""
    with PythonInterpreter() as python:
        assert python.execute("v", {"v": value}) == seen


@pytest.mark.parametrize("name", ["a b", "1x", "class", "SUBMIT", "a;b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """It would be code."""
    with PythonInterpreter() as python, pytest.raises(CodeInterpreterError, match="Invalid variable name"):
        python.execute("1", {name: 1})


def test_a_value_without_a_form_is_refused(language: Language, interpreter: Any) -> None:
    """Before the code runs; the interpreter goes on."""
    with pytest.raises(CodeInterpreterError, match="Unsupported value type for v: object"):
        interpreter.execute(language.six_by_seven, {"v": object()})
    assert interpreter.execute(language.six_by_seven) == 42


@pytest.mark.parametrize(
    "code", ["while True: pass", "def f(): f()\nf()\nimport sys; sys.setrecursionlimit(10**9)\nf()"]
)
def test_what_the_interpreter_does_not_survive_is_terminal(code: str) -> None:
    """It never begins anew as if nothing had been."""
    with PythonInterpreter(limits=Limits(timeout_s=1.0)) as python:
        python.execute("kept = 1")
        with pytest.raises(CodeInterpreterError, match=r"create a new one|maximum recursion"):
            python.execute(code)
        with contextlib.suppress(CodeInterpreterError):
            assert python.execute("kept") == 1, (
                "a RecursionError was caught inside: it goes on with all it knew"
            )


def test_the_time_of_tools_does_not_count() -> None:
    """A model may take longer than the code may."""
    import threading

    with PythonInterpreter(
        tools={"wait": lambda: threading.Event().wait(0.4)}, limits=Limits(timeout_s=0.35)
    ) as python:
        python.start()
        assert python.execute("wait()\n1") == 1


def test_nothing_of_the_host_is_reached(tmp_path: Path) -> None:
    """No files but those of a workspace, no network, no processes."""
    (tmp_path / "a.txt").write_text("granted")
    with PythonInterpreter() as python:
        for code in ("open('/etc/passwd').read()", "import socket; socket.create_connection(('localhost', 80))",
                     "import subprocess; subprocess.run(['ls'])", "import os; os.fork()"):  # fmt: skip
            with pytest.raises(CodeExecutionError):
                python.execute(code)
    with PythonInterpreter(workspace=tmp_path) as python:
        assert python.execute("open('a.txt').read()") == "granted"


# ---- dspy.RLM itself


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
    from dspy.utils.dummies import DummyLM

    actions = Actions(
        "import dspy\nres = dspy.Predict('question -> answer')(question='ping')\nprint(res.answer)",
        "SUBMIT(answer=res.answer, count=1)",
    )
    rlm = rlm_with(actions, interpreter_factory=PythonInterpreter)
    with dspy.context(lm=DummyLM([{"answer": "from the host"}]), adapter=dspy.ChatAdapter()):
        assert rlm(context="c", question="q").answer == "from the host"

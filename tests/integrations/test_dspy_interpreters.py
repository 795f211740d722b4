"""What is asked of an interpreter for dspy, of each of ours: protocol, lifecycle, state, isolation, errors, tools,
SUBMIT, values, callbacks, its end. Skipped where dspy is not installed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import enum
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("dspy", reason="dspy is not installed: pip install 'rlm-wasm[dspy]'")

import pydantic
from dspy.primitives.code_interpreter import (
    CodeExecutionError,
    CodeInterpreter,
    CodeInterpreterError,
    FinalOutput,
)
from dspy.utils.callback import BaseCallback

from rlm_wasm import Limits
from rlm_wasm.integrations.dspy import PythonInterpreter, SchemeInterpreter
from tests.integrations.dspy_languages import LANGUAGES, Language

pytestmark = pytest.mark.filterwarnings("ignore")


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
    with pytest.raises(CodeExecutionError, match="cannot execute recursively"):
        interpreter.execute(language.call)
    assert interpreter.execute(language.six_by_seven) == 42


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


@pytest.mark.parametrize("name", ["a b", "1x", "class", "SUBMIT", "a;b", "", "__builtins__", "add", 1])
def test_a_variable_of_a_name_that_is_none_is_refused(
    name: Any, language: Language, interpreter: Any
) -> None:
    """It would be code, or take something's place; the interpreter goes on."""
    interpreter.tools["add"] = add
    with pytest.raises(CodeInterpreterError, match="Invalid variable name"):
        interpreter.execute(language.six_by_seven, {name: 1})
    assert interpreter.execute(language.call) == 42


@pytest.mark.parametrize("name", ["not-valid", "class", "SUBMIT", "__builtins__"])
def test_a_tool_of_a_name_that_is_none_is_refused(name: str, language: Language, interpreter: Any) -> None:
    """The code could not call it; the interpreter goes on without."""
    interpreter.tools[name] = add
    with pytest.raises(CodeInterpreterError, match="a tool needs a name that code can write"):
        interpreter.execute(language.six_by_seven)
    interpreter.tools = {}
    assert interpreter.execute(language.six_by_seven) == 42


@pytest.mark.parametrize(
    "fields", [[{"name": "a b"}], [{"name": "a"}, {"name": "a"}], [{}], [{"name": "if"}]]
)
def test_output_fields_that_are_none_are_refused(fields: Any, language: Language, interpreter: Any) -> None:
    """Before the code runs."""
    interpreter.output_fields = fields
    with pytest.raises(CodeInterpreterError, match="output field"):
        interpreter.execute(language.six_by_seven)
    interpreter.output_fields = None
    assert interpreter.execute(language.six_by_seven) == 42


@pytest.mark.parametrize(("code", "variables"), [(None, None), (5, None), ("1", [1]), ("1", "x")])
def test_what_is_no_code_and_no_variables_is_refused(
    code: Any, variables: Any, language: Language, interpreter: Any
) -> None:
    """With a word of what it must be."""
    with pytest.raises(CodeInterpreterError, match="must be"):
        interpreter.execute(code, variables)


@pytest.mark.parametrize("name", ["define", "let", "match", "when"])
def test_a_keyword_of_schemes_syntax_is_no_name_there(name: str) -> None:
    """To define it would take the language away."""
    with SchemeInterpreter() as scheme:
        with pytest.raises(CodeInterpreterError, match="keyword of Scheme's syntax"):
            scheme.execute("1", {name: 1})
        scheme.tools[name] = add
        with pytest.raises(CodeInterpreterError, match="keyword of Scheme's syntax"):
            scheme.execute("1")
        scheme.tools.clear()
        assert scheme.execute("(+ 40 2)") == 42


def test_a_value_without_a_form_is_refused(language: Language, interpreter: Any) -> None:
    """Before the code runs; the interpreter goes on."""
    with pytest.raises(CodeInterpreterError, match="Unsupported value type: object"):
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


class Color(enum.Enum):
    """A value that JSON says by its own value."""

    RED = "red"


class Spot(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


@dataclasses.dataclass
class Holder:
    """A dataclass, maybe around what has no form."""

    name: str
    held: Any


class Opaque:
    """Nothing that JSON knows."""

    def __str__(self) -> str:
        return "an opaque one"


class OpaqueModel(pydantic.BaseModel):
    """A model around one."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    held: Opaque


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (7, 7), (0.5, 0.5), (True, True), (None, ""), ("", ""), ([1, "a", None], [1, "a", None]), ({"a": [1]}, {"a": [1]}),
        ((1, 2), [1, 2]), ({3, 1}, [1, 3]), (Spot(1, 2), {"x": 1, "y": 2}), (Holder("a", [1]), {"name": "a", "held": [1]}),
        ([Point(x=1), Point(x=2)], [{"x": 1}, {"x": 2}]), (Color.RED, "red"), (datetime.time(8, 7, 27), "08:07:27"),
        (Opaque(), "an opaque one"), (math.inf, "inf"), (math.nan, "nan"), (2**70, 2**70),
    ],
)  # fmt: skip
def test_what_tools_give_arrives(value: Any, seen: Any, language: Language, interpreter: Any) -> None:
    """As JSON says it; what it cannot say is text; None is "", as with dspy's own."""
    interpreter.tools["tool"] = lambda: value
    assert interpreter.execute(language.take) == seen


def test_a_tool_whose_answer_cannot_be_said_fails(language: Language, interpreter: Any) -> None:
    """A pydantic model promises to be JSON: where it is not, that is told."""
    interpreter.tools["tool"] = lambda: OpaqueModel(held=Opaque())
    with pytest.raises(CodeExecutionError, match="Unable to serialize OpaqueModel as JSON"):
        interpreter.execute(language.take)
    interpreter.tools["tool"] = lambda: Holder("a", Opaque())
    assert interpreter.execute(language.take).startswith("Holder(")


def test_a_variable_whose_model_cannot_be_said_is_refused(language: Language, interpreter: Any) -> None:
    """Before anything is started."""
    with pytest.raises(CodeInterpreterError, match="Unable to serialize OpaqueModel as JSON") as caught:
        interpreter.execute(language.show, {"v": OpaqueModel(held=Opaque())})
    assert type(caught.value) is CodeInterpreterError


def test_numbers_that_json_has_not_are_variables_all_the_same() -> None:
    """In both languages they are numbers."""
    with PythonInterpreter() as python, SchemeInterpreter() as scheme:
        for value, python_asks, scheme_asks in (
            (math.inf, "v == float('inf')", "(= v +inf.0)"),
            (-math.inf, "v == float('-inf')", "(= v -inf.0)"),
            (math.nan, "v != v", "(nan? v)"),
        ):
            assert python.execute(python_asks, {"v": value}) is True
            assert scheme.execute(scheme_asks, {"v": value}) is True


def test_keys_that_are_numbers_stay_numbers_in_python() -> None:
    """JSON would make text of them, and a dict that looks like our marks is a dict."""
    with PythonInterpreter() as python:
        assert python.execute(
            "[v[1], v['1'], v[None], v[2.5]]", {"v": {1: "a", "1": "b", None: "c", 2.5: "d"}}
        ) == [*"abcd"]
        assert python.execute("v['__rlm_pairs__'][0]", {"v": {"__rlm_pairs__": [5]}}) == 5
        assert python.execute("v[0]['x'][3]", {"v": [{"x": {3: 4}}]}) == 4


def test_tools_take_what_their_signatures_say(language: Language, interpreter: Any) -> None:
    """Defaults, more than is named, keywords only, builtins, which have no signature."""

    def star(*given: Any, **named: Any) -> Any:
        return [list(given), named]

    def defaults(query: str, limit: int = 10) -> str:
        return f"{query} {limit}"

    interpreter.bind(
        tools={"star": star, "defaults": defaults, "smallest": min, "only": lambda *, a: a},
        output_fields=None,
    )
    python = language.make is PythonInterpreter
    for code, scheme, seen in (
        ("star(1, 2, c=3)", "(star 1 2 #:c 3)", [[1, 2], {"c": 3}]),
        ("defaults('q')", '(defaults "q")', "q 10"),
        ("defaults('q', limit=5)", '(defaults "q" #:limit 5)', "q 5"),
        ("smallest(2, 1)", "(smallest 2 1)", 1),
        ("only(4)", "(only 4)", 4),
    ):
        assert interpreter.execute(code if python else scheme) == seen
    for code, scheme, said in (
        ("defaults()", "(defaults)", "missing 1 required positional argument"),
        ("defaults(1, 2, 3)", "(defaults 1 2 3)", "takes 2 arguments, got 3"),
        ("defaults(1, query=2)", "(defaults 1 #:query 2)", "multiple values for argument 'query'"),
        ("defaults(nosuch=2)", "(defaults #:nosuch 2)", "unexpected keyword argument"),
    ):
        with pytest.raises(CodeExecutionError, match=said):
            interpreter.execute(code if python else scheme)


def test_tools_given_are_copied_and_can_be_replaced(language: Language) -> None:
    """A dict that changes later changes nothing; ``bind`` takes copies too."""
    given: dict[str, Any] = {"add": add}
    fields = [{"name": "found"}]
    with language.make(tools=given) as made:
        given["later"] = add
        assert set(made.tools) == {"add"}
        assert made.execute(language.call) == 42
        made.bind(tools=given, output_fields=fields)
        fields[0]["name"] = "changed"
        del given["add"]
        assert set(made.tools) == {"add", "later"}
        assert made.execute(language.submit_keyword) == FinalOutput({"found": 1})


def test_the_code_can_catch_what_a_tool_raises(language: Language, interpreter: Any) -> None:
    """With its type and message."""

    def failing() -> None:
        raise ValueError("bad value: 42")

    interpreter.tools["tool"] = failing
    said = interpreter.execute(language.caught_tool)
    assert "ValueError" in said
    assert "bad value: 42" in said


@pytest.mark.parametrize("stop", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_what_stops_a_tool_stops_the_execution(
    stop: type[BaseException], language: Language, interpreter: Any
) -> None:
    """It is no error of the code: it passes on as it is, though the code catches all that it can."""
    error = stop("the tool was stopped")

    async def stopped(left: int = 0, right: int = 0) -> None:
        raise error

    interpreter.bind(tools={"tool": stopped, "add": stopped}, output_fields=None)
    interpreter.execute(language.remember)
    for code in (language.call, language.caught_tool):
        with pytest.raises(stop) as caught:
            interpreter.execute(code)
        assert caught.value is error
    assert interpreter.execute(language.recall) == 42


def test_a_submission_that_the_code_catches_counts(language: Language, interpreter: Any) -> None:
    """Models like to put all of it into a try; no tool is called after it."""
    calls: list[int] = []
    interpreter.tools["tool"] = lambda: calls.append(1)
    assert interpreter.execute(language.caught) == FinalOutput({"output": 1})
    assert calls == []


def test_submit_without_fields_takes_names(language: Language, interpreter: Any) -> None:
    """Nobody said how the output is called, so that the code may."""
    assert interpreter.execute(language.submit_keyword) == FinalOutput({"found": 1})


def test_the_code_cannot_take_away_what_the_interpreter_gave(language: Language, interpreter: Any) -> None:
    """Tools and SUBMIT are there again at the next execution."""
    interpreter.tools["add"] = add
    interpreter.execute(language.six_by_seven)
    with contextlib.suppress(CodeExecutionError):
        interpreter.execute(language.spoil)
    assert interpreter.execute(language.call) == 42
    assert interpreter.execute(language.submit) == FinalOutput({"output": 42})


def test_the_python_code_cannot_take_away_what_python_gave() -> None:
    """Its builtins are a copy; its guest's own names are not in its reach by name."""
    with PythonInterpreter(tools={"add": add}) as python:
        python.execute("__builtins__['len'] = None")
        python.execute("for name in list(globals()):\n    if name != '__builtins__': del globals()[name]")
        assert python.execute("len([1])") == 1
        assert python.execute("add(19, 23)['value'] + v", {"v": 1}) == 43


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.exit(0)", "raise KeyboardInterrupt('stop')", "class Out(SystemExit): pass\nraise Out(0)",
        "raise BaseException('b')", "raise GeneratorExit", "exit()",
        "class CodeInterpreterError(Exception): pass\nraise CodeInterpreterError('generated')",
    ],
)  # fmt: skip
def test_whatever_python_code_raises_can_be_mended(code: str) -> None:
    """Nothing that it raises is taken for the interpreter's own failure."""
    with PythonInterpreter() as python:
        with pytest.raises(CodeExecutionError):
            python.execute(code)
        assert python.execute("print('still alive')") == "still alive\n"


def test_a_value_and_what_was_printed_are_both_shown(language: Language, interpreter: Any) -> None:
    """A model that prints and ends with a value sees both."""
    assert interpreter.execute(language.both) == "a\n5"


def test_a_python_value_without_a_form_is_shown() -> None:
    """By its repr."""
    with PythonInterpreter() as python:
        assert python.execute("object()").startswith("<object object")
        assert python.execute("import sys\nprint('e', file=sys.stderr)") == "e\n"


def test_limits_that_scheme_code_meets_can_be_mended() -> None:
    """Its session survives them."""
    with SchemeInterpreter(limits=Limits(fuel=50_000_000, memory_bytes=16 << 20)) as scheme:
        scheme.execute("(define kept 41)")
        for code in ("(let loop () (loop))", "(make-vector 100000000 0)"):
            with pytest.raises(CodeExecutionError, match="limit exceeded"):
                scheme.execute(code)
        assert scheme.execute("(+ kept 1)") == 42


def test_fuel_and_memory_of_python_code() -> None:
    """Memory is an error of the code; fuel is the end."""
    with PythonInterpreter(limits=Limits(fuel=3_000_000_000)) as python:
        python.start()
        with pytest.raises(CodeExecutionError, match="MemoryError"):
            python.execute("x = 'a' * 10**9")
        with pytest.raises(CodeInterpreterError, match=r"fuel.*create a new one"):
            python.execute("while True: pass")
        with pytest.raises(CodeInterpreterError, match="session has ended: limit exceeded: fuel"):
            python.start()


def test_an_interpreter_that_its_tool_shuts_down_ends_after_the_execution(
    language: Language, interpreter: Any
) -> None:
    """It neither hangs nor goes on."""
    interpreter.tools["tool"] = interpreter.shutdown
    assert interpreter.execute(language.take) == ""
    with pytest.raises(CodeInterpreterError, match="it was shut down"):
        interpreter.execute(language.six_by_seven)


class Events(BaseCallback):
    """What dspy tells of an interpreter."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def on_interpreter_startup_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(("startup", None))

    def on_interpreter_execute_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(("execute", inputs["code"]))

    def on_interpreter_execute_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
        self.seen.append(("executed", outputs))

    def on_interpreter_tool_call_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(("tool", inputs["tool_name"]))

    def on_interpreter_tool_call_end(self, call_id: str, outputs: Any, exception: Any = None) -> None:
        self.seen.append(("tool ended", outputs))

    def on_interpreter_shutdown_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self.seen.append(("shutdown", None))


@pytest.mark.skipif(not hasattr(BaseCallback, "on_interpreter_execute_start"), reason="an older dspy")
def test_dspys_callbacks_are_told(language: Language) -> None:
    """Of starting, executions, tools, and the end."""
    events = Events()
    with language.make(tools={"tool": lambda: 42}, callbacks=[events]) as made:
        made.start()
        assert made.execute(language.take) == 42
    assert events.seen == [
        ("startup", None),
        ("execute", language.take),
        ("tool", "tool"),
        ("tool ended", 42),
        ("executed", 42),
        ("shutdown", None),
    ]

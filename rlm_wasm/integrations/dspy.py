"""dspy: interpreters for ``dspy.RLM`` and its kin that run in this process, in WebAssembly.

    rlm = dspy.RLM("context, query -> answer", interpreter_factory=PythonInterpreter)

``PythonInterpreter`` runs Python in the CPython guest: no deno, no subprocess. ``SchemeInterpreter`` runs
Scheme. Both are CodeInterpreters as dspy defines them: state stays, tools and SUBMIT are called from the
code, what the code did wrong is a CodeExecutionError or a SyntaxError and can be mended, and a
CodeInterpreterError is the end of the interpreter.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import dataclasses
import inspect
import json
import keyword
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.data import json_form
from rlm_wasm.errors import (
    ExecutionCancelled,
    GuestSyntaxError,
    LimitExceeded,
    PythonFailure,
    RlmError,
    UsageError,
)
from rlm_wasm.foreign import described
from rlm_wasm.integrations import missing_extra
from rlm_wasm.integrations.loop_thread import LoopThread
from rlm_wasm.limits import Limits
from rlm_wasm.python.values import OBJECT
from rlm_wasm.python.wasi import WasiPython
from rlm_wasm.runtime import Runtime
from rlm_wasm.write_form import quoted

try:
    from dspy.primitives.code_interpreter import CodeExecutionError, CodeInterpreterError, FinalOutput
    from dspy.utils.callback import BaseCallback, with_callbacks
except ModuleNotFoundError as error:
    raise missing_extra("dspy", error) from None

__all__ = ["PythonInterpreter", "SchemeInterpreter"]

Tools = dict[str, Callable[..., Any]]

_Called = TypeVar("_Called", bound=Callable[..., Any])
_PRELUDE = Path(__file__).with_name("dspy_prelude.py").read_text(encoding="utf-8")
_SIMPLE = ("str", "int", "float", "bool", "list", "dict")
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_RESERVED = frozenset({"SUBMIT", "__builtins__"})
_SUBMIT = "__rlm_submit__"
"""What code calls where it submits."""
_STOPPED = "the tool was stopped"


def _told(method: _Called) -> _Called:
    """Tell dspy's callbacks of it, where this dspy has callbacks of interpreters."""
    if not hasattr(BaseCallback, "on_interpreter_execute_start"):
        return method
    told: _Called = with_callbacks(method)
    return told


class _Interpreter:
    """What both have: tools, output fields, one call at a time, an end."""

    execution_instructions: ClassVar[str] = ""

    def __init__(
        self,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        output_fields: Sequence[Mapping[str, Any]] | None = None,
        *,
        limits: Limits | None = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self._tools: Tools = dict(tools or {})
        self.output_fields: Any = None if output_fields is None else [dict(f) for f in output_fields]
        self.callbacks = list(callbacks or [])
        self._limits = limits if limits is not None else Limits()
        self._lock = threading.Lock()
        self._ended = ""
        self._owner: int | None = None
        self._serving = 0
        """Tools that have been called and have not come back."""
        self._stopped: BaseException | None = None
        """What a tool raised that is no Exception: it ends the execution, and passes on."""
        self._registered: tuple[Any, ...] = ()
        self._submitted: Any = None

    @property
    def tools(self) -> Tools:
        """What the code may call. It can be changed between executions, and replaced."""
        return self._tools

    @tools.setter
    def tools(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        self._tools = dict(tools)

    def bind(
        self, *, tools: Mapping[str, Callable[..., Any]], output_fields: Sequence[Mapping[str, Any]] | None
    ) -> None:
        """Replace tools and output fields at once; copies are taken."""
        self._tools = dict(tools)
        self.output_fields = None if output_fields is None else [dict(f) for f in output_fields]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def __call__(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """As ``execute``."""
        return self.execute(code, variables)

    @_told
    def start(self) -> None:
        """Make the interpreter ready. Idempotent; after its end a CodeInterpreterError."""
        with self._entered():
            self._open()

    @_told
    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """Run code: FinalOutput where it called SUBMIT, else the last value, what it printed, or both.

        What a tool raises that is no Exception (KeyboardInterrupt, a task's cancellation) ends the
        execution and is raised as it is; the interpreter goes on.

        Raises:
            CodeExecutionError: the code, or a tool that it called, failed; the interpreter goes on.
            SyntaxError: the code cannot be read.
            CodeInterpreterError: the code is no text, a variable cannot be handed over, or the interpreter
                has ended.
        """
        if not isinstance(code, str):
            raise CodeInterpreterError(f"code must be a string, not {type(code).__name__}")
        given = self._checked(variables)
        with self._entered():
            self._open()
            self._stopped = self._submitted = None
            try:
                result = self._run(code, given)
            except CodeExecutionError:
                self._pass_on()
                if self._submitted is None:
                    raise
                return FinalOutput(self._submitted)
            self._pass_on()
            return result if self._submitted is None else FinalOutput(self._submitted)

    def _checked(self, variables: Any) -> dict[str, Any]:
        """Variables that can be handed over, in JSON's terms."""
        if variables is None:
            return {}
        if not isinstance(variables, Mapping):
            raise CodeInterpreterError(f"variables must be a dict by name, not {type(variables).__name__}")
        for name in variables:
            if not _is_name(name) or name in _RESERVED:
                raise CodeInterpreterError(f"Invalid variable name: {name!r}")
            if name in self._tools:
                raise CodeInterpreterError(f"Invalid variable name: {name!r} is a tool's")
        return {name: _jsonable(value) for name, value in variables.items()}

    def _pass_on(self) -> None:
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            raise stopped

    @_told
    def shutdown(self) -> None:
        """End it, and give everything back. Idempotent."""
        if not self._ended:
            self._ended = "it was shut down"
        if not self._serving:  # else when the tool has come back
            self._close()

    def _entered(self) -> Any:
        if self._serving or self._owner == threading.get_ident():
            raise CodeInterpreterError(
                f"{type(self).__name__} cannot execute recursively: one of its own tools has not come back"
            )
        return _Held(self)

    def _check_alive(self) -> None:
        if self._ended:
            raise CodeInterpreterError(
                f"the interpreter's session has ended: {self._ended}. Create a new one for a fresh session."
            )

    def _end(self, why: str) -> CodeInterpreterError:
        self._ended = why
        self._close()
        return CodeInterpreterError(f"{why}; the interpreter's state is lost: create a new one")

    def _wanted(self) -> tuple[Any, ...]:
        """What code may name now, as a value that tells a change."""
        fields = json.dumps(self.output_fields, default=str)
        return (*((name, id(tool)) for name, tool in self._tools.items()), fields)

    def _fields(self) -> list[tuple[str, str]]:
        """Names and types of what SUBMIT takes. Raises CodeInterpreterError."""
        fields: dict[str, str] = {}
        for field in self.output_fields or [{"name": "output"}]:
            name = field.get("name")
            if not _is_name(name):
                raise CodeInterpreterError(f"an output field needs a name that code can write, not {name!r}")
            if name in fields:
                raise CodeInterpreterError(f"two output fields are called {name!r}")
            kind = str(field.get("type", ""))
            fields[name] = kind if kind in _SIMPLE else ""
        return list(fields.items())

    def _check_tools(self) -> None:
        for name in self._tools:
            if not _is_name(name) or name in _RESERVED:
                raise CodeInterpreterError(f"a tool needs a name that code can write, not {name!r}")

    @_told
    def invoke_tool(self, tool_name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call a tool with what the code gave. Raises whatever the tool raises."""
        tool = self._tools.get(tool_name)
        if tool is None:
            raise CodeInterpreterError(f"Unknown tool: {tool_name}")
        args, kwargs = _as_declared(tool, args, kwargs)
        result = tool(*args, **kwargs)
        return _awaited(result) if inspect.isawaitable(result) else result

    def _served(self, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
        """A tool's result in JSON's terms; "" for None. Raises whatever the tool raises."""
        if self._stopped is not None or self._submitted is not None:
            raise ExecutionCancelled(_STOPPED)
        self._serving += 1
        try:
            result = self.invoke_tool(name, positional, named)
        except Exception:
            raise
        except BaseException as error:
            self._stopped = error
            raise ExecutionCancelled(_STOPPED) from error
        finally:
            self._serving -= 1
        if result is None or isinstance(result, str):
            return result or ""
        plain = _jsonable(result, lenient=True)
        try:
            json.dumps(plain, allow_nan=False)
        except (TypeError, ValueError):
            return str(plain)
        return plain

    # ---- for the two

    def _open(self) -> None:
        raise NotImplementedError

    def _run(self, code: str, variables: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class _Held:
    """One execution at a time; tools that call back are refused."""

    def __init__(self, interpreter: _Interpreter) -> None:
        self._interpreter = interpreter

    def __enter__(self) -> None:
        self._interpreter._lock.acquire()
        self._interpreter._owner = threading.get_ident()
        try:
            self._interpreter._check_alive()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        interpreter = self._interpreter
        interpreter._owner = None
        if interpreter._ended:
            interpreter._close()
        interpreter._lock.release()


class PythonInterpreter(_Interpreter):
    """Runs Python in CPython on WebAssembly, in this process: no deno, no subprocess, no network, no files.

    ``limits``: ``fuel``, ``timeout_s`` (the time of tools does not count) and ``python_memory_bytes`` hold
    for each execution; fuel and time end the interpreter, memory is a MemoryError in the code.
    ``workspace`` is a folder that the code may use as files.
    """

    execution_instructions = (
        "Python 3 (CPython compiled to WebAssembly) with the standard library. There is no network, no "
        "subprocess, no thread and no pip; files exist only where a workspace was granted. Variables, "
        "functions and imports persist. The value of the last expression is shown, else what was printed."
    )

    def __init__(
        self,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        output_fields: Sequence[Mapping[str, Any]] | None = None,
        *,
        limits: Limits | None = None,
        workspace: str | Path | None = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(tools, output_fields, limits=limits, callbacks=callbacks)
        folder = None if workspace is None else Path(workspace)
        self._workspace = Workspace(folder, max_written_bytes=self._limits.workspace_bytes)
        self._python: WasiPython | None = None
        self._inside: Any = None
        """The prelude's object in there: whatever the code does to its names, it is found by this."""
        self._sent: dict[str, str] = {}
        """Texts that the guest has already: a large context crosses once."""

    def _open(self) -> None:
        if self._python is None:
            self._python = WasiPython(limits=self._limits, workspace=self._workspace, tools=self._serve)
            self._inside = self._do("eval", [_PRELUDE]).value

    def _close(self) -> None:
        python, self._python = self._python, None
        if python is not None and self._owner is None:
            python.close()

    def _run(self, code: str, variables: dict[str, Any]) -> Any:
        self._prepare(variables)
        try:
            reply = self._do("eval", [code])
        except PythonFailure as failure:
            message = str(failure)
            if failure.kind in _SYNTAX:
                raise SyntaxError(f"Invalid Python syntax. message: {message}") from None
            raise CodeExecutionError(message) from None
        return _shown(_plain(reply.value), "\n".join(filter(None, (reply.stdout, reply.stderr))))

    def _do(self, operation: str, arguments: list[Any]) -> Any:
        assert self._python is not None
        try:
            return self._python.run_here(
                operation, arguments, fuel=self._limits.fuel, timeout_s=self._limits.timeout_s
            )
        except PythonFailure as failure:
            if not self._python.alive:  # it trapped: what it knew is gone
                raise self._end(str(failure)) from None
            raise
        except LimitExceeded as limit:
            raise self._end(str(limit)) from None
        except UsageError as error:  # the code or a variable has no form, or is too long
            raise CodeInterpreterError(str(error)) from None

    def _ask_inside(self, method: str, *arguments: str) -> None:
        try:
            self._do("call", [self._inside, method, *arguments])
        except PythonFailure as failure:
            raise CodeInterpreterError(f"the interpreter cannot be set up: {failure}") from None

    def _prepare(self, variables: dict[str, Any]) -> None:
        """Tools, SUBMIT and variables are there before the code, whatever it did to their names before.

        A text that is there already is only named again.
        """
        wanted = self._wanted()
        if wanted != self._registered:
            self._check_tools()
            fields = ", ".join(f"{name}: {kind}" if kind else name for name, kind in self._fields())
            if self.output_fields is None:
                fields = ""
            tools = {name: inspect.getdoc(tool) or "" for name, tool in self._tools.items()}
            self._ask_inside("register", json.dumps({"tools": tools, "fields": fields}))
            self._registered = wanted
        for name, value in variables.items():
            if isinstance(value, str) and self._sent.get(name) == value:
                continue
            self._sent.pop(name, None)
            paired, odd = _with_pairs(value)
            self._ask_inside("take", name, json.dumps(paired), "pairs" if odd else "")
            if isinstance(value, str):
                self._sent[name] = value
        self._ask_inside("prepare", json.dumps(list(variables)))

    def _serve(self, name: str, arguments: str) -> str:
        """A call from the code. Never raises: the code gets what went wrong."""
        try:
            given = json.loads(arguments)
            if name == _SUBMIT:
                self._submitted = given
                return json.dumps({"value": None})
            result = self._served(name, list(given["args"]), dict(given["kwargs"]))
            return json.dumps({"value": result})
        except ExecutionCancelled as stopped:
            return json.dumps({"stop": str(stopped)})
        except Exception as error:
            return json.dumps({"error": described(error)})


class SchemeInterpreter(_Interpreter):
    """Runs Scheme in this package's guest, for the same loop.

    Tools are procedures of their names, with positional and ``#:keyword`` arguments; ``(SUBMIT …)`` ends.
    A text in the variable ``context`` is the session's context, of which ``context-search``,
    ``context-slice`` and ``context-chunks`` give pieces. ``limits`` hold for each execution.
    """

    execution_instructions = (
        "This REPL runs SCHEME, not Python: R7RS with Racket's common procedures (hash tables, regexps as "
        '#px"…", for/list, match, string procedures). Wherever Python is spoken of, write Scheme, in a code '
        'block without a language. Print with (displayln v). Tools are procedures: (llm_query "prompt"), '
        '(llm_query_batched (list "a" "b")). Variables are defined under their names; a text called '
        'context is also reached by (context-search "text"), (context-slice start end), (context-chunks '
        "size overlap). Definitions persist. End with (SUBMIT value …), in the order of the output fields, "
        "or (SUBMIT #:field value …). There is no import dspy."
    )

    def __init__(
        self,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        output_fields: Sequence[Mapping[str, Any]] | None = None,
        *,
        limits: Limits | None = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(tools, output_fields, limits=limits, callbacks=callbacks)
        self._thread: LoopThread | None = None
        self._runtime: Any = None
        self._session: Any = None
        self._given: dict[str, Any] = {}
        self._caller: contextvars.Context | None = None
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._names_checked: set[str] = set()

    def _open(self) -> None:
        if self._thread is not None:
            return
        self._thread = LoopThread("rlm-wasm-dspy")
        self._threads = concurrent.futures.ThreadPoolExecutor(self._limits.concurrency, "rlm-wasm-tool")
        self._runtime = self._thread.run(self._made())
        self._session = self._runtime.session()
        self._define([_SCHEME_PRELUDE])

    async def _made(self) -> Runtime:
        functions: dict[str, Callable[..., Any]] = {
            "__rlm-tool": self._serve,
            "__rlm-variable": lambda name: self._given[name],
        }
        return Runtime(provider="echo", python="off", limits=self._limits, host_functions=functions)

    def _close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.run(self._runtime.aclose())
            thread.close()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def _run(self, code: str, variables: dict[str, Any]) -> Any:
        assert self._thread is not None
        self._caller = contextvars.copy_context()
        self._given = variables
        self._define(self._register() + self._names(variables))
        result = self._execute(code)
        if result.error is not None:
            if isinstance(_raised(result), GuestSyntaxError):
                raise SyntaxError(f"Invalid Scheme syntax: {result.error}")
            own = result.error.source == _OWN  # a place in there tells nobody anything
            raise CodeExecutionError(str(replace(result.error, line=None) if own else result.error))
        return _shown(_of_scheme(result), "\n".join(filter(None, (result.stdout, result.stderr))))

    def _execute(self, source: str, name: str = "program") -> Any:
        assert self._thread is not None
        try:
            result = self._thread.run(self._session.execute(source, name=name))
        except RlmError as error:
            raise self._end(str(error)) from None
        if result.rolled_back:
            raise self._end(f"the sandbox was lost: {result.error}")
        return result

    def _define(self, definitions: list[str]) -> None:
        if definitions:
            result = self._execute("\n".join(definitions), _OWN)
            if result.error is not None:
                raise CodeInterpreterError(f"the interpreter cannot be set up: {result.error}")

    def _check_name(self, name: str) -> None:
        """That a name is no keyword of the syntax: to define that would take the language away."""
        if name in self._names_checked:
            return
        error = self._execute(name, _OWN).error
        if error is not None and error.type == "exn:fail:syntax":
            raise CodeInterpreterError(
                f"Invalid name: {name!r} is a keyword of Scheme's syntax: take another"
            )
        self._names_checked.add(name)

    def _names(self, variables: dict[str, Any]) -> list[str]:
        assert self._thread is not None
        definitions = []
        for name, value in variables.items():
            self._check_name(name)
            if name == "context":
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                if self._session.contexts.get(None) != text:
                    self._thread.run(self._session.load_context(text))
            else:
                definitions.append(f"(define {name} (__rlm-variable {quoted(name)}))")
        return definitions

    def _register(self) -> list[str]:
        """The tools and SUBMIT, before each execution: the code may have defined their names."""
        wanted = self._wanted()
        definitions = []
        if wanted != self._registered:
            self._check_tools()
            for name in self._tools:
                self._check_name(name)
            self._fields()
            definitions += [
                f'(define ({name} . _) (error "the tool {name} is no longer there"))'
                for name, _ in self._registered[:-1]
                if name not in self._tools
            ]
            self._registered = wanted
        definitions += [
            f"(define {name} (__rlm-procedure {quoted(name)}))"
            for name in self._tools
            if not name.startswith("__dspy")  # what dspy's shim for Python calls
        ]
        return [*definitions, "(define SUBMIT __rlm-submission)"]

    async def _serve(self, name: str, positional: list[Any], keywords: list[str], values: list[Any]) -> Any:
        """A call from the code, in the context of who executes and beside the loop."""
        named = {str(key): json_form(value) for key, value in zip(keywords, values, strict=True)}
        given = [json_form(value) for value in positional]
        if name == _SUBMIT:
            self._submitted = self._submission(given, named)
            return None
        assert self._caller is not None
        call = self._caller.copy().run
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, call, self._served, name, given, named)

    def _submission(self, values: list[Any], named: dict[str, Any]) -> dict[str, Any]:
        fields = [name for name, _ in self._fields()]
        if self.output_fields is None and named and not values:
            return named
        if len(values) > len(fields):
            raise TypeError(f"SUBMIT takes {len(fields)} values ({', '.join(fields)}), got {len(values)}")
        submitted = dict(zip(fields, values, strict=False))
        wrong = [name for name in named if name not in fields or name in submitted]
        if wrong:
            raise TypeError(
                f"SUBMIT: {wrong[0]} is no output field, or is given twice; there are {', '.join(fields)}"
            )
        submitted.update(named)
        missing = [name for name in fields if name not in submitted]
        if missing:
            raise TypeError(f"SUBMIT: missing {', '.join(missing)}")
        return submitted


_OWN = "interpreter"
"""The name of the programs that the interpreter itself runs."""
_SCHEME_PRELUDE = f"""
(define __rlm-procedure
  (let ([call __rlm-tool] [make make-keyword-procedure])
    (lambda (name) (make (lambda (keywords values . given) (call name given keywords values))))))
(define __rlm-submission
  (let ([call __rlm-tool] [end finish] [nothing (void)])
    (make-keyword-procedure
     (lambda (keywords values . given) (call {quoted(_SUBMIT)} given keywords values) (end nothing)))))
"""


def _of_scheme(result: Any) -> Any:
    """A Result's value as JSON has it, or in its display form; None where there is none."""
    data = result.data
    if isinstance(data, str | bool | int | list | dict) or (isinstance(data, float) and math.isfinite(data)):
        return json_form(data)
    return result.value or None


def _raised(result: Any) -> Exception | None:
    try:
        result.raise_for_status()
    except RlmError as error:
        return error
    return None


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)


def _as_declared(
    tool: Callable[..., Any], positional: list[Any], named: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by name, which is how dspy's tools are called, wherever their names are known.

    Raises TypeError for what does not fit.
    """
    if not positional:
        return [], named
    try:
        parameters = list(inspect.signature(tool).parameters.values())
    except (TypeError, ValueError):  # a builtin that does not say
        return positional, named
    if any(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL) for parameter in parameters
    ):
        return positional, named
    names = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    if len(positional) > len(names):
        raise TypeError(f"takes {len(names)} arguments, got {len(positional)}")
    taken = dict(zip(names, positional, strict=False))
    twice = sorted(taken.keys() & named.keys())
    if twice:
        raise TypeError(f"got multiple values for argument {twice[0]!r}")
    return [], {**taken, **named}


def _awaited(work: Any) -> Any:
    """What an asynchronous tool gives, for a caller that may or may not be on an event loop."""

    async def all_of_it() -> Any:
        return await work

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(all_of_it())
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, asyncio.run, all_of_it()).result()


_PAIRS = "__rlm_pairs__"


def _with_pairs(value: Any) -> tuple[Any, bool]:
    """A value for JSON whose dicts with other keys than text are marked lists of pairs; whether one is."""
    if isinstance(value, dict):
        parts = [(key, *_with_pairs(item)) for key, item in value.items()]
        if _PAIRS in value or not all(isinstance(key, str) for key in value):
            return {_PAIRS: [[key, item] for key, item, _ in parts]}, True
        return {key: item for key, item, _ in parts}, any(odd for *_, odd in parts)
    if isinstance(value, list):
        items = [_with_pairs(item) for item in value]
        return [item for item, _ in items], any(odd for _, odd in items)
    return value, False


def _jsonable(value: Any, *, lenient: bool = False) -> Any:
    """As JSON says it: pydantic models, dataclasses, dates, sets (sorted where they can be) included.

    Numbers and None stay what they are as keys. ``lenient`` is for what tools give: a named tuple is a dict,
    and what has no form stays as it is. Raises CodeInterpreterError.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, BaseModel):
        try:
            return value.model_dump(mode="json")
        except PydanticSerializationError as error:
            raise CodeInterpreterError(
                f"Unable to serialize {type(value).__name__} as JSON: {error}"
            ) from error
    if lenient and isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _jsonable(value._asdict(), lenient=True)
    if isinstance(value, dict):
        return {_key(key): _jsonable(item, lenient=lenient) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item, lenient=lenient) for item in value]
    if isinstance(value, set | frozenset):
        items = [_jsonable(item, lenient=lenient) for item in value]
        try:
            return sorted(items)
        except TypeError:
            return items
    try:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return _jsonable(dataclasses.asdict(value))
        return to_jsonable_python(value)
    except CodeInterpreterError:
        if lenient:
            return value
        raise
    except Exception as error:  # asdict copies, and what it copies may refuse
        if lenient:
            return value
        raise CodeInterpreterError(f"Unsupported value type: {type(value).__name__}") from error


def _key(key: Any) -> Any:
    return key if key is None or isinstance(key, str | bool | int | float) else str(key)


def _shown(value: Any, printed: str) -> Any:
    """The value, what was printed, or both as text, so that nothing is lost."""
    if value is None or not printed:
        return (printed or None) if value is None else value
    gap = "" if printed.endswith("\n") else "\n"
    return f"{printed}{gap}{value if isinstance(value, str) else repr(value)}"


def _plain(value: Any) -> Any:
    """A value from the guest as Python's own; an object that has no form is shown by its repr."""
    if isinstance(value, tuple) and len(value) == 3 and value[0] == OBJECT:
        return str(value[2])
    return json_form(value) if isinstance(value, dict | list | tuple | Mapping) else value

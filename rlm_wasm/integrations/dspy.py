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
import inspect
import json
import keyword
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.data import json_form
from rlm_wasm.errors import GuestSyntaxError, LimitExceeded, PythonFailure, RlmError, UsageError
from rlm_wasm.integrations import missing_extra
from rlm_wasm.integrations.loop_thread import LoopThread
from rlm_wasm.limits import Limits
from rlm_wasm.python.values import Reference
from rlm_wasm.python.wasi import WasiPython
from rlm_wasm.runtime import Runtime
from rlm_wasm.write_form import quoted

try:
    from dspy.primitives.code_interpreter import CodeExecutionError, CodeInterpreterError, FinalOutput
except ModuleNotFoundError as error:
    raise missing_extra("dspy", error) from None

__all__ = ["PythonInterpreter", "SchemeInterpreter"]

Tools = dict[str, Callable[..., Any]]

_PRELUDE = Path(__file__).with_name("dspy_prelude.py").read_text(encoding="utf-8")
_SIMPLE = ("str", "int", "float", "bool", "list", "dict")
_SYNTAX = ("SyntaxError", "IndentationError", "TabError")
_RESERVED = frozenset({"SUBMIT", "__rlm__"})


class _Interpreter:
    """What both have: tools, output fields, one call at a time, an end."""

    execution_instructions: ClassVar[str] = ""

    def __init__(
        self,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        output_fields: Sequence[Mapping[str, Any]] | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._tools: Tools = dict(tools or {})
        self.output_fields: Any = None if output_fields is None else [dict(f) for f in output_fields]
        self._limits = limits if limits is not None else Limits()
        self._lock = threading.Lock()
        self._ended = ""
        self._owner: int | None = None
        self._registered: tuple[Any, ...] = ()
        self._submitted: Any = None

    @property
    def tools(self) -> Tools:
        """What the code may call. It can be changed between executions."""
        return self._tools

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

    def start(self) -> None:
        """Make the interpreter ready. Idempotent; after its end a CodeInterpreterError."""
        with self._entered():
            self._open()

    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """Run code: FinalOutput where it called SUBMIT, else the last value, else what it printed.

        Raises:
            CodeExecutionError: the code, or a tool that it called, failed; the interpreter goes on.
            SyntaxError: the code cannot be read.
            CodeInterpreterError: a variable cannot be handed over, or the interpreter has ended.
        """
        given = {name: _jsonable(name, value) for name, value in (variables or {}).items()}
        with self._entered():
            self._open()
            return self._run(code, given)

    def shutdown(self) -> None:
        """End it, and give everything back. Idempotent."""
        if not self._ended:
            self._ended = "it was shut down"
        self._close()

    def _entered(self) -> Any:
        if self._owner == threading.get_ident():
            raise CodeInterpreterError(f"{type(self).__name__} cannot execute from one of its own tools")
        return _Held(self)

    def _check_alive(self) -> None:
        if self._ended:
            raise CodeInterpreterError(
                f"the interpreter has ended: {self._ended}. Create a new one for a fresh session."
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
        fields = []
        for field in self.output_fields or [{"name": "output"}]:
            name = str(field.get("name", ""))
            if not name.isidentifier() or keyword.iskeyword(name):
                raise CodeInterpreterError(f"an output field needs a name that code can write, not {name!r}")
            kind = str(field.get("type", ""))
            fields.append((name, kind if kind in _SIMPLE else ""))
        return fields

    def _served(self, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
        """Call a tool, and make what it gives JSON. Raises whatever the tool raises."""
        tool = self._tools.get(name)
        if tool is None:
            raise CodeInterpreterError(f"Unknown tool: {name}")
        result = tool(**_by_name(tool, positional, named))
        if inspect.isawaitable(result):
            result = _awaited(result)
        return _jsonable(name, result)

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
        self._interpreter._owner = None
        self._interpreter._lock.release()


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
    ) -> None:
        super().__init__(tools, output_fields, limits=limits)
        folder = None if workspace is None else Path(workspace)
        self._workspace = Workspace(folder, max_written_bytes=self._limits.workspace_bytes)
        self._python: WasiPython | None = None
        self._sent: dict[str, str] = {}
        """Texts that the guest has already: a large context crosses once."""

    def _open(self) -> None:
        if self._python is None:
            self._python = WasiPython(limits=self._limits, workspace=self._workspace, tools=self._serve)
            self._do("exec", [_PRELUDE])

    def _close(self) -> None:
        python, self._python = self._python, None
        if python is not None and self._owner is None:
            python.close()

    def _run(self, code: str, variables: dict[str, Any]) -> Any:
        self._register()
        self._hand_over(variables)
        self._submitted = None
        try:
            reply = self._do("eval", [code])
        except PythonFailure as failure:
            if failure.kind == "__rlm_Submitted__" and self._submitted is not None:
                return FinalOutput(self._submitted)
            message = str(failure)
            if failure.kind in _SYNTAX:
                raise SyntaxError(f"Invalid Python syntax. message: {message}") from None
            raise CodeExecutionError(message) from None
        value = _plain(reply.value)
        if value is not None:
            return value
        return reply.stdout + (f"\n{reply.stderr}" if reply.stderr else "") or None

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

    def _register(self) -> None:
        wanted = self._wanted()
        if wanted == self._registered:
            return
        for name in self._tools:
            if not name.isidentifier() or keyword.iskeyword(name):
                raise CodeInterpreterError(f"a tool needs a name that code can write, not {name!r}")
        fields = ", ".join(f"{name}: {kind}" if kind else name for name, kind in self._fields())
        tools = {name: inspect.getdoc(tool) or "" for name, tool in self._tools.items()}
        self._do("set", ["__rlm_registered", json.dumps({"tools": tools, "fields": fields})])
        try:
            self._do("exec", ["__rlm__.register(__rlm_registered)"])
        except PythonFailure as failure:
            raise CodeInterpreterError(f"the tools cannot be registered: {failure}") from None
        self._registered = wanted

    def _hand_over(self, variables: dict[str, Any]) -> None:
        """Each before the code; a text that is there already is only named again."""
        if not variables:
            return
        fresh: dict[str, str] = {}
        for name, value in variables.items():
            if not name.isidentifier() or keyword.iskeyword(name) or name in _RESERVED:
                raise CodeInterpreterError(f"Invalid variable name: '{name}'")
            if isinstance(value, str) and self._sent.get(name) == value:
                continue
            fresh[name] = json.dumps(value)
            self._sent.pop(name, None)
            if isinstance(value, str):
                self._sent[name] = value
        for name, text in fresh.items():
            self._do("set", ["__rlm_incoming", text])
            self._do("exec", [f"__rlm__.take({name!r})"])
        self._do("set", ["__rlm_incoming", json.dumps(list(variables))])
        self._do("exec", ["__rlm__.give()"])

    def _serve(self, name: str, arguments: str) -> str:
        """A call from the code. Never raises: the code gets what went wrong."""
        try:
            given = json.loads(arguments)
            if name == "__rlm_submit__":
                self._submitted = given
                return json.dumps({"value": None})
            result = self._served(name, list(given["args"]), dict(given["kwargs"]))
            return json.dumps({"value": "" if result is None else result})
        except BaseException as error:
            return json.dumps({"error": f"{type(error).__name__}: {error}", "kind": "RuntimeError"})


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
    ) -> None:
        super().__init__(tools, output_fields, limits=limits)
        self._thread: LoopThread | None = None
        self._runtime: Any = None
        self._session: Any = None
        self._given: dict[str, Any] = {}
        self._defined: list[str] = []
        self._caller: contextvars.Context | None = None

    def _open(self) -> None:
        if self._thread is not None:
            return
        self._thread = LoopThread("rlm-wasm-dspy")
        self._runtime = self._thread.run(self._made())
        self._session = self._runtime.session()

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

    def _run(self, code: str, variables: dict[str, Any]) -> Any:
        assert self._thread is not None
        self._caller = contextvars.copy_context()
        self._submitted = None
        self._given = variables
        self._define(self._register() + self._names(variables))
        result = self._execute(code)
        if result.status == "finished" and self._submitted is not None:
            return FinalOutput(self._submitted)
        if result.error is not None:
            if isinstance(_raised(result), GuestSyntaxError):
                raise SyntaxError(f"Invalid Scheme syntax: {result.error}")
            raise CodeExecutionError(str(result.error))
        if result.stdout:
            return result.stdout + (result.value and f"{result.value}\n")
        return (
            json_form(result.data)
            if isinstance(result.data, int | float | str | list | dict)
            else (result.value or None)
        )

    def _execute(self, source: str) -> Any:
        assert self._thread is not None
        try:
            result = self._thread.run(self._session.execute(source))
        except RlmError as error:
            raise self._end(str(error)) from None
        if result.rolled_back:
            raise self._end(f"the sandbox was lost: {result.error}")
        return result

    def _define(self, definitions: list[str]) -> None:
        if definitions:
            result = self._execute("\n".join(definitions))
            if result.error is not None:
                raise CodeInterpreterError(f"the interpreter cannot be set up: {result.error}")

    def _names(self, variables: dict[str, Any]) -> list[str]:
        assert self._thread is not None
        definitions = []
        for name, value in variables.items():
            if not name.isidentifier():
                raise CodeInterpreterError(f"Invalid variable name: '{name}'")
            if name == "context":
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                if self._session.contexts.get(None) != text:
                    self._thread.run(self._session.load_context(text))
            else:
                definitions.append(f"(define {name} (__rlm-variable {quoted(name)}))")
        return definitions

    def _register(self) -> list[str]:
        wanted = self._wanted()
        if wanted == self._registered:
            return []
        definitions = [
            f'(define ({name} . _) (error "the tool {name} is no longer there"))'
            for name in self._defined
            if name not in self._tools
        ]
        for name, tool in self._tools.items():
            if not name.isidentifier():
                raise CodeInterpreterError(f"a tool needs a name that code can write, not {name!r}")
            if name.startswith("__dspy"):
                continue  # what dspy's shim for Python calls
            definitions.append(_procedure(name, tool))
        fields = [name for name, _ in self._fields()]
        named = " ".join(f"#:{name} [{name} __rlm-unset]" for name in fields)
        listed = " ".join(f"(list {quoted(name)} {name})" for name in fields)
        definitions.insert(0, '(define __rlm-unset (string->uninterned-symbol "unset"))')
        definitions.append(
            f"(define (SUBMIT {named} . values) "
            f'(__rlm-tool "__rlm_submit__" values (__rlm-given (list {listed}))) (finish (void)))'
        )
        definitions.insert(
            1,
            "(define (__rlm-given pairs) (filter (lambda (pair) (not (eq? (cadr pair) __rlm-unset))) pairs))",
        )
        self._defined = list(self._tools)
        self._registered = wanted
        return definitions

    async def _serve(self, name: str, positional: list[Any], named: list[Any]) -> Any:
        """A call from the code, in the context of who executes and beside the loop."""
        given = {str(pair[0]): json_form(pair[1]) for pair in named}
        values = [json_form(value) for value in positional]
        if name == "__rlm_submit__":
            self._submitted = self._submission(values, given)
            return None
        assert self._caller is not None
        call = self._caller.copy().run
        result = await asyncio.to_thread(call, self._served, name, values, given)
        return "" if result is None else result

    def _submission(self, values: list[Any], given: dict[str, Any]) -> dict[str, Any]:
        fields = [name for name, _ in self._fields()]
        if len(values) > len(fields):
            raise TypeError(f"SUBMIT takes {len(fields)} values ({', '.join(fields)}), got {len(values)}")
        submitted = {**dict(zip(fields, values, strict=False)), **given}
        missing = [name for name in fields if name not in submitted]
        if missing:
            raise TypeError(f"SUBMIT: missing {', '.join(missing)}")
        return submitted


def _procedure(name: str, tool: Callable[..., Any]) -> str:
    """A Scheme procedure that calls a tool: positional arguments, and keywords by its parameters' names."""
    parameters = [
        parameter.name
        for parameter in inspect.signature(tool).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    named = " ".join(f"#:{parameter} [{parameter} __rlm-unset]" for parameter in parameters)
    listed = " ".join(f"(list {quoted(parameter)} {parameter})" for parameter in parameters)
    return (
        f"(define ({name} {named} . values) (__rlm-tool {quoted(name)} values (__rlm-given (list {listed}))))"
    )


def _raised(result: Any) -> Exception | None:
    try:
        result.raise_for_status()
    except RlmError as error:
        return error
    return None


def _by_name(tool: Callable[..., Any], positional: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """All arguments by name, which is how dspy's tools are called. Raises TypeError for what does not fit."""
    if not positional:
        return named
    names = [
        parameter.name
        for parameter in inspect.signature(tool).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    if len(positional) > len(names):
        raise TypeError(f"takes {len(names)} arguments, got {len(positional)}")
    taken = dict(zip(names, positional, strict=False))
    twice = sorted(taken.keys() & named.keys())
    if twice:
        raise TypeError(f"got multiple values for argument {twice[0]!r}")
    return {**taken, **named}


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


def _jsonable(name: str, value: Any) -> Any:
    """As JSON says it: pydantic models, dataclasses, dates, sets (sorted where they can be) included."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _jsonable(name, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(name, item) for item in value]
    if isinstance(value, set | frozenset):
        items = [_jsonable(name, item) for item in value]
        try:
            return sorted(items)
        except TypeError:
            return items
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        raise CodeInterpreterError(f"Unsupported value type for {name}: {type(value).__name__}") from None


def _plain(value: Any) -> Any:
    """A value from the guest as Python's own; an object that has no form is shown by its repr."""
    if isinstance(value, Reference):
        return value.text
    return json_form(value) if isinstance(value, dict | list | tuple | Mapping) else value

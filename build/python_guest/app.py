"""The guest's side: one namespace that lives from call to call, run inside CPython on WebAssembly.

Code that runs here can overwrite anything in this file; it gains nothing by that, since the host
believes no answer further than its form.
"""

import ast
import base64
import builtins
import io
import json
import linecache
import sys
import time
import traceback

import cloudpickle
import codec
import stdlib_finder
import workspace

try:  # the binding that componentize-py makes; absent when this file is tested by itself
    import wit_world
except ImportError:
    wit_world = None

stdlib_finder.install()

OUTPUT_LIMIT = 1 << 20
_objects = {}
_out = None


class _Namespace(dict):
    """The program's globals. A context is asked of the host when it is first touched."""

    def __missing__(self, name):
        if name == "context":
            text = _ask("context", None)
            if text is not None:
                self[name] = text
                return text
        raise KeyError(name)


class _Contexts:
    """``contexts["name"]``."""

    def __init__(self):
        self._texts = {}

    def __getitem__(self, name):
        if name not in self._texts:
            text = _ask("context", name)
            if text is None:
                raise KeyError(f"no context named {name!r}")
            self._texts[name] = text
        return self._texts[name]

    def __contains__(self, name):
        try:
            self[name]
        except KeyError:
            return False
        return True

    def keys(self):
        return _ask("context-names")

    def __iter__(self):
        return iter(self.keys())

    def __repr__(self):
        return f"contexts({', '.join(map(repr, self.keys()))})"


class _Output(io.TextIOBase):
    """Standard output that keeps so much and counts the rest."""

    def __init__(self):
        self.parts, self.size, self.dropped = [], 0, 0

    def writable(self):
        return True

    def write(self, text):
        room = OUTPUT_LIMIT - self.size
        kept = text[: max(room, 0)]
        self.parts.append(kept)
        self.size += len(kept)
        self.dropped += len(text) - len(kept)
        return len(text)

    def text(self):
        cut = f"\n... [{self.dropped} more characters were dropped]" if self.dropped else ""
        return "".join(self.parts) + cut


def _ask(*request):
    answer = json.loads(wit_world.host(json.dumps(request)))
    if "error" in answer:
        kind = getattr(builtins, answer["kind"], OSError)
        raise kind(answer["error"])
    return answer["value"]


workspace.install(_ask)
time.sleep = lambda seconds: _ask("sleep", max(0.0, float(seconds)))
sys.set_int_max_str_digits(0)


def _fresh():
    space = _Namespace(__name__="__main__", __builtins__=builtins)
    space["contexts"] = _Contexts()
    return space


_space = _fresh()


def _reference(value):
    _objects[id(value)] = value  # kept alive, so that the id stays its own
    try:
        shown = repr(value)
    except BaseException:
        shown = f"<{type(value).__name__}>"
    return [id(value), shown[:200]]


def _compile(code, last_value):
    """The code in two parts: statements, and the last expression where its value is wanted."""
    linecache.cache["<python>"] = (len(code), None, code.splitlines(True), "<python>")
    tree = ast.parse(code, "<python>")
    last = None
    if last_value and tree.body and isinstance(tree.body[-1], ast.Expr):
        last = compile(ast.Expression(tree.body.pop().value), "<python>", "eval")
    return compile(tree, "<python>", "exec"), last


def _execute(code, last_value):
    statements, last = _compile(code, last_value)
    exec(statements, _space)
    return eval(last, _space) if last is not None else None


def _capture():
    """The variables as bytes; what cannot be kept is left out and named."""
    keep = {k: v for k, v in dict(_space).items() if k not in ("__builtins__", "contexts", "context")}
    try:
        return cloudpickle.dumps(keep), []
    except Exception:
        kept, lost = {}, []
        for name, value in keep.items():
            try:
                cloudpickle.dumps(value)
                kept[name] = value
            except Exception:
                lost.append(name)
        return cloudpickle.dumps(kept), lost


def _restore(state):
    global _space
    _space = _fresh()
    found = cloudpickle.loads(state)
    for value in found.values():
        _rebind(value)
    _space.update(found)


def _rebind(value):
    """A restored function of the main namespace gets its globals back: the live ones."""
    names = getattr(value, "__globals__", None)
    if isinstance(names, dict) and names.get("__name__") == "__main__" and names is not _space:
        try:
            import types

            fresh = types.FunctionType(
                value.__code__, _space, value.__name__, value.__defaults__, value.__closure__
            )
            fresh.__kwdefaults__ = value.__kwdefaults__
            fresh.__dict__.update(value.__dict__)
            _space[value.__name__] = fresh
        except (TypeError, AttributeError):
            pass


def _restored_functions():
    """Functions are kept by value, with a copy of their globals: tie them to the live namespace."""
    for name, value in list(_space.items()):
        if callable(value) and hasattr(value, "__code__"):
            _rebind(value)
            live = _space.get(getattr(value, "__name__", ""), value)
            if live.__code__ is value.__code__:
                _space[name] = live


def _do(operation, arguments):
    global _space
    if operation == "exec":
        return _execute(arguments[0], False)
    if operation == "eval":
        return _execute(arguments[0], True)
    if operation == "set":
        _space[arguments[0]] = arguments[1]
        return None
    if operation == "call":
        target, method, *rest = arguments
        return getattr(target, method)(*rest)
    if operation == "reset":
        _objects.clear()
        _space = _fresh()
        return None
    if operation == "capture":
        state, lost = _capture()
        return [base64.b64encode(state).decode("ascii"), lost]
    if operation == "restore":
        _restore(base64.b64decode(arguments[0]))
        _restored_functions()
        return None
    if operation == "forget-context":
        _space.pop("context", None)
        _space["contexts"] = _Contexts()
        return None
    raise ValueError(f"no such operation: {operation}")


def _described(error):
    """Message and traceback of what the code raised: its own lines only."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__, limit=-40) if not f.filename.startswith("/0/")
    ]
    lines = ["Traceback (most recent call last):\n"] if frames else []
    lines += traceback.format_list(frames)
    lines += traceback.format_exception_only(type(error), error)
    return "".join(lines)[-20000:]


def run(request):
    """One request: {"op", "args"}; the answer: {"value"} or {"error"}, and what was printed."""
    global _out
    _out = _Output()
    errors = _Output()
    sys.stdout, sys.stderr = _out, errors
    answer = {}
    try:
        message = codec.loads(request, lambda content: _objects[content[0]])
        value = _do(message["op"], message["args"])
        text = codec.dumps(value, _reference)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: nothing leaves
        try:
            shown = _described(error)
            answer["error"] = f"{type(error).__name__}: {error}"[:4000]
        except BaseException:
            shown = answer["error"] = type(error).__name__
        answer["kind"] = type(error).__name__
        answer["traceback"] = shown
        text = "null"
    answer["stdout"], answer["stderr"] = _out.text(), errors.text()
    return text + "\n" + json.dumps(answer)


class WitWorld:
    """What componentize-py exports."""

    def run(self, request: str) -> str:
        return run(request)

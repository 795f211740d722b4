"""The guest's side: one namespace that lives from call to call, run inside CPython on WebAssembly.

Code that runs here can overwrite anything in this file; it gains nothing by that, since the host
believes no answer further than its form.
"""

import base64
import builtins
import functools
import gc
import io
import json
import linecache
import os
import sys
import time

import cloudpickle
import codec
import event_loop
import snippets
import stdlib_finder
import workspace

try:  # the binding that componentize-py makes; absent when this file is tested by itself
    import wit_world
except ImportError:
    wit_world = None

stdlib_finder.install()

OUTPUT_LIMIT = 1 << 20
_objects = {}


class _Namespace(dict):
    """The program's globals. A context is asked of the host when it is first touched."""

    def __missing__(self, name):
        if name == "context":
            text = _context(None)
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
            text = _context(name)
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

    @functools.cached_property
    def buffer(self):
        return snippets.ByteSide(self)

    def untouched(self):
        """Whether nobody wrote to it, closed it, or set anything of its own: then it is as good as new."""
        return len(vars(self)) == 3 and not self.parts and not self.dropped and not self.closed

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


def _context(name):
    """A context's text, None where there is none. It comes in parts, for it may be large."""
    parts, size = [], 0
    while part := _ask("context", name, size):
        parts.append(part)
        size += len(part)
    return "".join(parts) if part is not None else None


def _write(descriptor, data):
    stream = {1: sys.__stdout__, 2: sys.__stderr__}.get(descriptor)
    if stream is None:
        raise OSError(9, "Bad file descriptor")
    return stream.buffer.write(data)


def _no_descriptor(*_):
    raise OSError(9, "Bad file descriptor: there are none here, open() reads the workspace's files")


_no_input = snippets.NoInput()
_snippets = snippets.Snippets()
os.write, os.read = _write, _no_descriptor
event_loop.install()
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
        text = repr(value)
    except BaseException:
        text = f"<{type(value).__name__}>"
    return [id(value), text[:200]]


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
    variables = cloudpickle.loads(state)
    for value in variables.values():
        _rebind(value)
    _space.update(variables)


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


_out = _Output()
_errors = _Output()


def _new_streams():
    """The standard streams of a call: those of the last one, where it left them as they were."""
    global _out, _errors
    if not (_out.untouched() and _errors.untouched()):
        _out, _errors = _Output(), _Output()
    sys.stdin = sys.__stdin__ = _no_input
    sys.stdout = sys.__stdout__ = _out
    sys.stderr = sys.__stderr__ = _errors
    return _out, _errors


def run(request):
    """One request: the operation, a line break, and the code or the arguments.

    The answer: the value, and where there is anything else to say, a line break and a table of what was
    printed, and of the error.
    """
    out, errors = _new_streams()
    answer = {}
    try:
        operation, _, given = request.partition("\n")
        if operation == "eval" or operation == "exec":
            value = _snippets.execute(given, _space, last_value=operation == "eval")
        else:
            value = _do(operation, codec.loads(given, lambda content: _objects[content[0]]))
        text = codec.dumps(value, _reference)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: nothing leaves
        try:
            answer = _snippets.describe(error)
        except BaseException:
            name = type(error).__name__
            answer = {"error": name, "kind": name, "traceback": name, "frames": []}
        text = "null"
    if not answer and not out.size and not errors.size:
        return text
    answer["stdout"], answer["stderr"] = out.text(), errors.text()
    return text + "\n" + codec.valid_text(codec.as_json(answer))


def _warm_up():
    """Once, while the component is made: what an evaluation touches first is in memory from then on."""
    global _snippets
    for code in (
        "1 + 1",
        "len('ab')",
        "x = [str(n) for n in range(3)]\nx",
        "{'a': [1, 2.5, None, True]}",
        "print(1)",
    ):
        for operation in ("exec", "eval"):
            run(operation + "\n" + code)
    run("eval\nno_such_name")
    run('set\n["x", {"a": [1, "b"]}]')
    run("reset\n[]")
    _snippets = snippets.Snippets()
    _new_streams()
    linecache.clearcache()
    gc.collect()
    gc.freeze()


_warm_up()


class WitWorld:
    """What componentize-py exports."""

    def run(self, request: str) -> str:
        return run(request)

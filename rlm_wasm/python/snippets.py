"""What a piece of Python code is, and how it fails, in both back ends (the build puts this inside, too)."""

import ast
import codecs
import io
import linecache
import os
import textwrap
import traceback
from types import CodeType
from typing import Any

MAX_SOURCES = 200
"""Pieces of code whose source lines are kept for tracebacks."""
MAX_KEPT = 256 << 10
"""Characters of code that is kept compiled, which takes about ten times as many bytes."""
KEPT_ENTRY = 200
"""What a piece counts beside its characters."""
MAX_MESSAGE_FRAMES = 6
"""Frames that stand in a failure's message, the innermost ones."""
MAX_FRAMES = 40
_HERE = os.path.dirname(__file__)  # noqa: PTH120  inside there is no pathlib yet
_PREFIX = "<python "


_Compiled = tuple[str, Any, CodeType | None, CodeType | None]
"""A piece's name, its lines as linecache has them, its statements, and its last expression."""


class Snippets:
    """Compiles pieces of code, each under a name of its own, so that a traceback shows the right lines.

    What was compiled is kept, by its source: an orchestrating program evaluates few texts many times.
    """

    def __init__(self) -> None:
        self._count = 0
        self._current = ""
        self._kept: dict[tuple[str, bool], _Compiled] = {}
        self._kept_size = 0

    def execute(self, code: str, space: dict[str, Any], *, last_value: bool) -> Any:
        """Run code in a namespace; the value of its last expression where that is wanted."""
        name, lines, statements, last = self._compiled(code, last_value)
        self._current = name
        linecache.cache[name] = lines  # it may have been the place of another one meanwhile
        if statements is not None:
            exec(statements, space)  # noqa: S102  what this module is for
        return eval(last, space) if last is not None else None  # noqa: S307

    def _compiled(self, code: str, last_value: bool) -> _Compiled:
        kept = self._kept.get((code, last_value))
        if kept is not None:
            return kept
        self._count += 1
        self._current = name = f"{_PREFIX}{self._count}>"
        linecache.cache.pop(f"{_PREFIX}{self._count - MAX_SOURCES}>", None)
        statements, last = self._compile(code, name, last_value=last_value)
        made = (name, linecache.cache[name], statements, last)
        if len(code) <= MAX_KEPT // 8:
            self._kept[code, last_value] = made
            self._kept_size += len(code) + KEPT_ENTRY
            while self._kept_size > MAX_KEPT:
                self._forget_oldest()
        return made

    def _forget_oldest(self) -> None:
        key = next(iter(self._kept))
        name = self._kept.pop(key)[0]
        self._kept_size -= len(key[0]) + KEPT_ENTRY
        if int(name[len(_PREFIX) : -1]) <= self._count - MAX_SOURCES:
            linecache.cache.pop(name, None)

    def _compile(self, code: str, name: str, *, last_value: bool) -> tuple[CodeType | None, CodeType | None]:
        source = source_of(code)
        if last_value and _one_expression(source):
            linecache.cache[name] = _lines(source, name)
            try:
                return None, compile(source, name, "eval")
            except SyntaxError:  # the message is to be that of a statement
                pass
        tree = self._parsed(source, name)
        assert isinstance(tree, ast.Module)
        last = None
        if last_value and tree.body and isinstance(tree.body[-1], ast.Expr):
            last = compile(ast.Expression(tree.body.pop().value), name, "eval")  # type: ignore[attr-defined]
        return compile(tree, name, "exec") if tree.body else None, last

    def _parsed(self, source: str, name: str) -> ast.AST:
        """Its tree. An answer that is no Python, but has one fenced block of it, is taken for that block."""
        linecache.cache[name] = _lines(source, name)
        try:
            tree: ast.AST = compile(source, name, "exec", ast.PyCF_ONLY_AST)
        except SyntaxError:
            block = fenced_block(source)
            if block is None:
                raise
            return self._parsed(block, name)
        return tree

    def describe(self, error: BaseException) -> dict[str, Any]:
        """Message, kind, traceback and frames of what the code raised: its own lines, not ours."""
        kind = type(error).__name__
        try:
            text = str(error.msg) if isinstance(error, SyntaxError) else str(error)
        except BaseException:
            text = "(its message cannot be made)"
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__, limit=-2 * MAX_FRAMES)
            if os.path.dirname(frame.filename) != _HERE  # noqa: PTH120
        ][-MAX_FRAMES:]
        message = [f"{kind}: {text}"[:2000] if text else kind]
        own = [frame for frame in frames if frame.filename.startswith(_PREFIX)] or frames
        message += map(self._line_of, own[-MAX_MESSAGE_FRAMES:])
        message += _syntax_lines(error)
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
        try:
            lines += traceback.format_exception_only(error)
        except BaseException:
            lines.append(f"{kind}\n")
        return {
            "error": "\n".join(message),
            "kind": kind,
            "traceback": "".join(lines)[-20000:],
            "frames": [f"{frame.name} ({self._place(frame)})"[:200] for frame in reversed(frames)],
        }

    def _line_of(self, frame: traceback.FrameSummary) -> str:
        where = "" if frame.name == "<module>" else f", in {frame.name}"
        source = f": {frame.line[:200]}" if frame.line else ""
        return f"  {self._place(frame)}{where}{source}"

    def _place(self, frame: traceback.FrameSummary) -> str:
        if frame.filename == self._current:
            return f"line {frame.lineno}"
        if frame.filename.startswith(_PREFIX):
            return f"line {frame.lineno} of an earlier call"
        file = "/".join(frame.filename.strip("<>").split("/")[-2:])
        return f"{file} line {frame.lineno}"


def _lines(source: str, name: str) -> tuple[int, None, list[str], str]:
    return (len(source), None, source.splitlines(keepends=True), name)


def _one_expression(source: str) -> bool:
    """Whether it may be worth a try to read code as one expression, in half the time."""
    return len(source) < 200 and "\n" not in source and ";" not in source and "=" not in source


def _syntax_lines(error: BaseException) -> list[str]:
    """The line that cannot be read, and a caret under the place."""
    if not isinstance(error, SyntaxError) or error.lineno is None:
        return []
    lines = [f"  line {error.lineno}:"]
    text = error.text
    if not text and (error.filename or "").startswith(_PREFIX):  # found in the tree
        text = linecache.getline(error.filename or "", error.lineno)
    source = (text or "").rstrip("\n")
    if source.strip():
        visible = source.lstrip()
        at = max((error.offset or 1) - 1 - (len(source) - len(visible)), 0)
        lines += [f"    {visible[:200]}", f"    {' ' * at}^"]
    return lines


def source_of(code: str) -> str:
    """Code as it was meant: out of its Markdown fence, and not indented as a whole."""
    lines = code.strip("\n").split("\n")
    first, last = lines[0].strip(), lines[-1].strip()
    if len(lines) > 1 and first.startswith(("```", "~~~")) and last and set(last) == {first[0]}:
        code = "\n".join(lines[1:-1])
    body = code.lstrip("\n")
    return textwrap.dedent(code) if body[:1] in (" ", "\t") else code


def fenced_block(text: str) -> str | None:
    """The code in a text's one fence, of Python or no language; None where there is none, or several."""
    blocks: list[list[str]] = []
    fence = ""
    for line in text.split("\n"):
        mark = line.strip()
        if not fence and mark.startswith(("```", "~~~")):
            fence = mark[:3]
            if mark.strip("`~ ").lower() not in ("", "python", "py", "python3"):
                return None
            blocks.append([])
        elif fence and mark.startswith(fence) and not mark.strip(fence[0]):
            fence = ""
        elif fence:
            blocks[-1].append(line)
    return source_of("\n".join(blocks[0])) if len(blocks) == 1 else None


class ByteSide(io.RawIOBase):
    """``buffer`` of a standard stream that keeps text: bytes go there as the text that they are."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def write(self, data: Any) -> int:
        """What may be half a character at its end waits for the rest."""
        given = bytes(data)
        self._stream.write(self._decode(given))
        return len(given)


class NoInput(io.TextIOBase):
    """Standard input that is not there: reading raises EOFError that says what to do instead."""

    def readable(self) -> bool:
        """It can be asked."""
        return True

    def _refuse(self, *_: Any) -> Any:
        raise EOFError(
            "a program has no standard input, and nobody to ask: hand data over with py-set! or as a context"
        )

    read = readline = readlines = __next__ = _refuse

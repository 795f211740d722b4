r"""Which part of a model's answer is the program: the one parser for that, in linear time.

What counts, in this order:

1. Reasoning (``<think>…</think>`` and its kin, closed or not) is no program.
2. Blocks fenced as CommonMark says (``` or ~~~, any length from 3, an unclosed one runs to the end) whose
   language is Scheme's. A fence closes only on a line that is nothing but the fence, and not inside of a
   string literal where a later line closes a complete program.
3. Where there is none: blocks without a language that read as Scheme.
4. Where there is none: the forms that stand bare in the text, prose around them left out.

Of several blocks the last that holds ``(finish …)`` wins, or else the last with an expression. Blocks
beside it that define something for it are put in front of it; one that has a ``(finish …)`` of its own, or
defines a name again, is a draft, which the later one replaces. What is incomplete is never run in part:
that, another language, prose, or an empty answer is a NoProgram, whose reason is meant for the model.

Every regular expression here is possessive or matches a single run, so that none can backtrack.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any

from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass

__all__ = ["NoProgram", "Program", "program_in", "program_operation"]


@dataclass(frozen=True, slots=True)
class Program:
    """The program's source, ready to be evaluated."""

    source: str


@dataclass(frozen=True, slots=True)
class NoProgram:
    """There is none. ``reason`` is a sentence that can be shown back to the model."""

    reason: str


MAX_ANSWER = 1_000_000
"""Characters of an answer that a guest may have a program looked for in."""

FUEL_A_CHARACTER = 1_000
"""Of that: about a microsecond."""

_AT_ONCE = 5_000
"""Characters that are looked through on the event loop; a longer answer is in a thread."""

ASK_FOR = "Reply with one ```scheme block that ends with (finish value)."

_SCHEME = frozenset([
    "scheme", "scm", "sld", "racket", "rkt", "lisp", "r5rs", "r6rs", "r7rs", "chibi", "guile",
    "chicken", "gambit", "s-expression", "sexp",
])  # fmt: skip
_PLAIN = frozenset(["", "text", "txt", "plain", "plaintext", "code"])
_TAGS = ("think", "thinking", "reasoning", "thought", "scratchpad")
_TAG = re.compile(rf"<(/?)(?:{'|'.join(_TAGS)})>", re.IGNORECASE)

_KNOWN_HEADS = frozenset([
    "begin", "if", "cond", "case", "when", "unless", "and", "or", "not", "do", "quote", "lambda", "λ",
    "set!", "match", "values", "error", "raise", "finish", "display", "displayln", "print", "printf",
    "write", "newline", "format", "list", "vector", "hash", "cons", "append", "apply", "map",
    "for-each", "filter", "foldl", "foldr", "fold", "reduce", "sort", "import", "require", "assert", "guard",
    "parameterize", "delay", "+", "-", "*", "/", "=", "<", ">", "<=", ">=", "string-append",
    "string-join", "map-async", "tree-reduce", "checkpoint", "restore", "await",
])  # fmt: skip
_DEFINITIONS = ("define", "struct")
_KNOWN_PREFIXES = (
    "define", "let", "for/", "for*/", "llm-", "py-", "context-", "get-context", "string-", "hash-", "list-",
    "vector-", "regexp-", "with-", "call-", "unsafe-", "syntax-", "map-", "make-", "struct", "json-",
)  # fmt: skip


def program_in(text: str) -> Program | NoProgram:
    """The program in a model's answer, or why there is none. Never raises; its work is linear in the text."""
    if not text.strip():
        return NoProgram(f"The answer is empty. {ASK_FOR}")
    blocks, prose, in_reasoning = _split(text)
    scheme = [block for block in blocks if block.language in _SCHEME]
    if scheme:
        return _of_blocks(scheme)
    plain = [block for block in blocks if block.language in _PLAIN and _looks_like_scheme(block.code)]
    if plain:
        return _of_blocks(plain)
    bare = _bare_blocks(prose)
    if bare:
        return _of_blocks(bare)
    foreign = [block.language for block in blocks if block.language not in _PLAIN]
    if foreign:
        return NoProgram(f"The answer's code is {foreign[-1][:40]}, not Scheme. {ASK_FOR}")
    if in_reasoning:
        return NoProgram(f"The answer ended within its reasoning, before any program. {ASK_FOR}")
    if not "".join(prose).strip() and not blocks:
        return NoProgram(f"The answer is reasoning alone. {ASK_FOR}")
    return NoProgram(f"The answer holds no Scheme program. {ASK_FOR}")


def program_operation(charge: Callable[[int], None]) -> Callable[[list[Any]], Any]:
    """The operation by which a guest asks for the program in an answer; ``charge`` takes its fuel.

    Its reply: the program and False, or False and the reason. It raises UsageError for what is no text,
    or too long.
    """

    def reply(text: str) -> list[str | bool]:
        program = program_in(text)
        return [program.source, False] if isinstance(program, Program) else [False, program.reason]

    def program_in_arguments(arguments: list[Any]) -> Any:
        text = arguments[0] if len(arguments) == 1 else None
        if not isinstance(text, str):
            raise UsageError("program-in takes one text")
        if len(text) > MAX_ANSWER:
            raise UsageError(f"the answer has {len(text):,} characters; a program is found in {MAX_ANSWER:,}")
        charge(len(text) * FUEL_A_CHARACTER)
        return reply(text) if len(text) <= _AT_ONCE else asyncio.to_thread(reply, text)

    return program_in_arguments


# ---- from an answer to its blocks


@dataclass(slots=True)
class _Block:
    language: str
    code: str
    closed: bool = True


@dataclass(slots=True)
class _Fence:
    mark: str
    length: int
    indent: int
    language: str


def _split(text: str) -> tuple[list[_Block], list[str], bool]:
    """The fenced blocks, the lines outside of them, and whether the text ends within reasoning."""
    lines = text.replace("\r\n", "\n").split("\n")
    blocks: list[_Block] = []
    prose: list[str] = []
    reasoning = False
    look_into_strings = True
    untagged = -1  # this line's tags were taken off
    at = 0
    while at < len(lines):
        line = lines[at]
        fence = None if reasoning else _opening(line)
        if fence is not None:
            block, after = _fenced(lines, at + 1, fence, look_into_strings=look_into_strings)
            if block is None:
                look_into_strings = False  # at most once: so the work stays linear
                continue
            blocks.append(block)
            at = after
        elif at != untagged and "<" in line:
            kept, lines[at], reasoning, orphan = _without_tags(line, reasoning)
            if orphan:
                # A model whose prompt began its reasoning sends only the end of it: all before was that.
                blocks.clear()
                prose.clear()
            prose.extend(kept)
            untagged = at
        else:
            single = None if reasoning else _single_line(line)
            if single is not None:
                blocks.append(single)
            elif not reasoning:
                prose.append(line)
            at += 1
    return blocks, prose, reasoning


def _without_tags(line: str, reasoning: bool) -> tuple[list[str], str, bool, bool]:
    """Prose before reasoning, the rest of the line, whether reasoning goes on, an end without begin."""
    kept: list[str] = []
    orphan = False
    last = 0
    for tag in _TAG.finditer(line):
        closes = bool(tag[1])
        if reasoning:
            if closes:
                reasoning, last = False, tag.end()
            continue
        before = line[last : tag.start()]
        if any(mark in before for mark in '("`'):
            break  # a part of somebody's code
        if closes:
            orphan = True
            kept.clear()
        else:
            kept.append(before)
            reasoning = True
        last = tag.end()
    return kept, "" if reasoning else line[last:], reasoning, orphan


def _is_closing_tag(line: str) -> bool:
    tag = _TAG.fullmatch(line.strip())
    return tag is not None and bool(tag[1])


def _run(text: str, mark: str) -> int:
    return len(text) - len(text.lstrip(mark))


def _opening(line: str) -> _Fence | None:
    body = line.lstrip(" \t")
    mark = body[:1]
    if mark not in ("`", "~") or not mark:
        return None
    length = _run(body, mark)
    info = body[length:]
    if length < 3 or (mark == "`" and "`" in info):
        return None
    language = _language(info)
    indent = len(line) - len(body)
    if indent > 3 and language not in _SCHEME:  # deeper only in a list, where a language says that it is one
        return None
    return _Fence(mark, length, indent, language)


def _language(info: str) -> str:
    words = info.replace("{", " ").replace("}", " ").replace(",", " ").split()
    return words[0].lstrip(".").lower() if words else ""


def _single_line(line: str) -> _Block | None:
    """```` ```scheme (finish 42)``` ```` or `` `(finish 42)` `` on a line of their own."""
    body = line.strip()
    length = _run(body, "`")
    if not 0 < length <= len(body) // 2 or not body.endswith("`" * length):
        return None
    inner = body[length:-length].strip()
    if "`" in inner and length < 3:
        return None
    first, _, rest = inner.partition(" ")
    language = first.lower() if first.lower() in _SCHEME else ""
    code = rest if language else inner
    if not _looks_like_scheme(code):
        return None
    return _Block(language, code.strip())


def _fenced(
    lines: list[str], start: int, fence: _Fence, *, look_into_strings: bool
) -> tuple[_Block | None, int]:
    """A block and the line after it. None: it is to be read again, without looking into strings."""
    code: list[str] = []
    inside = _Inside() if fence.language in _SCHEME or fence.language in _PLAIN else None
    in_string_at = loose_at = -1
    for at in range(start, len(lines)):
        line = lines[at]
        body = line.lstrip(" \t")
        length = _run(body, fence.mark) if body else 0
        if length >= 3:
            exact = length >= fence.length and not body[length:].strip()
            near = len(line) - len(body) <= 3 + fence.indent
            if exact and near:
                if inside is None or not inside.something or not look_into_strings:
                    source = "\n".join(code)
                    if in_string_at >= 0 and _read(source).problem:
                        return None, start
                    return _Block(fence.language, source), at + 1
                if in_string_at < 0:
                    in_string_at = at
            elif loose_at < 0 and inside is not None and not inside.something and not _is_info(body[length:]):
                loose_at = at
        if _is_closing_tag(line) and (inside is None or not inside.something):
            return _Block(fence.language, "\n".join(code), closed=False), at
        if inside is not None:
            inside.feed(line + "\n")
        code.append(line[min(_run(line, " "), fence.indent) :])
    if in_string_at >= 0:
        return None, start
    if loose_at >= 0:  # ``` and then prose on the same line, or a shorter fence
        return _Block(fence.language, "\n".join(code[: loose_at - start])), loose_at + 1
    return _Block(fence.language, "\n".join(code), closed=False), len(lines)


def _is_info(rest: str) -> bool:
    """Whether what follows a fence names a language: then it opens a block, and closes none."""
    return bool(rest) and not rest[0].isspace()


class _Inside:
    """Whether the end of the lines so far lies inside of a string, a |symbol| or a block comment."""

    __slots__ = ("_mode", "_nesting")

    def __init__(self) -> None:
        self._mode = ""
        self._nesting = 0

    @property
    def something(self) -> bool:
        return bool(self._mode)

    def feed(self, line: str) -> None:
        at = 0
        while at < len(line):
            if self._mode == "#|":
                match = _COMMENT_EDGE.search(line, at)
                if match is None:
                    return
                at = match.end()
                self._nesting += 1 if match[0] == "#|" else -1
                if not self._nesting:
                    self._mode = ""
            elif self._mode:
                at = _end_of(_STRING_BODY if self._mode == '"' else _BAR_BODY, line, at)
                if at < len(line):
                    self._mode = ""
                    at += 1
            else:
                match = _SPECIAL.search(line, at)
                if match is None:
                    return
                at = match.end()
                if match[0] in ('"', "|", "#|"):
                    self._mode = match[0]
                    self._nesting = 1


# ---- Scheme's outside: parentheses, strings, comments

_STRING_BODY = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_BAR_BODY = re.compile(r"(?:[^|\\]++|\\.)*+", re.DOTALL)
_COMMENT_EDGE = re.compile(r"#\||\|#")
_SPECIAL = re.compile(r'#\\.|;[^\n]*+|#\||"|\|', re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>\s++)|(?P<comment>;[^\n]*+)|(?P<block>\#\|)|(?P<datum>\#;)|(?P<char>\#\\.[\w-]*+)
      |(?P<string>")|(?P<bar>\|)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<quote>['`,@]++)
      |(?P<atom>\#?[^\s()\[\]{}";|'`,]*+)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(slots=True)
class _Form:
    start: int
    end: int
    is_list: bool
    head: str
    names: tuple[str, ...]

    @property
    def defines(self) -> bool:
        return self.head.startswith(_DEFINITIONS)


@dataclass(slots=True)
class _Forms:
    """What stands at the top level of a text; ``problem`` says what is incomplete or too much."""

    forms: list[_Form]
    finishes: bool
    problem: str

    @property
    def names(self) -> set[str]:
        return {name for form in self.forms for name in form.names}

    @property
    def has_expression(self) -> bool:
        return any(not form.defines and form.head not in ("import", "require") for form in self.forms)


def _read(text: str, start: int = 0, *, one: bool = False) -> _Forms:
    """Read all forms from ``start``; with ``one``, the first and no more. Values are not looked at."""
    return _Reader(text).read(start, one=one)


class _Reader:
    """One pass over a text, token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._forms: list[_Form] = []
        self._finishes = False
        self._open: list[int] = []
        self._skip = 0  # data at the top level that a #; takes away
        self._prefix = -1  # where a quote or # before a datum at the top level began
        self._fresh()

    def _fresh(self) -> None:
        self._head = ""
        self._names: list[str] = []
        self._wants = ""  # what a definition still has to name: "", "one" or "all" of a list
        self._expect_head = False

    def read(self, start: int, *, one: bool) -> _Forms:
        """See _read."""
        text, at = self._text, start
        while at < len(text) and not (one and self._forms):
            match = _TOKEN.match(text, at)
            if match is None or match.end() == at:  # every character begins a token
                break
            kind, first, at = match.lastgroup, at, match.end()
            if kind in ("space", "comment"):
                continue
            if kind == "block":
                at = self._after_comment(at)
                if at < 0:
                    return self._end("a block comment #| is not closed")
            elif kind == "datum":
                self._skip += not self._open
            elif kind == "open":
                self._open.append(first)
                self._expect_head = True
            elif kind == "close":
                if not self._open:
                    return self._end(f"a closing parenthesis on line {self._line(first)} closes nothing")
                self._close(at)
            elif kind == "quote":
                if not self._open and self._prefix < 0:
                    self._prefix = first
            else:
                if kind in ("string", "bar"):
                    at = _end_of(_STRING_BODY if kind == "string" else _BAR_BODY, text, at)
                    if at == len(text):
                        return self._end(f"the string that begins on line {self._line(first)} is not closed")
                    at += 1
                self._token(first, at, atom=kind == "atom")
        if not self._open:
            return self._end("")
        count = len(self._open)
        many = "parenthesis is" if count == 1 else "parentheses are"
        return self._end(f"{count} {many} open at its end, the first on line {self._line(self._open[0])}")

    def _end(self, problem: str) -> _Forms:
        return _Forms(self._forms, self._finishes, problem)

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1

    def _after_comment(self, at: int) -> int:
        nesting = 1
        for edge in _COMMENT_EDGE.finditer(self._text, at):
            nesting += 1 if edge[0] == "#|" else -1
            if not nesting:
                return edge.end()
        return -1

    def _close(self, end: int) -> None:
        first = self._open.pop()
        self._expect_head = False
        if not self._open:
            self._form(first, end, is_list=True)
        elif len(self._open) == 1 and self._wants == "all":
            self._wants = ""

    def _form(self, first: int, end: int, *, is_list: bool) -> None:
        begin, head = (self._prefix, "") if self._prefix >= 0 else (first, self._head)
        if self._skip:
            self._skip -= 1
        else:
            self._forms.append(_Form(begin, end, is_list, head, tuple(self._names)))
        self._prefix = -1
        self._fresh()

    def _token(self, first: int, end: int, *, atom: bool) -> None:
        lexeme = self._text[first:end]
        if not self._open:
            if atom and lexeme.startswith("#") and self._text[end : end + 1] in _AFTER_PREFIX:
                self._prefix = first  # #(…), #u8(…), #rx"…"
            else:
                self._form(first, end, is_list=False)
            return
        if self._expect_head:
            self._expect_head = False
            if lexeme == "finish" and not self._head.startswith(_DEFINITIONS):
                self._finishes = True  # one in a procedure finishes nothing by itself
            if len(self._open) == 1:
                self._head = lexeme
                if lexeme.startswith(_DEFINITIONS):
                    self._wants = "all" if lexeme == "define-values" else "one"
                return
        if self._wants:
            self._names.append(lexeme)
            if self._wants == "one":
                self._wants = ""


_AFTER_PREFIX = tuple("([{\"'`,")


def _end_of(body: re.Pattern[str], text: str, at: int) -> int:
    match = body.match(text, at)
    return at if match is None else match.end()


def _looks_like_scheme(code: str) -> bool:
    """Whether a text without a language is a program: lists whose heads are names."""
    begin = code.lstrip()
    if not begin.startswith(("(", ";", "#|", "#;")):
        return False
    read = _read(code)
    return bool(read.forms) and all(form.is_list and _is_operator(form.head) for form in read.forms)


def _is_operator(head: str) -> bool:
    """Whether a list with this head may be code: a sentence has a capital, data a number."""
    return bool(head) and not (
        head[0].isupper() or head[0].isdigit() or head[0] in '"#|' or head[-1] in ".:,"
    )


def _is_known(head: str, defined: set[str]) -> bool:
    return head in _KNOWN_HEADS or head in defined or head.startswith(_KNOWN_PREFIXES)


def _bare_blocks(lines: list[str]) -> list[_Block]:
    """Forms that stand in prose: each run of them between two lines of prose is a block.

    A form begins a line and is one of a known procedure or syntax, or of one that was defined before:
    prose has parentheses, too.
    """
    text = "\n".join(lines)
    if _looks_like_scheme(text):
        return [_Block("", text.strip())]
    blocks: list[_Block] = []
    defined: set[str] = set()
    begin = end = comment = -1  # of the block that grows; of comment lines before it
    at = 0
    while at < len(text):
        first = _end_of(_BLANKS, text, at)
        mark = text[first : first + 1]
        head = _HEAD.match(text, first + 1) if mark == "(" else None
        if head is not None and _is_known(head[0], defined):
            read = _read(text, first, one=True)
            if begin < 0:
                begin = comment if comment >= 0 else first
            if not read.forms:  # it never ends: the answer was cut
                blocks.append(_Block("", text[begin:].strip(), closed=False))
                return blocks
            defined |= read.names
            comment = -1
            end = at = _end_of(_GAP, text, read.forms[0].end)
            if text[at : at + 1] == "(":  # another form on the line
                continue
            if text[at : at + 1] not in ("", "\n"):
                end = read.forms[0].end
        elif mark == ";":
            comment = first if comment < 0 else comment
        elif mark not in ("", "\n"):
            comment = -1
            if begin >= 0:
                blocks.append(_Block("", text[begin:end].rstrip()))
                begin = -1
        next_line = text.find("\n", first if head is None or at < first else at)
        at = len(text) if next_line < 0 else next_line + 1
    if begin >= 0:
        blocks.append(_Block("", text[begin:end].rstrip()))
    return blocks


_BLANKS = re.compile(r"[ \t]*+")
_GAP = re.compile(r"[ \t]*+(?:;[^\n]*+)?")
_HEAD = re.compile(r"[^\s()\[\]{}\";|'`,]++")


# ---- from blocks to the program


def _of_blocks(blocks: list[_Block]) -> Program | NoProgram:
    filled = [(block, _read(block.code)) for block in blocks if block.code.strip()]
    filled = [(block, read) for block, read in filled if read.forms or read.problem]
    if not filled:
        return NoProgram(f"The answer's Scheme block is empty. {ASK_FOR}")
    last, read = filled[-1]
    if read.problem:
        cut = "" if last.closed else " (the answer may have been cut off)"
        return NoProgram(f"The answer's program is not complete: {read.problem}{cut}. {ASK_FOR}")
    complete = [(block, read) for block, read in filled if not read.problem]
    chosen = max(
        range(len(complete)), key=lambda i: (complete[i][1].finishes, complete[i][1].has_expression, i)
    )
    names = set(complete[chosen][1].names)
    parts = [_code(*complete[chosen])]
    seen = set(parts)
    helpers = [*range(chosen - 1, -1, -1)]
    later = [i for i in range(chosen + 1, len(complete)) if not complete[i][1].has_expression]
    for i in [*helpers, *later]:
        code, forms = _code(*complete[i]), complete[i][1]
        if forms.finishes or names & forms.names or code in seen:
            continue
        names |= forms.names
        seen.add(code)
        parts.append(code)
    return Program("\n\n".join(reversed(parts)))


def _code(block: _Block, read: _Forms) -> str:
    """A block's program. Prose that ran into an unclosed block is left out."""
    if not block.closed and read.forms and not read.forms[-1].is_list:
        lists: Iterable[_Form] = (form for form in reversed(read.forms) if form.is_list)
        last = next(iter(lists), None)
        if last is not None:
            return block.code[: last.end].strip("\n")
    return block.code.strip("\n")


_REASONING = re.compile(rf"<({'|'.join(_TAGS)})>.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
_ORPHAN = re.compile(rf"\A.*</(?:{'|'.join(_TAGS)})>", re.IGNORECASE | re.DOTALL)


def without_reasoning(text: str) -> str:
    """What an answer says outside of its reasoning."""
    return _ORPHAN.sub("", _REASONING.sub("", text), count=1)

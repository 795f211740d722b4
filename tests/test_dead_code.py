"""No internal name without a use: every `%` definition of the prelude and every `%` primitive of the core.

Names that begin with % are hidden from programs, so whatever does not lead from something visible to one of
them is dead. The roots are the prelude's public definitions (a program, or a library's export table, may use
each), its other top-level forms, and the names that the C code looks up. An assignment is no use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

ROOT = Path(__file__).parent.parent
PRELUDE = ROOT / "prelude"
CORE = ROOT / "wasm"

Datum = Union[str, "list[Datum]"]

TOKEN = re.compile(
    r"""(?P<space>\s+|;[^\n]*|\#\|.*?\|\#)
      | (?P<skip>\#;)
      | (?P<open>\#?[(\[])
      | (?P<close>[)\]])
      | (?P<quote>,@|['`,])
      | (?P<text>(?:\#[pr]x\#?)?"(?:[^"\\]|\\.)*"|\#\\(?:[A-Za-z0-9]+|.))
      | (?P<bar>\|[^|]*\|)
      | (?P<word>[^\s()\[\]";'`,|]+)""",
    re.VERBOSE | re.DOTALL,
)


def read(source: str) -> list[Datum]:
    """The data of a Scheme text: symbols and other words as str, lists and vectors as list, no texts."""
    stack: list[list[Datum]] = [[]]
    skips: list[int] = []  # depths at which the next datum is commented out
    position = 0
    while position < len(source):
        match = TOKEN.match(source, position)
        assert match, f"cannot read {source[position : position + 40]!r}"
        position = match.end()
        match match.lastgroup:
            case "space" | "quote":
                continue
            case "skip":
                skips.append(len(stack))
                continue
            case "open":
                stack.append([])
                continue
            case "close":
                datum: Datum = stack.pop()
            case "text":
                datum = '""'
            case _:
                datum = match[0]
        if skips and skips[-1] == len(stack):
            skips.pop()
        else:
            stack[-1].append(datum)
    assert len(stack) == 1, "a bracket is open at the end"
    return stack[0]


@dataclass
class Names:
    """Which names a form defines, and which it uses."""

    defines: list[str] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)


def words(datum: Datum) -> Iterator[str]:
    """Every word in a datum, but for the variable of a set!."""
    if isinstance(datum, str):
        yield datum
        return
    for item in datum[2:] if datum[:1] == ["set!"] else datum:
        yield from words(item)


def names_of(form: Datum) -> Names:
    """What one top-level form of the prelude defines and uses."""
    if not isinstance(form, list) or len(form) < 2:
        return Names(uses=set(words(form)))
    match form:
        case ["define-record-type", _, constructor, predicate, *fields]:
            # each of them is of use alone; the type's name is what the printer shows
            made = [constructor, predicate, *[word for item in fields for word in item[1:]]]
            return Names(defines=[next(words(datum)) for datum in made if datum != "#f"])
        case ["define-values", targets, *body]:
            return Names(list(words(targets)), set(words(list(body))))
        case ["define" | "define-syntax" | "define-syntax-rule", target, *body]:
            parameters: list[Datum] = []
            while isinstance(target, list):
                parameters += target[1:]
                target = target[0]
            return Names([target], set(words([*parameters, *body])))
        case _:
            return Names(uses=set(words(form)))


def prelude_forms() -> list[Names]:
    """Every top-level form of the prelude."""
    return [
        names_of(form)
        for path in sorted(PRELUDE.rglob("*.scm"))
        for form in read(path.read_text(encoding="utf-8"))
    ]


TABLE = re.compile(r"const PrimDef \w+_prims\[\] = \{(.*?)\{0\}", re.DOTALL)
OPCODES = re.compile(r"inlined\[\] = \{(.*?)\n\};", re.DOTALL)  # a short cut for a primitive is no use of it
COMPLAINT = re.compile(r'\b(?:err_\w+|CHECK_\w+)\("[^"]*"')  # nor is its name in a message
LITERAL = re.compile(r'"(%[^"\s]+)"')


def core_sources() -> list[str]:
    """The text of every C file of the core."""
    return [path.read_text(encoding="utf-8") for path in sorted(CORE.rglob("*.[ch]"))]


def primitives() -> set[str]:
    """The names of all primitives, from the tables in which C files register them."""
    return {
        name
        for source in core_sources()
        for table in TABLE.findall(source)
        for name in re.findall(r'\{\s*"([^"]+)"\s*,\s*\w+', table)
    }


def looked_up_by_core() -> set[str]:
    """The internal names that C code writes out, other than to register a primitive or to complain."""
    found: set[str] = set()
    for source in core_sources():
        for pattern in (TABLE, OPCODES, COMPLAINT):
            source = pattern.sub("", source)
        found.update(LITERAL.findall(source))
    return found


def live_names() -> set[str]:
    """All names that something visible leads to."""
    uses: dict[str, set[str]] = {}
    live: set[str] = set()
    waiting = looked_up_by_core()
    for form in prelude_forms():
        if not form.defines:
            waiting |= form.uses
        for name in form.defines:
            uses.setdefault(name, set()).update(form.uses)
            if not name.startswith("%"):
                waiting.add(name)
    while waiting:
        name = waiting.pop()
        if name not in live:
            live.add(name)
            waiting |= uses.get(name, set())
    return live


def internal(names: set[str]) -> set[str]:
    """Those that programs cannot see."""
    return {name for name in names if len(name) > 1 and name.startswith("%")}


def test_every_internal_definition_of_the_prelude_is_used() -> None:
    """A definition that only it itself, or another dead one, mentions is dead too."""
    defined = {name for form in prelude_forms() for name in form.defines}
    assert len(defined) > 1000, "the prelude's definitions are found at all"
    assert sorted(internal(defined) - live_names()) == []


def test_every_internal_primitive_is_used() -> None:
    """By the prelude or by C code that looks it up."""
    registered = primitives()
    assert {"car", "%outbox!", "%cbor-encode"} <= registered, "the tables of primitives are found at all"
    assert sorted(internal(registered) - live_names()) == []


def test_what_uses_only_itself_is_found_dead() -> None:
    """The reader and the walk on a small text: comments, strings and assignments are no uses."""
    loop, writer, record = read(
        """(define (%loop n) (if (= n 0) "%told" (%loop (- n 1)))) ; %comment
           (define (public) #;(%skipped) (set! %written '(%quoted . |%bar|)) #\\( #px"[)]")
           (define-record-type point (%point x) point? (x %point-x #;%hidden))"""
    )
    assert names_of(loop).defines == ["%loop"]
    assert internal(names_of(loop).uses) == {"%loop"}
    assert internal(names_of(writer).uses) == {"%quoted"}
    assert names_of(record).defines == ["%point", "point?", "%point-x"]

"""The guide that the server hands out: files of this package's ``guide`` folder, in Markdown.

``guide.md`` is the overview; ``sections/`` has the sections that follow it, ``patterns/``, ``recipes/`` and
``scenarios/`` a page for each of these. They are the one source: tools, resources and prompts serve them,
docs/ includes them (build/doc_pages/guide.py). Programs and figures in them that stand between comments
are written by build/make_docs.py.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal, get_args

from rlm_wasm.lazy_dataclass import dataclass

PATTERNS = 16

_HEAD = re.compile(r"# (\d+)\. (.+)\n\n((?:- [A-Z][a-z ]+: .+\n)+)\n(.+)\n")
_PART = re.compile(r"^## ([^\n]+)\n\n(.*?)\n*(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PROGRAM = re.compile(r"^```scheme\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^<!-- .* -->\n", re.MULTILINE)
_HOW_TO_RUN = re.compile(r"^;;\n(?:;;   .*\n)+", re.MULTILINE)
SectionName = Literal[
    "overview",
    "when",
    "workflow",
    "choosing",
    "latency",
    "quality",
    "cost",
    "structure",
    "scale",
    "patterns",
    "models",
    "scenarios",
    "recipes",
    "mistakes",
]
"""The overview, and what goes into detail, in the order of reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the guide: the overview, or one that goes into detail."""

    name: SectionName
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A numbered page: a pattern, a recipe or a scenario.

    A page begins with ``# 1. Name``, a list of what is short (``- Goal: …``) and a paragraph that sums it
    up; its first Scheme block is the complete program.
    """

    id: int
    name: str
    summary: str
    text: str
    program: str
    head: Mapping[str, str]
    """What is short, by its name in small letters: "goal", "key figure" …"""
    parts: Mapping[str, str] = field(repr=False)
    """The texts below the headings, by heading: "Problem", "When not", "Figures" …"""

    @property
    def goal(self) -> str:
        """Of a pattern: what it is for, in a word."""
        return self.head["goal"]

    @property
    def composes_with(self) -> list[int]:
        """Of a pattern: those that it goes together with."""
        return [
            int(number) for number in re.findall(r"^- (\d+)\. ", self.parts["Composes with"], re.MULTILINE)
        ]


@cache
def page(name: str) -> str:
    """A page of the guide, in Markdown: "guide" (the overview), "api" or "combinators"."""
    return served(_read(f"{name}.md"))


@cache
def sections() -> Mapping[SectionName, Section]:
    """The overview and the sections, by name, in the order of reading."""
    found = {}
    for name in get_args(SectionName):
        text = page("guide") if name == "overview" else served(_read("sections", f"{name}.md"))
        if name in _NUMBERED:
            text += "".join(f"\n{lowered(entry.text)}" for entry in _NUMBERED[name]().values())
        title = text.split("\n", 1)[0].removeprefix("# ")
        found[name] = Section(name=name, title=title, text=text)
    return MappingProxyType(found)


def pattern(number: int) -> Entry:
    """A pattern by its number. Raises KeyError where there is none."""
    if number not in patterns():
        raise KeyError(f"there is no pattern {number}: they are numbered from 1 to {PATTERNS}")
    return patterns()[number]


def pattern_of(said: str) -> int | None:
    """The number of the pattern that is meant; None where that is none, or several.

    It may be said as "3", "pattern 03", "3. Recursive Delegation", or by words of its name that no other
    has ("fan-out", "hedging").
    """
    words = [word for word in _words(said) if word not in ("pattern", "the")]
    if not words:
        return None
    if words[0].isdecimal():
        named = patterns().get(int(words[0][:9]))
        return named.id if named is not None and set(words[1:]) <= set(_words(named.name)) else None
    meant = [number for number, name in _names() if set(words) <= set(_words(name))]
    return meant[0] if len(set(meant)) == 1 else None


def pattern_like(said: str) -> Entry | None:
    """The pattern whose name is nearest to what was said, if one is near."""
    names = {" ".join(_words(name)): number for number, name in _names()}
    names |= {word: number for name, number in names.items() for word in name.split()}
    near = difflib.get_close_matches(" ".join(_words(said)), names, n=1, cutoff=0.7)
    return patterns()[names[near[0]]] if near else None


def _names() -> Iterator[tuple[int, str]]:
    for entry in patterns().values():
        yield entry.id, entry.name
        if "also called" in entry.head:
            yield entry.id, entry.head["also called"]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


@cache
def patterns() -> Mapping[int, Entry]:
    """All of them, by number."""
    return _entries("patterns")


@cache
def recipes() -> Mapping[int, Entry]:
    """Patterns that go together, by number."""
    return _entries("recipes")


@cache
def scenarios() -> Mapping[int, Entry]:
    """Tasks that are common, and the patterns for them, by number."""
    return _entries("scenarios")


_NUMBERED = {"recipes": recipes, "scenarios": scenarios}


def served(source: str) -> str:
    """A page's source as readers get it: without comments, and without how an example's file is run."""
    return _HOW_TO_RUN.sub("", _COMMENT.sub("", source))


def entry_of(source: str, name: str = "") -> Entry:
    """A numbered page from its source. Raises ValueError where it is none; ``name`` says which."""
    text = served(source)
    head, program = _HEAD.match(text), _PROGRAM.search(text)
    if head is None or program is None:
        raise ValueError(f"{name} is no numbered page of the guide: it wants a head and a program")
    short = re.findall(r"^- ([A-Z][a-z ]+): (.+)$", head[3], re.MULTILINE)
    return Entry(
        id=int(head[1]),
        name=head[2],
        summary=head[4],
        text=text,
        program=program[1],
        head=MappingProxyType({key.lower(): value for key, value in short}),
        parts=MappingProxyType(dict(_PART.findall(text))),
    )


def _entries(folder: str) -> Mapping[int, Entry]:
    entries = [entry_of(source, name) for name, source in _sources(folder)]
    return MappingProxyType({entry.id: entry for entry in sorted(entries, key=lambda entry: entry.id)})


def _sources(folder: str) -> Iterator[tuple[str, str]]:
    for file in files("rlm_wasm.mcp").joinpath("guide", folder).iterdir():
        if file.name.endswith(".md"):
            yield file.name, file.read_text(encoding="utf-8")


def _read(*path: str) -> str:
    return files("rlm_wasm.mcp").joinpath("guide", *path).read_text(encoding="utf-8")


def lowered(text: str) -> str:
    """A page as a part of another: its headings are a level lower (those in programs stay)."""
    blocks = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        block if block.startswith("```") else re.sub(r"^#", "##", block, flags=re.MULTILINE)
        for block in blocks
    )

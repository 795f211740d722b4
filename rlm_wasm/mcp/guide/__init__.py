"""The guide that the server hands out: files of this package's ``guide`` folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PATTERNS = 16


@dataclass(frozen=True, slots=True)
class Pattern:
    """One of the sixteen patterns: its page, and the program on it."""

    id: int
    name: str
    goal: str
    summary: str
    text: str
    program: str


@cache
def page(name: str) -> str:
    """A page of the guide, in Markdown: "guide", "api" or "combinators"."""
    return files("rlm_wasm.mcp").joinpath("guide", f"{name}.md").read_text(encoding="utf-8")


@cache
def pattern(number: int) -> Pattern:
    """A pattern by its number. Raises KeyError where there is none."""
    if number not in patterns():
        raise KeyError(f"there is no pattern {number}: they are numbered from 1 to {PATTERNS}")
    return patterns()[number]


@cache
def patterns() -> dict[int, Pattern]:
    """All of them, by number.

    A page begins with ``# 1. Name``, a line ``Goal: …`` and a paragraph that sums it up; its
    first Scheme block is the complete program.
    """
    pages = {}
    for file in files("rlm_wasm.mcp").joinpath("guide", "patterns").iterdir():
        if not file.name.endswith(".md"):
            continue
        text = file.read_text(encoding="utf-8")
        head = re.match(r"# (\d+)\. (.+)\n\nGoal: (.+)\n\n(.+)\n", text)
        program = re.search(r"^```scheme\n(.*?)^```$", text, re.M | re.S)
        if head is None or program is None:
            raise ValueError(f"{file.name} is no page of a pattern")
        pages[int(head[1])] = Pattern(int(head[1]), head[2], head[3], head[4], text, program[1])
    return dict(sorted(pages.items()))

"""Temporary: replaced by the merged parser."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    source: str


@dataclass(frozen=True, slots=True)
class NoProgram:
    reason: str


_FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)```", re.DOTALL)


def program_in(text: str) -> Program | NoProgram:
    for language, body in _FENCE.findall(text):
        if language.lower() in ("", "scheme", "racket", "lisp", "r7rs"):
            return Program(str(body).strip()) if body.strip() else NoProgram("empty")
    stripped = text.strip()
    if stripped.startswith(("(", ";")) and stripped.endswith(")"):
        return Program(stripped)
    return NoProgram("none")

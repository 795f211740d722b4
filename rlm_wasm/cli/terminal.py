"""The one way to standard output and standard error: on a terminal, control characters are shown, not obeyed.

What a program prints, its errors, the names of models and of sessions are chosen by others: written to
a terminal as they are, they could move the cursor, hide a line, set the window's title or change the
order in which text is read. On a pipe or into a file every character goes as it is.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import click

from rlm_wasm.data import json_form, json_text

_BIDI: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Marks, embeddings, overrides and isolates: they change the order in which a terminal shows text."""

_KEPT: Final = "\n\t"


def _table(escape: str) -> dict[int, str]:
    shown = {code: escape.format(code) for code in (*range(0x20), *range(0x7F, 0xA0), *_BIDI)}
    return {code: text for code, text in shown.items() if chr(code) not in _KEPT}


_PICTURES: Final = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in _KEPT}
_SHOWN: Final = {**_table("\\u{:04x}"), **_PICTURES, 0x7F: "\u2421"}
_JSON: Final = _table("\\u{:04x}")
"""In JSON text such a character stands in a string, where its escape says the same."""


def visible(text: str) -> str:
    """The text with a picture or an escape in place of every character that a terminal would obey.

    These are C0 but newline and tab (␛ for ESC), DEL, C1 (by their codes) and those of bidirectional text. A
    carriage return before a newline goes with it.
    """
    return text.replace("\r\n", "\n").translate(_SHOWN)


def in_line(text: str) -> str:
    """As ``visible``, for what is to stay within its line: newlines and tabs are shown, too."""
    return visible(text).replace("\n", "\u240a").replace("\t", "\u2409")


def is_terminal(*, err: bool) -> bool:
    """Whether standard output, or with ``err`` standard error, is a terminal."""
    return (sys.stderr if err else sys.stdout).isatty()


def echo(text: str, *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Write a text; ``style`` is click's, and counts on a terminal only, and where NO_COLOR is not set."""
    if is_terminal(err=err):
        styled = bool(style) and not os.environ.get("NO_COLOR")
        click.echo(click.style(visible(text), **style) if styled else visible(text), err=err, nl=nl)
    else:
        click.echo(text, err=err, nl=nl, color=True)  # click would take a program's escape sequences out


def echo_json(value: Any, *, indent: int | None = None) -> None:
    """Write a value's ``json_form`` as JSON text on standard output, nested as deep as it is."""
    text = json_text(json_form(value), indent=indent)
    click.echo(text.translate(_JSON) if is_terminal(err=False) else text, color=True)

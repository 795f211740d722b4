"""The page's text. Records get into it as data only: JSON in a block that no browser runs."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from rlm_wasm.runlog.events import RECORDS, ChildStarted, Failure, Record, RunStarted, plain

STYLES: Final = ("uPlot.min.css", "view.css")
SCRIPTS: Final = ("uPlot.iife.min.js", "view.js")
"""In the order in which the page loads them. uPlot draws the charts of tokens and money."""

_MAX_COLOURED: Final = 50_000
"""Characters of a program that is coloured: a second's work at the most."""
_MAX_COLOURED_IN_ALL: Final = 400_000
"""The same of all programs that are shown at once: children may have written a thousand."""


@cache
def asset(name: str) -> str:
    """A file of the package, as text."""
    return (files("rlm_wasm.viewer") / "assets" / name).read_text(encoding="utf-8")


def tokens_of(program: str) -> list[list[str]]:
    """The program as pieces of text, each with the letter of its colour: "" has none."""
    if not program or len(program) > _MAX_COLOURED:
        return []
    from pygments.token import Comment, Keyword, Name, Number, String

    from rlm_wasm.lexer import RlmSchemeLexer

    letters = ((Comment, "c"), (Keyword, "k"), (String, "s"), (Number, "m"), (Name.Builtin, "b"))
    pieces: list[list[str]] = []
    lexer = RlmSchemeLexer(ensurenl=False, stripnl=False)
    for _, kind, text in lexer.get_tokens_unprocessed(program):
        letter = next((letter for parent, letter in letters if kind in parent), "")
        if pieces and pieces[-1][0] == letter:
            pieces[-1][1] += text
        else:
            pieces.append([letter, text])
    return pieces


class Colours:
    """The coloured programs of what is shown at once."""

    def __init__(self) -> None:
        self._left = _MAX_COLOURED_IN_ALL

    def of(self, records: Iterable[Record]) -> dict[str, list[list[str]]]:
        """Those of records that hold one, under the keys by which the page asks for them."""
        found: dict[str, list[list[str]]] = {}
        for record in records:
            if isinstance(record, RunStarted | ChildStarted) and record.program.length is None:
                program = record.program.text
                if len(program) <= min(self._left, _MAX_COLOURED):
                    self._left -= len(program)
                    found[f"{record.run} {record.execution}"] = tokens_of(program)
        return found


_SHAPES: Final = {
    "Natural": "number",
    "NonNegative": "number",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "Text": "text",
    "tuple[Natural, ...]": "numbers",
    "tuple[str, ...]": "strings",
    "tuple[ValuePart, ...]": "list",
    "Mapping[str, Any]": "table",
    "Failure": "failure",
}


@cache
def schema() -> dict[str, dict[str, str]]:
    """The shape of each field of each type of record, and of a failure: what the page takes from a log."""
    kinds = {kind.TYPE: kind for kind in RECORDS} | {"failure": Failure}
    return {
        name: {f.name: _SHAPES[str(f.type).removesuffix(" | None")] for f in dataclasses.fields(kind)}
        for name, kind in kinds.items()
    }


def json_block(value: Any) -> str:
    """JSON that can stand in a script block: nothing in it ends the block, or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    text = text.encode("utf-8", "replace").decode()
    return (
        text.replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _page(policy: str, head: str, scripts: str, title: str, data: Mapping[str, Any]) -> str:
    blocks = "\n".join(
        f'<script type="application/json" id="{name}">{json_block(value)}</script>'
        for name, value in data.items()
    )
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n{head}</head>\n<body>\n"
        f"{asset('body.html')}{blocks}\n{scripts}</body>\n</html>\n"
    )


def report(records: Iterable[Record], troubles: Iterable[str] = ()) -> str:
    """The page as one file: everything is in it, and it asks nobody for anything."""
    kept = list(records)
    name = "a run"
    for record in kept:
        if isinstance(record, RunStarted):
            name = record.name
    styles = [asset(name) for name in STYLES]
    scripts = [asset(name) for name in SCRIPTS]
    for script in scripts:
        assert "</script" not in script.lower()
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_digest, scripts))}",
            f"style-src {' '.join(map(_digest, styles))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return _page(
        policy,
        "".join(f"<style>{style}</style>\n" for style in styles),
        "".join(f"<script>{script}</script>\n" for script in scripts),
        f"{name} · rlm-wasm",
        {
            "settings": {
                "live": False,
                "troubles": list(troubles),
                "tokens": Colours().of(kept),
                "schema": schema(),
            },
            "records": [plain(record) for record in kept],
        },
    )


POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""Of the page as it is served: nothing inline, nothing from elsewhere."""


def served_page(run: str | None) -> str:
    """The page that asks its server for records. ``run``: the one to show; None: the newest."""
    return _page(
        POLICY,
        "".join(f'<link rel="stylesheet" href="{name}">\n' for name in STYLES),
        "".join(f'<script src="{name}"></script>\n' for name in SCRIPTS),
        "rlm-wasm",
        {"settings": {"live": True, "run": run, "schema": schema()}},
    )

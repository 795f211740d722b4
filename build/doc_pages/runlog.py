"""docs/internals/runlog.md: the records of a run log, from their classes.

``runlog: records`` has a part for each type, ``runlog: shared`` what all of them have, ``runlog: failure``
and ``runlog: part`` the tables inside of run_ended.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from functools import cache
from typing import Any

from rlm_wasm.runlog import events


def runlog(part: str) -> str:
    """The part that is asked for."""
    if part == "shared":
        return _table(events.Record, dataclasses.fields(events.Record))
    if part == "failure":
        return _table(events.Failure, dataclasses.fields(events.Failure))
    if part == "part":
        return _table(events.ValuePart, dataclasses.fields(events.ValuePart))
    return "\n\n".join(_record(kind) for kind in events.RECORDS)


def _record(kind: type[events.Record]) -> str:
    shared = {field.name for field in dataclasses.fields(events.Record)}
    own = [field for field in dataclasses.fields(kind) if field.name not in shared]
    sentence = " ".join((kind.__doc__ or "").split())
    return f"### {kind.TYPE}\n\n{sentence}\n\n{_table(kind, own)}".rstrip()


def _table(kind: type[Any], fields: Any) -> str:
    if not fields:
        return ""
    notes = _notes(kind)
    rows = [
        f"| `{field.name}` | {_type(str(field.type))} | {_default(field)} | {notes.get(field.name, '')} |"
        for field in fields
    ]
    return "\n".join(["| field | type | left out where it is | meaning |", "|---|---|---|---|", *rows])


def _type(name: str) -> str:
    words = {
        "Natural": "whole number",
        "NonNegative": "number",
        "float": "number",
        "str": "text",
        "bool": "true or false",
    }
    name = re.sub(r"tuple\[(\w+), \.\.\.\]", r"list of \1", name).replace("Mapping[str, Any]", "table")
    for word, shown in words.items():
        name = re.sub(rf"\b{word}\b", shown, name)
    return (
        name.replace(" | None", ", or nothing")
        .replace("Text", "text, maybe cut")
        .replace("Failure", "table")
        .replace("ValuePart", "table")
    )


def _default(field: dataclasses.Field[Any]) -> str:
    if field.name == "version" or (
        field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ):
        return "(never)"
    if field.default is None:
        return "nothing"
    if isinstance(field.default, events.Text) or field.default in ("", ()):
        return "empty"
    if field.default is dataclasses.MISSING:
        return "empty"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


@cache
def _notes(kind: type[Any]) -> dict[str, str]:
    """What stands below the fields in the class."""
    [made] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(made, ast.ClassDef)
    notes = {}
    for field, note in zip(made.body, made.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(note, ast.Expr)
            and isinstance(note.value, ast.Constant)
        ):
            assert isinstance(field.target, ast.Name)
            notes[field.target.id] = " ".join(str(note.value.value).split())
    return notes

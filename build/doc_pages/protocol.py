"""Parts of docs/internals/protocol.md, from the messages' own classes.

``messages: from`` and ``messages: to`` are a table a direction; ``records`` the tables that messages
hold; ``operations`` what a guest may ask for; ``statuses`` what a run returns; ``tags`` the CBOR tags.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rlm_wasm.sandbox import protocol

AS_TABLE = (protocol.Done, protocol.Evaluate)
"""Messages whose fields stand in one table: those that most often say nothing are left out."""

STATUSES = {
    "DONE": 'the execution ended; the last message in the outbox is `["done", …]`',
    "SUSPENDED": "every fiber waits for a reply: run it again with a message",
    "PREEMPTED": "the steps are used up: run it again, with a message or without one",
    "FAILED": 'a defect: the guest cannot go on; the outbox says `["failed", text]`',
}
TAGS = {
    "SYMBOL": "a symbol; its name as text",
    "KEYWORD": "a keyword; its name as text",
    "CHARACTER": "a character; its code point",
    "VECTOR": "a vector; an array (a bare array is a list)",
    "IMPROPER": "an improper list; an array whose last item is the tail",
    "TABLE": "a hash table that is not of the kind `equal`; [kind, map]",
    "COMPLEX": "an inexact complex number; [real part, imaginary part]",
    "BOX": "a box; [its content]",
    "SET": "a set; [kind, members …]",
    "STRUCT": "a transparent struct; [name, vector of the fields' names, values …]",
    "UNIFORM": "a uniform vector; [the number of its type, its numbers …]",
}


def messages(direction: str) -> str:
    """The messages one way: how each looks, and what its fields mean."""
    kinds = {"from": protocol.FROM_GUEST, "to": protocol.TO_GUEST}[direction]
    parts = [f"`{shape(kind)}` — {_sentence(kind)}\n\n{_fields(kind)}".rstrip() for kind in kinds]
    return "\n\n".join(parts)


def records(_: str) -> str:
    """The tables inside of messages."""
    return "\n\n".join(
        f"`{kind.__name__}` — {_sentence(kind)}\n\n{_fields(kind)}"
        for kind in (protocol.ErrorReport, protocol.GuestLimits)
    )


def operations(_: str) -> str:
    """Every operation, with its arguments and its reply."""
    rows = [
        f"| `{name}` | {_words(arguments)} | {_cell(reply)} |"
        for name, (arguments, reply) in protocol.OPERATIONS.items()
    ]
    return "\n".join(["| operation | arguments | reply |", "|---|---|---|", *rows])


def statuses(_: str) -> str:
    """What rlm_run returns."""
    rows = [
        f"| {status.value} | `{status.name}` | {STATUSES[status.name]} |" for status in protocol.GuestStatus
    ]
    return "\n".join(["| number | status | what it says |", "|---|---|---|", *rows])


def tags(_: str) -> str:
    """The tags of the project's own, in the order of their numbers."""
    known = {getattr(protocol, f"TAG_{name}"): meaning for name, meaning in TAGS.items()}
    declared = {getattr(protocol, name) for name in dir(protocol) if name.startswith("TAG_")}
    assert known.keys() == declared, "a tag has no words here"
    rows = [f"| {number} | {known[number]} |" for number in sorted(known)]
    return "\n".join(["| tag | value |", "|---|---|", *rows])


def shape(kind: type[Any]) -> str:
    """A message as it looks: ``["call", id, operation, arguments]``."""
    if kind is protocol.Logged:
        return '["note", "log", entry]'
    if kind is protocol.Traced:
        return '["note", "trace", facts]'
    if kind is protocol.Counted:
        return '["note", "items", items]'
    if kind is protocol.Warned:
        return '["note", "warn", text]'
    names = [field.name for field in dataclasses.fields(kind)]
    if kind in AS_TABLE:
        return f'["{kind.KIND}", {{{", ".join(names)}}}]'
    return ", ".join([f'["{kind.KIND}"', *names]) + "]"


def _sentence(kind: type[Any]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _fields(kind: type[Any]) -> str:
    fields = dataclasses.fields(kind)
    if not fields:
        return ""
    rows = [f"| `{field.name}` | {_kind(field)} | {_cell(field.metadata['doc'])} |" for field in fields]
    return "\n".join(["| field | what it is | meaning |", "|---|---|---|", *rows])


def _kind(field: dataclasses.Field[Any]) -> str:
    name = " ".join((field.metadata["check"].__doc__ or "").split()).rstrip(".")
    optional = field.default is not dataclasses.MISSING
    return f"{name[:1].lower()}{name[1:]}" + ("; may be left out" if optional else "")


def _words(text: str) -> str:
    """Names of arguments in the type of code, what is said of them in brackets not."""
    listed, bracket, rest = text.partition(" (")
    shown = " ".join(f"`{word}`" if word != "…" else word for word in listed.split())
    return _cell(shown + bracket + rest)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

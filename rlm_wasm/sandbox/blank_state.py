"""What a snapshot's state leaves out: what is as in a session in which nothing happened yet.

Names and values of a small session's state are most of it, and nearly all of them are the same in each. So a
snapshot has what differs from one state that is written down here, for good: snapshots that exist mean it.
A field that a later release adds stands here with what a state has that was written without it: so those
mean the same as before. Where anything else has to change, the format of snapshots gets another number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rlm_wasm.errors import SnapshotCorrupt

_USAGE: Final[Mapping[str, Any]] = {
    "calls": 0,
    "done": 0,
    "cached": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "cached_tokens": 0,
    "cost_usd": 0.0,
    "unpriced": 0,
    "models": {},
}
BLANK: Final[Mapping[str, Any]] = {
    "scheduler": {
        "status": 0,
        "unread": False,
        "requests": {"last_id": 0, "requests": [], "replies": []},
        "execution": None,
    },
    "contexts": [],
    "context_replaced": False,
    "limits_told": True,
    "budget": {
        "id": "",
        "execution": _USAGE,
        "session": _USAGE,
        "last_number": 0,
        "lost_tokens": 0,
        "lost_usd": 0.0,
        "taken_over": [],
    },
    "limits": {
        "fuel": 100_000_000_000,
        "memory_bytes": 268_435_456,
        "python_memory_bytes": 268_435_456,
        "timeout_s": 300.0,
        "output_bytes": 1_048_576,
        "calls": 1_000,
        "handles": 10_000,
        "concurrency": 20,
        "depth": 3,
        "message_bytes": 67_108_864,
        "tokens": None,
        "cost_usd": None,
        "host_bytes": 268_435_456,
        "checkpoint_bytes": 268_435_456,
        "log_bytes": 16_777_216,
        "images": 20,
        "workspace_bytes": 1_073_741_824,
        "iterations": 20,
    },
    "log": b"\x80",
    "python": None,
    "context_hashes": [],
    "runs": 0,
    "checksum": 0,
    "asked": [],
    "asking": [],
    "counted": [],
    "programs": [],
    "programs_whole": False,
    "steps": [],
    "step": "",
    "forked": [],
    "inquiry": None,
    "placed": [],
    "children": [],
}

_WHOLE: Final = ""
"""The name under which a table stands that is not told by what differs."""


def changes(value: Any, blank: Any) -> Any:
    """What of a value differs from the blank one: of tables their changed entries, else all of it."""
    if not isinstance(blank, Mapping):
        return value
    if type(value) is not dict or _WHOLE in value or not value.keys() >= blank.keys():
        return {_WHOLE: value}
    return {
        name: changes(each, blank.get(name))
        for name, each in value.items()
        if name not in blank or not _is_same(each, blank[name])
    }


def merged(changed: Any, blank: Any) -> Any:
    """The value that was told by what differs. What did not change is the blank one's own object.

    Raises SnapshotCorrupt where it cannot have been told so.
    """
    if not isinstance(blank, Mapping):
        return changed
    if type(changed) is not dict:
        raise SnapshotCorrupt("the snapshot's body is malformed: a table of changes is none")
    if _WHOLE in changed:
        return changed[_WHOLE]
    known = blank.get
    return {**blank, **{name: merged(each, known(name)) for name, each in changed.items()}}


def _is_same(value: Any, blank: Any) -> bool:
    """Whether they are equal and of the same types: 0, 0.0 and False are three values."""
    if isinstance(blank, Mapping):
        return (
            type(value) is dict
            and value.keys() == blank.keys()
            and all(_is_same(each, blank[name]) for name, each in value.items())
        )
    return type(value) is type(blank) and bool(value == blank)

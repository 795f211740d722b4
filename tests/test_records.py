"""Records from plain data: strict, and in words that name the field."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from rlm_wasm.errors import SnapshotCorrupt, UsageError
from rlm_wasm.records import Natural, NonNegative, structure, unstructure


@dataclass(frozen=True, slots=True)
class Part:
    """A record within a record."""

    size: Natural
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """A field of each kind."""

    count: int
    share: float = 0.0
    price: NonNegative = 0.0
    name: str = ""
    flag: bool = False
    raw: bytes = b""
    kind: Literal["a", "b"] = "a"
    note: str | None = None
    left: Natural | None = None
    either: int | str | None = None
    part: Part | None = None
    parts: list[Part] = field(default_factory=list)
    pair: tuple[int, str] = (0, "")
    table: dict[str, int] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    anything: Any = None


FULL = {
    "count": 1, "share": 2, "price": 0.5, "name": "n", "flag": True, "raw": b"r", "kind": "b", "note": "t",
    "left": 3, "either": "x", "part": {"size": 1, "names": ["p"]}, "parts": [{"size": 0}], "pair": [1, "a"],
    "table": {"k": 1}, "limits": {"r": [1]}, "anything": {"deep": [None]},
}  # fmt: skip


def test_a_record_comes_back_as_it_was() -> None:
    """Through plain data, with whole numbers where JSON writes 2 for 2.0."""
    made = structure(Whole, FULL, "the record")
    assert made.part == Part(1, ("p",))
    assert (made.pair, made.parts, made.share, type(made.share)) == ((1, "a"), [Part(0)], 2.0, float)
    plain = unstructure(made)
    assert plain["part"] == {"size": 1, "names": ["p"]}
    assert structure(Whole, plain, "the record") == made
    assert structure(Whole, {"count": 1}, "the record") == Whole(1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": "1"}, "count must be a whole number, not '1'"),
        ({"count": True}, "count must be a whole number, not True"),
        ({"count": 1.0}, "count must be a whole number, not 1.0"),
        ({"count": None}, "count must be a whole number, not nothing"),
        ({"share": "1"}, "share must be a number, not '1'"),
        ({"share": True}, "share must be a number, not True"),
        ({"share": float("nan")}, "share must be a finite number, not nan"),
        ({"share": 10**400}, "share must be a finite number, not a huge number"),
        ({"price": -0.5}, "price must be at least 0, not -0.5"),
        ({"name": b"n"}, "name must be text, not b'n'"),
        ({"flag": 1}, "flag must be true or false, not 1"),
        ({"raw": "r"}, "raw must be bytes, not 'r'"),
        ({"kind": "c"}, "kind must be 'a' or 'b', not 'c'"),
        ({"kind": []}, "kind must be 'a' or 'b', not a list of 0"),
        ({"note": 5}, "note must be text or nothing, not 5"),
        ({"left": -1}, "left must be at least 0, not -1"),
        ({"either": 1.5}, "either must be a whole number or text or nothing, not 1.5"),
        ({"either": True}, "either must be a whole number or text or nothing, not True"),
        ({"part": 5}, "part must be a mapping, not 5"),
        ({"part": {"size": -1}}, "part.size must be at least 0, not -1"),
        ({"part": {}}, "part.size is missing"),
        ({"part": {"size": 1, "names": "ab"}}, "part.names must be a list, not 'ab'"),
        ({"parts": [{"size": 1}, {"size": "x"}]}, r"parts\[1\].size must be a whole number, not 'x'"),
        ({"parts": {"size": 1}}, "parts must be a list, not a mapping"),
        ({"pair": [1]}, "pair must be a list of 2 values, not a list of 1"),
        ({"pair": ["a", 1]}, r"pair\[0\] must be a whole number, not 'a'"),
        ({"table": {"k": "v"}}, r"table\['k'\] must be a whole number, not 'v'"),
        ({"table": {1: 1}}, r"table\[1\] must be text, not 1"),
        ({"limits": []}, "limits must be a mapping, not a list of 0"),
        ({"more": 1, "other": 2}, "unknown more, other"),
        ({"name": "n" * 5000, "count": "9" * 5000}, r"count must be a whole number, not '9+…"),
        ({"count": "", "share": "", "name": 1, "flag": 1}, "flag.*; and 1 more|; and 1 more"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(change: dict[Any, Any], words: str) -> None:
    """Nothing is converted on the quiet; the message is short however long the data."""
    with pytest.raises(UsageError, match=f"^the record: .*{words}") as caught:
        structure(Whole, {**FULL, **change}, "the record")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("data", [None, 5, "text", b"bytes", [], [["count", 1]], float("nan")])
def test_what_is_no_mapping_is_no_record(data: object) -> None:
    """In the caller's own kind of error."""
    with pytest.raises(SnapshotCorrupt, match="the state: it must be a mapping"):
        structure(Whole, data, "the state", SnapshotCorrupt)
    with pytest.raises(SnapshotCorrupt, match="the state: count is missing"):
        structure(Whole, {}, "the state", SnapshotCorrupt)


def test_the_package_is_imported_without_the_converter() -> None:
    """It is wanted by few programs, and takes its time."""
    code = "import rlm_wasm, rlm_wasm.records, sys; sys.exit('cattrs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

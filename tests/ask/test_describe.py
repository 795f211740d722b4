"""What a model is told about data that it has not seen."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm.asking.bounds import SHOWN, bounded, in_line
from rlm_wasm.asking.describe import described

LOG = "\n".join(
    f"2024-05-01 12:00:{i:02} {'ERROR' if i % 7 == 0 else 'INFO'} worker-{i} done" for i in range(50)
)
KINDS = {
    "plain text": ("It was the best of times.\nIt was the worst of times.\n", "plain text"),
    "an object": (
        json.dumps({"name": "x", "items": [1, 2]}),
        "JSON\n  structure: an object with the keys name, items",
    ),
    "an array": (
        json.dumps([{"id": i} for i in range(9)]),
        "an array of 9 items; the first is an object with the keys id",
    ),
    "JSON Lines": (
        '{"a": 1}\n{"a": 2}\n{"a": 3}\n',
        "JSON Lines, one value a line\n  structure: an object with the keys a",
    ),
    "CSV": ("id,name\n1,Ada\n2,Bob\n", "CSV\n  structure: 2 columns, header: id, name"),
    "quoted CSV": ('id,"full name"\n1,"Ada, L."\n', "2 columns, header: id, full name"),
    "TSV": ("id\tname\n1\tAda\n", "TSV"),
    "semicolons": ("id;name\n1;Ada\n", "CSV with semicolons"),
    "Markdown": ("# Title\n\ntext\n\n## Part\n\nmore\n", "Markdown\n  structure: headings: # Title; ## Part"),
    "a log": (LOG, "a log, a time at the beginning of each line"),
    "its levels": (LOG, "levels seen: ERROR, INFO"),
    "an access log": (
        '1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 23\n' * 3,
        "a web server's access log",
    ),
    "Python": ("import os\n\ndef f(x):\n    return x\n\nclass A:\n    pass\n", "Python code"),
    "prose with commas": ("Well, he said, no.\nYes, she said, though, indeed.\n", "plain text"),
    "broken JSON": ('{"a": ', "plain text"),
    "nothing": ("", "0 characters, empty"),
    "blanks": (" \n \n", "4 characters, empty"),
}


@pytest.mark.parametrize("name", KINDS)
def test_its_kind_and_structure(name: str) -> None:
    """Found from its beginning."""
    text, wanted = KINDS[name]
    assert wanted in described({None: text})


def test_its_first_and_last_lines() -> None:
    """Of a long one; a short one is shown whole."""
    text = described({"notes": "\n".join(f"line {i}" for i in range(1000))})
    assert text.startswith('(get-context "notes"): 8,889 characters, 1,000 lines')
    assert "| line 0\n" in text
    assert "| line 999" in text
    assert "line 500" not in text


def test_huge_json_is_told_by_its_beginning() -> None:
    """It is not read as a whole."""
    text = described({None: json.dumps({"users": [{"id": i, "mail": "x" * 20} for i in range(60_000)]})})
    assert "JSON, it seems (an object)" in text
    assert "keys seen first: users, id, mail" in text


def test_many_contexts_are_listed_by_name() -> None:
    """So that a folder of files stays a short prompt."""
    text = described({f"docs/{i}.txt": f"text {i}" for i in range(5_000)})
    assert "4,960 further contexts" in text
    assert "and 4,760 more" in text
    assert len(text) < 20_000


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.none() | st.text(min_size=1, max_size=300), st.text(max_size=3_000), max_size=4))
def test_whatever_the_data_is_its_description_is_bounded(contexts: dict[str | None, str]) -> None:
    """And names no line or key at full length."""
    assert len(described(contexts)) <= 1_800 * max(1, len(contexts))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 50_000, "{" + '"k": 1, ' * 100_000, "#" * 100_000, "a,b\n" + '"' * 9_999],
)
def test_hostile_data_is_described(text: str) -> None:
    """Nested deep, cut or endless."""
    assert len(described({None: text})) < 2_000


@given(st.text(max_size=400), st.integers(min_value=60, max_value=300))
def test_a_bounded_text_keeps_its_ends(text: str, most: int) -> None:
    """And is never longer than it may be."""
    cut = bounded(text, most)
    assert len(cut) <= most
    assert cut == text or "left out" in cut
    assert len(in_line(text, most)) <= most


def test_head_and_tail_are_there() -> None:
    """With a mark that says how much is not."""
    cut = bounded("HEAD" + "x" * 50_000 + "TAIL")
    assert len(cut) == SHOWN
    assert cut.startswith("HEAD")
    assert cut.endswith("TAIL")
    assert "[… 40,008 of 50,008 characters left out …]" in cut

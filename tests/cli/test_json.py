"""Data of any nesting and integers of any size, from the program to the JSON that the command prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from rlm_wasm import Runtime
from rlm_wasm.cli import main
from rlm_wasm.data import VOID, ImproperList, Symbol, decimal_text, json_form, json_text
from rlm_wasm.results import ErrorInfo, Result

Run = Callable[..., tuple[int, str]]

DEEP = "(let loop ((i 0) (x 1)) (if (= i 100000) (finish x) (loop (+ i 1) (list x))))"
LARGE = "(finish (list (expt 10 99999) (- (expt 10 99999))))"
DIGITS = "1" + "0" * 99_999


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """``rlm-wasm run --json`` in this process."""

    def run(expression: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["run", "-p", "echo", "--python", "off", "--json", "-e", expression])
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().out

    return run


def nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    """A value of so many levels."""
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    ("wrap", "opening"),
    [
        (lambda value: [value], "["),
        (lambda value: (value,), "["),
        (lambda value: {"k": value}, '{"k": '),
        (lambda value: ImproperList((), value), "["),
    ],
    ids=["lists", "vectors", "tables", "pairs"],
)
def test_a_hundred_thousand_levels_are_written(wrap: Callable[[Any], Any], opening: str) -> None:
    """Nothing recurses along data."""
    text = json_text(json_form(nested(100_000, wrap)))
    assert text.startswith(opening * 100_000 + "1")


def test_a_result_with_deep_data_becomes_a_dict_and_its_json() -> None:
    """As data that an embedder's own code made may be."""
    plain = Result(status="ok", data=nested(100_000, lambda value: [value])).to_dict()
    text = json_text(plain)
    assert text.count("[") == 100_000 + 3  # truncated, derived_from and warnings
    assert '"status": "ok"' in text


async def test_a_deep_list_and_a_large_integer_survive_execute_and_to_dict() -> None:
    """The value is text of all of it; data of more than 400 levels is left to the value."""
    async with Runtime("echo", python="off") as runtime:
        deep = await runtime.run(DEEP)
        assert deep.to_dict()["value"] == "(" * 100_000 + "1" + ")" * 100_000
        assert deep.data is None
        large = (await runtime.run(LARGE)).to_dict()
    assert [int(text, 16) for text in large["data"]] == [10**99_999, -(10**99_999)]
    assert json.loads(json.dumps(large)) == large


def test_the_command_prints_a_deep_list(run: Run) -> None:
    """With ``--json``."""
    status, out = run(DEEP)
    assert status == 0
    assert json.loads(out)["value"].count("(") == 100_000


def test_the_command_prints_a_large_integer_as_hexadecimal_text(run: Run) -> None:
    """Which every reader takes; the value has all of its digits."""
    status, out = run(LARGE)
    assert status == 0
    result = json.loads(out)
    assert [int(text, 16) for text in result["data"]] == [10**99_999, -(10**99_999)]
    assert DIGITS in result["value"]


def test_digits_are_those_of_str_and_the_limit_of_python_is_left_alone() -> None:
    """Around every border, and of both signs."""
    before = sys.get_int_max_str_digits()
    for bits in (0, 1, 2047, 2048, 2049, 4096, 10_000, 14_000):
        for number in ((1 << bits) - 1, 1 << bits, -(1 << bits), 3**bits // 7):
            if abs(number) < 10**4_299:
                assert decimal_text(number) == str(number)
    digits = decimal_text(12345 * 10**100_000 + 678)
    assert (digits[:5], digits[-3:], len(digits)) == ("12345", "678", 100_005)
    assert sys.get_int_max_str_digits() == before


def test_json_text_says_what_the_standard_library_says() -> None:
    """Where that can say it."""
    value = {"a": [1, {}, [], {"b": None, "c": [[True], [2, 3.5]]}], "é\n": "\u2028", "": -7}
    large = {**value, "n": 10**5_000}
    assert json_text(value) == json.dumps(value, ensure_ascii=False)
    assert json_text(large) == json.dumps({**value, "n": 0}, ensure_ascii=False)[:-2] + f"1{'0' * 5_000}}}"


def test_keys_that_read_alike_do_not_merge() -> None:
    """A # stands in front of what is not text."""
    table = {1: "number", "1": "text", "#1": "another", (1, 2): "vector", Symbol("s"): "symbol", 1.5: "real"}
    assert json_form(table) == {
        "##1": "number",
        "1": "text",
        "#1": "another",
        "[1, 2]": "vector",
        "s": "symbol",
        "1.5": "real",
    }
    assert json_form({None: 1, "null": 2, False: 3}) == {"#null": 1, "null": 2, "false": 3}


async def test_keys_of_a_program_s_table_do_not_merge() -> None:
    """The number and its text."""
    async with Runtime("echo", python="off") as runtime:
        result = await runtime.run('(finish (hash 1 "number" "1" "text"))')
    assert result.to_dict()["data"] == {"#1": "number", "1": "text"}


def test_what_json_has_no_form_for_is_text() -> None:
    """And what is nothing is null."""
    form = json_form(
        [float("inf"), float("nan"), Fraction(10**5_000, 3), VOID, b"\xe9", ErrorInfo(type="t", message="m")]
    )
    assert form[:2] == ["inf", "nan"]
    assert form[2] == f"{10**5_000:#x}/3"
    assert form[3:5] == [None, "é"]
    assert form[5]["type"] == "t"

"""benchmarks/compare.py: its table, its targets, and that docs/performance.md has the rows that it makes."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("compare")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_page_has_the_table_that_the_script_makes(compare: ModuleType) -> None:
    """The same columns, the same rows with the same targets, in the same order: only figures may differ."""
    page = PAGE.read_text(encoding="utf-8")
    between = page.partition(compare.BEGIN)[2].partition(compare.END)[0]
    tables = between.replace("\n\n|", "\n\0|").split("\0")
    head, rule, *rows = [cells(line) for line in tables[0].splitlines() if line.startswith("|")]
    assert head == list(compare.HEAD)
    assert rule == ["---"] * len(head)
    assert [(row[0], row[-2]) for row in rows] == [(row.title, row.target) for row in compare.ROWS.values()]
    assert {len(row) for row in rows} == {len(head)}
    assert all(row[-1] == "yes" or row[-1].startswith("no, ") for row in rows)
    assert "cores, CPython" in between  # the machine
    head, _, *rows = [cells(line) for line in tables[1].splitlines() if line.startswith("|")]
    assert head == list(compare.PROGRAMS_HEAD)
    assert [row[0] for row in rows] == list(importlib.import_module("vm_speed").SCHEME)


def test_a_quick_run_measures_and_prints_a_row(
    compare: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what is installed wherever the tests run: ours and CPython."""
    assert compare.main(["--quick", "--rows", "fib"]) == 0
    head, _, row, _, machine = capsys.readouterr().out.splitlines()
    figures = dict(zip(cells(head), cells(row), strict=True))
    assert figures[""] == "fib(22)"
    assert figures["ours"].endswith(" µs")
    assert figures["CPython"].endswith(" µs")
    assert "wasmtime" in machine


async def test_the_rows_can_be_measured_and_check_their_answers(compare: ModuleType) -> None:
    """A wrong answer would end it: SystemExit. Python, processes and HTTP take long where nothing is compiled yet."""
    wanted = ("new", "warm", "host", "host loop", "async", "hash", "text", "restore")
    measured = await compare.measure(wanted, quick=True)
    assert tuple(measured.figures) == wanted
    assert all(row["ours"] > 0 for row in measured.figures.values())
    assert measured.programs == {}


async def test_a_wrong_answer_ends_the_benchmark(compare: ModuleType) -> None:
    """What is wrong is quick for nothing."""
    ways = importlib.import_module("compare_ways")
    with pytest.raises(SystemExit, match="3 instead of 4"):
        await ways.timed(lambda: 3, 4)()


def test_a_peer_that_is_not_here_leaves_a_dash(compare: ModuleType) -> None:
    """And nobody can say whether a target over it is met."""
    cells = compare.cells("new", {"ours": 40.0})
    assert cells == ("new session and `1 + 2`", "40 µs", *"––––", "–", "≤ 1.0× monty", "–")


def test_a_ratio_is_over_the_fastest_peer_and_a_target_over_the_one_it_names(compare: ModuleType) -> None:
    """CPython is a yardstick and no peer: it runs what a stranger wrote in the host's own process and heap."""
    figures = {"ours": 60.0, "monty": 40.0, "CPython": 1.0, "quickjs": 30.0}
    assert compare.cells("new", figures)[-3:] == ("2.00", "≤ 1.0× monty", "no, 1.5×")
    assert compare.cells("fib", {"ours": 4.0, "CPython": 10.0})[-1] == "yes"


def test_a_target_in_microseconds_needs_no_peer(compare: ModuleType) -> None:
    assert compare.cells("warm", {"ours": 25.0})[-1] == "yes"
    assert compare.cells("warm", {"ours": 50.0})[-1] == "no, 2.0×"


def test_programs_are_compared_by_their_mean_where_ours_is_one(compare: ModuleType) -> None:
    """A program that a peer cannot run is left out of its mean."""
    found = {"a": {"guest": 1.0, "CPython": 2.0, "monty": 8.0}, "b": {"guest": 1.0, "CPython": 8.0}}
    assert compare.programs(found) == {
        "ours": 1.0,
        "monty": pytest.approx(8.0),
        "CPython": pytest.approx(4.0),
    }


def test_programs_stand_one_by_one_with_a_dash_where_a_peer_cannot_run_one(compare: ModuleType) -> None:
    rows = compare.programs_table({"a": {"guest": 0.05, "CPython": 0.1, "quickjs": 0.02}}).splitlines()
    assert cells(rows[2]) == ["a", "50 ms", "–", "0.50", "2.50", "–"]


def test_writing_keeps_the_rest_of_the_page(compare: ModuleType) -> None:
    page = f"before\n{compare.BEGIN}\nold\n{compare.END}\nafter\n"
    assert compare.written(page, "new") == f"before\n{compare.BEGIN}\nnew\n{compare.END}\nafter\n"


def test_a_page_without_the_markers_is_left_as_it_is(compare: ModuleType) -> None:
    with pytest.raises(SystemExit, match="has no line"):
        compare.written("a page", "new")


@pytest.mark.parametrize("option", ["--quick", "--rows=fib"])
def test_a_part_of_the_table_is_not_written(
    compare: ModuleType, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        compare.main(["--write", option])
    assert stopped.value.code == 2
    assert "--write is for the whole table" in capsys.readouterr().err


def test_a_row_that_is_not_there_is_named_with_those_that_are(
    compare: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compare.main(["--rows", "fib,fob"])
    said = capsys.readouterr().err
    assert "there is no row fob" in said
    assert "host loop" in said

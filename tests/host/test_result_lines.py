"""The result line and the progress line: one wording each, for the terminal and for MCP clients."""

from __future__ import annotations

import pytest

from rlm_wasm.execution.progress import later, progress_line
from rlm_wasm.results import (
    Execution,
    ModelUse,
    Progress,
    answered_by,
    money,
    seconds,
    summary,
    used_line,
)


def test_progress_is_worded_as_the_usage_guide_shows_it() -> None:
    """Calls, models, the longest; what is zero is left out."""
    progress = Progress(done=3, running=2, total=7, models={"gpt-4.1-nano": 2}, longest_s=44.6)
    assert progress_line(progress) == "3/7 done — 2 active: gpt-4.1-nano×2 (longest: 45s)"
    assert progress_line(Progress(done=7, total=7)) == "7/7 done"
    both = Progress(done=1, running=3, total=9, models={"b": 2, "": 1}, longest_s=1)
    assert progress_line(both) == "1/9 done — 3 active: default×1, b×2 (longest: 1s)"


def test_progress_tells_what_was_used_where_something_was() -> None:
    """Tokens, dollars and time, after the calls."""
    used = Progress(done=1_200, total=1_200, tokens=5_000, cost_usd=0.0012, elapsed_s=61)
    assert progress_line(used) == "1,200/1,200 done — 5,000 tokens, $0.0012, 1 min 01 s"
    unpriced = Progress(done=1, total=1, tokens=5, cost_usd=None)
    assert progress_line(unpriced) == "1/1 done — 5 tokens, price unknown"


def test_the_clocks_of_a_report_go_on_after_it_was_made() -> None:
    """That of the longest call only while a call runs."""
    assert progress_line(later(Progress(elapsed_s=3.2), 2.0)) == "running — 5 s"
    running = later(Progress(done=1, running=1, total=2, models={"a": 1}, longest_s=1), 2)
    assert progress_line(running) == "1/2 done — 1 active: a×1 (longest: 3s) — 2.0 s"
    assert later(Progress(done=2, total=2, longest_s=1), 2).longest_s == 1


def test_the_result_line_says_calls_tokens_cost_and_time() -> None:
    """And how many of the calls were answered from the cache."""
    used = Execution(calls=7, cached=3, tokens=5_000, cost_usd=0.0012, elapsed=12.34)
    assert summary(used) == "7 calls (3 cached), 5,000 tokens, $0.0012, 12.3 s"
    assert summary(Execution(calls=1)) == "1 call, 0 tokens, 0.0 s"
    assert summary(Execution(calls=2, cost_usd=None)) == "2 calls, 0 tokens, price unknown, 0.0 s"


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "price unknown"),
        (0, ""),
        (1.5, "$1.50"),
        (1234.5, "$1234.50"),
        (0.5, "$0.5000"),
        (0.0123, "$0.0123"),
        (0.00123, "$0.0012"),
        (0.000034, "$0.000034"),
        (9.9e-7, "$0.00000099"),
        (1.5e-10, "$0.00000000015"),
    ],
)
def test_money_has_as_many_digits_as_say_something(usd: float | None, text: str) -> None:
    """Of a small sum two that are no zero: a thousandth of a cent is no nothing."""
    assert money(usd) == text


def test_who_answered_is_said_by_model() -> None:
    """And by which other names it was asked for; nothing where nobody was."""
    used = Execution(
        calls=7,
        provider="openai",
        models={"gpt-4o-mini": ModelUse(calls=5), "gpt-4o": ModelUse(calls=2, asked_for=("good", "best"))},
    )
    assert answered_by(used) == "by openai: gpt-4o-mini ×5, gpt-4o ×2 (asked for as good, best)"
    assert used_line(used) == f"7 calls, 0 tokens, 0.0 s, {answered_by(used)}"
    assert (answered_by(Execution()), used_line(Execution())) == ("", summary(Execution()))
    many = Execution(provider="p", models={f"m{n}": ModelUse(calls=1) for n in range(30)})
    assert answered_by(many) == "by p: m0 ×1, m1 ×1, m2 ×1, m3 ×1, m4 ×1, 25 more"


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (61.5, "1 min 01 s")])
def test_durations_are_worded_for_people(value: float, text: str) -> None:
    """Minutes from a minute on."""
    assert seconds(value) == text

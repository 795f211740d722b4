"""Limits as a value."""

from __future__ import annotations

import dataclasses

import pytest

from rlm_wasm import Limits, UsageError


def test_the_defaults_are_those_of_the_table() -> None:
    """docs promise these figures."""
    limits = Limits()
    assert limits.fuel == 100_000_000_000
    assert limits.memory_bytes == limits.python_memory_bytes == 256 << 20
    assert (limits.timeout_s, limits.output_bytes, limits.calls, limits.handles) == (
        300,
        1 << 20,
        1_000,
        10_000,
    )
    assert (limits.concurrency, limits.depth, limits.message_bytes) == (20, 3, 64 << 20)
    assert limits.tokens is None
    assert limits.cost_usd is None


def test_a_session_can_only_tighten() -> None:
    """Field by field the smaller one; None is no limit."""
    ceiling = Limits(fuel=100, calls=10, tokens=None)
    mine = ceiling.tightened_by(Limits(fuel=1_000, calls=5, tokens=7))
    assert (mine.fuel, mine.calls, mine.tokens) == (100, 5, 7)
    assert Limits(tokens=3).tightened_by(Limits()).tokens == 3
    assert ceiling.tightened_by(None) is ceiling


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [-1, "10", True, float("nan")])
def test_nonsense_is_the_callers_mistake(name: str, value: object) -> None:
    """The message names the field."""
    with pytest.raises(UsageError, match=name):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_limits_are_frozen_and_keyword_only() -> None:
    """A limit that can be changed afterwards is none."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().fuel = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(1)  # type: ignore[call-arg, misc]

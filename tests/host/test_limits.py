"""Limits as a value."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rlm_wasm import Limits, Runtime, UsageError, limits
from rlm_wasm.limits import LimitSpec, quantity, specs


def test_the_defaults_are_those_that_the_docs_promise() -> None:
    """Whoever relies on them would notice."""
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
    assert (limits.host_bytes, limits.checkpoint_bytes, limits.log_bytes) == (256 << 20, 256 << 20, 16 << 20)
    assert (limits.images, limits.workspace_bytes, limits.iterations) == (20, 1 << 30, 20)


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


def test_every_field_is_described() -> None:
    """Help and docs are made from it."""
    assert [spec.name for spec in specs()] == [f.name for f in dataclasses.fields(Limits)]
    for spec in specs():
        assert spec.meaning.endswith("."), spec.name
        assert spec.meaning.count(". ") == 0, f"{spec.name}: one sentence"
        assert spec.default == getattr(Limits(), spec.name)
    options = [spec.option for spec in specs() if spec.option is not None]
    assert len(options) == len(set(options))


@pytest.mark.parametrize("spec", [s for s in specs() if s.enforced_by], ids=lambda spec: spec.name)
def test_the_module_that_holds_a_limit_names_it(spec: LimitSpec) -> None:
    """So that a reader who looks for it there finds it."""
    text = (Path(limits.__file__).parent / spec.enforced_by).read_text(encoding="utf-8")
    assert f"limits.{spec.name}" in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (256 << 20, "bytes", "256 MiB"),
        (3 << 30, "bytes", "3 GiB"),
        (1000, "bytes", "1,000 bytes"),
        (0, "bytes", "0 bytes"),
        (300.0, "seconds", "300 s"),
        (0.5, "seconds", "0.5 s"),
        (1_000, "count", "1,000"),
        (2.5, "dollars", "$2.50"),
        (None, "dollars", "none"),
    ],
)
def test_figures_are_shown_for_people(value: float | None, unit: limits.Unit, text: str) -> None:
    """In the largest unit that fits without a remainder."""
    assert quantity(value, unit) == text


def test_what_a_limit_cannot_be_is_refused() -> None:
    """With the least or the most that it can."""
    with pytest.raises(UsageError, match="at least 1"):
        Limits(concurrency=0)
    with pytest.raises(UsageError, match="64 MiB at the most"):
        Limits(message_bytes=(64 << 20) + 1)


@pytest.mark.parametrize("given", [{"calls": 3}, 3, "calls=3"])
async def test_what_is_no_limits_is_the_callers_mistake_wherever_it_is_given(given: object) -> None:
    """A dict above all: it is named, with what to write instead."""
    wanted = rf"limits must be Limits, such as Limits\(calls=100\), not {type(given).__name__}"
    with pytest.raises(UsageError, match=wanted):
        Runtime("echo", limits=given)  # type: ignore[arg-type]
    async with Runtime("echo") as runtime:
        with pytest.raises(UsageError, match=wanted):
            runtime.session(limits=given)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=wanted):
            await runtime.run("1", limits=given)  # type: ignore[arg-type]

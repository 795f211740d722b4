"""The options that describe a Runtime: every limit has one, made from what Limits says about it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import rlm_wasm
from rlm_wasm import Limits
from rlm_wasm.cli import main
from rlm_wasm.cli.environment import VARIABLES
from rlm_wasm.cli.options import RuntimeOptions, runtime_options
from rlm_wasm.limits import LimitSpec, specs

if TYPE_CHECKING:
    from collections.abc import Sequence

WITH_OPTION = [spec for spec in specs() if spec.option is not None]


def _options(arguments: Sequence[str]) -> RuntimeOptions:
    """What a command gets that is called with these."""
    got: list[RuntimeOptions] = []

    @click.command()
    @runtime_options
    def command(*, options: RuntimeOptions) -> None:
        got.append(options)

    command.main([*arguments], standalone_mode=False)
    return got[0]


@pytest.mark.parametrize("spec", WITH_OPTION, ids=lambda spec: spec.name)
def test_an_option_sets_its_limit_and_no_other(spec: LimitSpec) -> None:
    """Sizes and counts take units, seconds and dollars fractions."""
    assert spec.option is not None
    text, value = ("2.5", 2.5) if spec.unit in ("seconds", "dollars") else ("2M", 2_000_000)
    assert _options([spec.option, text]).limits == Limits(**{spec.name: value})


def test_without_options_the_limits_are_the_defaults() -> None:
    """The Runtime's own."""
    assert _options([]).limits == Limits()


@pytest.mark.parametrize("spec", WITH_OPTION, ids=lambda spec: spec.name)
def test_the_help_says_what_a_limit_means_and_its_default(
    spec: LimitSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one that nothing enforces yet it says nothing."""
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert (f"{spec.option} " in text) == bool(spec.enforced_by)
    assert (f"{spec.meaning} [per {spec.scope}; default: {spec.shown_default}]" in text) == bool(
        spec.enforced_by
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--memory", "256"], "must be at least 1048576"),
        (["--fuel", "0"], "must be at least 1"),
        (["--concurrency", "0"], "must be at least 1"),
        (["--output-bytes", "much"], "is no number such as"),
    ],
)
def test_a_figure_that_can_only_be_a_mistake_is_refused(arguments: list[str], words: str) -> None:
    """Before anything runs."""
    with pytest.raises(click.UsageError, match=re.escape(words)):
        _options(arguments)


def test_every_environment_variable_that_is_read_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """And none that nobody reads."""
    read = set()
    for path in Path(rlm_wasm.__file__).parent.rglob("*.py"):
        if path.name != "environment.py":
            read |= set(re.findall(r'"((?:RLM_WASM|OPENAI|NO)_[A-Z_]+)"', path.read_text(encoding="utf-8")))
    assert read == set(VARIABLES)
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown and meaning in shown for name, meaning in VARIABLES.items())

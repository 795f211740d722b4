"""Hundreds of hostile programs, by attack: each has the one outcome that it must have, and leaves nothing behind.

The programs are data, in ``corpus/``: ``security/hostile.py`` says how they are written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rlm_wasm import Limits
from rlm_wasm.cli.terminal import in_line, visible

from . import hostile

PROGRAMS = hostile.corpus()
ATTACKS = sorted({entry.attack for entry in PROGRAMS})


class Sandboxes:
    """One runtime for the programs of an attack, and a neighbour who has a secret."""

    def __init__(self, attack: str, folder: Path) -> None:
        self.attack = attack
        self.model = hostile.Model()
        self.runtime = hostile.runtime_for(self.model, attack, folder)
        self.neighbour = self.runtime.session(namespace="neighbour")


@pytest.fixture(scope="module")
async def sandboxes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Sandboxes]:
    """Of the attack whose turn it is."""
    made = Sandboxes(request.param, tmp_path_factory.mktemp(request.param))
    async with made.runtime, made.neighbour:
        await made.neighbour.execute(f'(define secret "{hostile.SECRET}") (checkpoint "k" secret)')
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("sandboxes", "entry"),
    [(entry.attack, entry) for entry in PROGRAMS],
    indirect=["sandboxes"],
    ids=map(str, PROGRAMS),
)
async def test_a_hostile_program_has_its_outcome_and_leaves_nothing_behind(
    sandboxes: Sandboxes, entry: hostile.Hostile
) -> None:
    """Afterwards its session answers, nothing is in flight or held, accounts and log agree, the neighbour is untouched."""
    result = await hostile.run(sandboxes.runtime, sandboxes.model, entry)
    assert hostile.complaint(entry, result) is None
    assert hostile.SECRET not in f"{result.value}{result.stdout}{result.stderr}{result.error}"
    told = (await sandboxes.neighbour.execute('(list secret (restore "k") (+ 1 2))')).data
    assert told == [hostile.SECRET, hostile.SECRET, 3]


_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f]")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("sandboxes", "entry"),
    [(entry.attack, entry) for entry in PROGRAMS if entry.attack == "terminal"],
    indirect=["sandboxes"],
    ids=[entry.name for entry in PROGRAMS if entry.attack == "terminal"],
)
async def test_what_it_prints_is_shown_on_a_terminal_and_not_obeyed(
    sandboxes: Sandboxes, entry: hostile.Hostile
) -> None:
    """Output, value, error and hint."""
    result = await hostile.run(sandboxes.runtime, sandboxes.model, entry)
    error = result.error
    texts = [
        result.stdout,
        result.stderr,
        result.value or "",
        *((error.message, error.hint or "") if error else ()),
    ]
    assert any(_OBEYED.search(text) for text in texts) or "rlm-wasm" in result.stdout
    for text in texts:
        assert not _OBEYED.search(visible(text))
        assert not _OBEYED.search(in_line(text))
        assert "\n" not in in_line(text)


def test_the_corpus_has_programs_of_every_attack() -> None:
    """Two hundred at the least, none twice, a dozen of each attack, and outcomes of all kinds."""
    assert len(PROGRAMS) >= 400
    tries = {(entry.source, entry.program, entry.answer, str(entry.limits)) for entry in PROGRAMS}
    assert len(tries) > len(PROGRAMS) - 5
    assert len({str(entry) for entry in PROGRAMS}) == len(PROGRAMS)
    assert len(ATTACKS) >= 20
    assert min(Counter(entry.attack for entry in PROGRAMS).values()) >= 12
    fired = {entry.outcome[1] for entry in PROGRAMS if entry.outcome[0] == "limit"}
    assert fired == {"fuel", "memory_bytes", "host_bytes", "handles", "calls", "tokens", "cost_usd"}
    assert {entry.outcome[0] for entry in PROGRAMS} == {"value", "finished", "error", "limit"}


@pytest.mark.parametrize(
    "text",
    [
        ";;; a name\n(car 1)\n",
        ';;; a name\n;;; => value "1"\n',
        ';;; a name\n;;; => value "1"\n;;; => limit fuel\n(car 1)\n',
        ";;; a name\n;;; => nothing\n(car 1)\n",
        ';;; a name\n;;; => value "1"\n;;; colour: "red"\n(car 1)\n',
    ],
)
def test_a_program_without_one_outcome_is_no_entry(text: str) -> None:
    """A slip in the corpus is told, and not skipped."""
    with pytest.raises(ValueError, match="a name"):
        list(hostile.parse("attack", text))


async def test_another_outcome_than_the_one_that_it_must_have_is_told(tmp_path: Path) -> None:
    """It is no corpus whose test cannot fail."""
    model = hostile.Model()
    async with hostile.runtime_for(model, "escape", tmp_path) as runtime:
        for wrong in (("value", "4"), ("limit", "fuel"), ("error", "exn:fail", ""), ("finished", "3")):
            entry = hostile.Hostile("escape", "a sum", "(+ 1 2)", wrong)
            assert hostile.complaint(entry, await hostile.run(runtime, model, entry))
        entry = hostile.Hostile(
            "escape", "a loop", "(let loop () (loop))", ("limit", "memory_bytes"), {"fuel": 10**7}
        )
        assert "fuel" in (hostile.complaint(entry, await hostile.run(runtime, model, entry)) or "")


def test_the_ceiling_is_tighter_than_the_default() -> None:
    """Else a program of the corpus would reach a limit in minutes."""
    assert Limits().tightened_by(hostile.CEILING) == hostile.CEILING

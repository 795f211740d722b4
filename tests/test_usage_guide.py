"""Every code example of the usage guide runs, with stand-ins for what it leaves out."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rlm_wasm import Runtime, Session
from rlm_wasm.testing import InlineProvider

GUIDE = (Path(__file__).parent / "guide" / "examples.md").read_text(encoding="utf-8")
EXAMPLES = [block.strip() for block in re.findall(r"^```scheme\n(.*?)^```$", GUIDE, re.M | re.S)]
CALLS = re.findall(r"^Call \d: (.*)$", GUIDE, re.M)

STAND_INS = [
    ("(llm-query-async ...)", '(llm-query-async #:instruction "Describe it" #:data x)'),
    ("(llm-query-async ... #:model", '(llm-query-async #:instruction "Describe it" #:data x #:model'),
    ("(llm-query ...)", '(llm-query #:instruction "Describe it" #:data x)'),
    ("#:data all ...)", '#:data all #:instruction "Sum up")'),
    ('(py-eval "str(data)") ...)', '(py-eval "str(data)") #:model "gpt-4o")'),
    ('do I authenticate?" ...)', 'do I authenticate?" #:data "Send the key in a header.")'),
    ('Diagnose patient" ...)', 'Diagnose patient" #:data "Fever, cough.")'),
    ("(display ...)", '(display "half way")'),
    ("(finish ...)", '(finish "the end")'),
]
"""What stands in for each ``...``."""

PRELUDE = """
(define items (list "one" "two" "three"))
(define chunks (list "First part." "Second part." "Third part." "Fourth part." "Fifth part."))
(define models (list "gpt-4.1-nano" "gpt-4o-mini" "gpt-4o"))
(define question "Is it safe?")
(define i 1) (define n 3)
"""
"""What the examples take for granted."""

needs_python = pytest.mark.skipif(
    importlib.util.find_spec("rlm_wasm.python.component") is None, reason="the Python component is not built"
)


def _complete(example: str) -> str:
    for gap, stand_in in STAND_INS:
        example = example.replace(gap, stand_in)
    assert "..." not in example
    return example


@pytest.fixture
async def session(answers: InlineProvider, tmp_path: Path) -> AsyncIterator[Session]:
    """With what the examples take for granted."""
    for name in ("input.json", "f.json"):
        (tmp_path / name).write_text(json.dumps({"answer": 42}), encoding="utf-8")
    async with Runtime(provider=answers, workspace=tmp_path) as runtime, runtime.session() as made:
        assert (await made.execute(PRELUDE)).status == "ok"
        yield made


def _calls_python(example: str) -> bool:
    return "(py-" in example


@pytest.mark.parametrize("example", [e for e in EXAMPLES if not _calls_python(e)])
async def test_an_example_runs(session: Session, example: str) -> None:
    """Also those that the guide calls mistakes: they are slow or dear, not wrong."""
    result = await session.execute(_complete(example))
    assert result.ok, result.error
    assert result.status == ("finished" if example.startswith("(finish") else "ok")


@needs_python
@pytest.mark.parametrize("example", [e for e in EXAMPLES if _calls_python(e)])
async def test_an_example_with_python_runs(session: Session, example: str) -> None:
    """py-eval takes several lines too: what the guide warns of is no error here."""
    result = await session.execute(_complete(example))
    assert result.ok, result.error
    if "result" in example:
        assert (await session.execute('(hash-ref data "answer")')).value == "42"


@needs_python
async def test_state_persists_from_call_to_call(session: Session, answers: InlineProvider) -> None:
    """The guide's pipeline of three executions."""
    first, second, third = CALLS
    assert (await session.execute(first)).ok
    assert (await session.execute(_complete(second))).ok
    assert answers.requests[-1].data == "{'answer': 42}"
    assert (await session.execute('(py-exec "saved = []\\ndef save(x): saved.append(x)")')).ok
    result = await session.execute(third)
    assert result.ok, result.error
    assert (await session.execute('(py-eval "saved[0]")')).value == "[analyze]"


async def test_tree_reduce_of_texts_alone_merges_pairs(session: Session, answers: InlineProvider) -> None:
    """Five texts take four merges; each prompt holds two texts at the most."""
    assert (await session.execute("(tree-reduce chunks)")).ok
    assert len(answers.requests) == 4
    assert answers.requests[0].data == "First part.\n\nSecond part."


async def test_a_cached_query_asks_once(session: Session, answers: InlineProvider) -> None:
    """Also where the same question comes again while the first is under way, and after a reset."""
    program = '(map-async (lambda (x) (cached-query "How?" #:data "By key.")) (range 10))'
    assert (await session.execute(program)).data == ["[How?]"] * 10
    assert len(answers.requests) == 1
    await session.reset()
    assert (await session.execute('(cached-query "How?" #:data "By key.")')).value == "[How?]"
    assert len(answers.requests) == 1
    await session.execute('(cached-query "How?" #:data "By another.")')
    assert len(answers.requests) == 2


async def test_ensemble_vote_asks_every_model(session: Session, answers: InlineProvider) -> None:
    """And gives the most frequent answer."""
    assert (await session.execute("(ensemble-vote models question)")).value == "[Is it safe?]"
    assert [request.model for request in answers.requests] == ["gpt-4.1-nano", "gpt-4o-mini", "gpt-4o"]

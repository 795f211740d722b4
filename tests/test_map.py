"""One program over many documents, in this process: Runtime.map."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Limits, Runtime, UsageError
from rlm_wasm.testing import GatedProvider, InlineProvider

PROGRAM = "(finish (syntax-e (llm-query #:instruction context)))"


async def test_each_document_has_its_result_in_their_order() -> None:
    """Texts, bytes, and texts by name; an error of the program is its document's."""
    async with Runtime(InlineProvider()) as runtime:
        results = await runtime.map('(finish (string-append context "!"))', ["a", b"b"])
        assert [result.value for result in results] == ["a!", "b!"]
        named = [{"left": "1", "right": "2"}, {"left": "3"}]
        results = await runtime.map(
            '(finish (string-append (get-context "left") (get-context "right")))', named
        )
        assert results[0].value == "12"
        assert results[1].status == "error"
        assert "right" in str(results[1].error)
        assert await runtime.map("1", []) == []


async def test_so_many_run_at_once_and_documents_are_taken_as_there_is_room() -> None:
    """Of an iterable without an end no more is read than is worked on."""
    taken: list[int] = []
    came: list[int] = []

    def documents() -> Iterator[str]:
        for number in range(7):
            taken.append(number)
            yield f"d{number}"

    gate = GatedProvider()
    async with Runtime(gate) as runtime:
        running = asyncio.create_task(
            runtime.map(
                PROGRAM, documents(), at_once=3, on_result=lambda number, _result: came.append(number)
            )
        )
        await gate.arrived(3)
        assert taken == [0, 1, 2]
        for _ in range(7):
            await gate.arrived(1)
            gate.release()
        results = await running
    assert gate.peak == 3
    assert [result.value for result in results] == [f"d{number}" for number in range(7)]
    assert sorted(came) == list(range(7))


async def test_a_map_with_a_name_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """What is over gives its results, what is in its middle goes on; another program begins anew."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    program = f'(define first (syntax-e (llm-query #:instruction "first"))) {PROGRAM}'
    documents = ["a", "b", "c"]
    gate = GatedProvider()
    async with Runtime(gate, store=url, durable=True) as runtime:
        running = asyncio.create_task(runtime.map(program, documents, name="job", at_once=2))
        await gate.arrived(2)
        gate.release_all()  # the first calls of a and b
        waiting = await gate.arrived(2)
        gate.release([request.instruction for request in waiting].index("a"))
        await gate.arrived(2)  # a is over: b's second, and c's first
    assert [result.status for result in await running] == ["finished", "cancelled", "cancelled"]
    answers = InlineProvider()
    async with Runtime(answers, store=url, durable=True) as runtime:
        results = await runtime.map(program, documents, name="job")
        assert [result.value for result in results] == ["a", "[b]", "[c]"]
        assert sorted(request.instruction for request in answers.requests) == ["b", "c", "first"]
        again = len(answers.requests)
        assert await runtime.map(program, documents, name="job") == results
        assert len(answers.requests) == again
        await runtime.map(PROGRAM, documents, name="job")
        assert len(answers.requests) == again + 3


@pytest.mark.parametrize(
    ("documents", "options", "says"),
    [
        ("one text", {}, "documents are a list of texts, not one text"),
        ([1], {}, "document 0 must be a text, or texts by their names, not int"),
        (["a", {"n": 1}], {}, "document 1 must be a text"),
        (["a"], {"at_once": 0}, "at_once must be a positive integer"),
        (["a"], {"name": "job"}, "store=…, durable=True"),
    ],
)
async def test_what_is_no_map_is_refused(documents: Any, options: dict[str, Any], says: str) -> None:
    """With what would be right; what runs already is ended."""
    async with Runtime(InlineProvider()) as runtime:
        with pytest.raises(UsageError, match=says):
            await runtime.map("1", documents, **options)
        assert runtime.sessions == []


async def test_limits_are_a_documents_own() -> None:
    """A document that breaks one is no end of the others."""
    program = '(if (string=? context "long") (let loop () (loop)) (finish 1))'
    async with Runtime(InlineProvider()) as runtime:
        results = await runtime.map(program, ["short", "long", "short"], limits=Limits(fuel=20_000_000))
    assert [result.status for result in results] == ["finished", "limit", "finished"]

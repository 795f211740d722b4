"""No session keeps the event loop: what takes long is cut into parts, and between them everybody has a turn.

Turns are counted, not seconds: with a turn after every part, work of so many parts leaves so many turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime
from rlm_wasm.asking import loop as asking_loop
from rlm_wasm.llm import calls
from rlm_wasm.llm.programs import program_in
from rlm_wasm.providers.tokens import estimate_tokens, tokens_in_turns
from rlm_wasm.sandbox import protocol
from rlm_wasm.testing import InlineProvider
from rlm_wasm.turns import in_turns

MIB = 1 << 20


class Answering:
    """Gives every call the same text, after a turn."""

    free = True

    def __init__(self, text: str) -> None:
        self._text = text

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer."""
        await asyncio.sleep(0)
        return Completion(text=self._text, model="m", prompt_tokens=1, completion_tokens=1)


@pytest.fixture(autouse=True)
def turn_after_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast the machine is."""
    for place in ("turns", "execution.scheduler"):
        monkeypatch.setattr(f"rlm_wasm.{place}.TURN_S", 0.0)


@asynccontextmanager
async def neighbour() -> AsyncIterator[Callable[[], int]]:
    """Somebody who takes every turn that there is; how many those were."""
    turns = 0
    going = True

    async def take() -> None:
        nonlocal turns
        while going:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(take())
    try:
        yield lambda: turns
    finally:
        going = False
        await task


async def turns_during(
    program: str,
    *,
    context: str | None = None,
    provider: Any = None,
    functions: dict[str, Any] | None = None,
    status: str = "ok",
    **limits: Any,
) -> int:
    """The turns that a neighbour had while a program ran."""
    runtime = Runtime(
        provider=provider or InlineProvider(), limits=Limits(**limits), host_functions=functions or {}
    )
    async with runtime, runtime.session() as session:
        if context is not None:
            await session.load_context(context)
        async with neighbour() as turns:
            result = await session.execute(program)
            assert result.status == status, result.error
            return turns()


async def test_reading_lines_of_a_large_context() -> None:
    """A part for every quarter of a million characters."""
    turns = await turns_during("(length (context-lines 0 100000))", context="some words\n" * 600_000)
    assert turns >= 1_100_000 // calls._AT_ONCE


async def test_five_hundred_fibers_that_read_lines_of_one_context() -> None:
    """The lines are counted once, and each request leaves a turn."""
    program = "(await-all (map (lambda (i) (spawn (lambda () (length (context-lines 0 1))))) (range 500)))"
    assert await turns_during(program, context="some words\n" * 400_000) >= 500


async def test_a_search_for_what_is_not_there() -> None:
    """A part for every two million characters."""
    turns = await turns_during('(context-search "zzz")', context="some words\n" * 1_000_000)
    assert turns >= 11_000_000 // (1 << 21)


async def test_a_pattern_of_megabytes_is_refused() -> None:
    """To prepare the search for it is work before anything is compared."""
    program = "(context-search (make-string 100000 #\\a))"
    await turns_during(program, context="a" * 1_000_000, status="error")


async def test_arguments_of_many_parts() -> None:
    """A list of a hundred thousand empty lists for a host function."""
    program = "(f (make-list 100000 '()))"
    turns = await turns_during(program, functions={"f": len})
    assert turns >= 100_000 // protocol._NODES_A_TURN


async def test_arguments_of_too_many_parts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector of the host's Python would look at every one of them, again and again."""
    monkeypatch.setattr(protocol, "MAX_PARTS", 50_000)
    called: list[Any] = []
    program = "(guard (e (#t (condition/report-string e))) (f (make-list 100000 '())))"
    async with Runtime(provider=InlineProvider(), host_functions={"f": called.append}) as runtime:
        assert "50,000 parts" in (await runtime.run(program)).value
    assert called == []


async def test_a_result_of_many_parts() -> None:
    """It is decoded after the execution, in turns all the same."""
    turns = await turns_during("(make-list 200000 '())")
    assert turns >= 200_000 // protocol._NODES_A_TURN


async def test_a_result_of_too_many_parts_has_text_and_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every value that Python cannot take."""
    monkeypatch.setattr(protocol, "MAX_PARTS", 50_000)
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run("(make-list 100000 '())")
    assert result.ok
    assert result.value.startswith("(() ()")
    assert result.data is None


PROMPT = '(string-length (syntax-e (llm-query #:instruction "q" #:data (make-string 3000000 #\\é))))'


async def test_estimating_a_prompt_of_megabytes_under_a_ceiling() -> None:
    """Before it is sent."""
    turns = await turns_during(PROMPT, tokens=10**9)
    assert turns >= 3_000_000 // calls._AT_ONCE


def test_an_estimate_in_parts_is_the_estimate() -> None:
    """What is promised and what is set aside are the same."""
    text = "Some wörds, 123 – 漢字 🙂.\n" * 30_000
    parts = 0

    def counted() -> Generator[None, None, int]:
        nonlocal parts
        work = tokens_in_turns(text, "q")
        while True:
            try:
                yield next(work)
                parts += 1
            except StopIteration as stop:
                return int(stop.value)

    assert asyncio.run(in_turns(counted())) == estimate_tokens(text) + estimate_tokens("q")
    assert parts >= len(text) // calls._AT_ONCE


async def test_an_answer_of_megabytes() -> None:
    """Half characters in it are looked for in turns."""
    program = '(string-length (syntax-e (llm-query #:instruction "q")))'
    turns = await turns_during(program, provider=Answering("é\ud800" * 1_000_000))
    assert turns >= 2_000_000 // calls._AT_ONCE


async def test_a_json_answer_of_megabytes_is_refused() -> None:
    """Reading it is one piece of work, and no model's answer is as long."""
    provider = Answering("[" + "[]," * calls.MAX_JSON + "[]]")
    program = '(guard (e (#t (condition/report-string e))) (llm-query #:instruction "json" #:json #t))'
    async with Runtime(provider=provider) as runtime:
        assert "the most that is checked" in (await runtime.run(program)).value


async def test_an_answer_of_a_hundred_thousand_backticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program in it is looked for beside the loop, in time that is linear in the text."""
    looked: list[bool] = []

    def watched(text: str) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            looked.append(True)
        return program_in(text)

    monkeypatch.setattr(asking_loop, "program_in", watched)
    provider = Answering("```scheme\n" + "`(a) " * 20_000 + "\n")
    await turns_during('(llm-query #:instruction "q" #:recursive #t)', provider=provider)
    assert looked
    assert all(looked)


async def test_a_provider_that_computes_on_a_large_prompt_does_so_beside_the_loop() -> None:
    """One that answers on the spot is run on a thread where the prompt is large."""
    beside: list[bool] = []

    def answer(request: CompletionRequest) -> str:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            beside.append(True)
        return "x"

    async with Runtime(provider=InlineProvider(answer)) as runtime:
        await runtime.run('(llm-query #:instruction "q" #:data (make-string 1000000 #\\a))')
        assert beside == [True]
        await runtime.run('(llm-query #:instruction "q" #:data "small")')
        assert beside == [True]


async def test_a_loop_of_tiny_requests_leaves_turns() -> None:
    """However many of them fit into a slice."""
    turns = await turns_during("(for/sum ([i 3000]) (string-length (context-slice 0 1)))", context="text")
    assert turns >= 1_000


async def test_a_preview_of_what_is_no_text_is_short() -> None:
    """A list of a million is not printed to show eighty characters of it."""

    class Loud(list[int]):
        def __repr__(self) -> str:
            raise AssertionError("it was printed")

    from rlm_wasm.scope_log import ScopeLog

    log = ScopeLog()
    log.add("py-set!", Loud(range(10)), "host")
    log.add_from_guest({"op": [Loud()], "preview": {"a": Loud()}, "x": 1 << 100_000})
    assert log.entries()[1]["x"] == "a huge number"

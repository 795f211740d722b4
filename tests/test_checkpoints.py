"""Checkpoints outlive whatever happens to a session; large contexts stay outside of the guest."""

from __future__ import annotations

import pytest

from rlm_wasm import Limits, Runtime


@pytest.mark.parametrize(
    "end",
    [
        "(finish 1)",
        "(car 5)",
        "(let loop () (loop))",
        "(let loop ([l '()]) (loop (cons (make-vector 1000 0) l)))",
        "(sleep 100)",
        '(map (lambda (i) (llm-query #:instruction "q")) (range 100))',
    ],
)
async def test_a_checkpoint_survives_every_end_of_an_execution(end: str) -> None:
    """And a reset after it."""
    limits = Limits(fuel=20_000_000, memory_bytes=8 << 20, timeout_s=0.5, calls=3)
    async with Runtime(provider="echo", limits=limits) as runtime, runtime.session() as session:
        await session.execute(f'(checkpoint "k" (list 1 "two")) {end}')
        assert (await session.execute('(restore "k")')).data == [1, "two"]
        await session.reset()
        assert (await session.execute('(restore "k")')).data == [1, "two"]


@pytest.mark.parametrize(
    "datum",
    [
        '"text é 漢"', "42", "123456789012345678901234567890", "1/3", "2.5", "+inf.0", "1+2i", "#t", "#f", "'()",
        "'symbol", "#\\a", "#u8(1 2 3)", "'#(1 #(2))", "'(1 . 2)", "(hash 'a 1 \"b\" '(2))", "'(a (b (c \"d\")))",
    ],
)  # fmt: skip
async def test_any_datum_comes_back_as_it_was(runtime: Runtime, datum: str) -> None:
    """equal?, of the same kind."""
    result = await runtime.run(f"(define v {datum}) (checkpoint 'k v) (equal? v (restore 'k 'nothing))")
    assert result.value == "#t", result.error


async def test_checkpoints_are_shared_within_a_namespace(runtime: Runtime) -> None:
    """And unseen outside of it."""
    async with runtime.session(namespace="a") as one, runtime.session(namespace="a") as two:
        await one.execute('(checkpoint "k" 1)')
        assert (await two.execute('(restore "k")')).value == "1"
        assert await two.checkpoints() == ["k"]
    async with runtime.session(namespace="b") as other:
        assert (await other.execute('(restore "k")')).value == "#f"
        assert (await other.execute('(restore "k" "none")')).value == "none"


@pytest.mark.parametrize(
    ("program", "word"),
    [("(checkpoint 5 1)", "string or symbol"), ('(checkpoint "k" car)', "procedure"), ("(restore 5)", "string or symbol")],
)  # fmt: skip
async def test_what_cannot_be_kept_is_an_error_and_nothing_is_lost(
    runtime: Runtime, program: str, word: str
) -> None:
    """The value that was there before stays."""
    async with runtime.session() as session:
        await session.execute('(checkpoint "k" 1)')
        result = await session.execute(program)
        assert result.status == "error"
        assert word in str(result.error)
        assert (await session.execute('(restore "k")')).value == "1"


async def test_checkpoint_gives_its_value_back_and_keeps_the_text_of_a_scoped_one(runtime: Runtime) -> None:
    """What comes back is text."""
    program = '(define v (checkpoint "k" (llm-query #:instruction "q"))) (list (syntax? v) (restore "k"))'
    assert (await runtime.run(program)).data == [True, "[q]"]


async def test_a_hundred_megabytes_are_searched_and_chunked_within_the_default_memory() -> None:
    """The text stays with the host; only pieces enter the guest."""
    line = "The quick brown fox jumps over the lazy dog, number %07d.\n"
    text = "".join(line % i for i in range(1_720_000))
    assert len(text) > 100_000_000
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        await session.load_context(text)
        found = await session.execute('(cdar (context-search "number 1234567"))')
        assert found.value == line.strip() % 1234567
        chunks = await session.execute("(for/sum ([chunk (context-chunks 1000000)]) (string-length chunk))")
        assert chunks.value == str(len(text)), chunks.error

"""The border between guest and host: whatever comes over it is a Result or an InternalError, nothing else."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import cbor2
import pytest

from rlm_wasm import (
    Completion,
    CompletionRequest,
    InternalError,
    Limits,
    ProviderError,
    Result,
    Runtime,
    UsageError,
)
from rlm_wasm.errors import Unencodable
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.testing import GatedProvider, InlineProvider

from .mutating import mutated

KINDS = ["call", "ack", "cancel", "note", "done", "failed", "dance", "", 1, None]
OPERATIONS = [*protocol.OPERATIONS, "format-disk", "__class__"]
FIELDS = ["status", "value", "data", "cut", "lineage", "error", "type", "message", "irritants", "line", "x"]


def _thing(chance: random.Random, depth: int = 0) -> Any:
    """Anything that CBOR can say."""
    if depth < 3 and chance.random() < 0.3:
        count = chance.randrange(4)
        if chance.random() < 0.5:
            return [_thing(chance, depth + 1) for _ in range(count)]
        return {chance.choice([*FIELDS, 1, True]): _thing(chance, depth + 1) for _ in range(count)}
    return chance.choice(
        [
            None, True, False, 0, 1, -1, 2**63, 2**64, -(2**70), 10**5000, 1.5, float("nan"), float("inf"),
            "", "ok", "error", "out", "log", "x" * 100, b"", b"\x80", b"\x81\x01", b"\xff",
            cbor2.undefined, cbor2.CBORTag(chance.choice([2, 30, 35, 36, 39, 256, 40001, 40003, 40005]), [1, 2]),
        ]
    )  # fmt: skip


def _message(chance: random.Random) -> Any:
    kind = chance.choice(KINDS)
    if chance.random() < 0.2:
        return _thing(chance)
    if kind == "call" and chance.random() < 0.7:
        arguments = [_thing(chance, 2) for _ in range(chance.choice([0, 1, 2, 3, 4, 9, 9]))]
        packed = cbor2.dumps(arguments) if chance.random() < 0.9 else _thing(chance)
        return ["call", chance.choice([1, 2, 3, 2**70, 0, "1"]), chance.choice(OPERATIONS), packed]
    if kind == "done" and chance.random() < 0.7:
        report = {chance.choice(FIELDS): _thing(chance) for _ in range(chance.randrange(4))}
        if chance.random() < 0.5:
            report["error"] = {chance.choice(FIELDS): _thing(chance) for _ in range(chance.randrange(4))}
        return ["done", report]
    return [kind, *(_thing(chance) for _ in range(chance.randrange(4)))]


def _outbox(chance: random.Random) -> bytes:
    said: Any = [_message(chance) for _ in range(chance.randrange(4))]
    data = bytearray(cbor2.dumps(said if chance.random() < 0.95 else _thing(chance)))
    for _ in range(chance.choice([0, 0, 0, 1, 3])):  # and bits of it are wrong
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def test_twenty_five_thousand_malformed_outboxes_are_messages_or_refused() -> None:
    """Whatever is wrong with them; those of the issue's kind were AttributeErrors and TypeErrors."""
    chance = random.Random(10)
    read = 0
    for _ in range(25_000):
        try:
            read += len(protocol.messages(_outbox(chance)))
        except Unencodable:
            continue
    assert read > 300


@pytest.mark.parametrize("seed", range(12))
async def test_a_lying_guest_ends_in_a_result_or_an_internal_error(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it says, and whatever it says its status is; and what waits for it is over afterwards."""
    chance = random.Random(seed)
    lies = 0

    def lying(_self: Sandbox, _max_bytes: int) -> bytes:
        nonlocal lies
        lies += 1
        return _outbox(chance)

    monkeypatch.setattr(Sandbox, "outbox_up_to", lying)
    run = Sandbox.run

    def lie(self: Sandbox, *arguments: Any) -> int:
        run(self, *arguments)
        return chance.choice([0, 0, 1, 2, 3, 7])

    monkeypatch.setattr(Sandbox, "run", lie)
    limits = Limits(timeout_s=0.02, tokens=10_000, calls=100)
    async with Runtime(
        provider=InlineProvider(), limits=limits, host_functions={"f": lambda *_a: 1}
    ) as runtime:
        for _ in range(40):
            async with runtime.session() as session:
                await session.load_context("some text")
                try:
                    result = await session.execute("(+ 1 2)")
                except InternalError:
                    continue
                assert isinstance(result, Result)
                assert isinstance(result.to_dict(), dict)
                session.state()
                session.scope_log()
    assert lies >= 20


PROGRAMS = [
    "(+ 1 2)", "(list 1 2.5 \"x\" 'y #\\a (hash \"a\" 1))", '(finish "v")', '(error "bad" 1 2)', "(car 5)", "(nosuch)",
    '(display "hi") (syntax-e (llm-query #:instruction "x" #:data "d" #:max-tokens 5))', "(raise (list 1 2))",
    '(map-async (lambda (i) (llm-query-async #:instruction i)) (list "a" "b" "c"))', "(context-lines 0 1)",
    '(checkpoint "k" (list 1 2)) (restore "k")', "(string-length context)", "(f 1 2)", "(tokens-used)",
    "(with-timeout 0.001 (lambda () (sleep 1)) (lambda () 5))", "(fork-map (lambda (x) (* x x)) (list 1 2 3))",
    '(llm-query #:instruction "x" #:recursive #t)', '(eprintf "e") (define x 1)', '(context-search "t")',
    '(unsafe-raw-query #:instruction "x")', '(write-file "a" "b")', "(current-milliseconds)",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
async def test_messages_that_were_real_before_something_in_them_was_changed(
    seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They come further than what is random: a part is missing, there twice, of another kind, or another message's.

    Each ends in a Result or an InternalError; nothing of it is left in flight, and the session goes on.
    """
    chance = random.Random(seed)
    said = Sandbox.outbox_up_to
    lies = left = 0

    def lying(self: Sandbox, max_bytes: int) -> bytes | None:
        nonlocal lies, left
        data = said(self, max_bytes)
        if data is None or not left or chance.random() < 0.5:
            return data
        lies, left = lies + 1, left - 1
        return mutated(data, chance)

    monkeypatch.setattr(Sandbox, "outbox_up_to", lying)
    limits = Limits(timeout_s=0.05, tokens=10_000, calls=100, depth=1)
    functions = {"f": lambda *_arguments: 1}
    for _ in range(25):
        async with (
            Runtime(
                InlineProvider(), python="off", limits=limits, host_functions=functions, workspace=tmp_path
            ) as runtime,
            runtime.session() as session,
        ):
            await session.load_context("some text\n" * 20)
            for program in chance.sample(PROGRAMS, 3):
                left = 3
                try:
                    result = await session.execute(program)
                except InternalError:
                    left = 0
                    break
                left = 0
                assert isinstance(result, Result)
                assert isinstance(result.to_dict(), dict)
                session.scope_log()
                if result.status != "ok":
                    assert session.state()["calls_in_flight"] == [], (program, result)
            else:
                assert (await session.execute("(+ 1 2)")).value == "3"
    assert lies > 40


@pytest.mark.parametrize("id_", [0, 1, 2])
async def test_a_request_cannot_claim_to_be_an_earlier_executions(
    id_: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of an execution that is undone are cancelled with it: by its number none of them escapes that."""
    said = Sandbox.outbox_up_to
    lying = False

    def lie(self: Sandbox, max_bytes: int) -> bytes | None:
        data = said(self, max_bytes)
        if not lying or data is None or b"llm" not in data:
            return data
        ((kind, _, *rest),) = cbor2.loads(data)
        return cbor2.dumps([[kind, id_, *rest], ["dance"]])

    monkeypatch.setattr(Sandbox, "outbox_up_to", lie)
    gate = GatedProvider()
    async with Runtime(gate, python="off") as runtime, runtime.session() as session:
        running = asyncio.create_task(session.execute('(syntax-e (llm-query #:instruction "x"))'))
        await gate.arrived(1)
        gate.release_all()
        assert (await running).ok
        lying = True
        result = await session.execute('(syntax-e (llm-query #:instruction "y"))')
        assert result.rolled_back
        lying = False
        assert (session.state()["calls_in_flight"], gate.waiting) == ([], [])
        again = asyncio.create_task(session.execute('(syntax-e (llm-query #:instruction "z"))'))
        await gate.arrived(1)
        gate.release_all()
        assert (await again).ok


@pytest.mark.parametrize(
    "tag", [0, 1, 4, 5, 25, 28, 29, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000]
)
def test_tags_that_build_objects_in_the_host_are_refused(tag: int) -> None:
    """Regular expressions, e-mail, dates, networks, sets, cycles: by a list of what is allowed."""
    contents = ["2020-01-01", 1, [1, 2], "(a+)+$", b"\x01" * 16, [b"\x7f\0\0\1", 8], {"a": 1}]
    for content in contents:
        data = cbor2.dumps([cbor2.CBORTag(tag, content)])
        with pytest.raises(Unencodable):
            protocol.decode(data)
        with pytest.raises(Unencodable):
            list(protocol.decode_in_turns(data))


class Worse(BaseException):
    """As a panic of a library in another language is."""


class Unshowable(Exception):
    """Cannot be printed."""

    def __str__(self) -> str:
        raise ValueError("no text")


AT_ONCE = [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), Worse("x"), Unshowable()]
LATER = [SystemExit(1), KeyboardInterrupt(), Unshowable()]
"""What else a task dies of, asyncio itself tells the loop's handler."""


@pytest.mark.parametrize(
    ("error", "waits"), [*((error, False) for error in AT_ONCE), *((error, True) for error in LATER)]
)
async def test_what_a_host_function_raises_is_its_failure(error: BaseException, waits: bool) -> None:
    """It ends neither the process nor the loop nor the session."""

    def at_once() -> None:
        raise error

    async def later() -> None:
        await asyncio.sleep(0)
        raise error

    functions = {"f": later if waits else at_once}
    async with (
        Runtime(provider=InlineProvider(), host_functions=functions) as runtime,
        runtime.session() as session,
    ):
        result = await session.execute("(guard (e (#t (condition/report-string e))) (f))")
        assert result.ok
        assert type(error).__name__ in result.value
        assert (await session.execute("(+ 1 2)")).value == "3"


async def test_cancelling_from_inside_of_a_host_function_is_its_failure_too() -> None:
    """The execution is not its to cancel."""

    def cancel() -> None:
        raise asyncio.CancelledError

    async with Runtime(provider=InlineProvider(), host_functions={"f": cancel}) as runtime:
        assert (await runtime.run("(guard (e (#t 'failed)) (f))")).value == "failed"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fuel", "1000"), ("memory_bytes", 1.5), ("timeout_s", "5"), ("timeout_s", float("nan")), ("calls", -1),
        ("concurrency", 0), ("calls", None), ("cost_usd", "1"), ("depth", True), ("message_bytes", 1 << 40),
        ("host_bytes", [1]), ("tokens", float("inf")),
    ],
)  # fmt: skip
def test_a_limit_that_is_no_number_is_refused(name: str, value: Any) -> None:
    """A text is larger than every number, and not a number is smaller than none."""
    with pytest.raises(UsageError, match=name):
        Limits(**{name: value})


@pytest.mark.parametrize("timeout", [float("nan"), -1, "soon"])
async def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    """Before anything runs."""
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        with pytest.raises(ValueError):
            await session.execute("1", timeout_s=timeout)
        assert (await session.execute("(+ 1 2)")).value == "3"


@pytest.mark.parametrize(
    "program", ["(expt 7 20000)", "(let loop ((i 0) (l '())) (if (< i 300) (loop (+ i 1) (list l)) l))"]
)
async def test_large_integers_and_nesting_survive_as_a_table(program: str) -> None:
    """Where Python itself would refuse to print them."""
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(program)
    assert result.ok
    assert json.dumps(result.to_dict())


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    "said",
    [
        "half \ud83d",
        '```scheme\n(finish "half \ud83d")\n```',
        '```scheme\n(display "half \ud83d")\n```',
        RuntimeError("half \ud83d"),
        ProviderError("half \ud83d"),
    ],
    ids=["text", "value", "output", "error", "refusal"],
)
async def test_half_a_character_of_a_model_is_no_end_of_a_question(
    said: str | Exception, inline: bool, tmp_path: Path
) -> None:
    """As an answer that was cut may end with: it is replaced, wherever the answer goes and is kept."""

    def answer(_request: CompletionRequest) -> Completion:
        if isinstance(said, Exception):
            raise said
        return Completion(text=said, model="m\ud83d", prompt_tokens=1, completion_tokens=1)

    provider = InlineProvider(answer)
    provider.inline = inline
    log = tmp_path / "run.jsonl"
    async with Runtime(provider, python="off", limits=Limits(iterations=2), log=log) as runtime:
        answered = await runtime.ask("what \udc00?", context={"a \ud83d": "some \ud83d"})
        assert json.dumps(answered.to_dict(), ensure_ascii=False).encode()
        for program in ('(llm-query #:instruction "x")', '(llm-query #:instruction "x" #:recursive #t)'):
            result = await runtime.run(f"(guard (e (#t (condition/report-string e))) (syntax-e {program}))")
            assert json.dumps(result.to_dict(), ensure_ascii=False).encode()
            assert result.ok
    assert log.read_bytes().decode()

"""Random programs and damaged inputs, for as long as there is time, from a seed that is printed.

* ``core``: programs of the corpora, spliced and damaged, through the native build with its sanitizers:
  reader, expander, compiler, machine, regexps, JSON, numbers, printer. A crash or a sanitizer's word is
  a finding.
* ``data``: texts of the kept corpora (``proof/inputs.py``), damaged, through the native build's readers of JSON,
  numbers, data and regular expressions, and damaged messages through its CBOR; answers are judged by Python.
* ``ways``: random programs through the whole stack, once as they are, once with time slices of a few
  steps, once with a snapshot at every call, which another runtime takes up. Three times the same result.
* ``border``: messages and snapshots with bytes changed, cut, doubled: a clear error, or a session that
  works and whose limits hold.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cbor2

from proof import inputs
from proof.programs import CONTEXT, PROGRAMS, answer, runtime_for
from proof.sweep import Answers
from rlm_wasm import Completion, CompletionRequest, Limits, Result, RlmError, Runtime, Snapshot
from rlm_wasm.execution import guest
from rlm_wasm.records import unstructure
from rlm_wasm.sandbox import protocol
from security.forging import forged

if TYPE_CHECKING:
    import native


@dataclass
class Report:
    """How many inputs were tried, and what was found: the input, and what is wrong with it."""

    tried: int = 0
    found: list[tuple[str, str]] = field(default_factory=list)


class Clock:
    """Goes on for so many seconds, or for so many inputs."""

    def __init__(self, *, seconds: float | None = None, inputs: int | None = None) -> None:
        self._seconds = seconds
        self._inputs = inputs

    def __iter__(self) -> Iterator[int]:
        end = None if self._seconds is None else time.monotonic() + self._seconds
        number = 0
        while (end is None or time.monotonic() < end) and number != self._inputs:
            yield number
            number += 1


# ---- damaged programs ----

_TOKENS = re.compile(r"\"(?:[^\"\\]|\\.)*\"|;[^\n]*|[()\[\]{}'`,]|[^\s()\[\]{}'`,;\"]+|\s+")
_ODD = [
    *("'()", '""', "#t", "-0.0", "+inf.0", "+nan.0", "1/3", "(expt 2 200)", "-9223372036854775808", "1e400"),
    *('"\\u0000"', '"\U0001f600"', "#\\x0", "#u8(255)", '#px"(a|b)*"', "#;", "...", "#!eof", "#0=(1 . #0#)"),
    *(
        "(make-vector 3 0)",
        "(call/cc values)",
        "(lambda x x)",
        "(hash)",
        '(open-input-string "(")',
        "call/cc",
    ),
    *("(current-output-port)", '(string->number "1e")', "(vector)", "define", "set!", "'sym", "(delay 1)"),
]


def damaged(rng: random.Random, corpus: list[str]) -> str:
    """A program of the corpus with a few tokens replaced, dropped, doubled, moved, or taken from another."""
    tokens = _TOKENS.findall(rng.choice(corpus))
    if len(tokens) > 400:
        start = rng.randrange(len(tokens) - 300)
        tokens = tokens[start : start + 300]
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(tokens) + 1)
        act = rng.randrange(6)
        if act == 0:
            tokens[at : at + 1] = [rng.choice(_ODD)]
        elif act == 1:
            del tokens[at : at + rng.randrange(1, 4)]
        elif act == 2:
            tokens[at:at] = tokens[at : at + rng.randrange(1, 12)] * rng.choice((1, 2, 50))
        elif act == 3:
            other = _TOKENS.findall(rng.choice(corpus))
            start = rng.randrange(max(1, len(other)))
            tokens[at : at + rng.randrange(4)] = other[start : start + rng.randrange(1, 30)]
        elif act == 4 and at < len(tokens):
            text = tokens[at]
            cut = rng.randrange(len(text) + 1)
            tokens[at] = text[:cut] + chr(rng.choice((0, 34, 40, 92, 124, 0x3BB, 0x1F600))) + text[cut:]
        else:
            rng.shuffle(tokens[at : at + 6])
            tokens[at:at] = [rng.choice(_ODD), " "]
        if not tokens:
            tokens = ["1"]
    return "".join(tokens)[:20_000]


def core(clock: Clock, seed: int) -> Report:
    """Damaged programs through the native build. Raises NoNativeBuild where there can be none."""
    import native

    built = native.build(say=lambda text: None)
    corpus = [case.source for case in native.cases()] + list(PROGRAMS.values())
    rng = random.Random(seed)
    report = Report()
    sessions = None
    options = native.DEFAULT
    for number in clock:
        if number % 200 == 0:
            if sessions is not None:
                sessions.close()
            steps = rng.choice((20_000, 997, 61))
            options = native.Options(steps=steps, memory_mib=rng.choice((24, 64)), seconds=2)
            sessions = native.Sessions(built, options)
        assert sessions is not None
        source = damaged(rng, corpus)
        outcome = sessions.run(source)
        report.tried += 1
        if outcome.crash is not None and not _stopped(outcome.crash):
            report.found.append((source, f"with {options}: {outcome.crash[:2000]}"))
    if sessions is not None:
        sessions.close()
    return report


# ---- damaged texts, and their answers ----

_AT_ONCE = 40
"""Inputs to a program: a session takes a few milliseconds."""
_MOST_KEPT = 4_000


def data(clock: Clock, seed: int, keep: bool = False) -> Report:
    """Texts for the guest's parsers, and messages. ``keep``: add what it says new things about to the corpora.

    Raises NoNativeBuild where there can be none.
    """
    import native

    built = native.build(say=lambda text: None)
    rng = random.Random(seed)
    report = Report()
    known = {kind: inputs.corpus(kind) for kind in inputs.KINDS}
    messages = [bytes.fromhex(text) for text in inputs.corpus("messages")]
    heard: dict[str, set[str]] = {kind: set() for kind in inputs.KINDS}
    new: dict[str, list[str]] = {kind: [] for kind in inputs.KINDS}
    sessions = None
    for number in clock:
        if number % 50 == 0:
            if sessions is not None:
                sessions.close()
            steps = rng.choice((20_000, 997, 61))
            sessions = native.Sessions(built, native.Options(steps=steps, memory_mib=64, seconds=20))
        assert sessions is not None
        if number % 6 == 5:
            _messages_to(sessions, rng, messages, report)
            continue
        name = rng.choice(list(inputs.KINDS))
        kind = inputs.KINDS[name]
        texts = [
            kind.made(rng) if kind.made else inputs.damaged(rng, known[name], kind.letters)
            for _ in range(_AT_ONCE)
        ]
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        answers = _answers(sessions, kind, texts, report)
        for text, said in zip(texts, answers, strict=True):
            report.tried += 1
            if said is None:
                continue
            if problem := kind.judge(text, said):
                report.found.append((f"{name}: {text!r}", problem))
            words = inputs.signature(said)
            if words not in heard[name] and len(known[name]) < _MOST_KEPT:
                heard[name].add(words)
                known[name].append(text)
                new[name].append(text)
    if sessions is not None:
        sessions.close()
    if keep:
        for name, texts in new.items():
            inputs.keep(name, [text for text in texts if text not in inputs.corpus(name)])
    return report


def _answers(sessions: native.Sessions, kind: inputs.Kind, texts: list[str], report: Report) -> list[Any]:
    """For each text ["ok", value] or ["error", message]; None for what only takes too long, or was told."""
    outcome = sessions.run(inputs.program(kind, texts))
    value = (outcome.outcome or {}).get("data")
    if outcome.crash is None and isinstance(value, bytes):
        answers = protocol.decode(value)
        assert isinstance(answers, list)
        return answers
    if len(texts) > 1:
        half = len(texts) // 2
        return _answers(sessions, kind, texts[:half], report) + _answers(sessions, kind, texts[half:], report)
    if outcome.crash is not None and not _stopped(outcome.crash):
        report.found.append((repr(texts[0]), outcome.crash[:2000]))
    return [None]


def _messages_to(
    sessions: native.Sessions, rng: random.Random, messages: list[bytes], report: Report
) -> None:
    for _ in range(10):
        message = changed(rng, rng.choice(messages))
        report.tried += 1
        outcome = sessions.send(message)
        if outcome.crash is not None and not _stopped(outcome.crash):
            report.found.append((message.hex(), outcome.crash[:2000]))


def _stopped(crash: str) -> bool:
    """Whether a process only ran for longer than it may: an endless loop is no defect."""
    return crash.startswith("signal 14")


# ---- random programs, in several ways ----


class Generator:
    """Programs that end, with calls at any depth. Every name is bound, most operations are of the right kind."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names = 0

    def program(self) -> str:
        """A few definitions and an expression."""
        known: list[tuple[str, str]] = []
        lines = []
        for _ in range(self._rng.randrange(1, 5)):
            kind = self._rng.choice(("int", "str", "list"))
            name = self._name()
            lines.append(f"(define {name} {self._of(kind, known, 3)})")
            known.append((name, kind))
        results = " ".join(self._of(self._rng.choice(("int", "str", "list")), known, 4) for _ in range(3))
        return "\n".join([*lines, f"(list {results})"])

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _of(self, kind: str, known: list[tuple[str, str]], depth: int) -> str:
        rng = self._rng
        names = [name for name, of in known if of == kind]
        if depth <= 0 or rng.random() < 0.15:
            if names and rng.random() < 0.6:
                return rng.choice(names)
            leaf = {
                "int": str(rng.choice((0, 1, -7, 12345678901234567890, rng.randrange(100)))),
                "str": rng.choice(('"a"', '"λx"', '""', '"some words"')),
                "list": rng.choice(("'()", "(list 1 2 3)", '(list "x" 4)')),
            }
            return leaf[kind]

        def sub(of: str, more: tuple[tuple[str, str], ...] = ()) -> str:
            return self._of(of, [*known, *more], depth - 1)

        name = self._name()
        bound = ((name, "int"),)
        common = [
            lambda: f"(if (even? {sub('int')}) {sub(kind)} {sub(kind)})",
            lambda: f"(let (({name} {sub('int')})) {sub(kind, bound)})",
            lambda: f"(call/cc (lambda (k) (if (zero? {sub('int')}) (k {sub(kind)}) {sub(kind)})))",
            lambda: f"(dynamic-wind void (lambda () {sub(kind)}) (lambda () {sub('str')}))",
            lambda: (
                f'(try (begin (when (odd? {sub("int")}) (error "odd")) {sub(kind)}) on-error (lambda (m) {sub(kind)}))'
            ),
            lambda: f"(await (spawn (lambda () {sub(kind)})))",
            lambda: f"(force (delay {sub(kind)}))",
            lambda: f"(begin (display {sub('str')}) {sub(kind)})",
        ]
        own = {
            "int": [
                lambda: f"({rng.choice('+-*')} {sub('int')} {sub('int')})",
                lambda: f"(string-length {sub('str')})",
                lambda: f"(length {sub('list')})",
                lambda: f"(for/sum ([{name} (in-range {rng.randrange(6)})]) {sub('int', bound)})",
                lambda: f"(quotient {sub('int')} {rng.choice((3, -5, 100))})",
            ],
            "str": [
                lambda: f'(syntax-e (llm-query #:instruction "q" #:data {sub("str")}))',
                lambda: f"(string-append {sub('str')} {sub('str')})",
                lambda: f"(number->string {sub('int')})",
                lambda: f'(format "~s" {sub("list")})',
                lambda: f"(string-upcase {sub('str')})",
            ],
            "list": [
                lambda: f"(map (lambda ({name}) {sub('int', bound)}) (range {rng.randrange(5)}))",
                lambda: (
                    f'(map-async (lambda ({name}) (llm-query-async #:instruction "m" #:data (format "~a" {sub("int", bound)})))'
                    f" (range {rng.randrange(5)}))"
                ),
                lambda: f"(append {sub('list')} {sub('list')})",
                lambda: f"(reverse {sub('list')})",
                lambda: f"(list {sub('int')} {sub('str')})",
                lambda: (
                    f"(sort (list {sub('int')} {sub('int')} {sub('int')}) (lambda (a b) (begin {sub('str')} (< a b))))"
                ),
                lambda: f"(hash-values (hash 1 {sub('int')}))",
            ],
        }
        return str(rng.choice(common + own[kind] * 2)())


class _Held:
    """Answers a call when it is let go; ``waiting`` is set as soon as one waits."""

    name = "held"
    default_model = "answering"
    free = True

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.go = asyncio.Event()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Wait, and answer."""
        self.waiting.set()
        await self.go.wait()
        return answer(request)


async def _plain(source: str, limits: Limits) -> Result:
    async with runtime_for(Answers(), limits=limits) as runtime:
        return await runtime.run(source, context=CONTEXT)


async def _snapshotted(source: str, limits: Limits, at: int) -> Result:
    """A snapshot at call ``at``, its dump loaded by another runtime, and on from there."""
    held = _Held()
    async with runtime_for(held, limits=limits) as first, first.session() as session:
        await session.load_context(CONTEXT)
        running = asyncio.ensure_future(session.execute(source))
        for passed in range(at):
            waiting = asyncio.ensure_future(held.waiting.wait())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if running.done():
                return await running
            if passed + 1 < at:
                held.waiting.clear()
                held.go.set()
                await asyncio.sleep(0)
                held.go.clear()
        dump = (await session.snapshot()).dump()
        session.cancel()
        await running
    async with runtime_for(Answers(), limits=limits) as second:
        session = await second.restore(Snapshot.load(dump))
        async with session:
            return await session.resume()


def outcome(result: Result) -> tuple[object, ...]:
    """What must be the same. Fibers print in an order that depends on where their turns end."""
    error = result.error
    return (
        result.status,
        result.value,
        sorted(result.stdout),
        error and (error.type, error.message, error.line, error.column),
    )


async def ways(clock: Clock, seed: int) -> Report:
    """Random programs as they are, in short slices, and through snapshots."""
    rng = random.Random(seed)
    report = Report()
    limits = Limits(fuel=2_000_000_000, timeout_s=60)
    for _ in clock:
        source = Generator(rng).program()
        expected = outcome(await _plain(source, limits))
        report.tried += 1
        steps = rng.choice((200, 1_009, 7_919))
        before = guest.SLICE_STEPS
        guest.SLICE_STEPS = steps  # type: ignore[misc]
        try:
            sliced = outcome(await _plain(source, limits))
        finally:
            guest.SLICE_STEPS = before  # type: ignore[misc]
        if sliced != expected:
            report.found.append((source, f"in slices of {steps} steps: {sliced} instead of {expected}"))
        at = rng.randrange(1, 6)
        again = outcome(await _snapshotted(source, limits, at))
        if (again[0], again[1], again[3]) != (expected[0], expected[1], expected[3]):
            report.found.append((source, f"with a snapshot at call {at}: {again} instead of {expected}"))
    return report


# ---- damaged bytes ----


def changed(rng: random.Random, data: bytes) -> bytes:
    """The bytes with some of them changed, cut out, doubled or moved."""
    body = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(body) + 1) if body else 0
        act = rng.randrange(5)
        if act == 0 and at < len(body):
            body[at] ^= 1 << rng.randrange(8)
        elif act == 1:
            del body[at : at + rng.choice((1, 2, 9, 200))]
        elif act == 2:
            body[at:at] = body[at : at + rng.choice((1, 8, 64))]
        elif act == 3:
            body[at:at] = rng.choice(
                (b"\x9f", b"\xff", b"\x5b" + b"\xff" * 8, b"\xc2", b"\xf9\x7e\x00", b"\xd9\x01\x02")
            )
        else:
            del body[at:]
    return bytes(body)


async def _messages(runtime: Runtime) -> list[bytes]:
    """What guests really say: the outboxes of a few programs."""
    said = []
    for source in (
        "(+ 1 2)",
        '(list "a" 1/2 #\\b (hash 1 2))',
        "(car 1)",
        '(display "x")',
        "(make-vector 50 'a)",
    ):
        result = await runtime.run(source)
        said.append(
            protocol.encode([["done", {"value": result.value, "data": None, "status": result.status}]])
        )
        said.append(
            protocol.encode([["note", "out", result.stdout], ["call", 1, 2, "llm-query", [result.value, {}]]])
        )
    return said


async def border(clock: Clock, seed: int) -> Report:
    """Damaged messages through the decoder; damaged snapshots through load, restore and a program."""
    rng = random.Random(seed)
    report = Report()
    limits = Limits(fuel=50_000_000, memory_bytes=32 << 20, timeout_s=20)
    async with runtime_for(Answers(), limits=limits) as runtime:
        messages = await _messages(runtime)
        async with runtime.session() as session:
            await session.load_context(CONTEXT)
            await session.execute('(define x (list 1 2)) (checkpoint "k" 1) (llm-query #:instruction "q")')
            snapshot = await session.snapshot()
        packed = cbor2.dumps(unstructure(snapshot.body))
        for _ in clock:
            report.tried += 1
            data = changed(rng, rng.choice(messages))
            try:
                protocol.messages(data)
            except RlmError:
                pass
            except Exception as error:
                report.found.append((data.hex(), f"decoding raises {error!r}"))
            try:
                body = cbor2.loads(changed(rng, packed))
                data = forged(snapshot, lambda _header, _body, body=body: body)
            except (cbor2.CBORDecodeError, cbor2.CBOREncodeError, UnicodeError, ValueError, TypeError):
                continue  # no snapshot could hold that
            if problem := await _restored(runtime, data):
                report.found.append((repr(body)[:2000], problem))
    return report


async def _restored(runtime: Runtime, data: bytes) -> str | None:
    """What is wrong with how a forged snapshot is taken; None where it is refused, or harms itself alone."""
    try:
        session = await runtime.restore(Snapshot.load(data), namespace="mine")
    except RlmError:
        return None
    except Exception as error:
        return f"restoring raises {error!r}"
    async with session:
        try:
            result = await (session.resume() if session.suspended else session.execute("(list x 1)"))
        except RlmError as error:
            return f"a restored session raises {error!r}"
        if result.status not in ("ok", "finished", "error", "limit"):
            return f"a restored session ends with {result.status}"
    return None

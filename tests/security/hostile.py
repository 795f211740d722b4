"""The hostile corpus: programs by attack, each with the one outcome that it must have.

``corpus/ATTACK.scm`` holds the programs of one attack. Each begins with lines of three semicolons::

    ;;; what the program tries, in words
    ;;; => value "the value as it is shown"     or: finished "…", limit FIELD, error TYPE "a part of the message"
    ;;; limits: fuel=1000000 calls=2            (optional) tighter ones than ``CEILING``
    ;;; answer: "a Python literal"              (optional) what the model answers, instead of [instruction];
                                             ``"x" * 1000`` is one, too
    ;;; program: "a Python literal"             (optional) what a sub-model writes, for #:recursive calls
    ;;; then: "0"                               (optional) what (+ 1 2) gives afterwards, where it is not 3

and goes on to the next such line.
"""

from __future__ import annotations

import ast
import asyncio
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proof.sweep import Answers, check_after
from rlm_wasm import Completion, CompletionRequest, Limits, Result, Runtime, Session, Snapshot

CORPUS = Path(__file__).parent / "corpus"
CONTEXT = "".join(f"line {i}: {'even' if i % 2 == 0 else 'odd'} — {i * i}\n" for i in range(100))
SECRET = "what the neighbour knows"

CEILING = Limits(
    fuel=400_000_000, memory_bytes=19 << 20, python_memory_bytes=64 << 20, timeout_s=120, output_bytes=1 << 16,
    calls=20, handles=200, concurrency=4, depth=2, message_bytes=1 << 20, tokens=10**9, cost_usd=1_000.0,
    host_bytes=4 << 20, checkpoint_bytes=1 << 16, log_bytes=1 << 16, images=2, workspace_bytes=1 << 16, iterations=3,
)  # fmt: skip
"""What a program of the corpus may use, where it does not say that it wants less. Time is no part of any outcome."""


@dataclass(frozen=True)
class Hostile:
    """One program of the corpus. ``outcome``: (status, text), ("limit", field), ("error", type, part of the message)."""

    attack: str
    name: str
    source: str
    outcome: tuple[str, ...]
    limits: Mapping[str, Any] = field(default_factory=dict)
    answer: str | None = None
    program: str | None = None
    then: str = "3"

    def __str__(self) -> str:
        return f"{self.attack}: {self.name}"


_VALUE = re.compile(r"(value|finished) (['\"].*)")
_LIMIT = re.compile(r"(limit) (\w+)")
_ERROR = re.compile(r"(error) (\S+) (['\"].*)")


def parse(attack: str, text: str) -> Iterator[Hostile]:
    """The programs of one file.

    Raises:
        ValueError: an entry is not as the head of this module says.
    """
    entries: list[tuple[list[str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith(";;; "):
            if not entries or entries[-1][1]:
                entries.append(([], []))
            entries[-1][0].append(line[4:])
        elif entries:
            entries[-1][1].append(line)
    for head, body in entries:
        yield _entry(attack, head, "\n".join(body).strip())


def _entry(attack: str, head: list[str], source: str) -> Hostile:
    name, *rest = head
    outcomes = [line.removeprefix("=> ") for line in rest if line.startswith("=> ")]
    options = dict(line.split(": ", 1) for line in rest if not line.startswith("=> "))
    if len(outcomes) != 1 or not source or options.keys() - {"limits", "answer", "program", "then"}:
        raise ValueError(f"{attack}: {name}: wants one outcome, a program, and known options")
    found = _VALUE.fullmatch(outcomes[0]) or _LIMIT.fullmatch(outcomes[0]) or _ERROR.fullmatch(outcomes[0])
    if found is None:
        raise ValueError(f"{attack}: {name}: no outcome is written {outcomes[0]!r}")
    *before, last = found.groups()
    limits = dict(pair.split("=") for pair in options.get("limits", "").split())
    texts = {key: _text(options[key]) for key in ("answer", "program", "then") if key in options}
    return Hostile(
        attack,
        name,
        source,
        (*before, last if before == ["limit"] else ast.literal_eval(last)),
        {key: ast.literal_eval(value) for key, value in limits.items()},
        **texts,
    )


def _text(written: str) -> str:
    """A Python literal, or one so many times: ``"x" * 1000``."""
    literal, _, times = written.rpartition(" * ")
    return str(ast.literal_eval(literal)) * int(times) if literal else str(ast.literal_eval(written))


def corpus() -> list[Hostile]:
    """All of it, attack by attack."""
    return [
        entry
        for path in sorted(CORPUS.glob("*.scm"))
        for entry in parse(path.stem, path.read_text(encoding="utf-8"))
    ]


# ---- what is granted


class Model(Answers):
    """Answers as an entry wants it, at a price. Held, it waits with its first answer until it is let go."""

    free = False

    def __init__(self) -> None:
        super().__init__()
        self.text: str | None = None
        self.program: str | None = None
        self.seen: list[CompletionRequest] = []
        self.held: asyncio.Event | None = None
        self.waiting = asyncio.Event()

    def play(self, entry: Hostile) -> None:
        """From now on this entry's."""
        self.asked = self.answered = 0
        self.text, self.program, self.seen = entry.answer, entry.program, []

    async def complete(self, request: CompletionRequest) -> Completion:
        """The entry's answer."""
        self.seen.append(request)
        self.asked += 1
        self.in_flight += 1
        try:
            self.waiting.set()
            if self.held is not None:
                await self.held.wait()
            await asyncio.sleep(0)
            text = f"[{request.instruction}]" if self.text is None else self.text
            if request.purpose == "program":
                text = f"```scheme\n{self.program or '(finish 1)'}\n```"
            self.answered += 1
            return Completion(
                text=text, model="m", prompt_tokens=10, completion_tokens=max(5, min(len(text) // 4, 4096))
            )
        finally:
            self.in_flight -= 1

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars: ten for a million."""
        return (prompt_tokens + completion_tokens) / 100_000


class Unshowable(Exception):
    """Cannot be printed."""

    def __str__(self) -> str:
        raise ValueError("no text")


def _cycle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def _deep() -> list[Any]:
    items: list[Any] = []
    for _ in range(100_000):
        items = [items]
    return items


_WEIRD: Mapping[str, Callable[[], Any]] = {
    "cycle": _cycle, "deep": _deep, "surrogate": lambda: "a\ud800b", "object": object, "module": lambda: os,
    "nan": lambda: float("nan"), "huge": lambda: 10**5000, "function": lambda: print, "bytes": lambda: bytes(10),
    "generator": lambda: (i for i in range(3)), "keys": lambda: {(1, 2): 3}, "complex": lambda: 1j, "set": lambda: {1},
    "class": lambda: int, "self-made": lambda: type("T", (str,), {"__str__": lambda _self: "x"})("y"),
}  # fmt: skip


def _raising(error: BaseException) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


async def _waits(*_arguments: Any) -> None:
    await asyncio.Event().wait()


HOST_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "host-echo": lambda value: value,
    "host-length": lambda value: len(value),
    "host-add": lambda a, b: a + b,
    "host-weird": lambda kind: _WEIRD[kind](),
    "host-large": lambda size: "x" * min(size, 8 << 20),
    "host-fails": _raising(ValueError("refused")),
    "host-exits": _raising(SystemExit(3)),
    "host-interrupts": _raising(KeyboardInterrupt()),
    "host-unshowable": _raising(Unshowable()),
    "host-cancels": _raising(asyncio.CancelledError()),
    "host-waits": _waits,
}


def workspace(folder: Path) -> Path:
    """A folder with a file, a picture, and ways out of it."""
    (folder / "outside.txt").write_text(SECRET, encoding="utf-8")
    inside = folder / "workspace"
    inside.mkdir()
    (inside / "note.txt").write_text("a note\n", encoding="utf-8")
    (inside / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (inside / "not.png").write_bytes(b"GIF of another kind")
    (inside / "link.txt").symlink_to("../outside.txt")
    (inside / "link.png").symlink_to("/etc/hostname")
    (inside / "up").symlink_to("..")
    (inside / "loop").symlink_to("loop")
    os.mkfifo(inside / "pipe")
    return inside


def runtime_for(model: Model, attack: str, folder: Path) -> Runtime:
    """One for all programs of an attack. Python is there for those that are about it."""
    return Runtime(
        provider=model,
        limits=CEILING,
        host_functions=HOST_FUNCTIONS,
        workspace=workspace(folder),
        python="wasi" if attack in ("python", "workspace") else "off",
    )


# ---- running


async def run(runtime: Runtime, model: Model, entry: Hostile) -> Result:
    """Its outcome in a session of its own, which is looked at afterwards.

    Raises:
        Anomaly: the session does not answer, something is in flight or held, or accounts and log disagree.
    """
    model.play(entry)
    limits = Limits(**entry.limits)
    async with runtime.session(limits=limits, namespace=entry.name) as session:
        await session.load_context(CONTEXT)
        if entry.attack == "snapshots":
            return await _through_a_snapshot(runtime, model, entry, session)
        result = await session.execute(entry.source)
        await check_after(session, model, result, str(entry), then=entry.then)
        return result


async def _through_a_snapshot(runtime: Runtime, model: Model, entry: Hostile, session: Session) -> Result:
    """Taken up from a snapshot at its first call, or at its end where it makes none, by another session."""
    model.held = asyncio.Event()
    model.waiting.clear()
    try:
        running = asyncio.ensure_future(session.execute(entry.source))
        waiting = asyncio.ensure_future(model.waiting.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        dump = (await session.snapshot()).dump()
        before = await running if running.done() else None
        session.cancel()
        await running
    finally:
        model.held.set()
        model.held = None
    model.play(entry)
    async with await runtime.restore(Snapshot.load(dump), namespace="another") as again:
        assert all(getattr(again.limits, name) <= value for name, value in entry.limits.items())
        result = await again.resume() if before is None else before
        await check_after(again, model, result, str(entry), then=entry.then)
        return result


def complaint(entry: Hostile, result: Result) -> str | None:
    """None where the outcome is the one that it must be; else what it was."""
    error = result.error
    if entry.outcome[0] == "error":
        _, kind, part = entry.outcome
        right = (
            result.status == "error" and error is not None and error.type == kind and part in error.message
        )
    elif entry.outcome[0] == "limit":
        right = result.status == "limit" and error is not None and error.kind == entry.outcome[1]
    else:
        status, text = entry.outcome
        right = result.status == {"value": "ok"}.get(status, status) and result.value == text
    if right:
        return None
    told = error and (error.type, error.kind, error.message[:300])
    return f"{result.status} {(result.value or '')[:300]!r} {told} instead of {entry.outcome}"

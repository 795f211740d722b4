"""A run as text for people: a tree of fibers and calls, with durations and costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from rlm_wasm.results import money, seconds
from rlm_wasm.runlog.events import FiberStarted, RequestStarted
from rlm_wasm.runlog.reading import whole_text
from rlm_wasm.runlog.story import CallStory, RequestStory, RunStory

Wanted = Callable[[CallStory], bool]
MAX_MARGIN: Final = 60
"""Columns in front of an execution: a made-up log may nest thousands."""


def duration(value: float | None) -> str:
    """Seconds for people, with the digits that say something."""
    if value is None:
        return "…"
    return f"{value * 1000:.0f} ms" if value < 1 else seconds(value)


def when(at: float) -> str:
    """A moment, in local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def one_line(text: str, max_chars: int = 100) -> str:
    """The beginning of a text in one line: what somebody else chose cannot begin another."""
    line = " ".join(text[: 4 * max_chars].split())
    return line if len(line) <= max_chars and len(text) <= 4 * max_chars else line[: max_chars - 1] + "…"


def text_of(story: RunStory, *, wanted: Wanted = lambda _call: True, full: bool = False) -> str:
    """The whole run. ``wanted`` chooses the calls that are shown, ``full`` shows all of their texts."""
    return "\n".join(_lines(story, wanted, full))


def _lines(story: RunStory, wanted: Wanted, full: bool) -> Iterator[str]:
    calls = len(story.calls)
    price = money(story.cost_usd)
    used = [f"{calls:,} call{'' if calls == 1 else 's'}", f"{story.tokens:,} tokens", price]
    yield f"{story.run}  {one_line(story.name)}  {one_line(story.status)}  {when(story.first_at)}"
    yield "  " + ", ".join(part for part in (*used, duration(story.seconds)) if part)
    if story.chapter:
        yield f"  part of: {one_line(story.chapter, 200)}"
    if story.started is not None:
        model = f", model {story.started.model}" if story.started.model else ""
        yield f"  provider {one_line((story.started.provider or '?') + model)}"
        if full:
            yield "program"
            yield from _indented(whole_text(story.started.program))
    for context in story.contexts:
        yield f"context {one_line(context.name or '(default)')}: {context.text.whole_length:,} characters"
    yield from _Tree(story, wanted, full).lines()
    for output in story.output:
        yield f"printed on {one_line(output.stream)}"
        yield from _indented(whole_text(output.text))
    if story.ended is None:
        for wait in story.waiting.values():
            child = f"child {wait.execution}: " if wait.execution else ""
            who = f"fiber {wait.fiber}" if wait.fiber else "the program"
            yield f"{child}{who} waits in line {wait.line or '?'} for {one_line(wait.what) or 'something'}"
        yield "it has not ended: it goes on, or its process did not live to its end"
        return
    if story.ended.value.text:
        yield "value"
        yield from _indented(whole_text(story.ended.value))
    if story.ended.derived_from:
        yield f"derived from calls {', '.join(map(str, story.ended.derived_from))}"
    error = story.ended.error
    if error is not None:
        place = f" (line {error.line}, column {error.column})" if error.line else ""
        yield f"error {one_line(error.type)}{place}"
        yield from _indented(error.message)
        yield from (f"  in {one_line(frame, 300)}" for frame in error.backtrace)
    for warning in story.ended.warnings:
        yield f"warning: {one_line(warning, 1_000)}"


def _indented(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"  {line}"


class _Tree:
    """The executions of a run, each below the call that began it, and in each its fibers in a tree.

    A log may be cut or made up: what nobody began that is shown, and what began itself, stands at the end.
    """

    def __init__(self, story: RunStory, wanted: Wanted, full: bool) -> None:
        self._full = full
        self._story = story
        self._things: dict[int, dict[int, list[CallStory | RequestStory]]] = {}
        for call in story.calls.values():
            if wanted(call):
                self._of(call.queued.execution, call.queued.fiber).append(call)
        for request in story.requests.values():
            self._of(request.started.execution, request.started.fiber).append(request)
        self._births: dict[int, dict[int, FiberStarted]] = {}
        for fiber in story.fibers:
            self._births.setdefault(fiber.execution, {})[fiber.fiber] = fiber
        self._children: dict[int, list[int]] = {}
        for number, child in story.children.items():
            self._children.setdefault(child.started.call, []).append(number)

    def _of(self, execution: int, fiber: int | None) -> list[CallStory | RequestStory]:
        return self._things.setdefault(execution, {}).setdefault(fiber or 0, [])

    def lines(self) -> Iterator[str]:
        """All of it. Executions lie in each other as deep as the log says, and so on no stack of Python's."""
        shown: set[int] = set()
        for root in [0, *self._things]:
            if root in shown:
                continue
            if root:
                yield f"child {root}: the call that began it is not shown"
            stack = [self._execution(root, "  " if root else "")]
            shown.add(root)
            while stack:
                piece = next(stack[-1], None)
                if piece is None:
                    stack.pop()
                elif isinstance(piece, str):
                    yield piece
                elif piece[0] not in shown:
                    shown.add(piece[0])
                    stack.append(self._execution(*piece))

    def _execution(self, number: int, margin: str) -> Iterator[str | tuple[int, str]]:
        """Its lines; for an execution in it, its number and margin."""
        births, things = self._births.get(number, {}), self._things.get(number, {})
        for fiber, depth in self._fibers(births, things):
            inner = margin + "  " * depth
            if fiber:
                birth = births.get(fiber)
                where = f", line {birth.line}" if birth is not None and birth.line else ""
                yield f"{inner}fiber {fiber}{'' if birth is None else f' ({one_line(birth.what)}{where})'}"
            for thing in sorted(things.get(fiber, []), key=_at):
                if isinstance(thing, RequestStory):
                    yield _request(thing, inner + "  ")
                    continue
                yield from _call(thing, self._full, inner + "  ")
                for child in self._children.get(thing.queued.call, []):
                    program = self._story.children[child].started.program
                    yield f"{inner}    child {child}: {one_line(program.text)}"
                    yield child, (inner + "      ")[:MAX_MARGIN]

    def _fibers(
        self, births: dict[int, FiberStarted], things: dict[int, list[CallStory | RequestStory]]
    ) -> Iterator[tuple[int, int]]:
        """Those that asked for something, and how deep they lie: each below the next one that did, too."""
        below: dict[int, list[int]] = {}
        for fiber in things:
            if fiber:
                below.setdefault(self._above(fiber, births, things), []).append(fiber)
        given: set[int] = set()
        for root in [0, *sorted(things)]:
            stack = [] if root in given else [(root, 1 if root else 0)]
            while stack:
                fiber, depth = stack.pop()
                if fiber in given:
                    continue
                given.add(fiber)
                yield fiber, depth
                stack += [(child, depth + 1) for child in sorted(below.get(fiber, []), reverse=True)]

    @staticmethod
    def _above(
        fiber: int, births: dict[int, FiberStarted], things: dict[int, list[CallStory | RequestStory]]
    ) -> int:
        passed = {fiber}
        while True:
            birth = births.get(fiber)
            fiber = 0 if birth is None else birth.parent
            if not fiber or things.get(fiber):
                return fiber
            if fiber in passed:
                return 0
            passed.add(fiber)


def _at(thing: CallStory | RequestStory) -> float:
    return thing.queued.at if isinstance(thing, CallStory) else thing.started.at


def _call(call: CallStory, full: bool, margin: str) -> Iterator[str]:
    asked, ended = call.queued, call.ended
    facts = [f"call {asked.call}", asked.op, call.model, call.status, duration(call.seconds)]
    if asked.line:
        facts.insert(2, f"line {asked.line}")
    if call.sent_at is not None and call.sent_at - asked.at >= 0.01:
        facts.append(f"waited {duration(call.sent_at - asked.at)}")
    if ended is not None and ended.status == "done":
        facts.append(
            "cached" if ended.cached else f"{ended.prompt_tokens:,}+{ended.completion_tokens:,} tokens"
        )
        facts.append(money(ended.cost_usd))
    if len(call.tries) > 1:
        facts.append(f"{len(call.tries)} tries")
    yield margin + "  ".join(one_line(fact) for fact in facts if fact)
    texts = [("asked", asked.instruction), ("data", asked.data)]
    if ended is not None and ended.answer is not None:
        texts.append(("answer", ended.answer))
    for label, text in texts:
        if text.text and full:
            yield f"{margin}  {label}"
            yield from (f"{margin}  {line}" for line in _indented(whole_text(text)))
        elif text.text:
            yield f"{margin}  {label:<7} {one_line(text.text)}"
    if ended is not None and ended.error:
        yield f"{margin}  {'failed':<7} {ended.error if full else one_line(ended.error, 300)}"


def _request(request: RequestStory, margin: str) -> str:
    started: RequestStarted = request.started
    took = None if request.ended is None else request.ended.at - started.at
    status = "running" if request.ended is None else request.ended.status
    where = f"line {started.line}  " if started.line else ""
    asks = one_line(started.arguments.text, 60)
    return f"{margin}{one_line(started.operation)}  {where}{one_line(status)}  {duration(took)}  {asks}"

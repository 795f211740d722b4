"""A run as its log tells it: records put together, of any part of a run and in any state of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.runlog.events import (
    CallEnded,
    CallQueued,
    CallSent,
    CallTried,
    ChapterStarted,
    ChildEnded,
    ChildStarted,
    ContextHeld,
    FiberGoesOn,
    FiberStarted,
    FiberWaits,
    OutputWritten,
    Record,
    RequestEnded,
    RequestStarted,
    RunEnded,
    RunStarted,
)


@dataclass(slots=True, eq=False)
class CallStory:
    """One call, as far as it is known. Times are seconds since 1970."""

    queued: CallQueued
    sent_at: float | None = None
    tries: list[CallTried] = field(default_factory=list)
    ended: CallEnded | None = None

    @property
    def status(self) -> str:
        """queued, running, done, failed or cancelled."""
        if self.ended is not None:
            return self.ended.status
        return "queued" if self.sent_at is None else "running"

    @property
    def model(self) -> str:
        """The one that answered, or that was asked."""
        answered = "" if self.ended is None else self.ended.model
        return answered or self.queued.model or "default"

    @property
    def seconds(self) -> float | None:
        """From its sending to its end."""
        if self.ended is None or self.sent_at is None:
            return None
        return max(0.0, self.ended.at - self.sent_at)


@dataclass(slots=True, eq=False)
class RequestStory:
    """Something else that was asked of the host."""

    started: RequestStarted
    ended: RequestEnded | None = None


@dataclass(slots=True, eq=False)
class ChildStory:
    """A recursive call's program."""

    started: ChildStarted
    ended: ChildEnded | None = None


@dataclass(slots=True, eq=False)
class RunStory:
    """One run."""

    run: str
    started: RunStarted | None = None
    ended: RunEnded | None = None
    chapter: str = ""
    contexts: list[ContextHeld] = field(default_factory=list)
    fibers: list[FiberStarted] = field(default_factory=list)
    waiting: dict[tuple[int, int], FiberWaits] = field(default_factory=dict)
    """By execution and fiber."""
    calls: dict[int, CallStory] = field(default_factory=dict)
    requests: dict[tuple[int, int], RequestStory] = field(default_factory=dict)
    children: dict[int, ChildStory] = field(default_factory=dict)
    output: list[OutputWritten] = field(default_factory=list)
    first_at: float = 0.0
    last_at: float = 0.0
    records: int = 0

    @property
    def status(self) -> str:
        """Its Result's, or "running": a run without an end goes on, or crashed."""
        return "running" if self.ended is None else self.ended.status

    @property
    def name(self) -> str:
        """What errors call the program."""
        return "?" if self.started is None else self.started.name

    @property
    def seconds(self) -> float:
        """As far as it is known."""
        return self.last_at - self.first_at if self.ended is None else self.ended.elapsed

    @property
    def tokens(self) -> int:
        """Prompts and answers, of calls that were not answered from a cache."""
        if self.ended is not None:
            return self.ended.prompt_tokens + self.ended.completion_tokens
        return sum(
            call.ended.prompt_tokens + call.ended.completion_tokens
            for call in self.calls.values()
            if call.ended is not None and not call.ended.cached and not call.queued.recursive
        )

    @property
    def cost_usd(self) -> float | None:
        """Dollars; None where a price is unknown."""
        if self.ended is not None:
            return self.ended.cost_usd
        costs = [call.ended.cost_usd for call in self.calls.values() if call.ended is not None]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def models(self) -> list[str]:
        """Their names, each in one line, in the order in which they were first asked."""
        return list(dict.fromkeys(" ".join(call.model.split()) for call in self.calls.values()))

    @property
    def failed_calls(self) -> int:
        """Calls that failed; those that were cancelled are not among them."""
        return sum(call.status == "failed" for call in self.calls.values())

    @property
    def slowest_s(self) -> float:
        """The longest call's seconds."""
        return max((call.seconds or 0.0 for call in self.calls.values()), default=0.0)

    def add(self, record: Record) -> None:
        """One record more."""
        self.records += 1
        self.first_at = min(self.first_at, record.at) if self.first_at else record.at
        self.last_at = max(self.last_at, record.at)
        if isinstance(record, CallQueued):
            self.calls[record.call] = CallStory(record)
        elif isinstance(record, CallSent | CallTried | CallEnded):
            self._add_to_call(record)
        elif isinstance(record, RunStarted):
            self.started = record
        elif isinstance(record, RunEnded):
            self.ended = record
        elif isinstance(record, ChapterStarted):
            self.chapter = record.title
        elif isinstance(record, ContextHeld):
            self.contexts.append(record)
        elif isinstance(record, FiberStarted):
            self.fibers.append(record)
        elif isinstance(record, OutputWritten):
            self.output.append(record)
        else:
            self._add_other(record)

    def _add_to_call(self, record: CallSent | CallTried | CallEnded) -> None:
        call = self.calls.get(record.call)
        if call is None:  # its beginning is lost
            call = self.calls[record.call] = CallStory(
                CallQueued(run=record.run, at=record.at, execution=record.execution, call=record.call)
            )
        if isinstance(record, CallSent):
            call.sent_at = record.at
        elif isinstance(record, CallTried):
            call.tries.append(record)
        else:
            call.ended = record

    def _add_other(self, record: Record) -> None:
        if isinstance(record, FiberWaits):
            self.waiting[record.execution, record.fiber] = record
        elif isinstance(record, FiberGoesOn):
            self.waiting.pop((record.execution, record.fiber), None)
        elif isinstance(record, RequestStarted):
            self.requests[record.execution, record.request] = RequestStory(record)
        elif isinstance(record, RequestEnded):
            request = self.requests.get((record.execution, record.request))
            if request is not None:
                request.ended = record
        elif isinstance(record, ChildStarted):
            self.children[record.execution] = ChildStory(record)
        elif isinstance(record, ChildEnded):
            child = self.children.get(record.execution)
            if child is not None:
                child.ended = record


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """A run in figures, as a list of runs shows it. Times are seconds since 1970."""

    run: str
    started_at: float
    last_at: float
    name: str
    chapter: str
    status: str
    """Its Result's; running where it has not ended, or its process did before it."""
    calls: int
    failed_calls: int
    tokens: int
    cost_usd: float | None
    seconds: float
    slowest_s: float
    """The longest call's."""
    models: tuple[str, ...]


def figures(story: RunStory) -> RunFigures:
    """What a list shows of a run."""
    return RunFigures(
        run=story.run,
        started_at=story.first_at,
        last_at=story.last_at,
        name=story.name,
        chapter=story.chapter,
        status=story.status,
        calls=len(story.calls),
        failed_calls=story.failed_calls,
        tokens=story.tokens,
        cost_usd=story.cost_usd,
        seconds=story.seconds,
        slowest_s=story.slowest_s,
        models=tuple(story.models),
    )


def stories(records: Iterable[Record]) -> dict[str, RunStory]:
    """The runs of a log by their ids, in the order in which they begin."""
    by_run: dict[str, RunStory] = {}
    for record in records:
        story = by_run.get(record.run)
        if story is None:
            story = by_run[record.run] = RunStory(record.run)
        story.add(record)
    return by_run

"""Where records come from and where they go: who makes one tells a Recorder, who wants them reads its stream.

With nobody reading, ``recorder.on`` is False and nothing is made: that look is all that it costs.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

from rlm_wasm.lazy_dataclass import replace
from rlm_wasm.runlog import events

Reader = Callable[["events.Record"], None]
"""Takes each record as it is made, on the event loop: it must be quick."""


class EventStream:
    """Hands every record to all readers, in the order in which they came.

    What a reader raises is its own affair, and never the program's.
    """

    def __init__(self, readers: tuple[Reader, ...] = ()) -> None:
        self._readers = list(readers)
        self.on = bool(readers)
        """Whether anybody reads."""

    def subscribe(self, reader: Reader) -> Callable[[], None]:
        """Hand records to ``reader`` from now on; what is given back ends that."""
        self._readers.append(reader)
        self.on = True

        def leave() -> None:
            if reader in self._readers:
                self._readers.remove(reader)
            self.on = bool(self._readers)

        return leave

    def tell(self, record: events.Record) -> None:
        """Hand it on."""
        for reader in tuple(self._readers):
            try:
                reader(record)
            except Exception as error:
                context = {"message": "a reader of rlm_wasm's run log failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)


class Recorder:
    """Makes the records of one session's executions; a child's shares its parent's stream and run."""

    def __init__(self, stream: EventStream, parent: Recorder | None = None) -> None:
        self.stream = stream
        self._parent = parent
        self.run: str = "" if parent is None else parent.run
        self.execution = 0 if parent is None else parent.next_execution()
        self._promised = ""
        """The id of a run that is told of already, and whose program has not begun: a chapter's."""
        self._executions = 0
        self._began = (0.0, 0.0)
        self._facts: dict[int, dict[str, Any]] = {}
        """What the guest said about requests that have not come yet, by their ids."""
        self._waiting: set[int] = set()
        """Fibers of which a record says that they wait."""
        self._parts: Any = ()
        """What the guest said of the parts of its value."""

    @property
    def on(self) -> bool:
        """Whether anybody wants records."""
        return self.stream.on

    def mute(self) -> None:
        """Nobody reads what this session does from now on."""
        self.stream = EventStream()

    def next_execution(self) -> int:
        """A number for a child's execution."""
        if self._parent is not None:
            return self._parent.next_execution()
        self._executions += 1
        return self._executions

    def begin(self) -> None:
        """A run begins: the session's own execution, not a child's."""
        if not self._promised:
            self._began = (time.time(), time.monotonic())
        self.run, self._promised = self._promised or os.urandom(8).hex(), ""
        self._executions = 0

    def end(self) -> None:
        """The run is over: what happens to the session from now on belongs to none."""
        if self._parent is None:
            self.run = ""
        self._facts.clear()
        self._waiting.clear()
        self._parts = ()

    @property
    def in_run(self) -> bool:
        """Whether somebody reads, and a run is under way."""
        return self.stream.on and bool(self.run)

    def now(self) -> float:
        """Seconds since 1970, which never go back within a run."""
        if self._parent is not None:
            return self._parent.now()
        began, monotonic = self._began
        return began + time.monotonic() - monotonic

    def tell(self, kind: type[events.Record], **fields: Any) -> None:
        """Make a record and hand it on. Only where ``on``."""
        run = self.run or self._promised
        if run:
            self.stream.tell(kind(run=run, at=round(self.now(), 6), execution=self.execution, **fields))

    def tell_again(self, record: events.Record, **changes: Any) -> None:
        """Hand on a record of this run that was made in another process. Only where ``on``."""
        if self.run:
            self.stream.tell(replace(record, run=self.run, **changes))

    def chapter(self, title: str) -> None:
        """A part of a longer undertaking begins; the next run of the session belongs to it."""
        run = self.run or os.urandom(8).hex()
        if not self.run:
            self._began = (time.time(), time.monotonic())
        self._promised = run
        self.tell(events.ChapterStarted, title=title[:200])

    @property
    def in_chapter(self) -> bool:
        """Whether a chapter has begun whose program has not."""
        return self.stream.on and bool(self._promised)

    # ---- what the guest says of its fibers and requests

    def take_facts(self, facts: dict[str, Any]) -> None:
        """What a guest's note says, which may be anything: of a request to come, or of a fiber."""
        if type(facts.get("id")) is int:
            self.hold(facts["id"], facts)
        elif "waits" in facts:
            fields = place_of({**facts, "fiber": facts["waits"]})
            fiber = fields.setdefault("fiber", 0)
            if len(self._waiting) < _MAX_HELD and fiber not in self._waiting:
                self._waiting.add(fiber)
                what = facts.get("what")
                self.tell(events.FiberWaits, what=what[:200] if isinstance(what, str) else "", **fields)
        elif "parts" in facts:
            self._parts = facts["parts"]
        elif "goes-on" in facts:
            fiber = facts["goes-on"]
            if type(fiber) is int and fiber in self._waiting:
                self._waiting.discard(fiber)
                self.tell(events.FiberGoesOn, fiber=fiber)
        else:
            self.tell(events.FiberStarted, **fiber_fields(facts))

    def parts(self, length: int) -> tuple[events.ValuePart, ...]:
        """The parts of the value that the guest told of, as far as they are parts of so many characters."""
        return parts_of(self._parts, length)

    def hold(self, request: int, facts: dict[str, Any]) -> None:
        """Facts about a request that is about to come. Not more than a few can wait: the rest goes."""
        if len(self._facts) >= _MAX_HELD:
            self._facts.clear()
        self._facts.setdefault(request, {}).update(facts)

    def facts(self, request: int) -> dict[str, Any]:
        """What is known of a request that has come: the fields of its record. It is forgotten then."""
        return self._facts.pop(request, {})


_MAX_HELD = 10_000


def place_of(facts: dict[str, Any]) -> dict[str, Any]:
    """Of what a guest says, which may be anything: fiber, line, column and source, where they are such."""
    out: dict[str, Any] = {}
    for name in ("fiber", "line", "column"):
        value = facts.get(name)
        if type(value) is int and 0 <= value < 1 << 53:
            out[name] = value
    source = facts.get("source")
    if isinstance(source, str):
        out["source"] = source[:200]
    return out


def fiber_fields(facts: dict[str, Any]) -> dict[str, Any]:
    """Of what a guest says about a fiber that begins: the fields of its record."""
    out = place_of(facts)
    parent, what = facts.get("parent"), facts.get("what")
    if type(parent) is int and 0 <= parent < 1 << 53:
        out["parent"] = parent
    if isinstance(what, str):
        out["what"] = what[:200]
    return out


def noted_fields(entry: dict[str, Any]) -> dict[str, Any]:
    """Of an entry that a guest makes in the scope log: the fields of its record."""
    out: dict[str, Any] = {
        name: value[:200] for name in ("op", "preview", "scope") if isinstance(value := entry.get(name), str)
    }
    call = entry.get("call-id")
    if type(call) is int and 0 <= call < 1 << 53:
        out["call"] = call
    return out


def parts_of(told: Any, length: int) -> tuple[events.ValuePart, ...]:
    """Of what a guest says are parts of its value, each ``(start, end, call …)``, those that are."""
    found: list[events.ValuePart] = []
    at = 0
    for part in told[:_MAX_PARTS] if isinstance(told, list | tuple) else ():
        if not isinstance(part, list | tuple) or len(part) < 3:
            continue
        start, end, *calls = part
        if type(start) is int and type(end) is int and at <= start < end <= length and numbers_of(calls):
            found.append(events.ValuePart(start=start, end=end, calls=numbers_of(calls)))
            at = end
    return tuple(found)


_MAX_PARTS = 4_000


def numbers_of(value: Any) -> tuple[int, ...]:
    """Of what a guest says are numbers of calls, those that are."""
    if not isinstance(value, list | tuple):
        return ()
    return tuple(item for item in value[:1_000] if type(item) is int and 0 < item < 1 << 53)

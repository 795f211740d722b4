"""What a run log consists of: frozen records, one for each thing that happens in an execution.

docs/internals/runlog.md is made from the classes below. As JSON a record is one object, whose ``type`` is
the class's TYPE; fields that say nothing (None, and what is the default) are left out.

A log holds what was asked and answered: treat it as you treat the data.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Final

from rlm_wasm.data import json_form
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.records import Natural, NonNegative

VERSION: Final = 1
"""Of the schema. A log of a later one is read as far as it is understood."""

MAX_TEXT: Final = 1 << 20
"""Characters of a text that stand in a log whole; of a longer one its beginning, length and hash do."""
BEGINNING: Final = 2_000
"""Characters of a text that is too long."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text, or the beginning of one that is too long with its whole length and its hash.

    In JSON the former is a string, the latter an object.
    """

    text: str = ""
    length: Natural | None = None
    """Characters of the whole, where this is only the beginning."""
    sha256: str | None = None
    """Of the whole in UTF-8, in hex; the same."""

    @property
    def whole_length(self) -> int:
        """Characters of the whole."""
        return len(self.text) if self.length is None else self.length


def logged(text: str, max_chars: int = MAX_TEXT) -> Text:
    """A text as a log holds it."""
    if len(text) <= max_chars:
        return Text(text)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return Text(text[: min(BEGINNING, max_chars)], len(text), digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What all records have."""

    run: str
    """The run's id: 16 hexadecimal digits."""
    at: float
    """Seconds since 1970; within a run they only grow."""
    execution: Natural = 0
    """0: the run's own program; others are numbered in the order in which they begin."""

    TYPE: ClassVar[str] = "record"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Record):
    """An execution begins, or goes on in another process."""

    TYPE: ClassVar = "run_started"
    version: Natural = VERSION
    name: str = "program"
    """What errors call the program."""
    program: Text = Text()
    namespace: str = "default"
    provider: str = ""
    model: str | None = None
    """Where the program names none."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """By name; null where there is none."""
    resumed: bool = False
    """It goes on from a snapshot: what was before stands elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextHeld(Record):
    """A text that the program can read, as it is when the run begins."""

    TYPE: ClassVar = "context_held"
    name: str | None = None
    text: Text = Text()


@dataclass(frozen=True, slots=True, kw_only=True)
class FiberStarted(Record):
    """A thread of control begins; 0 is the program itself and has no such record."""

    TYPE: ClassVar = "fiber_started"
    fiber: Natural = 0
    parent: Natural = 0
    what: str = ""
    """What began it: map-async, race, a spawned fiber …"""
    line: Natural | None = None
    column: Natural | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FiberWaits(Record):
    """A fiber waits in a line for what is no call or request of its own: handles, events of other fibers."""

    TYPE: ClassVar = "fiber_waits"
    fiber: Natural = 0
    what: str = ""
    """For what, in words: a spawned fiber, 3 handles …"""
    line: Natural | None = None
    column: Natural | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FiberGoesOn(Record):
    """It waits no longer: it goes on, or it was cancelled."""

    TYPE: ClassVar = "fiber_goes_on"
    fiber: Natural = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQueued(Record):
    """A program asks for an LLM call that is allowed; it waits for its place, or has one at once."""

    TYPE: ClassVar = "call_queued"
    call: Natural = 0
    """Its number, as the scope log shows it."""
    op: str = "llm-query"
    fiber: Natural | None = None
    """None: of a program that began before anybody listened."""
    line: Natural | None = None
    column: Natural | None = None
    source: str | None = None
    """The program's or library's name."""
    parent: Natural | None = None
    """The recursive call whose child asks."""
    depth: Natural = 0
    model: str | None = None
    instruction: Text = Text()
    data: Text = Text()
    images: Natural = 0
    temperature: float | None = None
    max_tokens: Natural | None = None
    json: bool = False
    recursive: bool = False
    made_from: tuple[Natural, ...] = ()
    """The calls that the texts of its prompt derive from."""
    reserved_tokens: Natural = 0
    reserved_usd: NonNegative | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSent(Record):
    """It has its place, and goes to the provider."""

    TYPE: ClassVar = "call_sent"
    call: Natural = 0
    image_sha256: tuple[str, ...] = ()
    """Of its images, as they are sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTried(Record):
    """One try at a server, where the provider tells of them: what came of it."""

    TYPE: ClassVar = "call_tried"
    call: Natural = 0
    attempt: Natural = 1
    status: Natural | None = None
    """The HTTP status, with which an answer begins: this is its first byte. None: there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Record):
    """It is over: answered, failed or cancelled."""

    TYPE: ClassVar = "call_ended"
    call: Natural = 0
    status: str = "done"
    """done, failed or cancelled."""
    model: str = ""
    """The one that answered."""
    answer: Text | None = None
    prompt_tokens: Natural = 0
    completion_tokens: Natural = 0
    cost_usd: NonNegative | None = 0.0
    """None: the model's price is unknown."""
    cached: bool = False
    finish_reason: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramWritten(Record):
    """A model answered a recursive call with a program, or tried to."""

    TYPE: ClassVar = "program_written"
    call: Natural = 0
    sent_at: float = 0.0
    model: str = ""
    instruction: Text = Text()
    data: Text = Text()
    answer: Text = Text()
    prompt_tokens: Natural = 0
    completion_tokens: Natural = 0
    cost_usd: NonNegative | None = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStarted(Record):
    """A recursive call's program begins in a sandbox of its own, as the execution of this number."""

    TYPE: ClassVar = "child_started"
    call: Natural = 0
    depth: Natural = 1
    program: Text = Text()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnded(Record):
    """It is over."""

    TYPE: ClassVar = "child_ended"
    status: str = "ok"
    value: Text = Text()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestStarted(Record):
    """Something else that is asked of the host: Python, a function of the embedder's, a checkpoint."""

    TYPE: ClassVar = "request_started"
    request: Natural = 0
    operation: str = ""
    fiber: Natural | None = None
    line: Natural | None = None
    column: Natural | None = None
    source: str | None = None
    arguments: Text = Text()
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded(Record):
    """It is over."""

    TYPE: ClassVar = "request_ended"
    request: Natural = 0
    status: str = "done"
    """done, failed or cancelled."""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputWritten(Record):
    """The program printed something."""

    TYPE: ClassVar = "output_written"
    stream: str = "out"
    """out or err."""
    text: Text = Text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Record):
    """A line of the scope log that the guest makes: a scoped value was opened, awaited, combined."""

    TYPE: ClassVar = "noted"
    op: str = ""
    preview: str = ""
    scope: str = ""
    call: Natural | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsCounted(Record):
    """How far combinators, and loops that make calls, are with the items that they were given."""

    TYPE: ClassVar = "items_counted"
    announced: Natural = 0
    begun: Natural = 0
    done: Natural = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken(Record):
    """The session was captured in the middle of the run."""

    TYPE: ClassVar = "snapshot_taken"
    forked: bool = False
    """For a fork that goes on at once, beside this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChapterStarted(Record):
    """A part of a longer undertaking begins: an iteration of an ask, say."""

    TYPE: ClassVar = "chapter_started"
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a run ended with: the fields of ErrorInfo."""

    type: str = ""
    message: str = ""
    source: str | None = None
    line: Natural | None = None
    column: Natural | None = None
    hint: str | None = None
    backtrace: tuple[str, ...] = ()
    kind: str | None = None
    used: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuePart:
    """Characters of a value's text that come from calls."""

    start: Natural = 0
    """Where it begins, in characters (code points) from 0."""
    end: Natural = 0
    """Where it is over."""
    calls: tuple[Natural, ...] = ()
    """The one that wrote it and those whose texts went into its prompt; or all that it was mixed from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Record):
    """The run is over. A log without this record is that of a run that is going on, or that crashed."""

    TYPE: ClassVar = "run_ended"
    status: str = "ok"
    value: Text = Text()
    error: Failure | None = None
    calls: Natural = 0
    prompt_tokens: Natural = 0
    completion_tokens: Natural = 0
    cost_usd: NonNegative | None = 0.0
    cached: Natural = 0
    fuel: Natural = 0
    memory_bytes: Natural = 0
    elapsed: NonNegative = 0.0
    """Seconds, those before a snapshot included."""
    derived_from: tuple[Natural, ...] = ()
    """The calls that the value derives from."""
    parts: tuple[ValuePart, ...] = ()
    """Of its text, those that come from calls, in order. None in older logs, and where they are too many."""
    truncated: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rolled_back: bool = False


RECORDS: Final[tuple[type[Record], ...]] = (
    RunStarted,
    ContextHeld,
    FiberStarted,
    FiberWaits,
    FiberGoesOn,
    CallQueued,
    CallSent,
    CallTried,
    CallEnded,
    ProgramWritten,
    ChildStarted,
    ChildEnded,
    RequestStarted,
    RequestEnded,
    OutputWritten,
    Noted,
    ItemsCounted,
    SnapshotTaken,
    ChapterStarted,
    RunEnded,
)
"""In the order in which one meets them."""

BY_TYPE: Final = {kind.TYPE: kind for kind in RECORDS}


_DEFAULTS: Final[dict[type[Any], list[tuple[str, Any]]]] = {}


def _fields(kind: type[Any]) -> list[tuple[str, Any]]:
    known = _DEFAULTS.get(kind)
    if known is None:
        known = _DEFAULTS[kind] = [
            (f.name, dataclasses.MISSING if f.name == "version" else f.default)
            for f in dataclasses.fields(kind)
        ]
    return known


def plain(record: Record) -> dict[str, Any]:
    """The record as what ``json.dumps`` takes."""
    out: dict[str, Any] = {"type": record.TYPE}
    for name, default in _fields(type(record)):
        value = getattr(record, name)
        if value is None or value == default:
            if value is not None or default is None or default is dataclasses.MISSING:
                continue
            out[name] = None  # None says something where it is not the default: a price that is unknown
        elif type(value) is Text:
            out[name] = _plain_text(value)
        elif type(value) in _AS_THEY_ARE:
            out[name] = value
        elif dataclasses.is_dataclass(value):
            out[name] = {
                key: json_form(getattr(value, key))
                for key, default in _fields(type(value))
                if getattr(value, key) != default
            }
        else:
            out[name] = json_form(value)
    return out


_AS_THEY_ARE = frozenset((str, int, float, bool))


def _plain_text(text: Text) -> Any:
    if text.length is None:
        return text.text
    return {"text": text.text, "length": text.length, "sha256": text.sha256}


def size_of(record: Record) -> int:
    """About how many bytes a record takes in memory."""
    size = _EMPTY
    for name, _ in _fields(type(record)):
        value = getattr(record, name)
        if type(value) is Text:
            size += 2 * len(value.text)
        elif type(value) is str:
            size += len(value)
    return size


_EMPTY = 400

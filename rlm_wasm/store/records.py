"""What goes into a store of durable sessions and comes out of it: words, without a database."""

from __future__ import annotations

import re
from typing import Final

from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass, field

MAX_NAME_CHARACTERS: Final = 255
"""What the tables' columns hold."""

RUNNING: Final = "running"
"""The status of a session whose execution has begun and not ended: of one that nobody holds, "suspended"."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one transaction writes. Texts and guests are kept by their SHA-256."""

    rows: list[tuple[int, str, bytes]] = field(default_factory=list)
    """Number, stream and payload of the journal's rows."""
    account: bytes | None = None
    status: str | None = None
    note: str | None = None
    request: str | None = None
    """By what id an execution that begins was asked for; "" where by none."""
    result: bytes | None = None
    """What came of it."""
    dropped: list[str] = field(default_factory=list)
    """Streams that are over, with those below them; "STREAM/": only those below. The rows come after that."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    given: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Texts for other sessions, by those sessions' names."""
    sessions_over: list[str] = field(default_factory=list)
    """Sessions that this one began elsewhere, and that go from the store."""
    budgets_over: list[str] = field(default_factory=list)
    """Budgets that it shared with those, likewise."""

    def give(self, session: str, blobs: dict[str, bytes]) -> None:
        """Keep texts for another session."""
        self.given.setdefault(session, {}).update(blobs)

    def say(self, status: str | None, note: str | None) -> None:
        """What the list of sessions shows from then on; None: as it did."""
        self.status = self.status if status is None else status
        self.note = self.note if note is None else note

    def begin(self, request: str) -> None:
        """An execution begins that was asked for by this id."""
        self.request, self.result = request, None

    def end(self, result: bytes) -> None:
        """It is over."""
        self.result = result

    def charge(self, account: bytes) -> None:
        """What was spent until then."""
        self.account = account

    def drop(self, stream: str) -> None:
        """A stream is over: what was to be written of it is not."""
        self.rows = [row for row in self.rows if not is_of(row[1], stream)]
        self.dropped.append(stream)

    def follow(self, later: Batch) -> None:
        """Take over what is to be written after this."""
        for stream in later.dropped:
            self.drop(stream)
        self.rows += later.rows
        self.blobs.update(later.blobs)
        for session, blobs in later.given.items():
            self.give(session, blobs)
        self.sessions_over += later.sessions_over
        self.budgets_over += later.budgets_over
        self.say(later.status, later.note)
        if later.request is not None:
            self.begin(later.request)
        if later.result is not None:
            self.end(later.result)


def is_of(stream: str, over: str) -> bool:
    """Whether a stream is this one, or is below it; "STREAM/": only those below are."""
    return stream == over or stream.startswith(over if over.endswith("/") else f"{over}/")


@dataclass(slots=True, kw_only=True)
class SavedSnapshot:
    """A snapshot on its way into the store."""

    stream: str
    base: int
    """The journal's rows from this number on come after it."""
    data: bytes
    guest: str
    provider: str | None
    release: str
    keeps: int | None = None
    """Keep the newest snapshot up to this row, and what came after it, to look back at; None: nothing."""
    below: tuple[str, ...] | None = None
    """How the names of the sessions begin that are below it: what there was of others is forgotten. None:
    nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session as the store has it."""

    name: str
    made_at: float
    epoch: int
    snapshot: bytes
    """b"" where nothing was saved yet."""
    base: int
    account: bytes | None
    status: str
    note: str
    provider: str | None
    request: str | None
    """By what id its last execution was asked for; "" and None: by none."""
    result: bytes | None
    """What came of that, where it is over."""
    rows: list[tuple[int, str, bytes]]
    children: dict[str, tuple[int, bytes]]
    """Base and snapshot of each stream below that has one."""

    @property
    def next_row(self) -> int:
        """The number of the next row of the journal: behind every snapshot, whose rows may be forgotten."""
        bases = (self.base, *(base for base, _ in self.children.values()))
        return max((*bases, *(number + 1 for number, _, _ in self.rows)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """So much of everything that a shared budget bounds, since the session began; places, at once."""

    calls: int = 0
    tokens: int = 0
    nanousd: int = 0
    """Dollars, in whole billionths: sums of them are exact."""
    places: int = 0


SHARED_KINDS: Final = ("calls", "tokens", "nanousd", "places")
"""What a shared budget bounds: fields of an Amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a session says of a shared budget: what it used, the most its calls may use, what it asks for.

    ``minimum`` is what the next call takes, ``wish`` what it could use soon; both as ``reserved`` where
    nothing waits. ``gives_back``: what goes beyond ``reserved`` is for others; ``leaves``: the places are.
    ``reclaims``: look for pieces of sessions that nobody has any longer.
    """

    used: Amount
    reserved: Amount
    minimum: Amount
    wish: Amount
    gives_back: bool = False
    leaves: bool = False
    reclaims: bool = False

    @property
    def asks(self) -> bool:
        """Whether a call waits."""
        return self.minimum != self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What a session has of a shared budget from then on. None: that is not limited.

    ``fair`` are the places that each gets where they do not suffice for all, ``wanted`` says that somebody
    lacks something. ``refused``: kind, what is used by all, and the limit, where the next call does not
    fit, whatever the others leave.
    """

    calls: int | None
    tokens: int | None
    nanousd: int | None
    places: int | None
    fair: int | None = None
    wanted: bool = False
    refused: tuple[str, int, int] | None = None

    def covers(self, whole: Amount) -> bool:
        """Whether so much is in it."""
        return all(
            piece is None or getattr(whole, kind) <= piece
            for kind, piece in zip(
                SHARED_KINDS, (self.calls, self.tokens, self.nanousd, self.places), strict=True
            )
        )


_BELOW: Final = re.compile(r"(?:/[0-9a-f]{16}-[0-9]{1,18})+")


def name_below(name: str, key: str) -> str | None:
    """The name of a session that the one of that name begins elsewhere for its call of that key.

    None where it would be too long.
    """
    below = f"{name}/{key}"
    return below if len(below) <= MAX_NAME_CHARACTERS else None


def is_below(name: str, below: str) -> bool:
    """Whether a name is that of a session which the first one, or one that it began, has begun elsewhere."""
    return below.startswith(name) and _BELOW.fullmatch(below, len(name)) is not None


def check_name(name: object, what: str = "a session's name") -> str:
    """The name. Raises UsageError for what cannot be a session's."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARACTERS or "\0" in name:
        text = name[:60] if isinstance(name, str) else type(name).__name__
        raise UsageError(f"{what} has 1 to {MAX_NAME_CHARACTERS} characters, got {text!r}")
    return name

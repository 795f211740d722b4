"""The messages between guest and host: one dataclass a message, checked once, at the border.

wasm/rlm.h is the other half of the contract, and docs/internals/protocol.md is made from the classes
below. The outbox of a run is an array of messages, each an array whose first item is its kind; the
rest are the fields in their order, or one table of them for the messages marked so.

Everything that leaves the guest is bounded before it is parsed (``Sandbox.outbox``), and is data of
a hostile program after that: a message of another shape is Unencodable, whatever is wrong with it.
The records are checked by the few functions of this module and not by cattrs, whose import alone
takes a fifth of the time in which a process imports this package and answers its first program.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import cbor2

from rlm_wasm.data import (
    VOID,
    Box,
    Char,
    ImproperList,
    Keyword,
    Struct,
    Symbol,
    VoidType,
    fraction_type,
    is_fraction,
    member_order,
    whole_characters,
    with_whole_characters,
)
from rlm_wasm.errors import Unencodable
from rlm_wasm.lazy_dataclass import MISSING, dataclass, field, said_of_fields
from rlm_wasm.sandbox.pages import address_of, at_once, gathered
from rlm_wasm.sandbox.texts import LONG_TEXT, LongText, text_in
from rlm_wasm.sandbox.uncollected import Uncollected

if TYPE_CHECKING:
    from fractions import Fraction


class GuestStatus(IntEnum):
    """What rlm_run returns. wasm/rlm.h has the same; a test compares them."""

    DONE = 0
    SUSPENDED = 1
    PREEMPTED = 2
    FAILED = 3


# ---- what a field may hold

T = TypeVar("T")
Check = Callable[[Any], Any]


def _a(kind: type[Any], name: str, *, minimum: int | None = None) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not kind or (minimum is not None and value < minimum):
            raise Unencodable(f"not {name}")
        return value

    check.__doc__ = name
    return check


_text = _a(str, "text")
_count = _a(int, "a number from 1 up", minimum=1)
_amount = _a(int, "a number from 0 up", minimum=0)
_bytes = _a(bytes, "bytes")
_flag = _a(bool, "true or false")
_list = _a(list, "an array")
_table = _a(dict, "a table")


def _status(value: Any) -> str:
    """One of STATUSES; another one is told by whoever makes the Result and knows what was under way."""
    return value if type(value) is str else _shown(value)


def _shown(value: Any) -> str:
    """For an error. What is no text may be a number that Python refuses to print, or a million lists."""
    return repr(value[:40]) if type(value) is str else f"<{type(value).__name__}>"


def _place(value: Any) -> int | None:
    """A line or column, or false."""
    if value is False or value is None:
        return None
    if type(value) is not int or value < 0:
        raise Unencodable("not a line or column")
    return value or None


def _number(value: Any) -> float | None:
    """A finite number, or false."""
    return plain_number(value)


def _texts(value: Any) -> tuple[str, ...]:
    """An array of text."""
    return tuple(_text(item) for item in _list(value))


def _ids(value: Any) -> tuple[int, ...]:
    """An array of call numbers."""
    return tuple(_count(item) for item in _list(value))


def _three_amounts(value: Any) -> tuple[int, int, int]:
    """An array of three numbers from 0 up."""
    first, second, third = (_amount(item) for item in _list(value)) if len(_list(value)) == 3 else (-1, 0, 0)
    if first < 0:
        raise Unencodable("not three numbers")
    return first, second, third


def _data(value: Any) -> bytes | bool:
    """An encoded value, or true: the value is its text."""
    if value is not True and type(value) is not bytes:
        raise Unencodable("not an encoded value")
    result: bytes | bool = value
    return result


def _error_report(value: Any) -> ErrorReport:
    """A table (see below)."""
    return record(ErrorReport, value)


def wire(check: Check, doc: str, default: Any = MISSING) -> Any:
    """A field of a message: how it is checked, and what it means."""
    given = {} if default is MISSING else {"default": default}
    return field(**given, metadata={"check": check, "doc": doc})


def record(kind: type[T], value: Any) -> T:
    """A dataclass made of a table of its fields. Raises Unencodable for any other shape."""
    if type(value) is not dict:
        raise Unencodable(f"{kind.__name__} is no table")
    checks = _CHECKS.get(kind) or _checks_of(kind)
    try:
        for name in value:
            value[name] = checks[name](value[name])
        return kind(**value)
    except (KeyError, TypeError) as error:
        raise Unencodable(f"{kind.__name__} has no such field, or lacks one: {error}") from None


_CHECKS: dict[type, dict[str, Check]] = {}


def _checks_of(kind: type[Any]) -> dict[str, Check]:
    checks = _CHECKS.get(kind)
    if checks is None:
        checks = _CHECKS[kind] = {name: said["check"] for name, (_, said) in said_of_fields(kind).items()}
    return checks


# ---- from the guest


@dataclass(slots=True, eq=False)
class Call:
    """The guest wants something of the host, and a reply with this id."""

    KIND: ClassVar = "call"
    id: int = wire(_count, "ascends within a session")
    operation: str = wire(_text, "one of the operations below")
    arguments: bytes = wire(_bytes, "an encoded array")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The guest took the message that came in the middle of a slice."""

    KIND: ClassVar = "ack"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The guest no longer wants the reply."""

    KIND: ClassVar = "cancel"
    id: int = wire(_count, "of the call")


@dataclass(frozen=True, slots=True)
class Output:
    """What the program printed."""

    KIND: ClassVar = "note"
    stream: str = wire(_text, '"out" or "err"')
    text: str = wire(_text, "")


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry of the scope log that the guest makes: a scoped value was opened, or combined."""

    KIND: ClassVar = "note"
    stream: str = wire(_text, '"log"')
    entry: dict[str, Any] = wire(_table, "op, preview, scope, and what else is known")


@dataclass(frozen=True, slots=True)
class Warned:
    """What looks like a slip of the program, though it failed nothing."""

    KIND: ClassVar = "note"
    stream: str = wire(_text, '"warn"')
    text: str = wire(_text, "a sentence that names the place and what to write instead")


@dataclass(frozen=True, slots=True)
class Traced:
    """What a run log is told beside the requests: who asks for one and where, and the births of fibers."""

    KIND: ClassVar = "note"
    stream: str = wire(_text, '"trace"')
    facts: dict[str, Any] = wire(_table, "id, fiber, parent, what, source, line, column, from")


@dataclass(frozen=True, slots=True)
class Counted:
    """How far combinators are with the items that they were given."""

    KIND: ClassVar = "note"
    stream: str = wire(_text, '"items"')
    items: tuple[int, int, int] = wire(_three_amounts, "announced, begun, done: of the execution")


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """What went wrong in a program, as its guest tells it."""

    type: str = wire(_text, "the condition's type, such as exn:fail:contract", "exn:fail")
    message: str = wire(_text, "", "")
    irritants: tuple[str, ...] = wire(_texts, "in write form, each cut at 1,000 characters", ())
    source: str | None = wire(_text, "the name of the program or library", None)
    line: int | None = wire(_place, "from 1", None)
    column: int | None = wire(_place, "from 1", None)
    hint: str | None = wire(_text, "what the author may have meant", None)
    backtrace: tuple[str, ...] = wire(_texts, "the innermost first", ())
    kind: str | None = wire(_text, "of a limit that the guest itself found: a field of Limits", None)
    used: float | None = wire(_number, "of that limit", None)
    limit: float | None = wire(_number, "of that limit", None)


@dataclass(slots=True, eq=False)
class Done:
    """The execution's outcome: the last message of a run that is DONE. A table."""

    KIND: ClassVar = "done"
    status: str = wire(_status, "finished, ok, error, limit or cancelled")
    value: str = wire(_text, "the value's text", "")
    data: bytes | bool | None = wire(_data, "the value itself, where it can cross", None)
    written: str = wire(_text, "the value as write shows it, where the rest leaves it open", "")
    cut: bool = wire(_flag, "whether the text was cut", False)
    shown: bool = wire(_flag, "whether the program has printed the value itself", False)
    lineage: tuple[int, ...] = wire(_ids, "the LLM calls that the value derives from", ())
    error: ErrorReport | None = wire(_error_report, "where the status is error or limit", None)


@dataclass(frozen=True, slots=True)
class Failed:
    """The guest cannot go on: a defect, or no memory is left (then the text is "memory")."""

    KIND: ClassVar = "failed"
    text: str = wire(_text, "why")


NO_MEMORY = "memory"
"""Why a guest fails whose definitions leave no room: what they hold is no more than its limit allows."""

Message = Call | Acknowledged | Cancelled | Output | Logged | Warned | Traced | Counted | Done | Failed
FROM_GUEST: tuple[type[Any], ...] = (
    Call,
    Acknowledged,
    Cancelled,
    Output,
    Logged,
    Warned,
    Traced,
    Counted,
    Done,
    Failed,
)
_NOTES: dict[str, type[Any]] = {
    "out": Output,
    "err": Output,
    "log": Logged,
    "warn": Warned,
    "trace": Traced,
    "items": Counted,
}
"""Which note it is, by its stream."""
_BY_KIND: dict[str, type[Any]] = {kind.KIND: kind for kind in FROM_GUEST if kind.KIND != Output.KIND}
STATUSES = frozenset({"finished", "ok", "error", "limit", "cancelled"})


def _message(items: Any) -> Message:
    if type(items) is not list or not items:
        raise Unencodable("a message is no array")
    name = items[0]
    if name == Call.KIND and len(items) == 4:
        return Call(_count(items[1]), _text(items[2]), _bytes(items[3]))
    if name == Done.KIND and len(items) == 2:
        return record(Done, items[1])
    names: dict[str, type[Any]] = _BY_KIND
    if name == Output.KIND and len(items) > 1:
        names, name = _NOTES, items[1]
    kind = names.get(name) if type(name) is str else None
    if kind is None or kind is Done:
        raise Unencodable(f"there is no message {_shown(items[0])}")
    result: Message
    checks = _checks_of(kind)
    if len(items) != len(checks) + 1:
        raise Unencodable(f"{kind.__name__} has {len(items) - 1} fields")
    result = kind(*[check(item) for check, item in zip(checks.values(), items[1:], strict=True)])
    return result


def messages(outbox: bytes) -> list[Message]:
    """The outbox's messages. Raises Unencodable for what is none."""
    if not outbox:
        return []
    done = plain_done(outbox)
    if done is not None:
        return [done]
    if outbox.startswith(_PLAIN_CALL):
        call = _plain_call(outbox)
        if call is not None:
            return [call]
    items = decode(outbox)
    if type(items) is not list:
        raise Unencodable("the guest's outbox holds no array")
    return list(map(_message, items))


@dataclass(frozen=True, slots=True)
class LongOutput:
    """Output of megabytes: its text stays in the outbox until each part is served."""

    stream: str
    text: _TextInside

    def parts(self) -> Iterator[Output]:
        """Messages of a part each."""
        for part in self.text.parts(IN_ONE_GO):
            yield Output(self.stream, part)


def messages_in_turns(outbox: bytes) -> Generator[int, None, list[Message | LongOutput]]:
    """As ``messages``, for an outbox of megabytes: it yields every few milliseconds.

    Output of megabytes is no text yet: it would stand in the host three times, and be four times as wide for
    one wide character.
    """
    items = yield from decode_in_turns(outbox, texts_inside=True)
    if type(items) is not list:
        raise Unencodable("the guest's outbox holds no array")
    messages_read: list[Message | LongOutput] = []
    for item in items:
        if type(item) is list and any(type(part) is _TextInside for part in item):
            if len(item) == 3 and type(item[2]) is _TextInside:
                message = _message([*item[:2], ""])
                if isinstance(message, Output):
                    messages_read.append(LongOutput(message.stream, item[2]))
                    continue
            item = [part.whole() if type(part) is _TextInside else part for part in item]
        messages_read.append(_message(item))
    return messages_read


_PLAIN_DONE = b"\x9f\x82\x64done\xa3\x66status\x62ok\x65value"
_WITHOUT_DATA = b"\x9f\x82\x64done\xa2\x66status\x62ok\x65value"
_DATA = b"\x64data"


def plain_done(outbox: bytes) -> Done | None:
    """The outbox of most evaluations: nothing but "done", with a value. None: it is another one."""
    if outbox.startswith(_PLAIN_DONE):
        return _done_with_data(outbox)
    return _done_without_data(outbox) if outbox.startswith(_WITHOUT_DATA) else None


def _done_with_data(outbox: bytes) -> Done | None:
    """That of a short value. None: it is another one."""
    at = len(_PLAIN_DONE) + 1
    if len(outbox) <= at:
        return None
    end = at + outbox[at - 1] - 0x60  # a text of fewer than 24 bytes
    if not at <= end < at + 24 or outbox[end : end + 5] != _DATA:
        return None
    data = outbox[end + 5 : -1]
    if outbox[-1] != 0xFF or not data or not outbox[at:end].isascii():
        return None
    value = outbox[at:end].decode()
    if data == b"\xf5":
        return Done("ok", value, True)
    if data[0] - 0x40 == len(data) - 1 < 24:  # a byte string, and nothing behind it
        return Done("ok", value, data[1:])
    return None


def _done_without_data(outbox: bytes) -> Done | None:
    """The same of a value that cannot cross, whose text may be longer."""
    at, end = len(_WITHOUT_DATA) + 1, len(outbox) - 1
    if end < at + 2 or outbox[end] != 0xFF:
        return None
    if outbox[at - 1] == 0x79:  # a text of up to 65,535 bytes
        length = outbox[at] << 8 | outbox[at + 1]
        at += 2
    elif outbox[at - 1] == 0x78:  # of up to 255
        length = outbox[at]
        at += 1
    else:
        length = outbox[at - 1] - 0x60
        if not 0 <= length < 24:
            return None
    text = outbox[at:end]
    return Done("ok", text.decode()) if len(text) == length and text.isascii() else None


_PLAIN_CALL = b"\x9f\x84\x64call"


def _plain_call(outbox: bytes) -> Call | None:
    """The outbox of most requests: nothing but a "call" of up to 255 bytes. None: it is another one."""
    at, end = len(_PLAIN_CALL), len(outbox) - 1
    if not at + 4 <= end < 256 or outbox[end] != 0xFF:  # then every index below is within it
        return None
    id_ = outbox[at]
    at += 1
    if id_ == 0x18:
        id_ = outbox[at]
        at += 1
    elif id_ == 0x19:
        id_ = outbox[at] << 8 | outbox[at + 1]
        at += 2
    elif id_ >= 24:
        return None
    name = at + 1
    at = name + outbox[at] - 0x60  # a text of fewer than 24 bytes
    if not name <= at < min(name + 24, end) or not outbox[name:at].isascii():
        return None
    length = outbox[at] - 0x40
    first = at + 1
    if length == 24:
        if first >= end:
            return None
        length = outbox[first]
        first += 1
    elif not 0 <= length < 24:
        return None
    if first + length != end or id_ < 1:
        return None
    return Call(id_, outbox[name:at].decode(), outbox[first:end])


# ---- to the guest


@dataclass(frozen=True, slots=True)
class GuestLimits:
    """The limits that the guest itself looks at."""

    handles: int = wire(_amount, "handles alive")
    output: int = wire(_amount, "characters of value and error text")
    message: int = wire(_amount, "bytes of a request")


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Start an execution. A table; what says nothing is left out."""

    KIND: ClassVar = "eval"
    source: str = wire(_text, "the program")
    name: str = wire(_text, "what errors call it")
    grants: list[str] | None = wire(_list, "host functions that become procedures", None)
    limits: GuestLimits | None = wire(_table, "where they are not the defaults", None)
    context: bool | None = wire(_flag, "true where the default context was replaced", None)
    replies: list[Any] | None = wire(_list, "to calls that an earlier execution left", None)
    trace: bool | None = wire(_flag, "whether notes of the stream trace are wanted; stays so", None)
    check: str | None = wire(
        _text,
        "only: run nothing, and give what is wrong with the program; first: look for that before it runs;"
        " never: don't. Else that is done before the first LLM call",
        None,
    )
    conversation: bool | None = wire(_flag, "true: the variable _ is to hold the last value; stays so", None)


@dataclass(frozen=True, slots=True)
class Replies:
    """Answers to calls: [id, true, value], or [id, false, {type, message, …}] of a failed one."""

    KIND: ClassVar = "replies"
    items: list[Any] = wire(_list, "in the order in which they came")


@dataclass(frozen=True, slots=True)
class Interrupt:
    """End the execution now. Nothing in it can object, and why is for the host alone to say."""

    KIND: ClassVar = "interrupt"


@dataclass(frozen=True, slots=True)
class Tick:
    """A time slice ended: give the next fiber a turn."""

    KIND: ClassVar = "tick"


@dataclass(frozen=True, slots=True)
class Definitions:
    """Asks for the names that programs have defined; the outcome's data is an array of text."""

    KIND: ClassVar = "state"


@dataclass(frozen=True, slots=True)
class Collect:
    """Asks for a collection of what nobody needs any more, before the memory is copied."""

    KIND: ClassVar = "collect"


TO_GUEST: tuple[type[Any], ...] = (Evaluate, Replies, Interrupt, Tick, Definitions, Collect)

OPERATIONS: dict[str, tuple[str, str]] = {
    "llm": (
        "op instruction data model temperature max-tokens json? images recursive calls (false: not given; "
        "calls as of check-calls: where one of them would be refused, so is this one and all that follow)",
        "text call-number model prompt-tokens completion-tokens depth truncated?",
    ),
    "check-calls": (
        "calls (with literal arguments, an array each: op, model (true: unknown), temperature, json?, "
        "instruction (false: unknown), images?)",
        "array: for each why it would be refused, or nothing",
    ),
    "estimate-tokens": ("instruction data images max-tokens", "the tokens that such a call may take"),
    "fork": ("count", "array: what each fork gave; in a fork, its number from 0"),
    "sleep": ("seconds", "nothing, later"),
    "now": ("", "milliseconds since 1970"),
    "context": ("name", "the whole text, or false (name: false for the default one, here and below)"),
    "context-size": ("name", "characters, or false"),
    "context-fits": ("name", "whether a message brings the whole of it"),
    "context-length": ("name", "characters"),
    "context-slice": ("start end name", "text"),
    "context-lines": ("start end name", "array of text"),
    "context-search": ("text max-hits name", "array of [offset, line]"),
    "context-names": ("", "array of text"),
    "checkpoint": ("key bytes preview", "nothing"),
    "restore": ("key", "bytes, or false"),
    "py-exec": ("code", "table: value, stdout, stderr, note, of which what is empty may be left out"),
    "py-eval": ("code", "the same"),
    "py-set!": ("name value", "the same"),
    "py-call": ("reference method argument …", "the same"),
    "program-in": (
        "text",
        "array: the program in a model's answer and false, or false and why there is none",
    ),
    "model-for": ("name", "text: the model that the role or alias stands for"),
    "usage": ("", "table of what was used and what is left"),
    "library": ("path", "text, or false"),
    "host": ("name argument …", "what the embedder's function returned"),
}
"""What a guest may ask for: arguments, and the reply. The session's table serves what was granted."""


# ---- values

TAG_SYMBOL = 39
TAG_KEYWORD = 40001
TAG_CHARACTER = 40002
TAG_VECTOR = 40003
TAG_IMPROPER = 40004
TAG_TABLE = 40005
TAG_COMPLEX = 40006
TAG_BOX = 40007
TAG_SET = 40008
TAG_STRUCT = 40009
TAG_UNIFORM = 40010

MAX_DEPTH = 400
"""Containers in one another that may cross."""

_SMALL = 16 * 1024
MAX_PARTS = 1_000_000
"""Values in one another and beside one another that may cross to Python at once. A list of empty lists takes
seventy bytes for each in the host, and the collector of the host's Python looks at every one."""
IN_ONE_GO = 64 * 1024
"""Bytes that are decoded without a turn of the event loop in between."""


def _tagged(tag: int, value: Any) -> cbor2.CBORTag:
    return cbor2.CBORTag(tag, value)


def _encode_complex(encoder: Any, value: complex) -> None:
    encoder.encode(_tagged(TAG_COMPLEX, [value.real, value.imag]))


def _encode_set(encoder: Any, value: set[Any] | frozenset[Any]) -> None:
    encoder.encode(_tagged(TAG_SET, [0, *sorted(value, key=member_order)]))


_ENCODERS: dict[type, Any] = {
    Symbol: lambda encoder, value: encoder.encode(_tagged(TAG_SYMBOL, str(value))),
    Keyword: lambda encoder, value: encoder.encode(_tagged(TAG_KEYWORD, str(value))),
    Char: lambda encoder, value: encoder.encode(_tagged(TAG_CHARACTER, ord(value))),
    VoidType: lambda encoder, value: encoder.encode(cbor2.undefined),
    ImproperList: lambda encoder, value: encoder.encode(_tagged(TAG_IMPROPER, [*value.items, value.tail])),
    tuple: lambda encoder, value: encoder.encode(_tagged(TAG_VECTOR, list(value))),
    complex: _encode_complex,
    set: _encode_set,
    frozenset: _encode_set,
    Box: lambda encoder, value: encoder.encode(_tagged(TAG_BOX, [value.value])),
}


def _encoders() -> dict[type, Any]:
    """With Fractions, where there are any: of their parts cbor2 makes a tuple, which would be a vector."""
    kind = fraction_type()
    if kind is not None and kind not in _ENCODERS:
        _ENCODERS[kind] = lambda encoder, value: encoder.encode(
            _tagged(30, [value.numerator, value.denominator])
        )
    return _ENCODERS


def _no_form(encoder: Any, value: Any) -> None:
    raise Unencodable(f"a Python {type(value).__name__} has no form in Scheme")


_CONTAINERS = (list, tuple, dict, set, frozenset, ImproperList, Box)
"""What the encoder goes into."""

_AROUND = 8
"""Containers that a message puts around a value."""


def _check_nesting(value: Any) -> None:
    """Raises Unencodable for what is nested deeper than may cross: cbor2 goes on until the C stack ends."""
    level = [value]
    for _ in range(MAX_DEPTH + _AROUND):
        inner: dict[int, Any] = {}  # by identity: what is shared, or contains itself, is gone through once
        for item in level:
            if isinstance(item, dict):
                parts: Iterable[Any] = chain(item, item.values())
            elif isinstance(item, Box):
                parts = (item.value,)
            else:
                parts = (*item.items, item.tail) if isinstance(item, ImproperList) else item
            inner.update((id(part), part) for part in parts if isinstance(part, _CONTAINERS))
        if not inner:
            return
        level = list(inner.values())
    raise Unencodable(f"nested deeper than {MAX_DEPTH}, or it contains itself")


def encode(value: Any) -> bytes:
    """CBOR as the guest reads it; half of a surrogate pair is U+FFFD. Raises Unencodable."""
    if isinstance(value, _CONTAINERS):
        _check_nesting(value)
    try:
        try:
            return cbor2.dumps(value, encoders=_encoders(), default=_no_form)
        except (cbor2.CBOREncodeError, UnicodeEncodeError) as error:
            if not isinstance(error.__cause__ or error, UnicodeEncodeError):
                raise
            return cbor2.dumps(with_whole_characters(value), encoders=_encoders(), default=_no_form)
    except (cbor2.CBOREncodeError, RecursionError, UnicodeEncodeError, ValueError) as error:
        raise Unencodable(str(error)) from error


def _pair(value: Any) -> tuple[Any, Any]:
    if type(value) is not list or len(value) != 2:
        raise Unencodable("a tag that holds two parts has others")
    first, second = value
    return first, second


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise Unencodable("no integer")
    return value


def _fraction(value: Any) -> Fraction:
    above, below = _pair(value)
    if _integer(below) == 0:
        raise Unencodable("a rational with denominator 0")
    from fractions import Fraction

    return Fraction(_integer(above), below)


def _complex(value: Any) -> complex:
    real, imaginary = _pair(value)
    if not (isinstance(real, int | float) and isinstance(imaginary, int | float)):
        raise Unencodable("a complex number of other parts than numbers")
    return complex(real, imaginary)


def _character(value: Any) -> Char:
    if not 0 <= _integer(value) < 0x110000 or 0xD800 <= value < 0xE000:
        raise Unencodable("no character")
    return Char(chr(value))


def _improper(value: Any) -> ImproperList:
    if type(value) is not list or len(value) < 2:
        raise Unencodable("no improper list")
    return ImproperList(tuple(value[:-1]), value[-1])


def _box(value: Any) -> Box:
    if type(value) is not list or len(value) != 1:
        raise Unencodable("no box")
    return Box(value[0])


def _struct(value: Any) -> Generator[None, None, Struct]:
    if (
        type(value) is not list
        or len(value) < 2
        or type(value[0]) is not Symbol
        or type(value[1]) is not tuple
    ):
        raise Unencodable("no struct")
    name, names, *items = value
    if len(names) != len(items):
        raise Unencodable("a struct of other fields than it names")
    fields: dict[str, Any] = {}
    counts: dict[str, int] = {}  # kept for all fields: a guest may give a hundred thousand one name
    for at, (label, item) in enumerate(zip(names, items, strict=True), 1):
        key = str(_symbol(label))
        while key in fields:
            counts[label] = counts.get(label, 1) + 1
            key = f"{label}#{counts[label]}"
        fields[key] = item
        if at % _ITEMS_A_TURN == 0:
            yield
    return Struct(str(name), fields)


def _uniform(value: Any) -> Generator[None, None, tuple[int | float | complex, ...]]:
    """What of a uniform vector's type is left in Python: its numbers."""
    if type(value) is not list or not value:
        raise Unencodable("no uniform vector")
    for at, item in enumerate(value, 1):
        if type(item) not in (int, float, complex):
            raise Unencodable("a uniform vector that does not hold numbers")
        if at % _ITEMS_A_TURN == 0:
            yield
    return tuple(value[1:])


def _symbol(value: Any) -> Symbol:
    if type(value) is not Symbol:
        raise Unencodable("no symbol")
    return value


_ITEMS_A_TURN = 2_000
_SAME_HASH = 16
"""Members of a set that may have one hash: a guest could choose numbers that all collide."""


def _set(value: Any) -> Generator[None, None, frozenset[Any]]:
    if type(value) is not list or not value:
        raise Unencodable("no set")
    members: set[Any] = set()
    codes: dict[int, int] = {}  # how many members have a hash; no two of its keys have one
    for at in range(1, len(value)):
        member = value[at]
        if type(member) not in _PLAIN:
            member = yield from _hashable(member)
        if not isinstance(member, str | bytes):
            code = hash(member)
            codes[code] = same = codes.get(code, 0) + 1
            if same > _SAME_HASH:
                raise Unencodable("a set whose members were chosen to collide")
        members.add(member)
        if at % _ITEMS_A_TURN == 0:
            yield
    if len(members) < len(value) - 1:
        raise Unencodable('a set with members that are one in Python, such as 1 and 1.0, or a and "a"')
    return frozenset(members)


def _hashable(value: Any) -> Generator[None, None, Any]:
    if type(value) in (list, tuple):
        items = []
        for at, item in enumerate(value, 1):
            items.append(item if type(item) in _PLAIN else (yield from _hashable(item)))
            if at % _ITEMS_A_TURN == 0:
                yield
        return tuple(items)
    if isinstance(value, dict | Box | Struct):
        raise Unencodable("a set with tables, boxes or structs in it has no form in Python")
    return value


_TAGS: dict[int, Callable[[Any], Any]] = {
    30: _fraction,
    TAG_SYMBOL: lambda value: Symbol(_text(value)),
    TAG_KEYWORD: lambda value: Keyword(_text(value)),
    TAG_CHARACTER: _character,
    TAG_VECTOR: lambda value: tuple(_list(value)),
    TAG_IMPROPER: _improper,
    TAG_TABLE: lambda value: _table(_pair(value)[1]),
    TAG_COMPLEX: _complex,
    TAG_BOX: _box,
}
_TAGS_IN_TURNS: dict[int, Callable[[Any], Generator[None, None, Any]]] = {
    TAG_SET: _set,
    TAG_STRUCT: _struct,
    TAG_UNIFORM: _uniform,
}
"""Those whose items are gone through, and may be many."""
"""What a guest may say by tags, besides large integers (2 and 3). Nothing else builds an object here."""


def _refused(value: Any, _immutable: bool) -> Any:
    raise Unencodable("a tag that a guest does not use")


# cbor2 knows more tags than a guest uses, among them such that build regular expressions, e-mail
# messages and circular lists: every one of them is refused. An unknown tag comes as a CBORTag, below.
_DECODERS: dict[int, Any] = dict.fromkeys(
    (0, 1, 4, 5, 25, 28, 29, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refused
)
# In the keys of a table arrays come as tuples, also those that a tag holds.
_DECODERS.update(
    {
        tag: (
            lambda value, immutable, make=make: make(
                list(value) if type(value) is tuple and immutable else value
            )
        )
        for tag, make in _TAGS.items()
    }
)
_DECODERS.update(
    {
        tag: (
            lambda value, immutable, make=make: at_once(
                make(list(value) if type(value) is tuple and immutable else value)
            )
        )
        for tag, make in _TAGS_IN_TURNS.items()
    }
)


def _unknown_tag(tag: cbor2.CBORTag, _immutable: bool) -> Any:
    raise Unencodable(f"the tag {tag.tag}, which a guest does not use")


def decode(data: bytes) -> Any:
    """Python data of what the guest sent. Raises Unencodable.

    Numbers as keys of a large table are refused: they could be chosen to collide.
    """
    try:
        return cbor2.loads(
            data,
            semantic_decoders=_DECODERS,
            tag_hook=_unknown_tag,
            max_depth=MAX_DEPTH,
            strict_hashable_types=len(data) > _SMALL,
            allow_duplicate_keys=False,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, IndexError, ArithmeticError) as error:
        raise Unencodable(_why_unread(error)) from error


ONE_KEY = 'a table with keys that are one in Python, such as 1 and 1.0, or a and "a"'


def _why_unread(error: BaseException) -> str:
    """In our own words where it is a value without a form; else the message itself is broken."""
    text = str(error)
    if "Duplicate map key" in text:
        return ONE_KEY
    if "decoding map" in text:
        return "a large table with other keys than text, or one with structs in its keys"
    if "nesting depth" in text:
        return f"it is nested deeper than {MAX_DEPTH}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Unencodable):
            return str(cause)
        cause = cause.__cause__
    return f"a message from the guest cannot be read: {error}"


def arguments_of(packed: bytes) -> list[Any]:
    """A call's arguments. Raises Unencodable."""
    items = decode(packed)
    if type(items) is not list:
        raise Unencodable("a call's arguments are no array")
    return items


def data_of(packed: bytes | bool | None, refused: Callable[[str], None] = lambda _why: None) -> Any:
    """A small outcome's data, None where it has none that Python can take: ``refused`` is told why."""
    if not isinstance(packed, bytes):
        return None
    if len(packed) == 1 and packed[0] < 24:  # a small number
        return packed[0]
    try:
        value = decode(packed)
    except Unencodable as error:
        refused(str(error))
        return None
    return None if value is cbor2.undefined else value


def data_in_turns(
    packed: bytes, refused: Callable[[str], None] = lambda _why: None
) -> Generator[int, None, Any]:
    """As ``data_of``, for an outcome of any size, whose containers Python's collector does not look at."""
    try:
        value = yield from decode_in_turns(packed, uncollected=Uncollected())
    except Unencodable as error:
        refused(str(error))
        return None
    return None if value is cbor2.undefined else value


def reply_value(value: Any) -> Any:
    """A Python value as the guest shall see it: None is void."""
    return VOID if value is None else value


# ---- the messages that are sent often, put together by hand

TICK = encode([Tick.KIND])
INTERRUPT = encode([Interrupt.KIND])
DEFINITIONS = encode([Definitions.KIND])
COLLECT = encode([Collect.KIND])


def evaluate(source: str, name: str, options: dict[str, Any]) -> bytes:
    """An eval message. Mostly there are no options: then it is put together by hand."""
    if options:
        return encode([Evaluate.KIND, {"source": source, "name": name, **options}])
    return _EVAL_SOURCE + _encoded_text(source) + _encoded_name(name)


def evaluate_with(source: str, name: str, options: dict[str, Any], replies: Sequence[Part]) -> list[Part]:
    """The same in parts, with replies to calls that an earlier execution left; those are encoded already."""
    table = encode({"source": source, "name": name, **options, "replies": []})
    return [_EVAL, table[:-1], array_head(len(replies)), *replies]  # its last byte is the empty array


_EVAL = b"\x82\x64eval"
_EVAL_SOURCE = b"\x82\x64eval\xa2\x66source"
_NAME = b"\x64name"


@lru_cache(16)
def _encoded_name(name: str) -> bytes:
    """Mostly the same one."""
    return _NAME + _encoded_text(name)


def _encoded_text(text: str) -> bytes:
    encoded = text.encode()
    length = len(encoded)
    if length < 24:
        return bytes([0x60 | length]) + encoded
    if length < 1 << 16:
        return b"\x79" + length.to_bytes(2, "big") + encoded
    return b"\x7a" + length.to_bytes(4, "big") + encoded


_REPLIES = b"\x82\x67replies"


def replies_of(encoded: Sequence[Part]) -> bytes:
    """A replies message of items that are encoded already."""
    return joined(replies_in_parts(encoded))


def replies_in_parts(encoded: Sequence[Part]) -> list[Part]:
    """The same, not put together: an item may have megabytes."""
    return [_REPLIES + array_head(len(encoded)), *encoded]


def one_reply(encoded: bytes) -> bytes:
    """The same of one item that is small."""
    return _ONE_REPLY + encoded


_ONE_REPLY = _REPLIES + b"\x81"  # an array of one


class TextReply:
    """The item of a replies message that brings a long text, of which only the beginning is encoded.

    There the text's length is told in characters.
    """

    __slots__ = ("_id", "head", "text")

    def __init__(self, id_: int, text: LongText) -> None:
        self._id = id_
        self.head = reply_head(id_) + head_of(3, len(text))
        self.text = text

    def __len__(self) -> int:
        return len(self.head) + len(self.text)

    @property
    def own_bytes(self) -> int:
        """Without a text that its session has anyway."""
        return len(self.head) + (self.text.size if self.text.shared is None else 0)

    def encoded(self) -> Generator[None, None, bytes]:
        """The whole of it, in UTF-8; it yields between copies of a mebibyte."""
        if not self.text.is_ascii:
            return (yield from encode_in_turns(self.text.text(), reply_head(self._id)))
        parts = [(address_of(self.head), len(self.head)), (self.text.address(), len(self.text))]
        return (yield from gathered(parts))


Part = bytes | TextReply
"""Of a message: bytes, or what becomes some."""


def encoded_parts(parts: Iterable[Part]) -> Generator[None, None, list[bytes]]:
    """Each as bytes; it yields between parts of a large one."""
    out: list[bytes] = []
    for part in parts:
        encoded = part if isinstance(part, bytes) else (yield from part.encoded())
        out.append(encoded)
    return out


def joined(parts: Iterable[Part]) -> bytes:
    """All of them as bytes."""
    return b"".join(at_once(encoded_parts(parts)))


def own_bytes(parts: Iterable[Part]) -> int:
    """Bytes that the host holds for them alone."""
    size = 0
    for part in parts:
        size += len(part) if isinstance(part, bytes) else part.own_bytes
    return size


def text_apart(message: Sequence[Part]) -> Generator[None, None, TextReply | None]:
    """A message that is a single reply, a long text: that reply. None for any other.

    What the message says decides, and not how it is divided: the guest takes the same course, and the same
    fuel, whenever it is given again. It yields between parts of a large one.
    """
    last = message[-1]
    begins = len(message) == 2 and message[0] == _ONE_REPLY
    if not isinstance(last, bytes):
        return last if begins else None
    if begins or (len(message) == 1 and last.startswith(_ONE_REPLY)):
        return (yield from text_reply(last, 0 if begins else len(_ONE_REPLY)))
    return None


def text_reply(encoded: bytes, start: int = 0) -> Generator[None, None, TextReply | None]:
    """What stands there from ``start`` on, where it is an item that brings a long text."""
    if len(encoded) - start < LONG_TEXT:
        return None
    head = re.compile(_TEXT_REPLY).match(encoded, start)
    if head is None or len(encoded) - head.end() != int.from_bytes(head[2], "big"):
        return None
    text = yield from text_in(encoded, head.end())
    return None if text is None else TextReply(cbor2.loads(head[1]), text)


_TEXT_REPLY = rb"(?s)\x83([\x00-\x17]|\x18.|\x19..|\x1a.{4}|\x1b.{8})\xf5\x7a(.{4})"


def part_of(encoded: bytes) -> Part:
    """An item as whoever answered it first has it: what it costs does not depend on who does."""
    return at_once(text_reply(encoded)) or encoded


def text_message(reply: TextReply) -> bytes:
    """What stands before the characters in the message that brings it alone."""
    return _ONE_REPLY + reply.head


_PLAIN = frozenset({str, int, float, bool, type(None), bytes})
"""Types whose form in CBOR is the one we want: cbor2 does without our encoders, which take as long again."""


def reply(id_: int, fine: bool, value: Any) -> bytes:
    """The item of a replies message that brings a value; None is void. Raises Unencodable."""
    kind = type(value)
    if (kind is list and _PLAIN.issuperset(map(type, value))) or (kind in _PLAIN and value is not None):
        try:
            return cbor2.dumps([id_, fine, value])
        except (cbor2.CBOREncodeError, UnicodeEncodeError):  # half of a surrogate pair: see encode
            pass
    return encode([id_, fine, reply_value(value)])


def reply_head(id_: int) -> bytes:
    """What stands before the encoded value in the item of a replies message that brings it."""
    return b"\x83" + encode(id_) + b"\xf5"


def reply_to(id_: int, other: int, encoded: bytes) -> bytes:
    """The item that answers the request ``other``, as one that answers this one."""
    return encoded[:1] + encode(id_) + encoded[1 + len(encode(other)) :]


def encode_in_turns(value: Any, head: bytes = b"") -> Generator[None, None, bytes]:
    """As ``encode``, with ``head`` in front, for what is large; it yields every few milliseconds."""
    out = _Pieces([head])
    yield from _pieces_of(value, out, 0)
    return (yield from gathered([(address_of(piece), len(piece)) for piece in out.joined()]))


class _Pieces:
    """What is encoded, in pieces: small ones are joined, so that there are never many of them.

    A turn is due after so many small ones, wherever in the value they stand.
    """

    _MOST = 1_000

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._small: list[bytes] = []

    def add(self, piece: bytes) -> bool:
        """Append a small piece. Whether a turn is due."""
        self._small.append(piece)
        return len(self._small) >= self._MOST

    def joined(self) -> list[bytes]:
        """All of it, to which large pieces may be appended."""
        if self._small:
            self._pieces.append(b"".join(self._small))
            self._small.clear()
        return self._pieces


def _pieces_of(value: Any, out: _Pieces, depth: int) -> Generator[None, None, None]:
    kind = type(value)
    if kind is str and len(value) > IN_ONE_GO:
        yield from _text_in_pieces(value, out.joined())
    elif kind is bytes and len(value) > IN_ONE_GO:
        out.joined().extend((head_of(2, len(value)), value))
    elif kind not in (list, tuple, dict) and not isinstance(value, Mapping):
        if out.add(encode(value)):
            out.joined()
            yield
    elif depth >= MAX_DEPTH:
        raise Unencodable(f"nested deeper than {MAX_DEPTH}, or it contains itself")
    else:
        if kind is tuple:
            out.add(b"\xd9" + TAG_VECTOR.to_bytes(2, "big"))
        table = isinstance(value, Mapping)
        if out.add(head_of(5 if table else 4, len(value))):
            out.joined()
            yield
        for item in chain.from_iterable(value.items()) if table else value:
            # What is nested looks small until somebody has gone through it.
            kind = type(item)
            if (
                kind in (list, tuple, dict)
                or (kind in (str, bytes) and len(item) > IN_ONE_GO)
                or (kind not in _PLAIN and isinstance(item, Mapping))
            ):
                yield from _pieces_of(item, out, depth + 1)
            elif out.add(encode(item)):
                out.joined()
                yield


def _text_in_pieces(text: str, pieces: list[bytes]) -> Generator[None, None, None]:
    """A text of megabytes, whose length in bytes is known only when all of it is encoded."""
    at, total = len(pieces), 0
    pieces.append(b"")
    for start in range(0, len(text), _CHARACTERS_A_TURN):
        piece = _utf8(text[start : start + _CHARACTERS_A_TURN])
        total += len(piece)
        pieces.append(piece)
        yield
    pieces[at] = head_of(3, total)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return whole_characters(text).encode()


def items_of(values: list[Any]) -> bytes:
    """The encoded items of an array, without its head. Raises Unencodable."""
    return encode(values)[len(array_head(len(values))) :]


def array_head(count: int) -> bytes:
    """What begins an array of so many items."""
    return head_of(4, count)


def head_of(major: int, number: int) -> bytes:
    """What begins a value of CBOR's major type: its length, or how many items it has."""
    high = major << 5
    if number < 24:
        return bytes([high | number])
    for short, width in ((24, 1), (25, 2), (26, 4)):
        if number < 1 << 8 * width:
            return bytes([high | short]) + number.to_bytes(width, "big")
    return bytes([high | 27]) + number.to_bytes(8, "big")


def plain_number(value: Any) -> float | None:
    """A finite real, or None."""
    if isinstance(value, bool) or not (isinstance(value, int | float) or is_fraction(value)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# ---- large values, in turns

_NODES_A_TURN = 500
_FEW = 1_000
_BYTES_A_TURN = 1 << 20
_CHARACTERS_A_TURN = 1 << 19


class Encoded:
    """A value that is encoded already, for a reply, in parts that nobody had to put together."""

    __slots__ = ("parts",)

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts

    def behind(self, head: bytes) -> Generator[None, None, bytes]:
        """All of it with something in front; it yields between copies of a mebibyte."""
        parts = (head, *self.parts)
        return (yield from gathered([(address_of(part), len(part)) for part in parts]))


@dataclass(frozen=True, slots=True)
class _TextInside:
    """A text that stands in a message, from one byte to another, and has been found to be UTF-8."""

    data: bytes
    start: int
    end: int

    def parts(self, size: int) -> Iterator[str]:
        """Of about so many bytes each."""
        at = self.start
        while at < self.end:
            stop = min(self.end, at + size)
            while stop < self.end and self.data[stop] & 0xC0 == 0x80:
                stop += 1
            yield self.data[at:stop].decode()
            at = stop

    def checked(self, made: int) -> Generator[int, None, bool]:
        """True: it is ASCII. It yields ``made`` between pieces.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
        narrow = True
        for part in self.parts(_BYTES_A_TURN):
            narrow = narrow and part.isascii()
            yield made
        return narrow

    def whole(self) -> str:
        """All of it."""
        return "".join(self.parts(_BYTES_A_TURN))


def decode_in_turns(
    data: bytes, *, texts_inside: bool = False, uncollected: Uncollected | None = None
) -> Generator[int, None, Any]:
    """As ``decode``, but it yields every few milliseconds: millions of small parts hold nobody up.

    It yields how many parts it has made. With ``texts_inside`` a text of megabytes that is a part of one of
    the outermost array's arrays is looked through, and left where it is. What is made is taken out of
    the collector's sight by ``uncollected``, where there is one.
    """
    done = 0
    stack: list[_Open] = []
    at = 0
    value: Any = None
    try:
        while True:
            head = data[at]
            major, short = head >> 5, head & 31
            at += 1
            if short < 24:
                number = short
            elif short < 28:
                width = 1 << (short - 24)
                number = int.from_bytes(data[at : at + width], "big")
                if at + width > len(data):
                    raise Unencodable("the message ends in its middle")
                at += width
            elif short == 31 and major in (4, 5):
                number = -1  # ends with a break
            elif head == 0xFF and stack and stack[-1].missing < 0 and stack[-1].whole:
                number = 0
            else:
                raise Unencodable("no CBOR")
            done += 1
            if done % _NODES_A_TURN == 0:
                if done > MAX_PARTS:
                    raise Unencodable(f"a value of more than {MAX_PARTS:,} parts: hand over less at once")
                yield done
            if major in (4, 5, 6):
                if len(stack) >= MAX_DEPTH:
                    raise Unencodable(f"nested deeper than {MAX_DEPTH}")
                missing = 1 if major == 6 else number
                if number == 0 and major < 6:
                    value = [] if major == 4 else {}
                    if uncollected is not None:
                        uncollected.add(value)
                else:
                    stack.append(_Open(major, missing, number))
                    if uncollected is not None and not 0 <= number < _FEW:
                        uncollected.begun(stack[-1].items)
                    continue
            elif head == 0xFF:
                value = yield from _closed(stack, done, uncollected)
            elif major in (2, 3):
                if at + number > len(data):
                    raise Unencodable("the message ends in its middle")
                if major == 2 and number <= _BYTES_A_TURN:
                    value = data[at : at + number]
                    at += number
                elif major == 2:
                    value = yield from _counting(done, gathered([(address_of(data) + at, number)]))
                    at += number
                elif number <= IN_ONE_GO:
                    value = data[at : at + number].decode()
                    at += number
                else:
                    text = _TextInside(data, at, at + number)
                    if number > _BYTES_A_TURN and texts_inside and len(stack) == 2:
                        yield from text.checked(done)
                        value = text
                    elif number > _BYTES_A_TURN and (yield from text.checked(done)):
                        value = str(memoryview(data)[at : at + number], "ascii")  # no second copy beside it
                    else:
                        pieces: list[str] = []
                        for piece in text.parts(_BYTES_A_TURN):
                            if pieces:
                                yield done
                            pieces.append(piece)
                        value = "".join(pieces)
                    at += number
                    if number > _BYTES_A_TURN:
                        yield done
            elif major < 2:
                value = number if major == 0 else -1 - number
            else:
                value = _simple(data, at, short, number)
            while stack:
                ready = stack[-1].take(value)
                if not ready:
                    break
                value = yield from _closed(stack, done, uncollected)
            else:
                if at != len(data):
                    raise Unencodable("there is something behind the message")
                return value
    except (IndexError, UnicodeDecodeError) as error:
        raise Unencodable(f"a message from the guest cannot be read: {error}") from error


def _closed(stack: list[_Open], done: int, uncollected: Uncollected | None) -> Generator[int, None, Any]:
    """The value of the innermost container, which has all its items."""
    container = stack.pop()
    make = _TAGS_IN_TURNS.get(container.tag) if container.major == 6 else None
    if make is None:
        value = container.close()
    else:
        value = yield from _counting(done, make(container.items[0]))
        if uncollected is not None and type(value) is frozenset:  # its members were made just now
            yield from _counting(done, uncollected.add_all(value))
            return value
    if uncollected is not None and not (stack and stack[-1].major == 6 and type(value) is list):
        uncollected.add(value)  # but not a list of which a tag makes something else
    return value


def _counting(done: int, work: Generator[None, None, T]) -> Generator[int, None, T]:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result
        yield done


def _simple(data: bytes, at: int, short: int, number: int) -> Any:
    if short in (25, 26, 27):
        return cbor2.loads(data[at - (1 << (short - 24)) - 1 : at])
    simple = {20: False, 21: True, 22: None, 23: cbor2.undefined}
    if number not in simple or short >= 24:
        raise Unencodable("no CBOR")
    return simple[number]


class _Open:
    """A container whose items come."""

    __slots__ = ("_key", "items", "major", "missing", "tag", "whole")

    def __init__(self, major: int, missing: int, tag: int) -> None:
        self.major = major
        self.tag = tag
        self.missing = missing
        self.items: Any = {} if major == 5 else []
        self._key: Any = None
        self.whole = True
        """Of a table: whether what came so far are pairs."""

    def take(self, value: Any) -> bool:
        """One more item: whether it was the last."""
        if self.major == 5:
            if self.whole:
                if type(value) not in (str, bytes, Symbol):
                    raise Unencodable("a large table with other keys than text")
                self._key, self.whole = value, False
                return False
            if self._key in self.items:
                raise Unencodable(ONE_KEY)
            self.items[self._key] = value
            self.whole = True
        else:
            self.items.append(value)
        self.missing -= 1
        return self.missing == 0

    def close(self) -> Any:
        """The value."""
        if self.major != 6:
            return self.items
        (content,) = self.items
        if self.tag in (2, 3):
            magnitude = int.from_bytes(_bytes(content), "big")
            return magnitude if self.tag == 2 else -1 - magnitude
        make = _TAGS.get(self.tag)
        if make is None:
            raise Unencodable(f"the tag {self.tag}, which a guest does not use")
        return make(content)

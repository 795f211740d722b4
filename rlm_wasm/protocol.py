"""The messages between guest and host, and their encoding. wasm/rlm.h is the other half.

To the guest (one message a run):

    ["eval", {"source": text, "name": text, …}]
        start an execution. Further keys, all optional: "replies": as below, for calls that an
        earlier execution left; "grants": names of host functions that become procedures;
        "context": true where the default context was replaced; "handles": most handles alive;
        "output": most bytes of value and error text; "depth": this session's recursion depth.
    ["replies", [[id, true, value] | [id, false, {"type", "message", …}], …]]
    ["interrupt", {"kind", "message", "used", "limit"}]
        end the execution. kind is a field of Limits, or "cancelled".
    ["tick"]      a time slice ended: give the next fiber a turn.

From the guest (the outbox is an array of these):

    ["call", id, operation, arguments]     ids ascend within a session; arguments: an encoded array
    ["ack"]                                 took the message that came in the middle of a slice
    ["cancel", id]
    ["note", "out" | "err", text]          standard output and error
    ["note", "log", {"op", "preview", …}]  an entry of the scope log
    ["done", {"status": "finished" | "ok" | "error" | "limit" | "cancelled", "value": text,
              "data": encoded (true: the value is its text), "lineage": [call id, …],
              "error": {"type", "message", "irritants", "source", "line", "column", "hint",
                        "backtrace", "kind", "used", "limit"}}]
    ["failed", text]

Operations (the table of capabilities.py serves them; the guest's side is prelude/llm/):

    llm op instruction data model temperature max-tokens json? images recursive   (#f: not given)
        → (text call-id model prompt-tokens completion-tokens depth)
    sleep seconds · now → milliseconds since 1970
    context → text or #f · context-size → characters or #f · context-length · context-slice start end ·
    context-lines start end · context-search text most     (the name comes last; #f: the default one)
    context-names
    checkpoint key bytes preview · restore key → bytes or #f
    py-exec code · py-eval code · py-set! name value · py-call reference method argument …
    usage → hash of what was used and what is left · rate-limits
    library path → text or #f
    host name argument …                  the embedder's functions

Everything that leaves the guest is bounded before it is parsed (Sandbox.outbox).
"""

from __future__ import annotations

import math
from enum import IntEnum
from fractions import Fraction
from typing import Any

import cbor2

from rlm_wasm.values import VOID, Char, ImproperList, Keyword, Symbol, VoidType


class Status(IntEnum):
    """What rlm_run returns. wasm/rlm.h has the same; a test compares them."""

    DONE = 0
    SUSPENDED = 1
    PREEMPTED = 2
    FAILED = 3


TAG_SYMBOL = 39
TAG_KEYWORD = 40001
TAG_CHARACTER = 40002
TAG_VECTOR = 40003
TAG_IMPROPER = 40004
TAG_TABLE = 40005
TAG_COMPLEX = 40006

MOST_DEPTH = 400
"""Containers in one another that may cross."""

_SMALL = 16 * 1024


class Unencodable(Exception):
    """A Python value has no form in Scheme, or what came from the guest none in Python."""


def _tagged(tag: int, value: Any) -> cbor2.CBORTag:
    return cbor2.CBORTag(tag, value)


def _encode_complex(encoder: Any, value: complex) -> None:
    encoder.encode(_tagged(TAG_COMPLEX, [value.real, value.imag]))


_ENCODERS: dict[type, Any] = {
    Symbol: lambda encoder, value: encoder.encode(_tagged(TAG_SYMBOL, str(value))),
    Keyword: lambda encoder, value: encoder.encode(_tagged(TAG_KEYWORD, str(value))),
    Char: lambda encoder, value: encoder.encode(_tagged(TAG_CHARACTER, ord(value))),
    VoidType: lambda encoder, value: encoder.encode(cbor2.undefined),
    ImproperList: lambda encoder, value: encoder.encode(_tagged(TAG_IMPROPER, [*value.items, value.tail])),
    tuple: lambda encoder, value: encoder.encode(_tagged(TAG_VECTOR, list(value))),
    complex: _encode_complex,
    # cbor2's own encoder makes a tuple of the two parts, which would become a vector
    Fraction: lambda encoder, value: encoder.encode(_tagged(30, [value.numerator, value.denominator])),
}


def _no_form(encoder: Any, value: Any) -> None:
    raise Unencodable(f"a Python {type(value).__name__} has no form in Scheme")


def encode(value: Any) -> bytes:
    """CBOR as the guest reads it. Raises Unencodable."""
    try:
        return cbor2.dumps(value, encoders=_ENCODERS, default=_no_form)
    except (cbor2.CBOREncodeError, RecursionError, UnicodeEncodeError) as error:
        raise Unencodable(str(error)) from error


def _character(value: Any, _immutable: bool) -> Char:
    return Char(chr(value))


def _improper(value: Any, _immutable: bool) -> ImproperList:
    *items, tail = value
    return ImproperList(tuple(items), tail)


_DECODERS: dict[int, Any] = {
    TAG_SYMBOL: lambda value, _immutable: Symbol(value),
    TAG_KEYWORD: lambda value, _immutable: Keyword(value),
    TAG_CHARACTER: _character,
    TAG_VECTOR: lambda value, _immutable: tuple(value),
    TAG_IMPROPER: _improper,
    TAG_TABLE: lambda value, _immutable: value[1],
    TAG_COMPLEX: lambda value, _immutable: complex(*value),
}


def decode(data: bytes) -> Any:
    """Python data of what the guest sent. Raises Unencodable.

    Numbers as keys of a large table are refused: they could be chosen to collide.
    """
    try:
        return cbor2.loads(
            data, semantic_decoders=_DECODERS, max_depth=MOST_DEPTH, strict_hashable_types=len(data) > _SMALL
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, IndexError, ZeroDivisionError) as error:
        raise Unencodable(f"a message from the guest cannot be read: {error}") from error


def messages(outbox: bytes) -> list[Any]:
    """The outbox's messages."""
    found = decode(outbox)
    if not isinstance(found, list):
        raise Unencodable("the guest's outbox holds no array")
    return found


def data_of(packed: Any) -> Any:
    """An outcome's data, None where it has none that Python can take."""
    if not isinstance(packed, bytes):
        return None
    try:
        value = decode(packed)
    except Unencodable:
        return None
    return None if value is cbor2.undefined else value


def reply_value(value: Any) -> Any:
    """A Python value as the guest shall see it: what JSON and Scheme both have, the rest refused."""
    if value is None:
        return VOID
    return value


TICK = encode(["tick"])


def evaluate(source: str, name: str, options: dict[str, Any]) -> bytes:
    """An eval message. Mostly there are no options: then it is put together by hand."""
    if options:
        return encode(["eval", {"source": source, "name": name, **options}])
    return _EVAL_SOURCE + _text(source) + _NAME + _text(name)


_EVAL_SOURCE = b"\x82\x64eval\xa2\x66source"
_NAME = b"\x64name"


def _text(text: str) -> bytes:
    encoded = text.encode()
    length = len(encoded)
    if length < 24:
        return bytes([0x60 | length]) + encoded
    if length < 1 << 16:
        return b"\x79" + length.to_bytes(2, "big") + encoded
    return b"\x7a" + length.to_bytes(4, "big") + encoded


_ARRAY_OF_2_REPLIES = b"\x82\x67replies"


def replies_of(encoded: list[bytes]) -> bytes:
    """A replies message of items that are encoded already."""
    return _ARRAY_OF_2_REPLIES + _array_head(len(encoded)) + b"".join(encoded)


def _array_head(count: int) -> bytes:
    if count < 24:
        return bytes([0x80 | count])
    if count < 1 << 16:
        return b"\x99" + count.to_bytes(2, "big")
    return b"\x9a" + count.to_bytes(4, "big")


def interrupt(kind: str, message: str, used: float | None = None, limit: float | None = None) -> bytes:
    """An interrupt message."""
    return encode(["interrupt", {"kind": kind, "message": message, "used": used, "limit": limit}])


def plain_number(value: Any) -> float | None:
    """A finite real, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        return None
    number = float(value)
    return number if math.isfinite(number) else None

"""Results and Answers as bytes, for a store."""

from __future__ import annotations

from typing import TypeVar

import cbor2

from rlm_wasm.asking import answer
from rlm_wasm.errors import SnapshotCorrupt
from rlm_wasm.lazy_dataclass import replace
from rlm_wasm.records import structure, unstructure
from rlm_wasm.results import Result
from rlm_wasm.sandbox import protocol

R = TypeVar("R", bound=Result)


def encoded(result: Result) -> bytes:
    """A Result, or an Answer without its ``parsed``."""
    data = None if result.data is None else protocol.encode(result.data)
    plain = replace(result, data=None)
    return cbor2.dumps(
        [unstructure(replace(plain, parsed=None) if isinstance(plain, answer.Answer) else plain), data]
    )


def decoded(kind: type[R], given: bytes, what: str) -> R:
    """The inverse. Raises SnapshotCorrupt, which says ``what`` is damaged."""
    try:
        fields, data = cbor2.loads(given)
        result = structure(kind, {**fields, "data": None}, what, SnapshotCorrupt)
        return result if data is None else replace(result, data=protocol.decode(data))
    except (cbor2.CBORError, ValueError, TypeError) as error:
        raise SnapshotCorrupt(f"{what} is damaged: {error}") from error

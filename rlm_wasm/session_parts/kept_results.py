"""A Result as bytes, for whoever asks for it again."""

from __future__ import annotations

from dataclasses import replace

import cbor2

from rlm_wasm.errors import SnapshotCorrupt
from rlm_wasm.records import structure, unstructure
from rlm_wasm.results import Result
from rlm_wasm.sandbox import protocol


def kept(result: Result) -> bytes:
    """The bytes."""
    data = None if result.data is None else protocol.encode(result.data)
    return cbor2.dumps([unstructure(replace(result, data=None)), data])


def read(content: bytes, what: str) -> Result:
    """The inverse. Raises SnapshotCorrupt, whose message names ``what`` was read."""
    try:
        fields, data = cbor2.loads(content)
        result = structure(Result, {**fields, "data": None}, what, SnapshotCorrupt)
        return result if data is None else replace(result, data=protocol.decode(data))
    except (cbor2.CBORError, ValueError, TypeError) as error:
        raise SnapshotCorrupt(f"{what} is damaged: {error}") from error

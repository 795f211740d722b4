"""What a durable session writes into a store, signed where its runtime has a ``snapshot_key``.

Snapshots have their own seal (sandbox/snapshot.py). Rows of the journal, the account and a kept result get an
HMAC-SHA-256 here, over what they are and where they stand: whoever can write the store, and has not the key,
can forge none, nor put one in another's place. What they can do is to take the newest ones away.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rlm_wasm.errors import SnapshotCorrupt

if TYPE_CHECKING:
    from rlm_wasm.store.records import Batch, Opened

_MARK: Final = b"\x00signed\x01"
"""No CBOR of ours begins with it."""
_MAC_BYTES: Final = 32


def _mac(key: bytes, place: str, payload: bytes) -> bytes:
    named = place.encode()
    return hmac.digest(key, b"rlm-wasm journal %d " % len(named) + named + payload, "sha256")


def signed(key: bytes, place: str, payload: bytes) -> bytes:
    """The payload with its signature."""
    return _MARK + _mac(key, place, payload) + payload


def plain(payload: bytes) -> bytes:
    """The payload without its signature, if it has one: for whoever has no key."""
    return payload[len(_MARK) + _MAC_BYTES :] if payload.startswith(_MARK) else payload


def _checked(key: bytes | None, place: str, payload: bytes, what: str) -> bytes:
    if key is None:
        return plain(payload)
    if not payload.startswith(_MARK):
        raise SnapshotCorrupt(f"{what} is not signed, and this runtime takes signed ones only")
    mac, content = payload[len(_MARK) :][:_MAC_BYTES], payload[len(_MARK) + _MAC_BYTES :]
    if not hmac.compare_digest(mac, _mac(key, place, content)):
        raise SnapshotCorrupt(f"{what} is forged, or signed by another key")
    return content


def _row(session: float, number: int, stream: str) -> str:
    return f"row {session!r} {number} {stream}"


def signed_batch(key: bytes, session: float, batch: Batch) -> Batch:
    """The batch as it is written. ``session``: when it was made, which its copies have in common."""
    return replace(
        batch,
        rows=[
            (number, stream, signed(key, _row(session, number, stream), payload))
            for number, stream, payload in batch.rows
        ],
        account=None if batch.account is None else signed(key, f"account {session!r}", batch.account),
        result=None if batch.result is None else signed(key, f"result {session!r}", batch.result),
    )


def checked(key: bytes | None, opened: Opened) -> Opened:
    """What was read, without its signatures. Raises SnapshotCorrupt for what is not signed by the key."""
    name, session = opened.name, opened.made_at
    return replace(
        opened,
        rows=[
            (
                number,
                stream,
                _checked(
                    key,
                    _row(session, number, stream),
                    payload,
                    f"row {number} of the journal of session {name}",
                ),
            )
            for number, stream, payload in opened.rows
        ],
        account=None
        if opened.account is None
        else _checked(key, f"account {session!r}", opened.account, f"the account of session {name}"),
        result=None
        if opened.result is None
        else _checked(key, f"result {session!r}", opened.result, f"the result of session {name}"),
    )


def signed_account(key: bytes | None, session: float, account: bytes) -> bytes:
    """An account as it is written."""
    return account if key is None else signed(key, f"account {session!r}", account)

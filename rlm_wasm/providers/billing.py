"""Money that is set aside for calls: what is said where there is too little, and which failures cost some."""

from __future__ import annotations

from rlm_wasm.errors import LimitExceeded, ProviderTimeout


def may_have_cost(error: BaseException) -> bool:
    """Whether a call that gave no answer was perhaps answered, and is billed.

    The answer came too late, or was none, or nobody waited for it. What a server refused (by a status of 400
    or more), and what never reached one, costs nothing.
    """
    if not isinstance(error, Exception):  # cancelled after it was sent
        return True
    return isinstance(error, ProviderTimeout) or bool(getattr(error, "answered", False))


def no_room(kind: str, used: float, reserved: float, asked: float, limit: float) -> LimitExceeded:
    """That a call does not fit. ``kind``: tokens or cost_usd, which the others are in."""
    used, reserved, asked = (round(amount, 6) for amount in (used, reserved, asked))
    message = (
        f"limit exceeded: {kind} (used {used:,}, reserved by calls in flight {reserved:,}, "
        f"asked for {asked:,}, limit {limit:,})"
    )
    return LimitExceeded(kind, round(used + asked, 6), limit, message)

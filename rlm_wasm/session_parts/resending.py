"""Which requests in flight are made a second time, by a session that was restored."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from rlm_wasm.errors import UsageError
from rlm_wasm.execution.requests import HostRequest

SENT_AGAIN: Final = ("llm",)
"""What of a snapshot's requests in flight is sent again without being asked for."""

_KINDS: Final = {
    "llm": "llm",
    "host": "host",
    "py-exec": "python",
    "py-eval": "python",
    "py-set!": "python",
    "py-call": "python",
}
"""Operations with effects, by the word that ``restore(resend=…)`` has for them."""

ALL_KINDS: Final = tuple(dict.fromkeys(_KINDS.values()))
"""Every such word: a session that stands beside the first one makes all of its requests itself."""

EFFECTS: Final = frozenset(_KINDS) - {"llm"}
"""Those that a journal notes before they are done; LLM calls note themselves, when they have their place."""


def check_resend(resend: Collection[str]) -> None:
    """Raises UsageError for a word that there is not."""
    unknown = sorted(set(resend) - set(ALL_KINDS))
    if unknown:
        words = ", ".join(f'"{kind}"' for kind in ALL_KINDS)
        raise UsageError(f"resend takes {words}, not {unknown}")


class Resending:
    """What the embedder allows: "llm", "host" (host functions), "python"."""

    __slots__ = ("_allowed",)

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = allowed if allowed is SENT_AGAIN else frozenset(allowed)

    @property
    def allowed(self) -> Collection[str]:
        """The words of what may be made a second time."""
        return self._allowed

    def refusal(self, request: HostRequest) -> str | None:
        """Why a request is not made a second time; None where it is."""
        kind = _KINDS.get(request.operation)
        if kind is None or kind in self._allowed:
            return None
        what = request.operation if kind != "host" else "a host function"
        return (
            f"{what} was in flight when the snapshot was taken, and is not called a second time "
            f'unless the embedder says so: restore(…, resend=("llm", "{kind}"))'
        )

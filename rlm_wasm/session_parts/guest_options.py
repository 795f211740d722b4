"""What the guest has to be told with its next program: grants, limits, a new context, who reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rlm_wasm.limits import Limits

if TYPE_CHECKING:
    from rlm_wasm.capabilities.host_functions import HostFunctions
    from rlm_wasm.session_parts.state import SessionState


class GuestOptions:
    """The options of the next ``eval`` message. Each is told once, and again where telling it was undone."""

    __slots__ = ("_conversation", "_functions", "_limits", "_told_before", "_traced", "_untold")

    def __init__(self, functions: HostFunctions, limits: Limits) -> None:
        self._functions = functions
        self._limits = limits
        self._untold: dict[str, Any] = {}
        self._told_before: dict[str, Any] = {}
        self._conversation = False
        self._traced: bool | None = False
        """Whether the guest was told to send notes for a run log; None: nobody knows."""
        self.fresh()

    def fresh(self) -> None:
        """The guest is a new one: what differs from what it takes for granted."""
        options: dict[str, Any] = {}
        self._traced = False
        if self._functions.functions:
            options["grants"] = self._functions.names
        limits = guest_limits(self._limits)
        if limits != _DEFAULT_LIMITS:
            options["limits"] = limits
        if self._conversation:
            options["conversation"] = True
        self._untold = options

    def take(self, *, traced: bool) -> dict[str, Any]:
        """What to tell now. ``traced``: whether somebody reads a run log."""
        options, self._untold = self._untold, {}
        if traced is not self._traced:
            self._traced = traced
            options = {**options, "trace": traced}
        return options

    def give_back(self, options: dict[str, Any]) -> None:
        """What was taken is to be told again: the execution was undone."""
        self._untold = {**options, **self._untold}

    def context_replaced(self) -> None:
        """There is another main context than the guest knows."""
        self._untold["context"] = True

    def converse(self) -> None:
        """The variable ``_`` is to hold the last value from now on."""
        self._conversation = self._untold["conversation"] = True

    def check(self, which: Literal["only", "first"]) -> None:
        """The next program is checked, and does not run ("only") or runs where it may ("first")."""
        self._untold["check"] = which

    # ---- in snapshots and journals

    @property
    def untold_context(self) -> bool:
        """Whether the guest has yet to be told of the main context."""
        return "context" in self._untold

    @property
    def limits_told(self) -> bool:
        """Whether the guest knows its limits."""
        return "limits" not in self._untold

    def adopt(self, state: SessionState) -> None:
        """The guest is the one of a snapshot: it knows what it was told until then."""
        self._traced = None
        if state.context_replaced:
            self.context_replaced()
        before, now = guest_limits(state.limits), guest_limits(self._limits)
        if state.limits_told and before == now:
            self._untold.pop("limits", None)
        elif before != _DEFAULT_LIMITS:
            self._untold["limits"] = now

    def replay_begins(self) -> None:
        """Messages of a journal are given again, with what they told then."""
        self._told_before = dict(self._untold)

    def told_again(self) -> None:
        """Such a message is given."""
        self._untold = {}

    def replay_ends(self) -> None:
        """What this process grants is told once more; nobody looked whether notes were wanted."""
        for key in ("grants", "limits"):
            if key in self._told_before:
                self._untold[key] = self._told_before[key]
        self._traced = None


def guest_limits(limits: Limits) -> dict[str, int]:
    """The limits that the guest itself looks at, by their names in ``protocol.GuestLimits``."""
    return {
        "handles": limits.handles,
        "output": limits.output_bytes,
        "message": limits.message_bytes,
    }


_DEFAULT_LIMITS = guest_limits(Limits())

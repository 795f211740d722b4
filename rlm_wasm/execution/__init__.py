"""One execution of a guest: slices, requests and their replies, limits, and how it ends."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.execution import state as state
else:
    state = lazily("rlm_wasm.execution.state")

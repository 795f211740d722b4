"""One execution of a guest: slices, requests and their replies, limits, and how it ends."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.execution import history as history
    from rlm_wasm.execution import journal as journal
    from rlm_wasm.execution import progress as progress
    from rlm_wasm.execution import state as state
else:
    history = lazily("rlm_wasm.execution.history")
    journal = lazily("rlm_wasm.execution.journal")
    progress = lazily("rlm_wasm.execution.progress")
    state = lazily("rlm_wasm.execution.state")

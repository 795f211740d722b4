"""The run log: one record of everything that happens in an execution, and what reads it."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.runlog import events as events
else:
    events = lazily("rlm_wasm.runlog.events")

"""The only code that enters WebAssembly: engine, instances, memory pages, messages, snapshots."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.sandbox import memories as memories
    from rlm_wasm.sandbox import snapshot as snapshot
else:
    memories = lazily("rlm_wasm.sandbox.memories")
    snapshot = lazily("rlm_wasm.sandbox.snapshot")

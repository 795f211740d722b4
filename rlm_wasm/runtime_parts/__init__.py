"""What a Runtime consists of, a part a file; ``rlm_wasm.runtime`` puts them together."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.runtime_parts import opening as opening
else:
    opening = lazily("rlm_wasm.runtime_parts.opening")

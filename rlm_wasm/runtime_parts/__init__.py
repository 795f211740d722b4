"""What a Runtime consists of, a part a file; ``rlm_wasm.runtime`` puts them together."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.runtime_parts import named_asks as named_asks
    from rlm_wasm.runtime_parts import opening as opening
    from rlm_wasm.runtime_parts import placed_children as placed_children
else:
    named_asks = lazily("rlm_wasm.runtime_parts.named_asks")
    opening = lazily("rlm_wasm.runtime_parts.opening")
    placed_children = lazily("rlm_wasm.runtime_parts.placed_children")

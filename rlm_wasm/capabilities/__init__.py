"""What a guest may ask for, one capability a file; a session's table holds what was granted."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.capabilities import images as images
else:
    images = lazily("rlm_wasm.capabilities.images")

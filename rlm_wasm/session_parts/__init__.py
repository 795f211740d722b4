"""What a session consists of, a part a file; ``rlm_wasm.session`` puts them together."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.session_parts import durable as durable
    from rlm_wasm.session_parts import question as question
    from rlm_wasm.session_parts import state as state
else:
    durable = lazily("rlm_wasm.session_parts.durable")
    question = lazily("rlm_wasm.session_parts.question")
    state = lazily("rlm_wasm.session_parts.state")

"""What a session consists of, a part a file; ``rlm_wasm.session`` puts them together."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.session_parts import capture as capture
    from rlm_wasm.session_parts import children as children
    from rlm_wasm.session_parts import durable as durable
    from rlm_wasm.session_parts import kept_results as kept_results
    from rlm_wasm.session_parts import placed as placed
    from rlm_wasm.session_parts import question as question
    from rlm_wasm.session_parts import replaying as replaying
    from rlm_wasm.session_parts import run_log as run_log
    from rlm_wasm.session_parts import serving as serving
    from rlm_wasm.session_parts import state as state
    from rlm_wasm.session_parts import stay as stay
else:
    capture = lazily("rlm_wasm.session_parts.capture")
    children = lazily("rlm_wasm.session_parts.children")
    durable = lazily("rlm_wasm.session_parts.durable")
    kept_results = lazily("rlm_wasm.session_parts.kept_results")
    placed = lazily("rlm_wasm.session_parts.placed")
    question = lazily("rlm_wasm.session_parts.question")
    replaying = lazily("rlm_wasm.session_parts.replaying")
    run_log = lazily("rlm_wasm.session_parts.run_log")
    serving = lazily("rlm_wasm.session_parts.serving")
    state = lazily("rlm_wasm.session_parts.state")
    stay = lazily("rlm_wasm.session_parts.stay")

"""LLM calls over executions: counted, reserved, sent, settled; and recursion into children."""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.llm import literal_calls as literal_calls
    from rlm_wasm.llm import programs as programs
else:
    literal_calls = lazily("rlm_wasm.llm.literal_calls")
    programs = lazily("rlm_wasm.llm.programs")

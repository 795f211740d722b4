"""A provider that says back what it was sent. For tests and for looking at what a program asks."""

from __future__ import annotations

from rlm_wasm.providers.base import Completion, CompletionRequest, program_that_finishes_with
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens


class EchoProvider:
    """Answers with the data, or with the instruction where there is no data.

    In JSON mode the answer is an object with both, ``{"instruction": …, "data": …}``; asked for a program
    (``#:recursive``), it is a program that finishes with that text.
    """

    name = "echo"
    free = True
    ignores_model = True
    language_model = False
    inline = True
    """It never waits, so it needs no task of its own."""

    def __init__(self, *, model: str | None = None) -> None:
        self.default_model = model or "echo"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer at once."""
        if request.json:
            import json

            echoed = {"instruction": request.instruction, "data": request.data}
            text = json.dumps(echoed, ensure_ascii=False)
        else:
            text = request.data or request.instruction
        if request.purpose == "program":
            text = program_that_finishes_with(text)
        return Completion(
            text=text,
            model=request.model or self.default_model,
            prompt_tokens=estimate_prompt_tokens(request.instruction, request.data, len(request.images)),
            completion_tokens=estimate_tokens(text),
        )

"""A provider that answers on the spot, by a function: no task, no turn of the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rlm_wasm.providers.aliases import ROLES
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens


class InlineProvider:
    """Every call is answered before it can wait.

    ``answer`` makes the text or the whole Completion; what it raises is the call's failure. By default
    the answer is the instruction in brackets (``bracketed``). ``requests`` holds all that came. It has
    no default model: a request that names none has none, and one that names a role has the role's name.
    """

    name = "inline"
    free = True
    inline = True
    language_model = False
    roles: ClassVar = {role: role for role in ROLES}

    def __init__(self, answer: Callable[[CompletionRequest], str | Completion] | None = None) -> None:
        self.requests: list[CompletionRequest] = []
        self._answer = answer or bracketed

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer at once."""
        self.requests.append(request)
        return completion_of(request, self._answer(request), "inline")


def bracketed(request: CompletionRequest) -> Completion:
    """The instruction in brackets, by the model "test", for ten tokens and five, whatever is asked.

    Figures that a test can count with, for ``InlineProvider`` and ``GatedProvider``.
    """
    return Completion(text=f"[{request.instruction}]", model="test", prompt_tokens=10, completion_tokens=5)


def completion_of(request: CompletionRequest, answer: str | Completion, model: str) -> Completion:
    """What a double's function gave as a Completion, with estimated figures where it is a text."""
    if isinstance(answer, Completion):
        return answer
    return Completion(
        text=answer,
        model=request.model or model,
        prompt_tokens=estimate_prompt_tokens(request.instruction, request.data, len(request.images)),
        completion_tokens=estimate_tokens(answer),
    )

"""What a completion has to be, whoever made it: the rules that every answer meets on its way to a program.

Vendors name the ends of a text in different words, and a provider that an application wrote hands on what it
got. Here a name becomes one of ours, an odd figure an estimate, and what is no answer a failed call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from rlm_wasm.errors import NoAnswer, ProviderError
from rlm_wasm.lazy_dataclass import replace
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens

End = Literal["stop", "length", "withheld", "error", "tool"]
"""How a text ended: as it should, cut off, kept back, by a failure, or for the call of a tool."""

_MAX_COUNT: Final = 2**53
"""No call has more tokens; a larger figure would break the sums that it goes into."""
_SHOWN: Final = 300
_MAX_MODEL: Final = 200
_MAX_RATE_LIMIT: Final = 200
_MAX_RATE_LIMITS: Final = 100

# In small letters: some vendors shout.
_ENDS: Final[Mapping[str, End]] = {
    "stop": "stop",
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "max_length", "model_length"), "length"),
    **dict.fromkeys(("model_context_window_exceeded", "context_length_exceeded"), "length"),
    **dict.fromkeys(("content_filter", "content_filtered", "guardrail_intervened", "guardrails"), "withheld"),
    **dict.fromkeys(("safety", "recitation", "blocklist", "prohibited_content", "spii"), "withheld"),
    **dict.fromkeys(("image_safety", "sensitive", "refusal"), "withheld"),
    **dict.fromkeys(("error", "abort", "aborted", "network_error", "error_toxic"), "error"),
    **dict.fromkeys(("insufficient_system_resource", "malformed_function_call"), "error"),
    **dict.fromkeys(("tool_calls", "tool_use", "tool_call", "function_call"), "tool"),
}


def end_of(finish_reason: object) -> End:
    """How a text ended, by the vendor's word for it: an unknown one, or none, is no reason to doubt it."""
    return _ENDS.get(finish_reason.lower(), "stop") if isinstance(finish_reason, str) else "stop"


def checked(completion: object, request: CompletionRequest) -> Completion:
    """The completion as programs may have it: its end by our name, its figures counts.

    Raises:
        ProviderError: it is no answer. What came is said, and that it may be billed.
    """
    if not isinstance(completion, Completion):
        raise ProviderError(f"the provider returned {type(completion).__name__}, not a Completion")
    if not isinstance(completion.text, str):
        kind = type(completion.text).__name__
        raise _failed(f"the provider's Completion has {kind} in place of its text")
    model = completion.model
    end = check_end(
        completion.text,
        completion.finish_reason,
        request,
        model=_named(model) or request.model or "the model",
    )
    if (
        completion.finish_reason == end
        and _is_count(completion.prompt_tokens)
        and _is_count(completion.completion_tokens)
        and _is_count(completion.cached_tokens)
        and completion.cached_tokens <= completion.prompt_tokens
        and _named(model) == model
        and completion.rate_limits == {}
    ):
        return completion
    prompt = count_of(
        completion.prompt_tokens,
        lambda: estimate_prompt_tokens(request.instruction, request.data, len(request.images)),
    )
    reason = completion.finish_reason
    return replace(
        completion,
        model=_named(model),
        prompt_tokens=prompt,
        completion_tokens=count_of(completion.completion_tokens, lambda: estimate_tokens(completion.text)),
        cached_tokens=min(count_of(completion.cached_tokens, int), prompt),
        finish_reason="length" if end == "length" else reason if isinstance(reason, str) else "stop",
        rate_limits=_plain(completion.rate_limits),
    )


def check_end(text: str, finish_reason: object, request: CompletionRequest, *, model: str) -> End:
    """How the text ended. Raises ProviderError where it is no answer, or not all that one would be."""
    end = end_of(finish_reason)
    if end == "withheld":
        said = "" if finish_reason == "content_filter" else f" (finish_reason: {finish_reason!s:.40})"
        raise _failed(f"{model}'s answer was withheld by the content filter{said}", kind=NoAnswer)
    if end == "error":
        after = f" after {shortened(text)}" if text else ""
        raise _failed(
            f"{model} broke off with an error{after} (finish_reason: {finish_reason!s:.40})", again=True
        )
    if not text and end == "tool":
        raise _failed(
            f"{model} called a tool in place of an answer (finish_reason: {finish_reason!s:.40})",
            kind=NoAnswer,
        )
    if not text and end == "length":
        raise _failed(
            f"{model} used all {request.max_tokens or 'its'} tokens before it began to answer:"
            " raise #:max-tokens",
            kind=NoAnswer,
        )
    return end


def count_of(value: object, estimate: Any) -> int:
    """A count of tokens; in the place of what is none, what ``estimate`` gives."""
    if isinstance(value, float) and 0 <= value <= _MAX_COUNT:
        return int(value)
    return value if _is_count(value) and isinstance(value, int) else int(estimate())


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_COUNT


def _named(model: object) -> str:
    """The name of a model: it stands in logs, where a line's end could forge a line."""
    return model[:_MAX_MODEL] if isinstance(model, str) and model.isprintable() else ""


def _plain(limits: object) -> dict[str, Any]:
    """What a provider says of its limits, as what a program can have: odd values as texts."""
    if not isinstance(limits, Mapping):
        return {}
    out: dict[str, Any] = {}
    for name, value in list(limits.items())[:_MAX_RATE_LIMITS]:
        finite = isinstance(value, float) and math.isfinite(value)
        plain = finite or isinstance(value, bool) or (_is_count(value))
        out[str(name)[:_MAX_RATE_LIMIT]] = value if plain else _text(value)
    return out


def _text(value: object) -> str:
    try:
        return str(value)[:_MAX_RATE_LIMIT]
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"


def shortened(text: str) -> str:
    """On one line, and no longer than may be shown."""
    line = " ".join(text[: 4 * _SHOWN].split())
    return line if len(line) <= _SHOWN and len(text) <= 4 * _SHOWN else line[:_SHOWN] + "…"


def _failed(message: str, *, again: bool = False, kind: type[ProviderError] = ProviderError) -> ProviderError:
    error = kind(message, retryable=again)
    error.answered = True  # it is billed like any other
    return error

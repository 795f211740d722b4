"""The seam between the scheduler and LLM back ends: two records and one method.

A provider is any object with ``async def complete(request) -> Completion``. Wrappers (cache,
budget, record and replay) are providers too. What goes wrong is raised as a ProviderError
(see rlm_wasm.errors); cancelling the task that runs ``complete`` aborts the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

from rlm_wasm.lazy_dataclass import dataclass, field
from rlm_wasm.records import Natural


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """One LLM call as the guest asked for it, its defaults filled in.

    ``images`` are data URLs or base64 text, already checked for type and size. ``json`` asks for
    one JSON value as the whole text. ``depth`` is the recursion depth of the asking session.
    ``idempotency_key`` is the same when a call is sent again, so that a server which knows it does
    not bill it twice. ``purpose`` says what the answer is for: "program" where it will be run.
    """

    id: int
    """The call's number in its session."""
    instruction: str
    """What is to be done: the system message, where a provider has one."""
    data: str = ""
    """What it is to be done with."""
    model: str | None = None
    """None: the provider's default."""
    temperature: float | None = None
    """None: the model's own."""
    max_tokens: int | None = None
    """Of the answer, at the most; None: the model's own."""
    json: bool = False
    images: tuple[str, ...] = ()
    depth: int = 0
    timeout_s: float | None = None
    """Seconds that are left for the call; None: no bound."""
    idempotency_key: str | None = None
    purpose: Literal["query", "program"] = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What came back. ``rate_limits`` holds the provider's own figures by name, where it gave any.

    ``cached`` is set by caching wrappers: such an answer is counted, but costs nothing. ``cached_tokens``
    are those of ``prompt_tokens`` that the vendor had in a cache of its own, and mostly bills at less.
    ``finish_reason`` is "length" where the text was cut at ``max_tokens``.
    """

    text: str
    """The answer."""
    model: str = ""
    """The one that answered."""
    prompt_tokens: Natural = 0
    """What the call used, as the provider counted it."""
    completion_tokens: Natural = 0
    """What the call used, as the provider counted it."""
    finish_reason: str = "stop"
    rate_limits: Mapping[str, Any] = field(default_factory=dict)
    cached: bool = False
    cached_tokens: Natural = 0


def program_that_finishes_with(text: str) -> str:
    """What a double answers that is asked for a program: one that gives this text."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'```scheme\n(finish "{quoted}")\n```'


@runtime_checkable
class Provider(Protocol):
    """One method. Optional attributes are those of ProviderInfo, and ``async def aclose()``."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer one request, or raise a ProviderError."""
        ...

"""OpenTelemetry spans for executions and LLM calls, by the GenAI semantic conventions.

Where the application has not imported OpenTelemetry there is nobody to tell, and this module does
not import it either: off costs one look into ``sys.modules``.

No text is recorded, that of errors neither: a program's error quotes its data. RLM_WASM_TRACE_TEXT=1
gives a failed span the error's message, for whoever may see the data.

    execute_tool execute_scheme        an execution; a child's stands below the call that began it
    └── chat gpt-4o                    a call to a provider
    └── invoke_agent rlm-wasm          a #:recursive call
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from rlm_wasm.redaction import without_credentials

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Completion, CompletionRequest
    from rlm_wasm.results import Result

TEXT_VARIABLE: Final = "RLM_WASM_TRACE_TEXT"
"""The environment variable that lets spans carry the messages of errors."""

_MODEL: Final = re.compile(r"[\w.:/@+-]{1,100}")
_KIND: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:.?!-]{0,79}")

Span = Any
"""An opentelemetry.trace.Span, or None where nobody listens."""


def _start(name: str, kind: str, attributes: dict[str, Any], parent: Span = None) -> Span:
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    # The attributes are given at the start, so that samplers see them.
    context = None if parent is None else trace.set_span_in_context(parent)
    tracer = trace.get_tracer("rlm_wasm")
    span = tracer.start_span(
        name,
        context,
        kind=trace.SpanKind[kind],
        attributes={k: v for k, v in attributes.items() if v is not None},
    )
    return span if span.is_recording() else None


def _name(model: str | None) -> str | None:
    """A model's name. The program chooses it, and may choose a text that is none."""
    return model if model is None or _MODEL.fullmatch(model) else "?"


def inside(span: Span) -> AbstractContextManager[Any]:
    """Spans that are started in this context stand below ``span``."""
    if span is None:
        return nullcontext()
    context: AbstractContextManager[Any] = sys.modules["opentelemetry.trace"].use_span(
        span, record_exception=False, set_status_on_exception=False
    )
    return context


def execution_started(*, namespace: str, depth: int) -> Span:
    """An execution begins."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    return _start(
        "execute_tool execute_scheme",
        "INTERNAL",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "execute_scheme",
            "gen_ai.tool.type": "function",
            "rlm_wasm.namespace": namespace,
            "rlm_wasm.depth": depth,
        },
    )


def execution_ended(span: Span, result: Result | None) -> None:
    """It came to its end; None: its task was cancelled, or something of ours broke."""
    if span is None:
        return
    if result is None:
        _fail(span, "cancelled", "")
    else:
        used = result.execution
        span.set_attributes(
            {
                "rlm_wasm.status": result.status,
                "rlm_wasm.calls": used.calls,
                "rlm_wasm.fuel": used.fuel,
                "gen_ai.usage.input_tokens": used.prompt_tokens,
                "gen_ai.usage.output_tokens": used.completion_tokens,
            }
        )
        if not result.ok:
            error = result.error
            _fail(
                span, (error.kind or error.type) if error else result.status, error.message if error else ""
            )
    span.end()


def call_started(request: CompletionRequest, provider: str, *, recursive: bool, parent: Span) -> Span:
    """A call is sent."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    operation, name = ("invoke_agent", "rlm-wasm") if recursive else ("chat", _name(request.model) or "")
    return _start(
        f"{operation} {name}".strip(),
        "INTERNAL" if recursive else "CLIENT",
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.agent.name": name if recursive else None,
            "gen_ai.request.model": _name(request.model),
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.output.type": "json" if request.json else "text",
            "rlm_wasm.call_id": request.id,
            "rlm_wasm.depth": request.depth,
        },
        parent,
    )


def call_ended(span: Span, completion: Completion) -> None:
    """It was answered."""
    if span is None:
        return
    span.set_attributes(
        {
            "gen_ai.response.model": _name(completion.model) or "",
            "gen_ai.response.finish_reasons": [completion.finish_reason or "stop"],
            "gen_ai.usage.input_tokens": completion.prompt_tokens,
            "gen_ai.usage.output_tokens": completion.completion_tokens,
            "rlm_wasm.cached": completion.cached,
        }
    )
    span.end()


def call_failed(span: Span, error: BaseException | str) -> None:
    """It failed, or was cancelled."""
    if span is None:
        return
    if isinstance(error, str):
        _fail(span, error, "")
    else:
        _fail(span, type(error).__name__, str(error))
    span.end()


def _fail(span: Span, kind: str, message: str) -> None:
    trace = sys.modules["opentelemetry.trace"]
    # A program names its own kinds of errors, by any text.
    span.set_attribute("error.type", kind if _KIND.fullmatch(kind) else "error")
    text = without_credentials(message)[:200] if os.environ.get(TEXT_VARIABLE) == "1" else None
    span.set_status(trace.Status(trace.StatusCode.ERROR, text))

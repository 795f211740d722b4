"""OpenTelemetry spans and histograms for executions, LLM calls and tools, by the GenAI semantic conventions.

Where the application has not imported OpenTelemetry there is nobody to tell, and this module does
not import it either: off costs one look into ``sys.modules``.

No text is recorded, that of errors neither: a program's error quotes its data. RLM_WASM_TRACE_TEXT=1
gives a failed span the error's message, for whoever may see the data.

    execute_tool execute_scheme        an execution; a child's stands below the call that began it
    └── chat gpt-4o                    a call to a provider
    └── execute_tool py-eval           Python, a function of the embedder's, a checkpoint
    └── invoke_agent rlm-wasm          a #:recursive call
"""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from rlm_wasm.foreign import kind_of, message_of

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Completion, CompletionRequest
    from rlm_wasm.results import Result

TEXT_VARIABLE: Final = "RLM_WASM_TRACE_TEXT"
"""The environment variable that lets spans carry the messages of errors."""

_MODEL: Final = r"[\w.:/@+-]{1,100}"
_KIND: Final = r"[A-Za-z0-9][A-Za-z0-9_:.?!-]{0,79}"

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
    return model if model is None or re.fullmatch(_MODEL, model) else "?"


def inside(span: Span) -> AbstractContextManager[Any]:
    """Spans that are started in this context stand below ``span``, which may be a call's."""
    if isinstance(span, _Measured):
        span = span.span
    if span is None:
        return nullcontext()
    context: AbstractContextManager[Any] = sys.modules["opentelemetry.trace"].use_span(
        span, record_exception=False, set_status_on_exception=False
    )
    return context


# The boundaries that the conventions ask for.
_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


class _Measured:
    """A span, and what the histograms want to know of the call when it is over."""

    __slots__ = ("attributes", "span", "started")

    def __init__(self, span: Span, attributes: dict[str, Any]) -> None:
        self.span = span
        self.attributes = {k: v for k, v in attributes.items() if v is not None}
        self.started = time.monotonic()


def _measure(measured: _Measured, more: dict[str, Any], tokens: dict[str, int]) -> None:
    """How long it took, and its tokens by their type. Without a meter provider nothing is kept."""
    metrics = sys.modules.get("opentelemetry.metrics")
    if metrics is None:
        return
    attributes = {**measured.attributes, **more}
    meter = metrics.get_meter("rlm_wasm")
    meter.create_histogram(
        "gen_ai.client.operation.duration",
        unit="s",
        description="Duration of a call, its retries included",
        explicit_bucket_boundaries_advisory=_SECONDS,
    ).record(time.monotonic() - measured.started, attributes)
    usage = meter.create_histogram(
        "gen_ai.client.token.usage",
        unit="{token}",
        description="Tokens of a call",
        explicit_bucket_boundaries_advisory=_TOKENS,
    )
    for kind, count in tokens.items():
        usage.record(count, {**attributes, "gen_ai.token.type": kind})


def tool_started(operation: str, parent: Span) -> Span:
    """The program asks the host for something else than a call: Python, a checkpoint, a host function."""
    return _start(
        f"execute_tool {operation}",
        "INTERNAL",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": operation,
            "gen_ai.tool.type": "function",
        },
        parent,
    )


def tool_ended(span: Span, error: BaseException | str | None) -> None:
    """It is over; ``error`` says how it failed."""
    if span is None:
        return
    if error is not None:
        kind, message = (error, "") if isinstance(error, str) else (kind_of(error), message_of(error))
        _fail(span, kind, message)
    span.end()


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
    """A call is sent. What comes back is for ``call_ended`` and ``call_failed``."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    operation, name = ("invoke_agent", "rlm-wasm") if recursive else ("chat", _name(request.model) or "")
    span = _start(
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
    return _Measured(
        span,
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": _name(request.model),
        },
    )


def call_ended(call: Span, completion: Completion) -> None:
    """It was answered."""
    if call is None:
        return
    model = _name(completion.model) or ""
    tokens = {"input": completion.prompt_tokens, "output": completion.completion_tokens}
    _measure(call, {"gen_ai.response.model": model}, {} if completion.cached else tokens)
    span = call.span
    if span is None:
        return
    span.set_attributes(
        {
            "gen_ai.response.model": model,
            "gen_ai.response.finish_reasons": [completion.finish_reason or "stop"],
            "gen_ai.usage.input_tokens": completion.prompt_tokens,
            "gen_ai.usage.output_tokens": completion.completion_tokens,
            "rlm_wasm.cached": completion.cached,
        }
    )
    span.end()


def call_failed(call: Span, error: BaseException | str) -> None:
    """It failed, or was cancelled."""
    if call is None:
        return
    kind, message = (error, "") if isinstance(error, str) else (kind_of(error), message_of(error))
    _measure(call, {"error.type": kind if re.fullmatch(_KIND, kind) else "error"}, {})
    if call.span is not None:
        _fail(call.span, kind, message)
        call.span.end()


def _fail(span: Span, kind: str, message: str) -> None:
    trace = sys.modules["opentelemetry.trace"]
    # A program names its own kinds of errors, by any text.
    span.set_attribute("error.type", kind if re.fullmatch(_KIND, kind) else "error")
    from rlm_wasm.redaction import without_credentials

    text = without_credentials(message[:2_000])[:200] if os.environ.get(TEXT_VARIABLE) == "1" else None
    span.set_status(trace.Status(trace.StatusCode.ERROR, text))

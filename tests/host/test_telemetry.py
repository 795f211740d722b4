"""Spans for executions and calls, kept by a tracer of the test's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace

from rlm_wasm import CompletionRequest, ProviderError, Runtime
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed


class Span(trace.NonRecordingSpan):
    """Keeps what it is told."""

    def __init__(self, name: str, kind: trace.SpanKind, attributes: dict[str, Any], parent: Any) -> None:
        number = len(name) + id(self)
        super().__init__(trace.SpanContext(number, number & 0xFFFFFFFF or 1, is_remote=False))
        self.name, self.kind, self.attributes, self.parent = name, kind, dict(attributes), parent
        self.status: trace.Status | None = None
        self.ends = 0

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_attributes(self, attributes: Any) -> None:
        self.attributes.update(attributes)

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.status = status

    def end(self, end_time: int | None = None) -> None:
        self.ends += 1


class Tracer(trace.NoOpTracer):
    """Keeps the spans that were started."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def start_span(
        self, name: str, context: Any = None, kind: Any = None, attributes: Any = None, **more: Any
    ) -> Any:
        parent = trace.get_current_span(context)
        span = Span(name, kind, attributes, parent if isinstance(parent, Span) else None)
        self.spans.append(span)
        return span


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    """What rlm_wasm gets for a tracer."""
    made = Tracer()
    monkeypatch.setattr(trace, "get_tracer", lambda *_names, **_more: made)
    return made


async def test_an_execution_and_its_calls_are_spans(tracer: Tracer) -> None:
    """By the GenAI conventions; the calls stand below the execution; no text is recorded."""
    async with Runtime(provider=InlineProvider()) as runtime:
        await runtime.run(
            '(llm-query #:instruction "secret" #:model "gpt-4o" #:temperature 0.5 #:max-tokens 9)'
        )
    execution, call = tracer.spans
    assert (execution.name, call.name) == ("execute_tool execute_scheme", "chat gpt-4o")
    assert (execution.kind, call.kind) == (trace.SpanKind.INTERNAL, trace.SpanKind.CLIENT)
    assert call.parent is execution
    assert execution.attributes["rlm_wasm.status"] == "ok"
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.request.model"] == "gpt-4o"
    assert call.attributes["gen_ai.request.temperature"] == 0.5
    assert call.attributes["gen_ai.request.max_tokens"] == 9
    assert call.attributes["gen_ai.usage.input_tokens"] == 10
    assert call.attributes["gen_ai.usage.output_tokens"] == 5
    assert "secret" not in str([span.attributes for span in tracer.spans])
    assert [span.ends for span in tracer.spans] == [1, 1]


async def test_a_failed_call_and_a_failed_execution_say_why(tracer: Tracer) -> None:
    """Status and error.type."""

    def broken(request: CompletionRequest) -> str:
        raise ProviderError("no", status=500)

    async with Runtime(provider=InlineProvider(broken)) as runtime:
        await runtime.run('(llm-query #:instruction "a")')
    execution, call = tracer.spans
    assert call.attributes["error.type"] == "ProviderError"
    assert execution.attributes["error.type"] == "exn:fail:llm"
    for span in tracer.spans:
        assert span.status is not None
        assert span.status.status_code is trace.StatusCode.ERROR
        assert span.ends == 1


LEAKS = (
    '(error "the secret" "of the data")',
    '(raise (string->symbol "the secret of the data"))',
    '(llm-query #:instruction "a" #:model "the secret of the data")',
    '(struct |the secret of the data| exn:fail ()) (raise (|the secret of the data| "the secret" #f))',
)


@pytest.mark.parametrize("program", LEAKS)
async def test_spans_carry_no_text_of_a_program_s_errors(tracer: Tracer, program: str) -> None:
    """Neither its message, nor a name that the program made of its data, nor what a server said."""

    def broken(request: CompletionRequest) -> str:
        raise ProviderError("the server repeats the secret")

    async with Runtime(provider=InlineProvider(broken)) as runtime:
        await runtime.run(program)
    for span in tracer.spans:
        recorded = [span.name, *span.attributes.values()]
        assert not [text for text in recorded if "secret" in str(text)]
        assert span.status is not None
        assert span.status.description is None


async def test_spans_carry_the_text_of_errors_where_that_is_asked_for(
    tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an environment variable; what opens a server is not among it."""
    monkeypatch.setenv("RLM_WASM_TRACE_TEXT", "1")

    def broken(request: CompletionRequest) -> str:
        raise ProviderError("https://me:hunter2@example.org/?api-key=hunter2 failed")

    async with Runtime(provider=InlineProvider(broken)) as runtime:
        await runtime.run('(llm-query #:instruction "a")')
    for span in tracer.spans:
        assert span.status is not None
        assert "https://***@example.org/?api-key=*** failed" in str(span.status.description)


async def test_cancelled_calls_end_their_spans_once(tracer: Tracer) -> None:
    """The losers of a race."""
    gate = GatedProvider(bracketed)
    async with Runtime(provider=gate) as runtime:
        task = asyncio.create_task(
            runtime.run(
                '(race (map (lambda (x) (lambda () (llm-query #:instruction x))) (list "a" "b" "c")))'
            )
        )
        await gate.arrived(3)
        gate.release()
        await task
        await asyncio.sleep(0)
    assert [span.ends for span in tracer.spans] == [1, 1, 1, 1]
    assert [span.attributes.get("error.type") for span in tracer.spans[1:]] == [
        None,
        "cancelled",
        "cancelled",
    ]


async def test_a_childs_execution_stands_below_the_call_that_began_it(tracer: Tracer) -> None:
    """invoke_agent, execute_tool, chat."""

    def answer(request: CompletionRequest) -> str:
        if "one Scheme program" in request.instruction:
            return '```scheme\n(finish (syntax-e (llm-query #:instruction "inner")))\n```'
        return "done"

    async with Runtime(provider=InlineProvider(answer)) as runtime:
        await runtime.run('(llm-query #:instruction "go" #:data "d" #:recursive #t)')
    names = []
    span: Any = tracer.spans[-1]
    while span is not None:
        names.append(span.name)
        span = span.parent
    assert names == [
        "chat",
        "execute_tool execute_scheme",
        "invoke_agent rlm-wasm",
        "execute_tool execute_scheme",
    ]
    assert all(span.ends == 1 for span in tracer.spans)


def test_nothing_is_imported_where_nobody_traces() -> None:
    """Running a program does not import OpenTelemetry."""
    code = (
        "import asyncio, sys, rlm_wasm\n"
        "async def main():\n"
        "    async with rlm_wasm.Runtime(provider='echo') as runtime:\n"
        "        assert (await runtime.run('(syntax-e (llm-query #:instruction \"a\"))')).ok\n"
        "asyncio.run(main())\n"
        "assert 'opentelemetry' not in ''.join(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

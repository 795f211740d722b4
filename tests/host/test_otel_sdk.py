"""OpenTelemetry by its SDK: spans in a memory exporter, histograms in a memory reader, trace context across borders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics, trace

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the OpenTelemetry SDK is not installed")

from opentelemetry.sdk.metrics import MeterProvider  # noqa: E402 - after the look whether it is there
from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

from rlm_wasm import Completion, CompletionRequest, ProviderError, Runtime  # noqa: E402
from rlm_wasm.testing import InlineProvider, OpenAIServer  # noqa: E402


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


@pytest.fixture
def histograms(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    yield reader
    provider.shutdown()


def tree(exporter: InMemorySpanExporter) -> dict[str, str | None]:
    """Each span's name with its parent's."""
    finished = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in finished}
    return {
        span.name: None if span.parent is None else names.get(span.parent.span_id, "?") for span in finished
    }


async def test_executions_calls_and_tools_are_a_tree_of_finished_spans(spans: InMemorySpanExporter) -> None:
    async with Runtime(provider=InlineProvider(), python="host") as runtime:

        @runtime.host_function("twice")
        def twice(x: int) -> int:
            return 2 * x

        await runtime.run(
            '(llm-query #:instruction "a" #:model "gpt-4o") (twice 2) (py-eval "1") (checkpoint "k" 1)'
        )
    assert tree(spans) == {
        "chat gpt-4o": "execute_tool execute_scheme",
        "execute_tool host": "execute_tool execute_scheme",
        "execute_tool py-eval": "execute_tool execute_scheme",
        "execute_tool checkpoint": "execute_tool execute_scheme",
        "execute_tool execute_scheme": None,
    }
    [chat] = [span for span in spans.get_finished_spans() if span.name == "chat gpt-4o"]
    assert chat.kind is trace.SpanKind.CLIENT
    attributes = dict(chat.attributes or {})
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "inline"
    assert attributes["gen_ai.request.model"] == "gpt-4o"
    assert attributes["gen_ai.response.model"] == "test"
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (10, 5)


async def test_a_tool_that_fails_has_an_error(spans: InMemorySpanExporter) -> None:
    async with Runtime(provider=InlineProvider()) as runtime:

        @runtime.host_function("broken")
        def broken() -> int:
            raise KeyError("the secret")

        await runtime.run("(broken)")
    [tool] = [span for span in spans.get_finished_spans() if span.name == "execute_tool host"]
    assert tool.status.status_code is trace.StatusCode.ERROR
    assert (tool.attributes or {})["error.type"] == "KeyError"
    assert "secret" not in str(tool.to_json())


async def test_durations_and_tokens_are_histograms(
    spans: InMemorySpanExporter, histograms: InMemoryMetricReader
) -> None:
    def answer(request: CompletionRequest) -> Completion:
        if request.data == "bad":
            raise ProviderError("no")
        return Completion(
            text="x", model="m", prompt_tokens=7, completion_tokens=3, cached=request.data == "known"
        )

    async with Runtime(provider=InlineProvider(answer)) as runtime:
        await runtime.run(
            '(for-each (lambda (d) (with-handlers ([void void]) (llm-query #:instruction "q" #:data d #:model "m"))) (list "good" "known" "bad"))'
        )
    points = measured(histograms)
    durations = {
        point.attributes.get("error.type"): point for point in points["gen_ai.client.operation.duration"]
    }
    assert (durations[None].count, durations["ProviderError"].count) == (2, 1)
    assert durations[None].explicit_bounds[0] == 0.01
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum for point in points["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": 7, "output": 3}, "what came from a cache used none"
    assert durations[None].attributes["gen_ai.response.model"] == "m"


def measured(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


async def test_the_trace_goes_on_in_the_provider_s_headers(spans: InMemorySpanExporter) -> None:
    with OpenAIServer() as server:
        async with Runtime(provider="openai", base_url=server.base_url, model="m") as runtime:
            await runtime.run('(llm-query #:instruction "a")')
        [request] = server.requests
    [chat] = [span for span in spans.get_finished_spans() if span.name == "chat m"]
    assert request.headers["traceparent"].startswith(
        f"00-{chat.context.trace_id:032x}-{chat.context.span_id:016x}-"
    )


async def test_an_mcp_request_s_trace_reaches_the_provider(spans: InMemorySpanExporter) -> None:
    from mcp import Client

    from rlm_wasm.mcp.server import make_server

    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with OpenAIServer() as server:
        runtime = Runtime(provider="openai", base_url=server.base_url, model="m")
        async with runtime, Client(make_server(runtime)) as client:
            code = {"code": '(llm-query #:instruction "a")'}
            await client.call_tool("execute_scheme", code, meta={"traceparent": parent})
        [request] = server.requests
    assert request.headers["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    assert tree(spans)["chat m"] == "execute_tool execute_scheme"

"""A run as OpenTelemetry spans, in OTLP's JSON: what a collector takes at /v1/traces, or reads from a file.

The names are those of rlm_wasm.tracing, the GenAI semantic conventions. Texts are left out unless they are
asked for: a collector is often read by more people than the data.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from rlm_wasm.runlog.events import Text
from rlm_wasm.runlog.reading import whole_text
from rlm_wasm.runlog.story import CallStory, ChildStory, RequestStory, RunStory

_INTERNAL, _CLIENT = 1, 3
_ERROR = 2


def otlp(story: RunStory, *, texts: bool = False) -> dict[str, Any]:
    """The run as one request to a collector. A run without an end ends with its last record."""
    spans = [_run(story)]
    spans += [_child(story, number, child) for number, child in story.children.items()]
    spans += [_call(story, call, texts=texts) for call in story.calls.values()]
    spans += [_request(story, request) for request in story.requests.values()]
    scope = {"name": "rlm_wasm"}
    resource = {"attributes": _attributes({"service.name": "rlm-wasm"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}


def _hex(length: int, *parts: object) -> str:
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:length]


def _nanoseconds(at: float) -> str:
    return str(int(at * 1e9))


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _execution(story: RunStory, number: int) -> str:
    return _hex(16, story.run, "execution", number)


def _span(
    story: RunStory,
    span: str,
    parent: str | None,
    name: str,
    kind: int,
    times: tuple[float, float],
    attributes: dict[str, Any],
    failed: str | None,
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": _hex(32, story.run),
        "spanId": span,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": _nanoseconds(times[0]),
        "endTimeUnixNano": _nanoseconds(max(times)),
        "attributes": _attributes({**attributes, "error.type": failed}),
        "status": {} if failed is None else {"code": _ERROR},
    }
    if parent is not None:
        made["parentSpanId"] = parent
    return made


def _run(story: RunStory) -> dict[str, Any]:
    ended = story.ended
    failed = None if ended is None or ended.status in ("ok", "finished") else ended.status
    if ended is not None and ended.error is not None:
        failed = ended.error.kind or ended.error.type or failed
    return _span(
        story,
        _execution(story, 0),
        None,
        "execute_tool execute_scheme",
        _INTERNAL,
        (story.first_at, story.last_at),
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "execute_scheme",
            "gen_ai.tool.type": "function",
            "rlm_wasm.run": story.run,
            "rlm_wasm.status": story.status,
            "rlm_wasm.calls": len(story.calls),
            "gen_ai.usage.input_tokens": None if ended is None else ended.prompt_tokens,
            "gen_ai.usage.output_tokens": None if ended is None else ended.completion_tokens,
        },
        failed,
    )


def _child(story: RunStory, number: int, child: ChildStory) -> dict[str, Any]:
    end = story.last_at if child.ended is None else child.ended.at
    status = "running" if child.ended is None else child.ended.status
    return _span(
        story,
        _execution(story, number),
        _hex(16, story.run, "call", child.started.call),
        "execute_tool execute_scheme",
        _INTERNAL,
        (child.started.at, end),
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "execute_scheme",
            "rlm_wasm.depth": child.started.depth,
            "rlm_wasm.status": status,
        },
        None if status in ("ok", "finished", "running") else status,
    )


def _call(story: RunStory, call: CallStory, *, texts: bool) -> dict[str, Any]:
    asked, ended = call.queued, call.ended
    operation, name = ("invoke_agent", "rlm-wasm") if asked.recursive else ("chat", asked.model or "")
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": None if story.started is None else story.started.provider,
        "gen_ai.agent.name": name if asked.recursive else None,
        "gen_ai.request.model": asked.model,
        "gen_ai.request.temperature": asked.temperature,
        "gen_ai.request.max_tokens": asked.max_tokens,
        "gen_ai.output.type": "json" if asked.json else "text",
        "rlm_wasm.call_id": asked.call,
        "rlm_wasm.depth": asked.depth,
        "rlm_wasm.fiber": asked.fiber,
        "code.line.number": asked.line,
        "rlm_wasm.queued_s": None if call.sent_at is None else round(call.sent_at - asked.at, 6),
    }
    if ended is not None:
        attributes |= {
            "gen_ai.response.model": ended.model or None,
            "gen_ai.response.finish_reasons": [ended.finish_reason] if ended.finish_reason else None,
            "gen_ai.usage.input_tokens": ended.prompt_tokens,
            "gen_ai.usage.output_tokens": ended.completion_tokens,
            "rlm_wasm.cached": ended.cached,
            "rlm_wasm.cost_usd": ended.cost_usd,
        }
    if texts:
        attributes |= _texts(call)
    failed = None if ended is None or ended.status == "done" else ended.status
    return _span(
        story,
        _hex(16, story.run, "call", asked.call),
        _execution(story, asked.execution),
        f"{operation} {name}".strip(),
        _INTERNAL if asked.recursive else _CLIENT,
        (asked.at if call.sent_at is None else call.sent_at, story.last_at if ended is None else ended.at),
        attributes,
        failed,
    )


def _texts(call: CallStory) -> dict[str, Any]:
    def message(role: str, text: Text) -> dict[str, Any]:
        return {"role": role, "parts": [{"type": "text", "content": whole_text(text)}]}

    asked = [message("system", call.queued.instruction), message("user", call.queued.data)]
    answer = None if call.ended is None else call.ended.answer
    return {
        "gen_ai.input.messages": json.dumps(asked, ensure_ascii=False),
        "gen_ai.output.messages": None
        if answer is None
        else json.dumps([message("assistant", answer)], ensure_ascii=False),
    }


def _request(story: RunStory, request: RequestStory) -> dict[str, Any]:
    started, ended = request.started, request.ended
    failed = None if ended is None or ended.status == "done" else ended.status
    return _span(
        story,
        _hex(16, story.run, "request", started.execution, started.request),
        _execution(story, started.execution),
        f"execute_tool {started.operation}",
        _INTERNAL,
        (started.at, story.last_at if ended is None else ended.at),
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": started.operation,
            "code.line.number": started.line,
        },
        failed,
    )

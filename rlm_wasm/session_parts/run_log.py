"""What the run log is told when an execution begins, and when it is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rlm_wasm.lazy_dataclass import asdict, fields
from rlm_wasm.runlog import events
from rlm_wasm.session_parts.parts import Parts

if TYPE_CHECKING:
    from rlm_wasm.results import ErrorInfo, Result


async def log_start(parts: Parts, source: str | None, name: str) -> None:
    """Tell the run log that an execution begins. ``source`` is None where one goes on."""
    recorder, calls = parts.recorder, parts.calls
    program = events.logged(source or "")
    if not parts.owns_budget:
        recorder.tell(events.ChildStarted, call=calls.parent or 0, depth=calls.depth, program=program)
        return
    recorder.begin()
    recorder.tell(
        events.RunStarted,
        name=name,
        program=program,
        namespace=parts.namespace,
        provider=calls.provider_name,
        model=parts.grants.model,
        limits=asdict(parts.limits),
        resumed=source is None,
    )
    for key, text in parts.contexts.texts.items():
        held = (
            events.logged(text)
            if len(text) <= events.MAX_TEXT
            else await asyncio.to_thread(events.logged, text)
        )
        recorder.tell(events.ContextHeld, name=key, text=held)


def log_end(parts: Parts, result: Result | None) -> None:
    """Tell the run log that it is over. ``result`` is None where nobody waits for it any longer."""
    recorder = parts.recorder
    status = "cancelled" if result is None else result.status
    error = None if result is None else result.error
    value = events.logged("" if result is None else result.value)
    if not parts.owns_budget:
        recorder.tell(
            events.ChildEnded, status=status, value=value, error=None if error is None else error.message
        )
    elif result is None:
        recorder.tell(events.RunEnded, status=status)
    else:
        used = parts.used_in_chapter(result.execution)
        recorder.tell(
            events.RunEnded,
            status=status,
            value=value,
            error=None if error is None else _failure(error),
            calls=used.calls,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            cost_usd=used.cost_usd,
            cached=used.cached,
            fuel=used.fuel,
            memory_bytes=used.memory_bytes,
            elapsed=used.elapsed,
            derived_from=result.derived_from,
            parts=recorder.parts(value.whole_length),
            truncated=result.truncated,
            warnings=result.warnings,
            rolled_back=result.rolled_back,
        )
    recorder.end()
    parts.end_chapter()


def log_chapter(parts: Parts, title: str) -> None:
    """Tell the run log that a part of a question begins: what is called before a program belongs to it."""
    if parts.recorder.on:
        parts.begin_chapter()
        parts.recorder.chapter(title)


def log_without_program(
    parts: Parts, status: str, *, program: str = "", value: str = "", error: str = ""
) -> None:
    """Tell the run log that a chapter is over without a program that ran, if there is such a one."""
    recorder, calls = parts.recorder, parts.calls
    if not recorder.in_chapter:
        return
    recorder.begin()
    recorder.tell(
        events.RunStarted,
        program=events.logged(program),
        namespace=parts.namespace,
        provider=calls.provider_name,
        model=parts.grants.model,
        limits=asdict(parts.limits),
    )
    used = parts.used_in_chapter(calls.budget.execution.to_execution())
    recorder.tell(
        events.RunEnded,
        status=status,
        value=events.logged(value),
        error=events.Failure(type=status, message=error) if error else None,
        calls=used.calls,
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        cost_usd=used.cost_usd,
        cached=used.cached,
        elapsed=used.elapsed,
    )
    recorder.end()
    parts.end_chapter()


def _failure(error: ErrorInfo) -> events.Failure:
    """An error as a run log holds it."""
    told = {field.name: getattr(error, field.name) for field in fields(events.Failure)}
    return events.Failure(**{name: value for name, value in told.items() if value is not None})

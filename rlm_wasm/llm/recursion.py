"""#:recursive: a sub-model writes a Scheme program for its task, which runs in a child sandbox.

The child shares the parent's budget (its calls and tokens count there, exactly), one level
deeper; its context is the data. Programs are taken from fenced blocks; one that fails is shown
its error and may try again.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import LimitExceeded, ProviderError
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.results import Result

if TYPE_CHECKING:
    from rlm_wasm.llm.calls import LlmCalls
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session

ATTEMPTS = 3
"""How often the sub-model may try."""

REFERENCE = """\
You solve a task by writing one Scheme program (R7RS with Racket's common procedures). It runs in a
sandbox in which the data is bound to `context`, a string of {length} characters. Reply with the
program alone, in one ```scheme block. End it with (finish value).

Available: (llm-query #:instruction "…" #:data text) gives a scoped value; (syntax-e v) is its text.
(map-async (lambda (x) (llm-query-async #:instruction "…" #:data x)) items) gives a list of strings,
concurrently. (context-chunks size overlap) and (context-search "text") work on the data.
(tree-reduce f items), (string-split s sep), (string-join items sep), hash tables, JSON
(string->jsexpr s), regexps (#px"…"), for/list, match. No files, no network.
"""

_FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)```", re.DOTALL)
_PREVIEW = 2_000


def recursion(
    runtime: Runtime, session: Session
) -> Callable[[CompletionRequest, LlmCalls, int], Awaitable[Completion]]:
    """How the session serves #:recursive calls."""

    async def recurse(request: CompletionRequest, calls: LlmCalls, deepest: int) -> Completion:
        asked = _first_question(request)
        prompt = completion = 0
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                calls.budget.count()
            answer = await calls.ask(asked)
            prompt += answer.prompt_tokens
            completion += answer.completion_tokens
            program = program_of(answer.text)
            if program is None:
                return replace(answer, prompt_tokens=prompt, completion_tokens=completion)
            result = await _run_child(runtime, session, calls, request.data, program, deepest)
            if result.ok:
                return Completion(
                    text=result.value,
                    model=answer.model or request.model or "",
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                )
            trouble = str(result.error) if result.error else result.status
            asked = replace(asked, data=_second_question(asked.data, program, trouble, attempt))
        raise ProviderError(f"the sub-model's program failed {ATTEMPTS} times; at last: {trouble}")

    return recurse


async def _run_child(
    runtime: Runtime, session: Session, calls: LlmCalls, data: str, program: str, deepest: int
) -> Result:
    child = runtime.child(session, calls, deepest)
    try:
        await child.load_context(data)
        result = await child.execute(program, timeout_s=session.time_left(), name="sub-program")
    finally:
        await child.aclose()
    session.charge(result.execution.fuel)
    error = result.error
    if result.status == "limit" and error is not None and error.kind in ("calls", "tokens", "cost_usd"):
        raise LimitExceeded(error.kind, error.used or 0, error.limit or 0)  # shared with the parent
    return result


def _first_question(request: CompletionRequest) -> CompletionRequest:
    shown = request.data[:_PREVIEW]
    more = "" if len(request.data) <= _PREVIEW else f"\n[… {len(request.data) - _PREVIEW:,} more characters]"
    return replace(
        request,
        instruction=REFERENCE.format(length=f"{len(request.data):,}") + "\nThe task: " + request.instruction,
        data=f"The data begins:\n{shown}{more}",
        json=False,
    )


def _second_question(before: str, program: str, trouble: str, attempt: int) -> str:
    kept = before.split("\n\nYour program number ")[0]
    return (
        f"{kept}\n\nYour program number {attempt + 1} was:\n```scheme\n{program}\n```\n"
        f"It failed: {trouble}\nWrite a corrected program."
    )


def program_of(text: str) -> str | None:
    """The program in a model's answer: its first fenced Scheme block, or all of it if it looks like one."""
    blocks: list[tuple[Any, Any]] = _FENCE.findall(text)
    for language, body in blocks:
        if language.lower() in ("", "scheme", "racket", "lisp", "r7rs"):
            return str(body).strip() or None
    stripped = text.strip()
    return stripped if stripped.startswith(("(", ";")) and stripped.endswith(")") else None

"""#:recursive: a sub-model writes a Scheme program for its task, which runs in a child sandbox.

The program is checked first, and does not run where something in it is certain to fail: what is wrong is
shown back, all of it at once. The child shares the parent's account (its calls, tokens, fuel and memory
count there, exactly), one level deeper; its context is the data. A program that fails, or that has no
value, is shown back and may be mended; so is an answer that holds no program: prose is never taken for
what a program found. A limit is a limit, and ends the parent as it would have without the child.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from rlm_wasm.errors import LimitExceeded, ProviderError
from rlm_wasm.llm.calls import LlmCalls, Recurse
from rlm_wasm.llm.programs import NoProgram, program_in
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.results import Result

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

NO_VALUE = "it ended without a value; end it with (finish value), the value being the answer"
MAX_ANSWER = 1 << 20
"""Characters of an answer with a program: longer than any model's."""

_PREVIEW = 2_000
_AT_ONCE = 4_096
"""Characters of an answer whose program is looked for on the event loop."""

RunChild = Callable[[LlmCalls, int, CompletionRequest, str, str], Awaitable[Result]]
"""Runs a program in a child: the parent's calls, how deep it may recurse, the call (its data is the child's
context), its program, and the child's name among those of its parent: the call's number and the attempt's."""


def recursion(run_child: RunChild) -> Recurse:
    """How a session serves #:recursive calls."""

    async def recurse(request: CompletionRequest, calls: LlmCalls, deepest: int) -> Completion:
        first = asked = _first_question(request)
        prompt = completion = cached = 0
        trouble = ""
        for attempt in range(ATTEMPTS):
            if attempt and (asked.idempotency_key or "") not in calls.asked:
                calls.budget.count()
            answer = await calls.ask(asked)
            if len(answer.text) > MAX_ANSWER:
                raise ProviderError(
                    f"the sub-model's answer has {len(answer.text):,} characters; "
                    f"{MAX_ANSWER:,} are the most of a program"
                )
            prompt += answer.prompt_tokens
            completion += answer.completion_tokens
            cached += answer.cached_tokens
            text = answer.text
            program = program_in(text) if len(text) <= _AT_ONCE else await asyncio.to_thread(program_in, text)
            if isinstance(program, NoProgram):
                trouble = program.reason
                told = _about_answer(attempt, answer.text, trouble)
            else:
                child = f"{request.id}.{attempt + 1}"
                result = await run_child(calls, deepest, request, program.source, child)
                if result.ok and result.value.strip():
                    return Completion(
                        text=result.value,
                        model=answer.model or request.model or "",
                        prompt_tokens=prompt,
                        completion_tokens=completion,
                        cached_tokens=cached,
                    )
                error = result.error
                if result.status == "limit" and error is not None:
                    raise LimitExceeded(error.kind or "?", error.used or 0, error.limit or 0, error.message)
                trouble = NO_VALUE if result.ok else str(error) if error else result.status
                told = _about_program(attempt, program.source, trouble)
            asked = replace(
                first,
                data=f"{first.data}\n\n{told}",
                idempotency_key=f"{request.idempotency_key}-{attempt + 2}",
            )
        raise ProviderError(f"the sub-model gave no program that works, {ATTEMPTS} times; at last: {trouble}")

    return recurse


def _first_question(request: CompletionRequest) -> CompletionRequest:
    shown = request.data[:_PREVIEW]
    more = "" if len(request.data) <= _PREVIEW else f"\n[… {len(request.data) - _PREVIEW:,} more characters]"
    return replace(
        request,
        instruction=REFERENCE.format(length=f"{len(request.data):,}") + "\nThe task: " + request.instruction,
        data=f"The data begins:\n{shown}{more}",
        json=False,
        purpose="program",
    )


def _about_program(attempt: int, program: str, trouble: str) -> str:
    return (
        f"Your program number {attempt + 1} was:\n```scheme\n{program}\n```\n"
        f"It failed: {trouble}\nWrite a corrected program."
    )


def _about_answer(attempt: int, text: str, reason: str) -> str:
    shown = text[:_PREVIEW] + ("" if len(text) <= _PREVIEW else "\n[… cut]")
    return f"Your answer number {attempt + 1} was:\n{shown}\n\nIt cannot be run: {reason}"

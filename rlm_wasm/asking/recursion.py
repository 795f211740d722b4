"""#:recursive: the loop of an ask one level down, in a child sandbox over the call's data.

The child shares the parent's account (its calls, tokens, fuel and memory count there, exactly), one level
deeper. It lives as long as the call, so that its programs build on each other. A limit is a limit, and ends
the parent as it would have without the child; when the iterations are used up, the answer says of itself that
it was not computed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rlm_wasm.asking.answer_type import AnswerType
from rlm_wasm.asking.describe import described
from rlm_wasm.asking.loop import Loop, iterations_of
from rlm_wasm.asking.prompts import Task
from rlm_wasm.errors import LimitExceeded, ProviderError
from rlm_wasm.llm.calls import LlmCalls, Recurse
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.results import Execution

if TYPE_CHECKING:
    from rlm_wasm.results import Problem, Result

MAX_QUESTION = 10_000
"""Characters of a question that stand in a prompt: a longer one is a context."""
_AT_ONCE = 1 << 18
"""Characters that are described on the event loop."""
NOT_COMPUTED = "[not computed: the iterations were used up before a program finished] "


class Child(Protocol):
    """What is needed of a child session."""

    async def run_step(self, program: str) -> Result:
        """Run one of its programs."""
        ...

    async def check_step(self, program: str) -> Sequence[Problem]:
        """What is wrong with a program."""
        ...


OpenChild = Callable[[LlmCalls, int, Mapping[str | None, str], int], AbstractAsyncContextManager[Child]]
"""Opens a child: the parent's calls, how deep it may recurse, its contexts, the number of its call."""


def recursion(open_child: OpenChild) -> Recurse:
    """How a session serves #:recursive calls."""

    async def recurse(request: CompletionRequest, calls: LlmCalls, deepest: int) -> Completion:
        question, contexts = question_and_contexts(request.instruction, {None: request.data})
        async with AsyncExitStack() as stack:
            child = open_child(calls, deepest, contexts, request.id)
            place = _Below(request, calls, lambda: stack.enter_async_context(child))
            small = len(request.data) <= _AT_ONCE
            data = described(contexts) if small else await asyncio.to_thread(described, contexts)
            task = Task(question=question, data=data, answer_type=AnswerType(), sub_model=request.model)
            loop = Loop(task, place, iterations=iterations_of(calls.budget.limits), below=True)
            found = await loop.run()
        if found.status == "error" and found.error is not None:
            raise ProviderError(found.error.message)
        if found.how == "none":
            last = found.steps[-1].error if found.steps else "no reply"
            raise ProviderError(
                f"the sub-model gave no program that works, {len(found.steps)} times; at last: {last}"
            )
        mark = NOT_COMPUTED if found.how == "last word" else ""
        return Completion(
            text=mark + found.value,
            model=place.model or request.model or "",
            prompt_tokens=place.prompt_tokens,
            completion_tokens=place.completion_tokens,
            cached_tokens=place.cached_tokens,
        )

    return recurse


def question_and_contexts(
    question: str, contexts: dict[str | None, str]
) -> tuple[str, dict[str | None, str]]:
    """A question that fits a prompt, and the contexts: a longer one is a context of its own."""
    if len(question) <= MAX_QUESTION:
        return question, contexts
    name = "question"
    while name in contexts:
        name += "-asked"
    short = (
        f'it is long, and stands in the context (get-context "{name}"), {len(question):,} characters. '
        f"It begins: {question[:1_000]} […] and ends: {question[-500:]}"
    )
    return short, {**contexts, name: question}


class _Below:
    """The workplace of a #:recursive call. Its child is opened for the first program."""

    def __init__(
        self, request: CompletionRequest, calls: LlmCalls, open_child: Callable[[], Awaitable[Child]]
    ) -> None:
        self._request = request
        self._calls = calls
        self._open = open_child
        self._child: Child | None = None
        self._asked = 0
        self.model = ""
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0

    async def ask(
        self, instruction: str, data: str, *, last: bool = False, max_tokens: int | None = None
    ) -> Completion:
        """One of the calls that the recursive call is made of; the first was counted with it."""
        key = self._request.idempotency_key
        again = f"{key}-{self._asked + 1}"
        if self._asked:
            self._calls.count_once(again)
        self._asked += 1
        request = replace(
            self._request,
            instruction=instruction,
            data=data,
            json=False,
            max_tokens=max_tokens or self._request.max_tokens,
            purpose="query" if last else "program",
            idempotency_key=key if self._asked == 1 or key is None else again,
        )
        answer = await self._calls.ask(request)
        self.model = answer.model or self.model
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.cached_tokens += answer.cached_tokens
        return answer

    async def _opened(self) -> Child:
        if self._child is None:
            self._child = await self._open()
        return self._child

    async def check(self, program: str) -> Sequence[Problem]:
        """What is wrong with a program."""
        return await (await self._opened()).check_step(program)

    async def run(self, program: str) -> Result:
        """Run a program; a limit passes on."""
        result = await (await self._opened()).run_step(program)
        error = result.error
        if result.status == "limit" and error is not None:
            raise LimitExceeded(error.kind or "?", error.used or 0, error.limit or 0, error.message)
        return result

    def used(self) -> Execution:
        """What the execution used, the parent's programs included."""
        return self._calls.budget.execution.to_execution()

    def left(self) -> str:
        """What may still be used."""
        return self._calls.left_in_words()

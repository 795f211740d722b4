"""A provider whose answers are written beforehand: the public test double.

    ScriptedProvider(["first", "second"])                    # in the order of the calls
    ScriptedProvider({"capital": "Paris", "": "no idea"})    # first key found in the prompt
    ScriptedProvider(lambda request: request.data.upper())   # any function, async or not

An answer is a text, a Completion, an exception to raise, or anything else as its JSON text.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar

from rlm_wasm.errors import ProviderError
from rlm_wasm.providers.aliases import ROLES
from rlm_wasm.providers.base import Completion, CompletionRequest, program_that_finishes_with
from rlm_wasm.providers.prices import PriceTable
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens

_KINDS = "a list of answers, a mapping from a part of the prompt to its answer, or a function"

Script = Iterable[Any] | Mapping[str, Any] | Callable[[CompletionRequest], Any]


class ScriptedProvider:
    """Answers from a script, and keeps what it was asked in ``requests``.

    A call beyond the end of a list, or that no key of a mapping fits, is a ProviderError that
    shows the prompt. Without a script the answers are "scripted answer 1", "scripted answer 2"
    and so on. ``peak`` is the largest number of calls that were in flight at once.
    """

    name = "scripted"
    language_model = False
    roles: ClassVar = {role: role for role in ROLES}

    def __init__(
        self,
        script: Script | None = None,
        *,
        model: str | None = None,
        latency_s: float = 0.0,
        prices: PriceTable | None = None,
    ) -> None:
        self._prices = prices or PriceTable()
        if isinstance(script, str) or not (
            script is None or callable(script) or isinstance(script, Iterable)
        ):
            raise TypeError(f"a script is {_KINDS}, not {type(script).__name__}")
        self.default_model = model or "scripted"
        self.requests: list[CompletionRequest] = []
        self.in_flight = 0
        self.peak = 0
        self._latency_s = latency_s
        self._answer = _answerer(script)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Give the script's answer; an exception in the script is raised."""
        self.requests.append(request)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            answer = self._answer(request, len(self.requests))
            if inspect.isawaitable(answer):
                answer = await answer
            await asyncio.sleep(self._latency_s)
        finally:
            self.in_flight -= 1
        return self._completion(request, answer)

    def price(
        self, model: str, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0
    ) -> float | None:
        """By ``prices``, or as published; the model "scripted" costs nothing."""
        cost = self._prices.cost_usd(model, prompt_tokens, completion_tokens, cached_tokens)
        return 0.0 if cost is None and model == "scripted" else cost

    def _completion(self, request: CompletionRequest, answer: Any) -> Completion:
        if isinstance(answer, Completion):
            return answer
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, type) and issubclass(answer, BaseException):
            raise answer
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        return Completion(
            text=text,
            model=request.model or self.default_model,
            prompt_tokens=estimate_prompt_tokens(request.instruction, request.data, len(request.images)),
            completion_tokens=estimate_tokens(text),
        )


def _answerer(script: Script | None) -> Callable[[CompletionRequest, int], Any | Awaitable[Any]]:
    """The script as one function of the request and the call's number."""
    if script is None:
        return _numbered
    if isinstance(script, Mapping):
        table = dict(script)
        return lambda request, _number: _looked_up(table, request)
    if callable(script):
        function = script
        return lambda request, _number: function(request)
    answers = iter(script)
    return lambda request, number: _next(answers, request, number)


def _numbered(request: CompletionRequest, number: int) -> Any:
    text = f"scripted answer {number}"
    if request.purpose == "program":
        return program_that_finishes_with(text)
    return {"answer": text} if request.json else text


def _looked_up(table: Mapping[str, Any], request: CompletionRequest) -> Any:
    prompt = f"{request.instruction}\n{request.data}"
    for part, answer in table.items():
        if part in prompt:
            return answer(request) if callable(answer) and not isinstance(answer, type) else answer
    return ProviderError(f"no answer in the script fits the prompt {_cut(prompt)}")


def _next(answers: Any, request: CompletionRequest, number: int) -> Any:
    missing = object()
    answer = next(answers, missing)
    if answer is missing:
        return ProviderError(f"the script has no answer left for call {number}: {_cut(request.instruction)}")
    return answer


def _cut(text: str, length: int = 120) -> str:
    return repr(text if len(text) <= length else text[:length] + "…")

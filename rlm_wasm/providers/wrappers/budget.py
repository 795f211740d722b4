"""A ceiling on tokens and money that holds exactly, however many calls go out at once.

Before a call is sent, its worst case is set aside; when it ends, what it really used is settled.
A call whose worst case does not fit is refused before it is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlm_wasm.errors import LimitExceeded, ProviderError, UsageError
from rlm_wasm.providers.prices import price_of
from rlm_wasm.providers.tokens import estimate_prompt_tokens
from rlm_wasm.providers.wrappers.base import Wrapper

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Completion, CompletionRequest, Provider


class BudgetProvider(Wrapper):
    """Refuses, with LimitExceeded, what may not fit into ``tokens`` or ``cost_usd``.

    A request without ``max_tokens`` is taken to answer with ``assumed_answer_tokens``. Under a
    ``cost_usd`` ceiling a model whose price is unknown is refused: nothing could be promised.
    ``tokens_used`` and ``cost_used_usd`` hold what was really used; a cached answer is free.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        tokens: int | None = None,
        cost_usd: float | None = None,
        assumed_answer_tokens: int = 1_024,
    ) -> None:
        super().__init__(inner)
        self.tokens_used = 0
        self.cost_used_usd = 0.0
        self._tokens = tokens
        self._cost_usd = cost_usd
        self._assumed = assumed_answer_tokens
        self._reserved_tokens = 0
        self._reserved_usd = 0.0

    async def complete(self, request: CompletionRequest) -> Completion:
        """Reserve, ask, settle. Nothing is awaited between the check and the reservation."""
        prompt = estimate_prompt_tokens(request.instruction, request.data, len(request.images))
        answer = request.max_tokens or self._assumed
        tokens, usd = prompt + answer, self._worst_cost(request, prompt, answer)
        self._check("tokens", self.tokens_used + self._reserved_tokens, tokens, self._tokens)
        self._check("cost_usd", self.cost_used_usd + self._reserved_usd, usd, self._cost_usd)
        self._reserved_tokens += tokens
        self._reserved_usd += usd
        try:
            completion = await self.ask(request)
        finally:
            self._reserved_tokens -= tokens
            self._reserved_usd -= usd
        self._settle(completion, request, usd)
        return completion

    def _worst_cost(self, request: CompletionRequest, prompt: int, answer: int) -> float:
        if self._cost_usd is None:
            return 0.0
        model = request.model or self.default_model or ""
        cost = price_of(self.inner, model, prompt, answer)
        if cost is None:
            raise UsageError(
                f"the price of {model or 'the default model'} is unknown, so a cost limit cannot"
                " hold: give the provider prices=PriceTable({model: Price(…, …)})"
            )
        return cost

    @staticmethod
    def _check(kind: str, used: float, wanted: float, limit: float | None) -> None:
        if limit is not None and used + wanted > limit:
            raise LimitExceeded(kind, used + wanted, limit)

    def _settle(self, completion: Completion, request: CompletionRequest, reserved_usd: float) -> None:
        if completion.cached:
            return
        self.tokens_used += completion.prompt_tokens + completion.completion_tokens
        cost = None
        # A gateway may call its models as it likes: the one that was asked for has a price.
        for model in (completion.model, request.model or self.default_model or ""):
            try:
                cost = price_of(
                    self.inner,
                    model,
                    completion.prompt_tokens,
                    completion.completion_tokens,
                    completion.cached_tokens,
                )
            except ProviderError:
                continue
            if cost is not None:
                break
        self.cost_used_usd += reserved_usd if cost is None else cost

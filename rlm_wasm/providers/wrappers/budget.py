"""A ceiling on tokens and money that holds exactly, however many calls go out at once.

Before a call is sent, its worst case is set aside; when it ends, what it really used is settled. A call that
does not fit beside what is set aside for others waits until they end, and is refused where it does not fit by
itself: then it is not sent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rlm_wasm.errors import ProviderError, UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.providers.billing import may_have_cost, no_room
from rlm_wasm.providers.prices import price_of
from rlm_wasm.providers.tokens import estimate_prompt_tokens
from rlm_wasm.providers.wrappers.base import Wrapper
from rlm_wasm.providers.wrappers.queue import Queue

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Completion, CompletionRequest, Provider


@dataclass(frozen=True, slots=True)
class _Worst:
    """The most that a call may use, and what of that is its prompt's."""

    tokens: int
    usd: float
    prompt_tokens: int
    prompt_usd: float


class BudgetProvider(Wrapper):
    """Refuses, with LimitExceeded, what may not fit into ``tokens`` or ``cost_usd``.

    The ceilings hold for all sessions and threads that share it. A request without ``max_tokens`` is taken to
    answer with ``assumed_answer_tokens``. Under a ``cost_usd`` ceiling a model whose price is unknown is
    refused: nothing could be promised. ``tokens_used`` and ``cost_used_usd`` hold what was really used; a
    cached answer is free. Of a call that was cancelled after it was sent, or timed out, the prompt is
    counted, and what an answer may have cost stays set aside. Calls wait in their order; that counts
    towards an execution's wall-clock limit, not towards the call's own timeout.
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
        self._queue = Queue()
        self._in_flight = 0
        self._reserved_tokens = 0
        self._reserved_usd = 0.0
        self._lost_tokens = 0
        """Set aside for good: nobody knows what the calls that were lost cost beside their prompts."""
        self._lost_usd = 0.0

    async def complete(self, request: CompletionRequest) -> Completion:
        """Reserve, ask, settle."""
        worst = self._worst(request)
        release = partial(self._release, worst)
        await self._queue.enter(partial(self._take, worst), release)
        settle = release
        try:
            completion = await self.ask(request)
            settle = partial(self._settle, completion, request, worst)
        except BaseException as error:
            if may_have_cost(error):
                settle = partial(self._lose, worst)
            raise
        finally:
            self._queue.leave(settle)
        return completion

    def _worst(self, request: CompletionRequest) -> _Worst:
        prompt = estimate_prompt_tokens(request.instruction, request.data, len(request.images))
        answer = request.max_tokens or self._assumed
        return _Worst(
            prompt + answer, self._cost(request, prompt, answer), prompt, self._cost(request, prompt, 0)
        )

    def _cost(self, request: CompletionRequest, prompt: int, answer: int) -> float:
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

    def _take(self, worst: _Worst) -> bool:
        """Set it aside, where there is room beside what others have set aside. Raises LimitExceeded."""
        used_tokens, used_usd = self.tokens_used + self._lost_tokens, self.cost_used_usd + self._lost_usd
        bounds = [
            ("tokens", used_tokens, self._reserved_tokens, worst.tokens, self._tokens),
            ("cost_usd", used_usd, self._reserved_usd, worst.usd, self._cost_usd),
        ]
        for kind, used, reserved, asked, limit in bounds:
            if limit is not None and used + asked > limit:
                raise no_room(kind, used, reserved, asked, limit)
        for _, used, reserved, asked, limit in bounds:
            if limit is not None and used + reserved + asked > limit:
                return False
        self._in_flight += 1
        self._reserved_tokens += worst.tokens
        self._reserved_usd += worst.usd
        return True

    def _release(self, worst: _Worst) -> None:
        self._in_flight -= 1
        self._reserved_tokens -= worst.tokens
        # Sums of fractions leave some behind, which nobody would give back.
        self._reserved_usd = self._reserved_usd - worst.usd if self._in_flight else 0.0

    def _lose(self, worst: _Worst) -> None:
        self._release(worst)
        self.tokens_used += worst.prompt_tokens
        self.cost_used_usd += worst.prompt_usd
        self._lost_tokens += worst.tokens - worst.prompt_tokens
        self._lost_usd += worst.usd - worst.prompt_usd

    def _settle(self, completion: Completion, request: CompletionRequest, worst: _Worst) -> None:
        self._release(worst)
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
        self.cost_used_usd += worst.usd if cost is None else cost

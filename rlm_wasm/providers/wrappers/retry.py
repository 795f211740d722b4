"""Failed calls are sent again, and a refusal for now slows all calls down: for providers that do neither."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_wasm.providers.retries import DEFAULT_RETRIES, Retries
from rlm_wasm.providers.wrappers.base import Wrapper

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Completion, CompletionRequest, Provider


class RetryProvider(Wrapper):
    """Sends a call again, up to ``retries`` times, whose ProviderError is ``retryable``.

    A request's ``timeout_s`` covers all tries together. The ``openai`` provider does the same by itself
    (``max_retries``): around it this multiplies. Raises UsageError for a negative number.
    """

    def __init__(self, inner: Provider, retries: int = DEFAULT_RETRIES) -> None:
        super().__init__(inner)
        self._retries = Retries(retries)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask, and ask again."""

        async def ask(left_s: float | None) -> Completion:
            return await self.ask(request if left_s is None else replace(request, timeout_s=left_s))

        return await self._retries.run(ask, timeout_s=request.timeout_s, where=self.name)

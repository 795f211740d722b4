"""What all wrappers share: a provider around a provider, which hides nothing of the inner one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_wasm.providers.completions import checked
from rlm_wasm.providers.info import ProviderInfo, close, info_of
from rlm_wasm.providers.prices import price_of

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Completion, CompletionRequest, Provider


class Wrapper:
    """Passes everything on. A wrapper overrides ``complete`` and calls ``self.ask``."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner

    @property
    def info(self) -> ProviderInfo:
        """The inner provider's: a wrapper is no back end of its own. But it may wait."""
        return replace(info_of(self.inner), inline=False, price=self.price)

    @property
    def name(self) -> str:
        """The inner provider's name."""
        return self.info.name

    @property
    def default_model(self) -> str | None:
        """The model that the inner provider takes when a request names none."""
        return self.info.default_model

    def price(
        self, model: str, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0
    ) -> float | None:
        """What the inner provider's call costs."""
        return price_of(self.inner, model, prompt_tokens, completion_tokens, cached_tokens)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Pass the request on."""
        return await self.ask(request)

    async def ask(self, request: CompletionRequest) -> Completion:
        """The inner provider's answer, if it is one: nothing else is kept, recorded or given back.

        Raises:
            ProviderError: it failed, or what it gave is no answer.
        """
        return checked(await self.inner.complete(request), request)

    async def aclose(self) -> None:
        """Close the inner provider, where it can be closed."""
        await close(self.inner)


def content_key(request: CompletionRequest, default_model: str | None, scope: str = "") -> str:
    """Hash everything that shapes the answer: not the id, the depth or the timeout.

    ``scope``: who answers, where that is to count.
    """
    # Imported here: hashing needs OpenSSL's library, which a program without wrappers never loads.
    import hashlib
    import json

    shaping = [
        request.instruction,
        request.data,
        request.model or default_model,
        request.temperature,
        request.max_tokens,
        request.json,
        list(request.images),
        *([scope] if scope else []),
    ]
    text = json.dumps(shaping, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()

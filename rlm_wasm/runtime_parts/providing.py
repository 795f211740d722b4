"""Providers for a Runtime's sessions: by name or object, with retries and a cache around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import UsageError
from rlm_wasm.providers.base import Provider
from rlm_wasm.providers.info import close, info_of

if TYPE_CHECKING:
    from rlm_wasm.providers.wrappers.cache import CacheStore
    from rlm_wasm.store.database import DatabaseStore


class Providers:
    """The arguments are those of Runtime.

    Raises:
        UsageError: one of them is not what it must be.
        ProviderError: the provider that is named has no key.
    """

    def __init__(
        self,
        provider: str | Provider | None,
        *,
        model: str | None,
        base_url: str | None,
        retries: int | None,
        cache: str | CacheStore | None,
    ) -> None:
        if retries is not None and (type(retries) is not int or retries < 0):
            raise UsageError(f"retries must be a whole number from 0, got {retries!r}")
        self._given = {"provider": provider, "base_url": base_url, "retries": retries, "cache": cache}
        self._model = model
        self._base_url = base_url
        self._retries = retries
        self._cache_store: DatabaseStore | None = None
        """Opened for the cache alone."""
        self._cache = self._opened_cache(cache)
        self._default = None if provider is None else self.made(provider, model)

    def default(self) -> Provider:
        """The Runtime's own, made when it is first wanted where none was named."""
        if self._default is None:
            self._default = self.made(None, self._model)
        return self._default

    def made(self, provider: str | Provider | None, model: str | None) -> Provider:
        """One by its name, or what is given, with retries and cache around it."""
        from rlm_wasm.providers import resolve_provider

        made = resolve_provider(provider, model=model, base_url=self._base_url, retries=self._retries)
        info = info_of(made)
        if self._cache is None or info.free:
            return made
        from rlm_wasm.providers.wrappers.cache import CachedProvider

        address = getattr(made, "base_url", None) or self._base_url or ""
        return CachedProvider(made, self._cache, unset=True, scope=f"{info.name} {address}")

    def _opened_cache(self, cache: str | CacheStore | None) -> CacheStore | None:
        if cache is None:
            return None
        if not isinstance(cache, str):
            if not callable(getattr(cache, "get", None)) or not callable(getattr(cache, "put", None)):
                raise UsageError(
                    f'cache takes a store\'s URL, "memory", or an object with get and put, not {cache!r}'
                )
            return cache
        if cache == "memory":
            from rlm_wasm.providers.wrappers.cache import MemoryCache

            return MemoryCache()
        from rlm_wasm.store import open_store

        self._cache_store = open_store(cache)
        return self._cache_store.completions()

    def to_hand_over(self) -> dict[str, Any]:
        """The arguments again, for a Runtime in another process.

        Raises:
            UsageError: the cache is one that processes cannot share.
        """
        cache = self._given["cache"]
        if cache is not None and (not isinstance(cache, str) or "://" not in cache):
            raise UsageError(
                "with an executor answers are kept in a store, which all processes share: cache=URL"
            )
        return self._given

    async def aclose(self) -> None:
        """Close the default provider, and the store of the cache."""
        if self._default is not None:
            await close(self._default)
        if self._cache_store is not None:
            await self._cache_store.aclose()

"""LLM back ends. A provider is any object with ``async def complete(request) -> Completion``.

By name: ``openai`` (any compatible server), ``extractive`` (the embedded default: no network, no
key), ``scripted`` and ``echo`` (for tests), and what other packages install under the entry-point
group ``rlm_wasm.providers``. Wrappers are providers around a provider: CachedProvider,
ConcurrencyProvider, BudgetProvider, RetryProvider, RecordingProvider; ReplayProvider stands in for a
recorded one.

Importing this package is cheap: each back end is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rlm_wasm.lazy import lazily
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.providers.info import ProviderInfo, info_of
from rlm_wasm.providers.registry import (
    default_provider_name,
    provider_names,
    resolve_provider,
)

if TYPE_CHECKING:
    from rlm_wasm.providers import completions as completions
    from rlm_wasm.providers import prices as prices
    from rlm_wasm.providers import strict_json as strict_json
    from rlm_wasm.providers import tries as tries
    from rlm_wasm.providers import vendor_rules as vendor_rules
    from rlm_wasm.providers.echo import EchoProvider
    from rlm_wasm.providers.openai import OpenAIProvider
    from rlm_wasm.providers.scripted import ScriptedProvider
    from rlm_wasm.providers.wrappers.budget import BudgetProvider
    from rlm_wasm.providers.wrappers.cache import CachedProvider, MemoryCache
    from rlm_wasm.providers.wrappers.concurrency import ConcurrencyProvider
    from rlm_wasm.providers.wrappers.recording import RecordingProvider, ReplayProvider
    from rlm_wasm.providers.wrappers.retry import RetryProvider
else:
    completions = lazily("rlm_wasm.providers.completions")
    prices = lazily("rlm_wasm.providers.prices")
    strict_json = lazily("rlm_wasm.providers.strict_json")
    tries = lazily("rlm_wasm.providers.tries")
    vendor_rules = lazily("rlm_wasm.providers.vendor_rules")

__all__ = [
    "BudgetProvider",
    "CachedProvider",
    "Completion",
    "CompletionRequest",
    "ConcurrencyProvider",
    "EchoProvider",
    "MemoryCache",
    "OpenAIProvider",
    "Provider",
    "ProviderInfo",
    "RecordingProvider",
    "ReplayProvider",
    "RetryProvider",
    "ScriptedProvider",
    "default_provider_name",
    "info_of",
    "provider_names",
    "resolve_provider",
]

_LAZY = {
    "BudgetProvider": "wrappers.budget",
    "CachedProvider": "wrappers.cache",
    "ConcurrencyProvider": "wrappers.concurrency",
    "EchoProvider": "echo",
    "MemoryCache": "wrappers.cache",
    "OpenAIProvider": "openai",
    "RecordingProvider": "wrappers.recording",
    "ReplayProvider": "wrappers.recording",
    "RetryProvider": "wrappers.retry",
    "ScriptedProvider": "scripted",
}


def __getattr__(name: str) -> Any:
    """Import a back end or wrapper when it is first asked for."""
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Providers by name: the four that come along, and those of other packages.

A package adds one through the entry-point group ``rlm_wasm.providers``: the entry's name is the
provider's, its value a callable that takes the keywords ``model`` and ``base_url`` (each may be
None) and gives back an object with ``complete``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from rlm_wasm.errors import ProviderError, UsageError
from rlm_wasm.providers.base import Provider
from rlm_wasm.providers.info import info_of, is_provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

ENTRY_POINT_GROUP: Final = "rlm_wasm.providers"

Factory = Callable[..., Provider]

_BUILT_IN: Final[dict[str, tuple[str, str, bool]]] = {
    # name: (module, class, whether it calls a server: then it takes a base URL and max_retries)
    "openai": ("rlm_wasm.providers.openai", "OpenAIProvider", True),
    "extractive": ("rlm_wasm.extractive.provider", "ExtractiveProvider", False),
    "scripted": ("rlm_wasm.providers.scripted", "ScriptedProvider", False),
    "echo": ("rlm_wasm.providers.echo", "EchoProvider", False),
}

_said_default = False


def provider_names() -> list[str]:
    """All names that ``resolve_provider`` knows: those that come along first."""
    installed = sorted({entry.name for entry in _entry_points()} - set(_BUILT_IN))
    return [*_BUILT_IN, *installed]


def default_provider_name() -> str:
    """``openai`` where its key is set, else ``extractive``."""
    return "openai" if os.environ.get("OPENAI_API_KEY") else "extractive"


def resolve_provider(
    provider: str | Provider | None,
    *,
    model: str | None = None,
    base_url: str | None = None,
    retries: int | None = None,
) -> Provider:
    """The provider for a name, an object, or no choice at all.

    An object with ``complete`` is given back as it is. ``retries``: how often a call is sent again that
    failed in a way that may pass; None: as the provider itself does. Raises UsageError for an unknown name
    (with near misses) and for options that the provider cannot take, MissingKey where a key is
    needed and not set.
    """
    if provider is None:
        provider = "openai" if base_url is not None else default_provider_name()
        _say_default(provider)
    if not isinstance(provider, str):
        if not is_provider(provider):
            raise UsageError(f"a provider is a name or an object with a complete method, not {provider!r}")
        return _retrying(provider, retries)
    if provider not in _BUILT_IN:
        return _retrying(_installed(provider, model=model, base_url=base_url), retries)
    module, class_name, by_network = _BUILT_IN[provider]
    factory: Factory = getattr(importlib.import_module(module), class_name)
    if not by_network:
        if base_url is not None:
            raise UsageError(f"the {provider} provider takes no base URL")
        return factory(model=model)
    more = {} if retries is None else {"max_retries": retries}
    return factory(model=model, base_url=base_url, **more)


def _retrying(provider: Provider, retries: int | None) -> Provider:
    if not retries or info_of(provider).inline:
        return provider
    from rlm_wasm.providers.wrappers.retry import RetryProvider

    return RetryProvider(provider, retries)


def _installed(name: str, **options: Any) -> Provider:
    entry = next((entry for entry in _entry_points() if entry.name == name), None)
    if entry is None:
        raise UsageError(_unknown(name))
    try:
        made: Provider = entry.load()(**options)
    except (ProviderError, UsageError):
        raise
    except Exception as error:
        raise UsageError(f"the provider {name!r} ({entry.value}) cannot be made: {error}") from error
    if not is_provider(made):
        raise UsageError(f"the provider {name!r} ({entry.value}) has no complete method")
    return made


def _unknown(name: str) -> str:
    names = provider_names()
    import difflib  # for a name that is none

    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"unknown provider {name!r}.{hint} There are: {', '.join(names)}."


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # slow to import, and rarely wanted

    return entry_points(group=ENTRY_POINT_GROUP)


def _say_default(name: str) -> None:
    """Say once a process which provider was taken without being asked for."""
    global _said_default
    if not _said_default:
        _said_default = True
        why = "OPENAI_API_KEY is set" if name == "openai" else "no OPENAI_API_KEY; no network"
        print(f"rlm-wasm: using the {name} provider ({why})", file=sys.stderr)

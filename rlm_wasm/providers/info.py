"""What a provider says of itself beyond ``complete``: read here and nowhere else.

A provider need have nothing but ``complete``. Whatever else it has is optional, and everybody who
wants to know asks ``info_of``, so that one answer goes for calls, prices, plans and reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rlm_wasm.lazy_dataclass import dataclass, field

if TYPE_CHECKING:
    from rlm_wasm.providers.base import Provider

PriceFunction = Callable[..., float | None]
"""Of a model's name, prompt tokens and completion tokens: US dollars, or None where it is unknown. One with a
parameter ``cached_tokens`` is told how many of the prompt's tokens the vendor had in its cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """What is known of a provider. Each field is an optional attribute of the same name.

    A provider that has an attribute ``info`` of this class is taken at its word.
    """

    name: str
    """By default the name of its class."""
    default_model: str | None = None
    """The model that answers where a request names none; None where only the server knows."""
    free: bool = False
    """No call costs anything."""
    inline: bool = False
    """``complete`` never waits, so that a call needs no task of its own."""
    ignores_model: bool = False
    """Whatever model a request names, it answers itself."""
    language_model: bool = True
    """A language model answers: its judgement may be asked for. False for what only acts as one."""
    writes_programs: bool = True
    """It can be asked for a program; where not, an ask runs the planner's."""
    models: tuple[str, ...] = ()
    """The models there are, where it knows them all; () where any name may do."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Its models for the roles cheap, middle and good, where one default would not do."""
    price: PriceFunction | None = None
    """What a call costs, asked before the published prices."""


def info_of(provider: Provider) -> ProviderInfo:
    """What a provider says of itself, with defaults for what it leaves out. Raises nothing."""
    info = getattr(provider, "info", None)
    if isinstance(info, ProviderInfo):
        return info
    model = getattr(provider, "default_model", None)
    return ProviderInfo(
        name=str(getattr(provider, "name", None) or type(provider).__name__),
        default_model=None if model is None else str(model),
        free=bool(getattr(provider, "free", False)),
        inline=bool(getattr(provider, "inline", False)),
        ignores_model=bool(getattr(provider, "ignores_model", False)),
        language_model=bool(getattr(provider, "language_model", True)),
        writes_programs=bool(getattr(provider, "writes_programs", True)),
        models=_names(getattr(provider, "models", ())),
        roles=_roles(getattr(provider, "roles", None)),
        price=_callable(getattr(provider, "price", None)),
    )


def is_provider(value: object) -> bool:
    """Whether an object can be asked."""
    return callable(getattr(value, "complete", None))


async def close(provider: Provider) -> None:
    """Close a provider that can be closed. What its ``aclose`` raises is raised."""
    aclose = _callable(getattr(provider, "aclose", None))
    if aclose is not None:
        await aclose()


def _names(value: Any) -> tuple[str, ...]:
    """A collection of names; anything else that is called ``models`` means something else."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return ()
    names = tuple(value)
    return names if all(isinstance(name, str) for name in names) else ()


def _roles(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {str(role): model for role, model in value.items() if isinstance(model, str)}


def _callable(value: Any) -> Callable[..., Any] | None:
    return value if callable(value) else None

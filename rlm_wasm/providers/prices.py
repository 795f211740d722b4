"""What calls cost: genai-prices' table, which is bundled with it, and the embedder's own figures.

Nothing is fetched. An unknown model has no price, which is said (None) rather than guessed.
"""

from __future__ import annotations

import functools
import inspect
import math
from typing import TYPE_CHECKING, Final

from rlm_wasm.errors import ProviderError, UsageError
from rlm_wasm.foreign import described
from rlm_wasm.lazy import is_loaded, loaded_beside
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.providers.info import info_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from rlm_wasm.providers.base import Provider


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens."""

    input_usd: float
    """Of prompts."""
    output_usd: float
    """Of answers."""
    cached_input_usd: float | None = None
    """Of a prompt's tokens that the vendor had in its cache; None: as others."""

    def __post_init__(self) -> None:
        if not (self.input_usd >= 0 and self.output_usd >= 0 and (self.cached_input_usd or 0.0) >= 0):
            raise UsageError(f"a price must not be negative: {self.input_usd}, {self.output_usd}")

    def cost_usd(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """What so many tokens cost; ``cached_tokens`` are among those of the prompt."""
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        usd = (prompt_tokens - cached_tokens) * self.input_usd + cached_tokens * cached_usd
        return (usd + completion_tokens * self.output_usd) / 1_000_000


class PriceTable:
    """Prices by model; ``overrides`` go before genai-prices' own.

    PriceTable({"my-model": Price(0.10, 0.40)})
    """

    def __init__(self, overrides: Mapping[str, Price] | None = None) -> None:
        self._overrides = dict(overrides or {})

    def cost_usd(
        self, model: str, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0
    ) -> float | None:
        """What a call cost, in US dollars; None where the model's price is unknown."""
        price = self._overrides.get(model)
        if price is not None:
            return price.cost_usd(prompt_tokens, completion_tokens, cached_tokens)
        return _published(model, prompt_tokens, completion_tokens, cached_tokens)


_PUBLISHED: Final = PriceTable()
_TABLE: Final = ("genai_prices", "genai_prices.data_snapshot")
_MAX_WRAPPED: Final = 20


def price_of(
    provider: Provider, model: str, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0
) -> float | None:
    """What a call to a provider's model costs, in US dollars, or None where nobody knows.

    A provider may know better: ``free = True`` says that nothing costs anything, and its own
    ``price(model, prompt_tokens, completion_tokens)`` is asked before the published prices; where it has
    a parameter ``cached_tokens`` it is told of those, too.

    Raises:
        ProviderError: the provider's own ``price`` failed, or gave what is no price.
    """
    info = info_of(provider)
    if info.free:
        return 0.0
    if info.price is not None:
        more = {"cached_tokens": cached_tokens} if cached_tokens and _takes_cached(info.price) else {}
        try:
            price = info.price(model, prompt_tokens, completion_tokens, **more)
            cost = None if price is None else float(price)
        except BaseException as error:  # its author's code: what it does is the provider's failure
            raise ProviderError(
                f"the provider's price({model!r:.100}) failed: {described(error):.500}"
            ) from None
        if cost is not None and not 0.0 <= cost < math.inf:
            raise ProviderError(
                f"the provider's price({model!r:.100}) gave {cost}: it must be 0.0 or more dollars"
            )
        return cost
    return _PUBLISHED.cost_usd(model, prompt_tokens, completion_tokens, cached_tokens)


def misses_table(provider: Provider) -> bool:
    """Whether ``price_of`` would load the published prices now, which takes a tenth of a second."""
    if all(map(is_loaded, _TABLE)):
        return False
    inner = provider
    for _ in range(_MAX_WRAPPED):  # a wrapper's price is that of what it wraps
        wrapped = getattr(inner, "inner", None)
        if wrapped is None:
            break
        inner = wrapped
    info = info_of(inner)
    return not info.free and (
        info.price is None or isinstance(getattr(info.price, "__self__", None), PriceTable)
    )


async def load_table() -> None:
    """Load them beside the event loop."""
    await loaded_beside(*_TABLE)


def _takes_cached(price: Callable[..., float | None]) -> bool:
    try:
        return "cached_tokens" in inspect.signature(price).parameters
    except (TypeError, ValueError):  # a callable without a signature
        return False


def _published(model: str, prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> float | None:
    """By genai-prices, whose import takes a while: only programs that pay for calls wait for it."""
    if not model:
        return None
    from genai_prices import Usage, calc_price
    from genai_prices.data_snapshot import get_snapshot

    usage = Usage(
        input_tokens=prompt_tokens, cache_read_tokens=cached_tokens, output_tokens=completion_tokens
    )
    for vendor in _vendors(model, get_snapshot().timestamp):
        try:
            return float(calc_price(usage, model, provider_id=vendor).total_price)
        except (LookupError, ValueError):
            continue
    return None


@functools.lru_cache(maxsize=1024)
def _vendors(model: str, _of: datetime) -> tuple[str | None, ...]:
    """In whose tables the model is, in those that were made then.

    A name that several vendors use means OpenAI's: that is whose protocol the calls speak. Kept, because the
    search for a name that nobody knows, such as a local model's, goes through all tables at every call.
    """
    from genai_prices.data_snapshot import get_snapshot

    found: list[str | None] = []
    for vendor in ("openai", None):
        try:
            get_snapshot().find_provider_model(model, None, vendor, None)
        except (LookupError, ValueError):
            continue
        found.append(vendor)
    return tuple(found)

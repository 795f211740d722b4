"""Models that exist only as figures: latency with stragglers, accuracy, price; on a virtual clock.

    provider = SimulatedProvider(
        {"cheap": SimulatedModel(accuracy=0.8), "dear": SimulatedModel(accuracy=0.95)},
        answers=lambda request: ["spam", "ham"],        # the right one first
    )
    result, seconds = simulate(program(provider))       # an hour of calls takes a moment

What a call does depends on the seed, on what is asked and on how often it was asked before; never
on the order in which calls happen to run.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import selectors
from collections import Counter
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_wasm.errors import ProviderError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.prices import Price
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens
from rlm_wasm.providers.wrappers.base import content_key

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Log-normal around the median; a share of the calls, the stragglers, takes much longer."""

    median_s: float = 2.0
    """Seconds."""
    sigma: float = 0.35
    """Of the log-normal distribution."""
    straggler_rate: float = 0.02
    """Share of calls that take much longer."""
    straggler_factor: float = 10.0
    """How many times as long."""

    def draw(self, rng: random.Random) -> float:
        """One call's duration."""
        seconds = self.median_s * rng.lognormvariate(0.0, self.sigma)
        return seconds * self.straggler_factor if rng.random() < self.straggler_rate else seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedModel:
    """One model. ``failure_rate`` is the share of calls that end with a retryable error."""

    accuracy: float = 0.9
    """Share of answers that are right."""
    latency: Latency = field(default_factory=Latency)
    """How long calls take."""
    price: Price = field(default_factory=lambda: Price(0.10, 0.40))
    """What they cost."""
    failure_rate: float = 0.0
    answer_tokens: int | None = None
    """Of an answer; None: as its text has."""


class SimulatedProvider:
    """Answers right as often as the model's accuracy says, after the model's latency.

    ``answers`` gives, for a request, the texts to choose from, the right one first; by default the
    right answer is the request's data and a wrong one is marked as such. ``calls`` counts by
    model, ``cancelled`` the calls that nobody waited for to the end.
    """

    name = "simulated"
    language_model = False

    def __init__(
        self,
        models: Mapping[str, SimulatedModel] | None = None,
        *,
        answers: Callable[[CompletionRequest], Sequence[str]] | None = None,
        seed: int = 0,
    ) -> None:
        self.models = dict(models or {"simulated": SimulatedModel()})
        self.default_model = next(iter(self.models))
        self.calls: Counter[str] = Counter()
        self.cancelled = 0
        self.latencies: list[float] = []
        self._answers = answers or (lambda r: [r.data or r.instruction, f"not {r.data}"])
        self._seed = seed
        self._asked: Counter[str] = Counter()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Take the model's time, then answer, rightly or wrongly, or fail."""
        name = request.model or self.default_model
        model = self.models.get(name)
        if model is None:
            known = ", ".join(self.models)
            raise ProviderError(f"no simulated model {name!r}; there are: {known}", status=404)
        self.calls[name] += 1
        rng = self._rng(request, name)
        seconds = model.latency.draw(rng)
        self.latencies.append(seconds)
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if rng.random() < model.failure_rate:
            raise ProviderError(f"{name} failed (simulated)", status=500, retryable=True)
        texts = self._answers(request)
        right = rng.random() < model.accuracy or len(texts) < 2
        text = texts[0] if right else rng.choice(list(texts[1:]))
        return Completion(
            text=text,
            model=name,
            prompt_tokens=estimate_prompt_tokens(request.instruction, request.data, len(request.images)),
            completion_tokens=model.answer_tokens or estimate_tokens(text),
        )

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
        """What a call costs, by the simulated model's price."""
        known = self.models.get(model)
        return known.price.cost_usd(prompt_tokens, completion_tokens) if known else None

    def _rng(self, request: CompletionRequest, model: str) -> random.Random:
        key = content_key(request, model)
        self._asked[key] += 1
        seed = f"{self._seed} {key} {self._asked[key]}"
        return random.Random(hashlib.sha256(seed.encode("ascii")).digest())  # noqa: S311 (a simulation)


_THREADS_S = 5.0
"""Real seconds that timers wait for such work, which may itself wait for one."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where a real loop would sleep until the next timer, its clock is moved there instead."""

    now = 0.0
    beside = 0
    """Pieces of work that threads do for the loop."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look for input, without waiting for it when there is a timer to jump to."""
        if timeout is None:
            # No timer at all: only input, such as a worker thread's answer, can go on.
            return list(super().select(None))
        ready = list(super().select(_THREADS_S if self.beside and timeout > 0 else 0))
        if not ready and timeout > 0:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock starts at 0 and jumps over every wait.

    For code that waits by the loop (sleep, timeouts, locks). Work that is given to threads takes no virtual
    time, where it ends within some real seconds; of what other threads do on their own nothing is known.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """As ever; until it is done no timer overtakes it."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.beside += 1
        future.add_done_callback(self._done_beside)
        return future

    def _done_beside(self, _future: Any) -> None:
        self._jumping.beside -= 1


def simulate(main: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Run a coroutine on a virtual clock: its result, and the virtual seconds that it took."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(main)
        return result, runner.get_loop().time()

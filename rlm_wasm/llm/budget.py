"""What LLM calls may use, exactly, under any fan-out: places, tokens, money.

A call's worst case is set aside before it is sent and settled by the actual figures when it ends. One
that does not fit beside the reservations of others waits until those are settled; it is refused only
when it cannot fit even alone. A call that was cancelled after it was sent may have cost anything up to
its worst case: that stays set aside for good. A session and all its children share one Budget.

Where sessions of many processes spend from one budget, a Lender has a piece of it, and a call that the
piece does not cover waits until the Lender has a larger one.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from rlm_wasm.errors import LimitExceeded, RlmError, SnapshotCorrupt
from rlm_wasm.lazy_dataclass import dataclass, field, replace
from rlm_wasm.limits import Limits
from rlm_wasm.providers.base import Completion
from rlm_wasm.providers.billing import no_room
from rlm_wasm.records import Natural, NonNegative
from rlm_wasm.results import Execution, ModelUse, execution_without_calls

if TYPE_CHECKING:
    from rlm_wasm.store.records import Amount

_ID = r"[0-9a-f]{16}"

MAX_MODELS = 100
"""Models that are told apart; what others used is counted under OTHER_MODELS."""
OTHER_MODELS = "other models"
_MAX_NAMES = 10
"""By which one model was asked for."""


@dataclass(slots=True, repr=False)
class ModelUsage:
    """What one model's calls used."""

    calls: Natural = 0
    """Those that ended; failed ones are not among them."""
    cached: Natural = 0
    """Of these, answered from the cache: they used nothing."""
    prompt_tokens: Natural = 0
    completion_tokens: Natural = 0
    cached_tokens: Natural = 0
    """Of the prompts' tokens those that the vendor had in its cache."""
    cost_usd: NonNegative = 0.0
    unpriced: Natural = 0
    """Calls whose price is unknown."""

    def to_use(self, asked_for: tuple[str, ...]) -> ModelUse:
        """As a Result tells of it."""
        return ModelUse(
            calls=self.calls,
            cached=self.cached,
            tokens=self.prompt_tokens + self.completion_tokens,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=self.cached_tokens,
            cost_usd=None if self.unpriced else self.cost_usd,
            asked_for=asked_for,
        )

    def count_cached(self) -> None:
        """One call more that the cache answered."""
        self.calls += 1
        self.cached += 1

    def include(self, other: ModelUsage) -> None:
        """What calls of another session used is part of this, too."""
        for name in _SUMMED_OF_MODEL:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True, eq=False, repr=False)
class Usage:
    """What was used, by an execution or a session."""

    calls: Natural = 0
    """Asked for by programs, those that still wait included."""
    done: Natural = 0
    cached: Natural = 0
    prompt_tokens: Natural = 0
    completion_tokens: Natural = 0
    cached_tokens: Natural = 0
    cost_usd: NonNegative = 0.0
    unpriced: Natural = 0
    """Calls to models whose price is unknown."""
    models: dict[str, ModelUsage] = field(default_factory=dict)
    """The same by model."""
    provider: str | None = field(default=None, init=False)
    """Who answered last. No part of a snapshot, nor is what follows: the next answer says it again."""
    asked_for: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False)
    """By the model that answered, the names by which it was asked for."""

    @property
    def tokens(self) -> int:
        """Both kinds."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def known_cost(self) -> float | None:
        """US dollars; None where the price of a model is unknown."""
        return None if self.unpriced else self.cost_usd

    @property
    def unused(self) -> bool:
        """Whether nothing was asked for or answered: it is as it was made."""
        return not (
            self.calls
            or self.done
            or self.models
            or self.prompt_tokens
            or self.completion_tokens
            or self.cost_usd
            or self.cached
            or self.cached_tokens
            or self.unpriced
            or self.provider
            or self.asked_for
        )

    def to_execution(self, *, elapsed: float = 0.0, fuel: int = 0, memory_bytes: int = 0) -> Execution:
        """As a Result tells of it, beside what else was used."""
        if self.unused:
            return execution_without_calls(elapsed, fuel, memory_bytes)
        return Execution(
            calls=self.calls,
            elapsed=elapsed,
            tokens=self.tokens,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.known_cost,
            cached=self.cached,
            cached_tokens=self.cached_tokens,
            fuel=fuel,
            memory_bytes=memory_bytes,
            provider=self.provider,
            models={name: used.to_use(self.asked_for.get(name, ())) for name, used in self.models.items()},
        )

    def answered(self, provider: str, model: str, asked_for: str | None) -> None:
        """A provider's model gave an answer that was asked for by this name."""
        self.provider = provider
        names = self.asked_for.get(model, ())
        if asked_for and asked_for != model and asked_for not in names and len(names) < _MAX_NAMES:
            self.asked_for[model] = (*names, asked_for)

    def asked(self) -> None:
        """One more call is asked for."""
        self.calls += 1

    def paid_nothing(self, model: str) -> bool:
        """Whether calls of this model ended, and none of them cost anything."""
        used = self.models.get(model)
        return used is not None and not used.unpriced and not used.cost_usd

    def add(self, completion: Completion, cost: float | None, model: str = "") -> None:
        """Settle one call. ``model``: the one that answered."""
        if completion.cached:
            self.done += 1
            self.cached += 1
            self._of(model).count_cached()
            return
        self._settle(completion, cost, model)

    def _of(self, model: str) -> ModelUsage:
        used = self.models.get(model)
        if used is None:
            if len(self.models) >= MAX_MODELS:
                model = OTHER_MODELS
            used = self.models.setdefault(model, ModelUsage())
        return used

    def copy(self) -> Usage:
        """As it is now; later calls change the original alone."""
        same = Usage(  # by hand: whatever is restored or forked does this twice
            self.calls,
            self.done,
            self.cached,
            self.prompt_tokens,
            self.completion_tokens,
            self.cached_tokens,
            self.cost_usd,
            self.unpriced,
            {name: replace(used) for name, used in self.models.items()},
        )
        same.provider, same.asked_for = self.provider, dict(self.asked_for)
        return same

    def include(self, other: Usage) -> None:
        """What another session used on behalf of this one is part of it, too."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for model, used in other.models.items():
            self._of(model).include(used)
        if other.provider is not None:
            self.provider = other.provider
        for model, names in other.asked_for.items():
            known = self.asked_for.get(model, ())
            self.asked_for[model] = tuple(dict.fromkeys((*known, *names)))[:_MAX_NAMES]

    def answers_of(self, provider: str | None, asked_for: Mapping[str, tuple[str, ...]]) -> None:
        """Who answered, and by which names models were asked for: what no snapshot has."""
        self.provider = provider
        self.asked_for = {model: tuple(names) for model, names in asked_for.items()}

    def _settle(self, completion: Completion, cost: float | None, model: str) -> None:
        self.done += 1
        used = self.models.get(model)
        if used is None:
            used = self._of(model)
        used.calls += 1
        # Twice the same, and not one after the other in a procedure: this is done for every call.
        prompt, answer, cached = (
            completion.prompt_tokens,
            completion.completion_tokens,
            completion.cached_tokens,
        )
        self.prompt_tokens += prompt
        used.prompt_tokens += prompt
        self.completion_tokens += answer
        used.completion_tokens += answer
        if cached:
            self.cached_tokens += cached
            used.cached_tokens += cached
        if cost is None:
            self.unpriced += 1
            used.unpriced += 1
        elif cost:
            self.cost_usd += cost
            used.cost_usd += cost

    def add_unknown(self, prompt: int, cost: float | None, model: str = "") -> None:
        """A call that was sent, and that is sent again: the first time may have used its prompt."""
        for used in (self, self._of(model)):
            used.prompt_tokens += prompt
            if cost is None:
                used.unpriced += 1
            else:
                used.cost_usd += cost

    def add_cancelled(self, prompt: int, cost: float | None, model: str = "") -> None:
        """A call that was sent and then cancelled: at least its prompt was used."""
        self._settle(Completion(text="", prompt_tokens=prompt), cost, model)


_SUMMED_OF_MODEL = (
    "calls",
    "cached",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost_usd",
    "unpriced",
)
_SUMMED = ("done", *_SUMMED_OF_MODEL)
"""Of Usage; its calls are those asked for, those of a ModelUsage the ones that ended."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What of a Budget a snapshot holds: a call in flight is reserved again by whoever sends it again."""

    id: str
    execution: Usage
    session: Usage
    last_number: Natural
    lost_tokens: Natural
    lost_usd: NonNegative
    taken_over: tuple[NonNegative, ...] = ()
    """Calls, tokens and dollars of sessions elsewhere that are part of this one's; (): there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedElsewhere:
    """What a session used that another one had begun for a call of its own."""

    usage: Usage
    lost_tokens: Natural = 0
    lost_usd: NonNegative = 0.0
    """Of calls that were cancelled after they were sent, beyond what is known to be used."""

    @property
    def tokens(self) -> int:
        """Gone for sure, and maybe."""
        return self.usage.tokens + self.lost_tokens

    @property
    def usd(self) -> float:
        """The same of money."""
        return self.usage.cost_usd + self.lost_usd


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that a call may use: its prompt and its longest answer. ``usd`` None: nobody asked."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None

    @property
    def tokens(self) -> int:
        """Both kinds."""
        return self.prompt_tokens + self.completion_tokens


UNBOUNDED = WorstCase()
"""Of a call where no ceiling stands: nobody need know what it may use."""


@dataclass(slots=True, eq=False, repr=False)
class Waiting:
    """A call that waits for its place and its money. One of ``start`` and ``refuse`` is called, once."""

    worst: WorstCase
    start: Callable[[], None]
    refuse: Callable[[RlmError], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a session has to do with a shared budget at a moment."""

    used: Amount
    """What is gone, and what calls that were lost may have used. Places: those that are taken."""
    reserved: Amount
    """The same with the calls in flight at their worst."""
    minimum: Amount
    """The same with the call that waits longest; as ``reserved`` where none waits."""
    wish: Amount
    """The same with those that could be sent next."""
    first: Waiting | None
    """The call that waits longest."""


class Lender(Protocol):
    """Has a piece of a budget that sessions of many processes share."""

    @property
    def bounds_tokens(self) -> bool:
        """Whether that has a ceiling on tokens."""
        ...

    @property
    def bounds_cost(self) -> bool:
        """Whether it has one on money."""
        ...

    @property
    def busy(self) -> bool:
        """Whether it is about to tell what it has."""
        ...

    def covers(self, whole: Amount) -> bool:
        """Whether the piece is so large."""
        ...

    def ask(self) -> None:
        """More is needed: see ``Budget.need``. Then ``Budget.lent`` or ``Budget.not_lent`` is called."""
        ...

    def settled(self) -> None:
        """A call has ended, and nothing waits."""
        ...


class Lenders:
    """Several of them: a call is sent that the piece of each one covers."""

    def __init__(self, budget: Budget, *lenders: Lender) -> None:
        self._budget = budget
        self._lenders = lenders

    @property
    def bounds_tokens(self) -> bool:
        """See Lender."""
        return any(lender.bounds_tokens for lender in self._lenders)

    @property
    def bounds_cost(self) -> bool:
        """See Lender."""
        return any(lender.bounds_cost for lender in self._lenders)

    @property
    def busy(self) -> bool:
        """See Lender."""
        return any(lender.busy for lender in self._lenders)

    def covers(self, whole: Amount) -> bool:
        """See Lender."""
        return all(lender.covers(whole) for lender in self._lenders)

    def ask(self) -> None:
        """See Lender: of those whose pieces are too small."""
        minimum = self._budget.need().minimum
        short = [lender for lender in self._lenders if not lender.covers(minimum)]
        for lender in short or self._lenders[:1]:
            if not lender.busy:  # else two that wait for one another would ask for ever
                lender.ask()

    def settled(self) -> None:
        """See Lender."""
        for lender in self._lenders:
            lender.settled()

    def without(self, lender: Lender) -> Lender | None:
        """The others."""
        others = [other for other in self._lenders if other is not lender]
        return Lenders(self._budget, *others) if len(others) > 1 else others[0] if others else None

    def and_also(self, lender: Lender) -> Lenders:
        """With one more."""
        return Lenders(self._budget, *self._lenders, lender)


@dataclass(slots=True, eq=False, repr=False)
class _Pool:
    """What a session, its children and its forks have together."""

    session: Usage = field(default_factory=Usage)
    reserved_tokens: int = 0
    reserved_usd: float = 0.0
    lost_tokens: int = 0
    """Of calls that were cancelled after they were sent: they may have been used, nobody knows."""
    lost_usd: float = 0.0
    last_number: int = 0
    in_flight: int = 0
    """Provider calls that have a place."""
    waiting: deque[Waiting] = field(default_factory=deque)
    children: dict[int, asyncio.Semaphore] = field(default_factory=dict)
    starting: bool = False
    id: str = ""
    lender: Lender | None = None
    elsewhere_calls: int = 0
    elsewhere_tokens: int = 0
    elsewhere_usd: float = 0.0
    """Of what was used here, the part of sessions elsewhere: they have pieces of shared budgets, too."""


@dataclass(slots=True, eq=False, repr=False)
class Budget:
    """Places, tokens and money of a session and its children; ``forked`` gives one of the same pool."""

    limits: Limits
    execution: Usage = field(default_factory=Usage)
    kept_calls: int = 0
    """Kept back, with ``kept``, for a last call: others may not use it."""
    kept: WorstCase = UNBOUNDED
    _pool: _Pool = field(default_factory=_Pool)

    def forked(self, limits: Limits) -> Budget:
        """A fork's: what it uses and what this one uses is bounded together, by either's limits."""
        return Budget(limits, self.execution.copy(), _pool=self._pool)

    def borrow_from(self, lender: Lender) -> None:
        """From now on no call is sent that the lender's piece does not cover."""
        before = self._pool.lender
        if before is None:
            self._pool.lender = lender
        elif isinstance(before, Lenders):
            self._pool.lender = before.and_also(lender)
        else:
            self._pool.lender = Lenders(self, before, lender)

    def borrow_no_more(self, lender: Lender) -> None:
        """From now on that lender has no say."""
        before = self._pool.lender
        if isinstance(before, Lenders):
            self._pool.lender = before.without(lender)
        elif before is lender:
            self._pool.lender = None
        self._next()

    def include(self, elsewhere: UsedElsewhere) -> None:
        """A session that was begun elsewhere for a call of this one is over: what it used was used here."""
        pool, usage = self._pool, elsewhere.usage
        for used in (self.execution, pool.session):
            used.include(usage)
        pool.lost_tokens += elsewhere.lost_tokens
        pool.lost_usd += elsewhere.lost_usd
        pool.elsewhere_calls += usage.done
        pool.elsewhere_tokens += elsewhere.tokens
        pool.elsewhere_usd += elsewhere.usd
        self._go_on()

    def left(self) -> tuple[int, int | None, float | None]:
        """What nobody has used or set aside yet: calls, tokens and dollars; None where there is no limit."""
        limits, kept, pool = self.limits, self.kept, self._pool
        tokens, usd = limits.tokens, limits.cost_usd
        if tokens is not None:
            tokens = max(tokens - self.used_tokens - pool.reserved_tokens - kept.tokens, 0)
        if usd is not None:
            usd = max(usd - self.used_usd - pool.reserved_usd - (kept.usd or 0.0), 0.0)
        return max(limits.calls - self.execution.calls - self.kept_calls, 0), tokens, usd

    @property
    def bounded(self) -> bool:
        """Whether there is a ceiling that a call could break: else no estimate is worth its time."""
        limits, lender = self.limits, self._pool.lender
        if limits.tokens is not None or limits.cost_usd is not None:
            return True
        return lender is not None and (lender.bounds_tokens or lender.bounds_cost)

    @property
    def bounds_tokens(self) -> bool:
        """Whether a ceiling stands on tokens: this one's, or that of a shared budget."""
        lender = self._pool.lender
        return self.limits.tokens is not None or (lender is not None and lender.bounds_tokens)

    @property
    def bounds_cost(self) -> bool:
        """The same of money."""
        lender = self._pool.lender
        return self.limits.cost_usd is not None or (lender is not None and lender.bounds_cost)

    @property
    def id(self) -> str:
        """Of the session, wherever it goes on: with a call's number it names that call to a provider."""
        if not self._pool.id:
            self._pool.id = new_id()
        return self._pool.id

    @property
    def session(self) -> Usage:
        """What was used by all that share the pool."""
        return self._pool.session

    @property
    def waiting(self) -> deque[Waiting]:
        """Calls that have no place yet."""
        return self._pool.waiting

    @property
    def reserved_tokens(self) -> int:
        """By calls in flight."""
        return self._pool.reserved_tokens

    @property
    def reserved_usd(self) -> float:
        """By calls in flight."""
        return self._pool.reserved_usd

    def count(self) -> None:
        """One more call. Raises LimitExceeded."""
        used = self.execution
        if used.calls + self.kept_calls >= self.limits.calls:
            raise LimitExceeded("calls", used.calls + self.kept_calls + 1, self.limits.calls)
        used.calls += 1
        self._pool.session.calls += 1

    def add(
        self, completion: Completion, cost: float | None, model: str, *, provider: str, asked_for: str | None
    ) -> None:
        """Settle one call's answer. ``model``: the one that gave it, when this name was asked for."""
        for used in (self.execution, self._pool.session):
            used.add(completion, cost, model)
            used.answered(provider, model, asked_for)

    def begin_execution(self) -> None:
        """A new execution counts from nothing."""
        if not self.execution.unused:
            self.execution = Usage()

    def keep_back(self) -> None:
        """Keep a call back for a last word, and a tenth of what is left of tokens and money."""
        limits = self.limits
        tokens = 0 if limits.tokens is None else max(limits.tokens - self.used_tokens, 0) // 10
        usd = None if limits.cost_usd is None else max(limits.cost_usd - self.used_usd, 0.0) / 10
        self.kept_calls = 1 if limits.calls > 1 else 0
        self.kept = WorstCase(tokens, 0, usd)

    def release_kept(self) -> None:
        """The last word may use what was kept back."""
        self.kept_calls, self.kept = 0, UNBOUNDED

    def children(self, depth: int) -> asyncio.Semaphore:
        """Places for the sandboxes of ``#:recursive`` calls that are alive at once: ``concurrency`` a depth.

        By depth, so that no child waits for a place that its own parent has.
        """
        if depth not in self._pool.children:
            self._pool.children[depth] = asyncio.Semaphore(self.limits.concurrency)
        return self._pool.children[depth]

    def count_failed(self, *, sent: bool) -> None:
        """A call has failed; ``sent``: it was sent before."""
        self.execution.done += 1
        if sent:
            self.session.done += 1

    @property
    def next_number(self) -> int:
        """What the next call will be called."""
        return self._pool.last_number + 1

    def take_number(self, number: int) -> None:
        """A call has this number."""
        pool = self._pool
        if number > pool.last_number:
            pool.last_number = number

    # ---- a place, and what it may cost

    def take(self, worst: WorstCase) -> bool:
        """A place and the worst case set aside at once (True), or it has to ``wait``.

        Raises LimitExceeded where it could never fit.
        """
        pool = self._pool
        if worst is UNBOUNDED:
            if pool.waiting or pool.in_flight >= self.limits.concurrency:
                return False
            if pool.lender is not None and not self._covered(worst):
                return False
            pool.in_flight += 1
            return True
        self._check_alone(worst)
        if pool.waiting or pool.in_flight >= self.limits.concurrency or not self._fits(worst):
            return False
        if not self._covered(worst):
            return False
        self._reserve(worst)
        return True

    def wait(self, call: Waiting) -> None:
        """Line up; the call is started or refused later."""
        self.waiting.append(call)
        lender = self._pool.lender
        if lender is not None and self._pool.in_flight < self.limits.concurrency:
            lender.ask()

    def leave_queue(self, call: Waiting) -> None:
        """It was cancelled while it waited."""
        self.waiting.remove(call)
        self._next()

    def settle(self, worst: WorstCase) -> None:
        """A call has ended and was counted: its place and what was set aside are free again."""
        self._release(worst)
        self._go_on()

    def settle_cancelled(self, worst: WorstCase, prompt: tuple[int, float | None], model: str = "") -> None:
        """A call was cancelled after it was sent: its prompt is counted, the rest stays set aside.

        ``prompt``: tokens, and dollars where they are known. ``model``: the one that was asked.
        """
        tokens, usd = prompt
        for usage in (self.execution, self.session):
            usage.add_cancelled(tokens, usd, model)
        self._pool.lost_tokens += max(worst.tokens - tokens, 0)
        self._pool.lost_usd += max((worst.usd or 0.0) - (usd or 0.0), 0.0)
        self._release(worst)
        self._go_on()

    def settle_unknown(self, worst: WorstCase, prompt: tuple[int, float | None], model: str = "") -> None:
        """A call was sent by a process that died, and is sent again: what the first sending may have cost.

        Its prompt is counted, the rest stays set aside; the call itself is counted when it ends.
        """
        tokens, usd = prompt
        for usage in (self.execution, self.session):
            usage.add_unknown(tokens, usd, model)
        self._pool.lost_tokens += max(worst.tokens - tokens, 0)
        self._pool.lost_usd += max((worst.usd or 0.0) - (usd or 0.0), 0.0)

    def _reserve(self, worst: WorstCase) -> None:
        self._pool.in_flight += 1
        if worst is UNBOUNDED:
            return
        self._pool.reserved_tokens += worst.tokens
        self._pool.reserved_usd += worst.usd or 0.0

    def _release(self, worst: WorstCase) -> None:
        pool = self._pool
        pool.in_flight -= 1
        if worst is UNBOUNDED and pool.in_flight:
            return
        pool.reserved_tokens -= worst.tokens
        pool.reserved_usd = max(pool.reserved_usd - (worst.usd or 0.0), 0.0) if pool.in_flight else 0.0

    def _go_on(self) -> None:
        if self.waiting:
            self._next()
        elif self._pool.lender is not None:
            self._pool.lender.settled()

    def _next(self) -> None:
        """Start the calls that wait longest, as far as there are places and money."""
        if self._pool.starting:  # a call that ended at once: the loop below goes on with the next
            return
        self._pool.starting = True
        try:
            self._start_waiting()
        finally:
            self._pool.starting = False

    def _start_waiting(self) -> None:
        waiting = self.waiting
        while waiting and self._pool.in_flight < self.limits.concurrency:
            call = waiting[0]
            if self._fits(call.worst):
                if not self._covered(call.worst):
                    if self._pool.lender is not None:
                        self._pool.lender.ask()
                    return
                waiting.popleft()
                self._reserve(call.worst)
                call.start()
                continue
            try:
                self._check_alone(call.worst)
            except LimitExceeded as limit:
                waiting.popleft()
                call.refuse(limit)
                continue
            return  # until others settle

    @property
    def used_tokens(self) -> int:
        """What is gone for sure, and what may be gone."""
        return self.session.tokens + self._pool.lost_tokens

    @property
    def used_usd(self) -> float:
        """What is gone for sure, and what may be gone."""
        return self.session.cost_usd + self._pool.lost_usd

    def _fits(self, worst: WorstCase) -> bool:
        limits = self.limits
        tokens = self.used_tokens + self._pool.reserved_tokens + self.kept.tokens + worst.tokens
        if limits.tokens is not None and tokens > limits.tokens:
            return False
        usd = self.used_usd + self._pool.reserved_usd + (self.kept.usd or 0.0) + (worst.usd or 0.0)
        return limits.cost_usd is None or worst.usd is None or usd <= limits.cost_usd

    def _check_alone(self, worst: WorstCase) -> None:
        limits, kept = self.limits, self.kept
        if limits.tokens is not None and self.used_tokens + kept.tokens + worst.tokens > limits.tokens:
            reserved = self._pool.reserved_tokens + kept.tokens
            raise no_room("tokens", self.used_tokens, reserved, worst.tokens, limits.tokens)
        ceiling, usd = limits.cost_usd, worst.usd
        if ceiling is not None and usd is not None and self.used_usd + (kept.usd or 0.0) + usd > ceiling:
            raise no_room("cost_usd", self.used_usd, self._pool.reserved_usd, usd, ceiling)

    # ---- a piece of a shared budget

    def _covered(self, worst: WorstCase) -> bool:
        lender = self._pool.lender
        return lender is None or lender.covers(self._whole(worst.tokens, worst.usd or 0.0, 1))

    def _whole(self, tokens: int, usd: float, calls: int) -> Amount:
        """With so much more than is used and in flight."""
        from rlm_wasm.store.records import Amount

        pool = self._pool
        return Amount(
            calls=pool.session.done - pool.elsewhere_calls + pool.in_flight + calls,
            tokens=self.used_tokens - pool.elsewhere_tokens + pool.reserved_tokens + tokens,
            nanousd=nanousd(self.used_usd - pool.elsewhere_usd + pool.reserved_usd + usd),
            places=pool.in_flight + calls,
        )

    def need(self) -> Need:
        """What of a shared budget is used here, and what the calls that wait would need."""
        from rlm_wasm.store.records import Amount

        pool, waiting = self._pool, self.waiting
        used = Amount(
            calls=pool.session.done - pool.elsewhere_calls,
            tokens=self.used_tokens - pool.elsewhere_tokens,
            nanousd=nanousd(self.used_usd - pool.elsewhere_usd),
            places=pool.in_flight,
        )
        reserved = self._whole(0, 0.0, 0)
        if not waiting:
            return Need(used=used, reserved=reserved, minimum=reserved, wish=reserved, first=None)
        first = waiting[0]
        places = max(min(len(waiting), self.limits.concurrency - pool.in_flight), 1)
        chosen = [call.worst for _, call in zip(range(max(places, _CHUNK)), waiting, strict=False)]
        more = max(_CHUNK // len(chosen), 1)
        minimum = self._whole(first.worst.tokens, first.worst.usd or 0.0, 1)
        wish = self._whole(
            more * sum(worst.tokens for worst in chosen),
            more * sum(worst.usd or 0.0 for worst in chosen),
            more * len(chosen),
        )
        return Need(
            used=used,
            reserved=reserved,
            minimum=minimum,
            wish=replace(wish, places=pool.in_flight + places),
            first=first,
        )

    def lent(self) -> None:
        """The lender has a larger piece."""
        self._next()

    def not_lent(self, first: Waiting, reason: RlmError) -> None:
        """The shared budget has no room for that call, however much the others leave of it; or is damaged."""
        if self.waiting and self.waiting[0] is first:
            self.waiting.popleft()
            first.refuse(reason)
        self._next()

    # ---- snapshots

    def to_state(self) -> BudgetState:
        """For a snapshot."""
        return BudgetState(
            self.id,
            self.execution.copy(),
            self.session.copy(),
            self._pool.last_number,
            self._pool.lost_tokens,
            self._pool.lost_usd,
            self._elsewhere,
        )

    @property
    def _elsewhere(self) -> tuple[float, ...]:
        pool = self._pool
        used = pool.elsewhere_calls, pool.elsewhere_tokens, pool.elsewhere_usd
        return used if any(used) else ()

    def from_state(self, state: BudgetState) -> None:
        """Take over what to_state gave. Raises SnapshotCorrupt."""
        if not re.fullmatch(_ID, state.id):  # it goes into a header of every request
            raise SnapshotCorrupt("the snapshot's budget has no id")
        self._pool.id = state.id
        self.execution = state.execution.copy()
        self._pool.session = state.session.copy()
        self._pool.last_number = state.last_number
        self._pool.lost_tokens = state.lost_tokens
        self._pool.lost_usd = state.lost_usd
        calls, tokens, usd = state.taken_over or (0, 0, 0.0)
        self._pool.elsewhere_calls, self._pool.elsewhere_tokens = int(calls), int(tokens)
        self._pool.elsewhere_usd = usd


_CHUNK = 8
"""Calls for which a piece of a shared budget is asked at the least, where it has them."""


def nanousd(usd: float) -> int:
    """Dollars in whole billionths, rounded up."""
    return math.ceil(round(usd * 1e9, 3))


def new_id() -> str:
    """A name for what a session spends, that no other session has."""
    return os.urandom(8).hex()

"""What a program needs: the smallest Limits under which it still gives the same result.

The program runs once with the real provider, and every answer is remembered. Then it runs again
and again with those answers, under tighter limits, so that the search costs no calls. Fuel is a
count of instructions, the same on every machine; so are the other figures, except time.
"""

from __future__ import annotations

import asyncio
import json
import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from rlm_wasm.errors import ProviderError, UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.limits import Limits, LimitSpec, Unit, checked_limits, quantity, specs
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.providers.info import ProviderInfo, info_of
from rlm_wasm.providers.registry import resolve_provider
from rlm_wasm.providers.wrappers.base import Wrapper, content_key
from rlm_wasm.results import Result
from rlm_wasm.runtime import Runtime

_ORDER: Final = (
    "memory_bytes",
    "python_memory_bytes",
    "message_bytes",
    "host_bytes",
    "checkpoint_bytes",
    "workspace_bytes",
    "output_bytes",
    "images",
    "depth",
    "handles",
    "calls",
    "tokens",
    "cost_usd",
    "fuel",
)
"""What is searched, one after the other, each beside those found before: so that all hold together.

Memory first and fuel last, since a tighter memory costs fuel in collections. ``concurrency`` and
``log_bytes`` are left alone: they fail nothing. ``timeout_s`` is measured."""

_STEP: Final = {"memory_bytes": 1 << 16, "python_memory_bytes": 1 << 20, "cost_usd": 1e-6}
"""How exactly: pages of WebAssembly, pages that Python asks for at once, millionths of a dollar."""

_FUEL_FOR_MEMORY: Final = 4
"""A memory is too small that makes the program use so many times the fuel."""

_ROOM: Final = 3
"""``timeout_s`` is so many times the time that the first run took, and a second at the least."""

_SIZES: Final = (1, 2, 4)
"""By how much the contexts are multiplied to see how needs grow."""

_DIFFERS: Final = "the program gives another result each time it runs (by the clock, or chance): "

OnTry = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What a part of an execution used: ``fuel`` in instructions, ``elapsed`` in seconds.

    ``memory_bytes`` is what the heap holds at its end; ``output_bytes`` is what it printed.
    """

    name: str
    """The set-up, what came before the first call, and the rest."""
    fuel: int
    memory_bytes: int
    calls: int
    """LLM calls."""
    tokens: int
    """Of these."""
    output_bytes: int
    elapsed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How one need grows with the contexts.

    ``values`` are those at 1, 2 and 4 times the contexts. ``exponent`` is 0 where it does not grow,
    1 where it is linear, 2 quadratic; ``kind`` says so in a word. Of time, which is never the same
    twice, only the values are given; a need that shows at 4 times alone just "grows".
    """

    name: str
    """The field of Limits."""
    unit: Unit
    """Of ``values``."""
    values: tuple[float, ...]
    exponent: float | None
    kind: str

    @property
    def suspicious(self) -> bool:
        """Whether twice the data takes nearly four times as much, or more."""
        return self.exponent is not None and self.exponent >= 1.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a program needs.

    ``limits`` are the smallest under which it gave ``result`` again. ``phases`` divide the first run.
    ``growth`` is empty where it was not measured, and ``notes`` say why, and what else is to be known.
    ``runs`` is how often the program ran.
    """

    result: Result
    limits: Limits
    phases: tuple[Phase, ...]
    growth: tuple[Growth, ...] = ()
    notes: tuple[str, ...] = ()
    runs: int = 0

    def found(self, margin: float = 0.0) -> Limits:
        """The limits with so much room: 0.25 is a quarter more. Whole numbers are rounded up."""
        raised: dict[str, Any] = {}
        for name in (*_ORDER, "timeout_s"):
            value, spec = getattr(self.limits, name), _SPEC[name]
            if value is not None:
                exact = value * (1 + margin)
                value = exact if spec.unit in ("seconds", "dollars") else math.ceil(exact)
                raised[name] = value if spec.maximum is None else min(value, spec.maximum)
        return replace(self.limits, **raised)

    def text(self, margin: float = 0.0) -> str:
        """The limits as Python, ready to paste: those that were searched."""
        limits = self.found(margin)
        given = ((name, getattr(limits, name)) for name in ("fuel", *_ORDER[:-1], "timeout_s"))
        lines = [f"    {name}={_literal(value)}," for name, value in given if value is not None]
        return "\n".join(["Limits(", *lines, ")"])


_SPEC: Final = {spec.name: spec for spec in specs()}


def _literal(value: float) -> str:
    return f"{value:_}" if isinstance(value, int) else f"{value:g}"


async def find_limits(
    source: str,
    *,
    context: str | Mapping[str, str] | Mapping[str | None, str] | None = None,
    limits: Limits | None = None,
    provider: str | Provider | None = None,
    model: str | None = None,
    base_url: str | None = None,
    retries: int | None = None,
    growth: bool | None = None,
    on_try: OnTry | None = None,
    **runtime_options: Any,
) -> Needs:
    """The smallest Limits under which a program still gives the same result.

    ``limits`` is the ceiling: more is never tried. ``growth``: whether it also runs with twice and four
    times the contexts; None is yes where the provider is free and there is a context. ``on_try`` is
    called with the number of each run. ``retries`` is that of Runtime, and so are ``runtime_options``; with a
    ``store`` every run has a namespace of its own there, which is empty when it begins.

    Raises:
        UsageError: the program does not finish under the ceiling, or gives another result each time.
    """
    asked = resolve_provider(provider, model=model, base_url=base_url, retries=retries)
    remembering = _Remembering(asked)
    texts: dict[str | None, str] = {}
    if context is not None:
        texts.update([*context.items()] if isinstance(context, Mapping) else [(None, context)])
    ceiling = checked_limits(limits)
    async with Runtime(provider=remembering, model=model, limits=ceiling, **runtime_options) as runtime:
        bench = _Bench(runtime, remembering, source, on_try)
        search = await _Search.begin(bench, texts, ceiling)
        smallest = await search.smallest()
        phases = await _phases(search)
        notes: list[str] = []
        rows: tuple[Growth, ...] = ()
        if growth is not False and not texts:
            notes.append("How needs grow was not measured: there is no context to double.")
        elif growth is None and not info_of(asked).free:
            notes.append("How needs grow was not measured: it would pay for calls, unless you ask for it.")
        elif growth is not False:
            rows = await _growth(search, smallest, notes)
    return Needs(
        result=search.expected,
        limits=smallest,
        phases=phases,
        growth=rows,
        notes=tuple(notes),
        runs=bench.runs,
    )


class _Remembering(Wrapper):
    """Asks once, and answers from memory after that: requests of the same content in their order."""

    def __init__(self, inner: Provider) -> None:
        super().__init__(inner)
        self._answers: dict[str, list[Completion | ProviderError]] = defaultdict(list)
        self._given: dict[str, int] = defaultdict(int)
        self._learning = False
        self.unknown: str | None = None

    @property
    def info(self) -> ProviderInfo:
        """The inner provider's: answers come the way that its own came, on the spot or later."""
        return replace(super().info, inline=info_of(self.inner).inline)

    def begin(self, *, learning: bool) -> None:
        """A new run, in which unknown requests are asked of the provider, or fail."""
        self._given.clear()
        self._learning = learning
        self.unknown = None

    async def complete(self, request: CompletionRequest) -> Completion:
        """The remembered answer or error, or the provider's own."""
        # Under a limit of tokens or money a call is given the bound that was reserved for its answer.
        key = content_key(replace(request, max_tokens=None), self.default_model)
        answers, turn = self._answers[key], self._given[key]
        self._given[key] += 1
        if turn >= len(answers):
            await self._ask(request, answers)
        elif not info_of(self.inner).inline:
            await asyncio.sleep(0)
        answer = answers[min(turn, len(answers) - 1)]
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    async def _ask(self, request: CompletionRequest, answers: list[Completion | ProviderError]) -> None:
        if not self._learning:
            self.unknown = request.instruction[:120]
            raise ProviderError(f"this was not asked in the first run: {self.unknown!r}")
        try:
            answers.append(await self.inner.complete(request))
        except ProviderError as error:
            answers.append(error)


class _Bench:
    """Runs the program, each time in a new session and a namespace of its own."""

    def __init__(self, runtime: Runtime, provider: _Remembering, source: str, on_try: OnTry | None) -> None:
        self._runtime = runtime
        self._provider = provider
        self._source = source
        self._on_try = on_try
        self.runs = 0

    async def run(
        self,
        texts: Mapping[str | None, str],
        limits: Limits,
        *,
        learning: bool = False,
        source: str | None = None,
    ) -> Result:
        """Run the program, or another, with these contexts under these limits."""
        self.runs += 1
        if self._on_try is not None:
            self._on_try(self.runs)
        self._provider.begin(learning=learning)
        namespace = f"limits-{uuid.uuid4().hex}"
        async with self._runtime.session(limits=limits, namespace=namespace) as session:
            for name, text in texts.items():
                await session.load_context(text, name)
            return await session.execute(self._source if source is None else source)

    @property
    def unknown(self) -> str | None:
        """The instruction of a call in the last run that the learning run did not make."""
        return self._provider.unknown


class _Search:
    """The search for one size of contexts."""

    def __init__(
        self, bench: _Bench, texts: Mapping[str | None, str], ceiling: Limits, expected: Result, fuel: int
    ) -> None:
        self.bench = bench
        self.texts = texts
        self.ceiling = ceiling
        self.expected = expected
        self.fuel = fuel
        """What the program used under the ceiling."""
        self._found: dict[str, Any] = {}
        self._top: dict[str, Any] = {}

    @classmethod
    async def begin(cls, bench: _Bench, texts: Mapping[str | None, str], ceiling: Limits) -> _Search:
        """Run once with the provider and once from memory: what differs cannot be searched."""
        await bench.run({}, ceiling, source="(void)")  # what is loaded once is no need of the program
        first = await bench.run(texts, ceiling, learning=True)
        if not first.ok:
            raise UsageError(_does_not_finish(first))
        if first.truncated:
            raise UsageError(
                f"the program's {' and '.join(first.truncated)} is cut at output_bytes: raise that limit"
            )
        again = await bench.run(texts, ceiling)
        if bench.unknown is not None:
            raise UsageError(f"the program asks for something else each time it runs: {bench.unknown!r}")
        if not _same(again, first):
            raise UsageError(f"{_DIFFERS}{_short(first.value)}, then {_short(again.value)}")
        return cls(bench, texts, ceiling, first, max(first.execution.fuel, again.execution.fuel))

    async def smallest(self, *, coarse: bool = False) -> Limits:
        """The smallest limits, each beside those before; ``coarse`` to about three hundredths."""
        for name in ("tokens", "cost_usd"):
            if getattr(self.ceiling, name) is None and self._used(name):
                # Before the others: the guest is told of every limit that is set, in a message with a length.
                self._top[name] = self._found[name] = await self._enough(name, self._used(name))
        for name in _ORDER:
            spec = _SPEC[name]
            if spec.enforced_by:
                self._found[name] = await self._smallest_of(spec, coarse=coarse)
        if not await self.holds():
            raise UsageError(_DIFFERS + "it held under limits under which it holds no longer")
        timeout = max(1.0, math.ceil(self.expected.execution.elapsed * _ROOM))
        self._found["timeout_s"] = min(timeout, self.ceiling.timeout_s)
        return replace(self.ceiling, **self._found)

    async def holds(self, **tighter: Any) -> bool:
        """Whether the program gives the same result under these limits, beside those found."""
        roomy: dict[str, Any] = {"fuel": min(self.ceiling.fuel, self.fuel * _FUEL_FOR_MEMORY)}
        limits = replace(self.ceiling, **{**roomy, **self._found, **tighter})
        return _same(await self.bench.run(self.texts, limits), self.expected)

    async def _smallest_of(self, spec: LimitSpec, *, coarse: bool) -> float | None:
        top: float | None = self._top.get(spec.name, getattr(self.ceiling, spec.name))
        used = self._used(spec.name)
        if top is None:
            return None
        if await self.holds(**{spec.name: spec.minimum}):
            return spec.minimum
        return await self._between(spec.name, spec.minimum, top, used, coarse=coarse)

    async def _enough(self, name: str, used: float) -> float:
        """A value of a limit that has no ceiling: twice as much, until it holds."""
        for doublings in range(40):
            value: float = used * (1 << doublings)
            if await self.holds(**{name: value}):
                return value
        raise UsageError(f"no limit of {name} is enough for the program, though it ends without one")

    async def _between(self, name: str, low: float, high: float, guess: float, *, coarse: bool) -> float:
        """By halving: ``low`` fails and ``high`` holds. The guess and the value below it come first."""
        step = _STEP.get(name, 1)
        whole = isinstance(step, int)

        async def look(value: float) -> None:
            nonlocal low, high
            if low < value < high:
                if await self.holds(**{name: value}):
                    high = value
                else:
                    low = value

        start = _multiple(guess, step) if guess else step
        await look(start)
        await look(start - step)
        reach = max(step, start)
        while low >= start and high > low + reach:  # what is needed is nearer to the guess than to the top
            await look(low + reach)
            reach *= 2
        while high - low > (max(step, high / 32) if coarse else step) * (1 if whole else 1.5):
            middle = low + (high - low) / 2
            await look(_multiple(middle, step) if whole else middle)
        return high if whole else round(high + step / 2, 6)

    def _used(self, name: str) -> float:
        used = self.expected.execution
        known: dict[str, float | None] = {
            "fuel": self.fuel,
            "calls": used.calls,
            "tokens": used.tokens,
            "cost_usd": used.cost_usd,
            "output_bytes": output_bytes(self.expected),
        }
        return known.get(name) or 0


def output_bytes(result: Result) -> int:
    """The longest text of a result, in bytes: what ``output_bytes`` must hold."""
    return max(len(text.encode()) for text in (result.stdout, result.stderr, result.value))


def _multiple(value: float, step: float) -> float:
    """The next multiple of a step, from below."""
    return math.ceil(value / step) * step


def _same(result: Result, expected: Result) -> bool:
    return (result.status, result.value, result.stdout, result.truncated) == (
        expected.status,
        expected.value,
        expected.stdout,
        expected.truncated,
    )


def _does_not_finish(result: Result) -> str:
    if result.status == "limit" and result.error is not None:
        return f"the program does not finish under the limits that it was given: {result.error}"
    return f"the program does not finish: it ends with status {result.status}: {result.error}"


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:59] + "…")


async def _phases(search: _Search) -> tuple[Phase, ...]:
    """The first run in parts: what every program costs, up to its first LLM call, and the rest."""
    nothing = await search.bench.run({}, search.ceiling, source="(void)")
    ends = [("set-up", nothing)]
    if search.expected.execution.calls:
        before = await search.bench.run(search.texts, replace(search.ceiling, calls=0))
        if before.status == "limit":
            ends.append(("to the first call", before))
    ends.append(("the rest" if len(ends) > 1 else "the program", search.expected))
    phases, done = [], Result(status="ok")
    for name, result in ends:
        used, was = result.execution, done.execution
        phases.append(
            Phase(
                name=name,
                fuel=used.fuel - was.fuel,
                memory_bytes=used.memory_bytes,
                calls=used.calls - was.calls,
                tokens=used.tokens - was.tokens,
                output_bytes=output_bytes(result) - output_bytes(done),
                elapsed=max(0.0, used.elapsed - was.elapsed),
            )
        )
        done = result
    return tuple(phases)


async def _growth(search: _Search, smallest: Limits, notes: list[str]) -> tuple[Growth, ...]:
    """Every need with the contexts once, twice and four times."""
    needs = [(search, smallest)]
    for size in _SIZES[1:]:
        texts = {name: _times(text, size) for name, text in search.texts.items()}
        try:
            larger = await _Search.begin(search.bench, texts, search.ceiling)
        except UsageError as error:
            notes.append(f"How needs grow was not measured: with {size} times the contexts, {error}")
            return ()
        needs.append((larger, await larger.smallest(coarse=True)))
    # In as little memory as will do the collector works more, out of step with the data: fuel is with room.
    rows = [growth_of("fuel", _SPEC["fuel"].unit, tuple(each.fuel for each, _ in needs))]
    for name in _ORDER[:-1]:
        values = tuple(getattr(limits, name) for _, limits in needs)
        if None not in values and any(values):
            rows.append(growth_of(name, _SPEC[name].unit, values))
    elapsed = tuple(each.expected.execution.elapsed for each, _ in needs)
    rows.append(Growth(name="time", unit="seconds", values=elapsed, exponent=None, kind=""))
    return tuple(rows)


def growth_of(name: str, unit: Unit, values: tuple[float, ...]) -> Growth:
    """How a need grows that was measured at 1, 2 and 4 times the contexts."""
    if not any(values[:2]) and any(values):  # memory beyond the room that every session starts with, say
        return Growth(name=name, unit=unit, values=values, exponent=None, kind="grows")
    exponent = _exponent(values)
    return Growth(name=name, unit=unit, values=values, exponent=exponent, kind=_kind(exponent))


_OVERTAKEN = 3.5
"""More than a cubic need would show."""


def _exponent(values: tuple[float, ...]) -> float:
    """By the second doubling against the first: what does not grow falls out of it.

    A need that is the larger of two hardly grows before the growing one overtakes the other: then only
    the second doubling tells.
    """
    once, twice, four_times = values
    first, second = twice - once, four_times - twice
    if second <= max(0.02 * four_times, 0):
        return 0.0
    if first <= 0:
        return 1.0 if second < four_times / 2 else math.log2(four_times / twice) if twice else 1.0
    exponent = max(0.0, math.log2(second / first))
    return exponent if exponent < _OVERTAKEN else math.log2(four_times / twice)


def _kind(exponent: float) -> str:
    if exponent < 0.3:
        return "constant"
    if exponent < 1.3:
        return "linear"
    if exponent < 1.7:
        return "more than linear"
    return "quadratic" if exponent < 2.5 else "cubic or worse"


def _times(text: str, size: int) -> str:
    """So many times the data: the items of a JSON list, else the lines."""
    try:
        items = json.loads(text) if text.lstrip()[:1] == "[" else None
    except (ValueError, RecursionError):
        items = None
    if isinstance(items, list):
        return json.dumps(items * size, ensure_ascii=False)
    return text * size if text.endswith("\n") else "\n".join([text] * size)


def shown(unit: Unit, value: float | None) -> str:
    """A need for people: "1,234,567", "448 KiB", "$0.0120", "0.12 s"."""
    if unit == "dollars" and value is not None:
        return f"${value:.6f}"
    if unit == "seconds" and value is not None:
        return f"{value:.3g} s"
    return quantity(value, unit)

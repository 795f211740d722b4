"""Estimates what a program will cost by running it against made-up answers.

The program runs in a copy of the session, so that it sees the definitions and contexts, and so
that nothing of the session changes: checkpoints are read from the real store and written to none,
Python sees no workspace, host functions are not called. It runs several times, with answers of
different kinds; where the calls then differ, the control flow depends on the answers.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from rlm_wasm.capabilities.checkpoints import CheckpointStore, MemoryStore
from rlm_wasm.capabilities.host_functions import Arguments
from rlm_wasm.errors import CapabilityDenied
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.providers.info import info_of
from rlm_wasm.providers.prices import price_of
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens
from rlm_wasm.results import Problem, Result, money
from rlm_wasm.runtime import Runtime
from rlm_wasm.session import Session

EXPECTED_TOKENS = 200
"""How long an answer is thought to be where the program says nothing."""
MAX_TOKENS = 1024
"""How long it can be at the most, for the upper bound, where the program gives no #:max-tokens."""
TIMEOUT_S = 30.0
_MAX_NOTED = 20
"""Problems of the program that are told among the notes."""

Style = Literal["plain", "negative", "positive", "long"]
_STYLES: tuple[Style, ...] = ("plain", "negative", "positive", "long")
_FILLER = "The finding number {n} of this part is plausible and short. "


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a dry run found. Costs are None where a model's price is unknown."""

    status: str
    """Of the dry run: "finished", "ok", "error" or "limit"."""
    calls: int
    """LLM calls."""
    calls_by_model: Mapping[str, int]
    """The same by model."""
    prompt_tokens: int
    """About so many."""
    completion_tokens: int
    """About so many."""
    fan_out: int
    """Calls that are in flight at once, at the most."""
    depth: int
    """Of #:recursive calls: 0 where there are none."""
    cost_usd: float | None
    """US dollars, expected."""
    upper_bound_usd: float | None
    """With every answer as long as it may be, in the dearest of the dry runs."""
    depends_on_answers: bool
    """Whether other answers lead to other calls."""
    notes: tuple[str, ...] = ()
    """What to know of it."""
    unpriced_models: tuple[str, ...] = ()
    """Models whose price is unknown."""
    problems: tuple[Problem, ...] = ()
    """What ``session.check`` finds in the program."""

    def to_text(self) -> str:
        """For people."""
        models = ", ".join(f"{model} × {count:,}" for model, count in self.calls_by_model.items())
        cost = "unknown" if self.cost_usd is None else money(self.cost_usd) or "$0"
        bound = "unknown" if self.upper_bound_usd is None else money(self.upper_bound_usd) or "$0"
        lines = [
            f"{self.calls:,} calls{f': {models}' if models else ''}",
            f"about {self.prompt_tokens:,} prompt and {self.completion_tokens:,} completion tokens",
            f"{self.fan_out} at once at the most, recursion depth {self.depth}",
            f"expected cost {cost}, upper bound {bound}",
            *self.notes,
        ]
        return "\n".join(lines)


@dataclass(slots=True)
class _Tally:
    """What one dry run asked for."""

    models: Counter[str] = field(default_factory=Counter)
    prompt: int = 0
    completion: int = 0
    cost: float = 0.0
    unpriced: set[str] = field(default_factory=set)
    flying: int = 0
    peak: int = 0
    depth: int = 0
    trail: list[tuple[str, str]] = field(default_factory=list)


class DryRunProvider:
    """Answers with made-up text at once, and counts. ``inner`` knows the prices and the default model."""

    name = "dry-run"
    free = True  # the tally has the figures; nothing may stop the dry run for money

    def __init__(self, inner: Any, style: Style, model: str | None = None) -> None:
        info = info_of(inner)
        self.default_model = model or info.default_model
        self.roles, self.models = info.roles, info.models
        self.tally = _Tally()
        self._inner = inner
        self._style = style

    async def complete(self, request: CompletionRequest) -> Completion:
        """Count the call; let others begin before it ends, so that what overlaps is seen."""
        tally = self.tally
        tally.flying += 1
        tally.peak = max(tally.peak, tally.flying)
        try:
            for _ in range(4):
                await asyncio.sleep(0)
        finally:
            tally.flying -= 1
        model = request.model or self.default_model or "default"
        max_tokens = request.max_tokens or MAX_TOKENS
        text = _answer(request, self._style, max_tokens, sum(tally.models.values()))
        prompt = estimate_prompt_tokens(request.instruction, request.data, len(request.images))
        completion = (
            max_tokens
            if self._style == "long"
            else min(max_tokens, max(EXPECTED_TOKENS, estimate_tokens(text)))
        )
        recursive = request.purpose == "program"
        tally.depth = max(tally.depth, request.depth + recursive)
        tally.models[model] += 1
        tally.prompt += prompt
        tally.completion += completion
        tally.trail.append((model, request.instruction))
        price = price_of(self._inner, model, prompt, completion)
        if price is None:
            tally.unpriced.add(model)
        else:
            tally.cost += price
        return Completion(text=text, model=model, prompt_tokens=prompt, completion_tokens=completion)


def _answer(request: CompletionRequest, style: Style, max_tokens: int, number: int) -> str:
    if request.purpose == "program":  # a #:recursive call
        return f'```scheme\n(finish "the sub-program\'s answer number {number + 1}")\n```'
    if request.json:
        return _json_answer(request.instruction, style)
    length = 4 * min(max_tokens, MAX_TOKENS if style == "long" else EXPECTED_TOKENS)
    if style == "negative":
        return "NONE"
    if style == "positive":
        return "yes 1 approved"
    filler = _FILLER.format(n=number + 1)
    return (filler * (length // len(filler) + 1))[:length]


def _json_answer(instruction: str, style: Style) -> str:
    """An object with the keys that the instruction seems to ask for."""
    keys = re.findall(r'"(\w+)"\s*:', instruction) or re.findall(r'["\'`](\w+)["\'`]', instruction)
    if style == "negative":
        value: Any = 0
    elif style == "positive":
        value = 1
    else:
        value = 0.5
    texts = ("label", "category", "name", "text", "reason", "answer", "summary", "title")
    return json.dumps({key: f"some {key}" if key in texts else value for key in keys or ["answer"]})


class _ReadThrough(MemoryStore):
    """Checkpoints come from the real store; what is written stays here."""

    def __init__(self, real: CheckpointStore) -> None:
        super().__init__()
        self._real = real

    async def get(self, namespace: str, key: str) -> bytes | None:
        written = await super().get(namespace, key)
        return written if written is not None else await self._real.get(namespace, key)

    async def keys(self, namespace: str) -> list[str]:
        return sorted({*await super().keys(namespace), *await self._real.keys(namespace)})


def _not_called(*_arguments: Any) -> None:
    raise CapabilityDenied("host functions are not called in a dry run")


def _dry_runtime(runtime: Runtime, provider: Provider) -> Runtime:
    """The same language and limits, and nothing that has an effect.

    So: no workspace, no host functions, no Python in this process, checkpoints that are not kept.
    """
    grants = runtime.grants
    return Runtime(
        provider,
        grants.model,
        aliases=grants.aliases,
        python="off" if grants.python == "host" else grants.python,
        host_functions={
            name: function if isinstance(function, Arguments) else _not_called
            for name, function in grants.host_functions.items()
        },
        store=_ReadThrough(grants.store()),
        libraries=grants.libraries,
        limits=runtime.limits,
        engine=grants.engine,
    )


async def estimate(runtime: Runtime, code: str, *, session: Session | None = None) -> Estimate:
    """Run ``code`` dry, in a copy of ``session`` or in a fresh one. Spends and changes nothing."""
    snapshot = None if session is None else await session.snapshot()
    grants = runtime.grants
    inner = grants.provider()
    runs: dict[Style, tuple[_Tally, Result]] = {}
    problems: tuple[Problem, ...] | None = None
    for style in _STYLES:
        provider = DryRunProvider(inner, style, grants.model)
        async with _dry_runtime(runtime, provider) as scratch:
            copy = scratch.session() if snapshot is None else await scratch.restore(snapshot)
            if problems is None:
                problems = () if copy.suspended else await copy.check(code, timeout_s=TIMEOUT_S)
            result = await copy.execute(code, timeout_s=TIMEOUT_S)
        runs[style] = provider.tally, result
        if not provider.tally.trail:  # no call: the answers cannot matter
            break
    info = info_of(inner)
    free = f"The provider {info.name} costs nothing." if info.free else ""
    return _estimate(runs, problems or (), free)


def _estimate(runs: dict[Style, tuple[_Tally, Result]], problems: tuple[Problem, ...], free: str) -> Estimate:
    plain, result = runs["plain"]
    tallies = [tally for tally, _ in runs.values()]
    succeeded = {result.ok for _, result in runs.values()}
    depends = len({_shape(t) for t in tallies}) > 1 or len(succeeded) > 1
    # A run that a made-up answer stopped says little: take the one that went furthest.
    expected = max(tallies, key=lambda t: sum(t.models.values())) if not result.ok else plain
    unpriced = sorted(set().union(*(t.unpriced for t in tallies)))
    bound = max(t.cost for t in tallies)
    if "long" in runs and sum(runs["long"][0].models.values()) < max(sum(t.models.values()) for t in tallies):
        # The run with the most calls did not have the longest answers: scale by its calls.
        max_calls = max(sum(t.models.values()) for t in tallies)
        bound = max(bound, runs["long"][0].cost / max(1, sum(runs["long"][0].models.values())) * max_calls)
    outcome = result if result.ok else next((r for _, r in runs.values() if r.ok), result)
    return Estimate(
        status=outcome.status,
        calls=sum(expected.models.values()),
        calls_by_model=dict(expected.models),
        prompt_tokens=expected.prompt,
        completion_tokens=expected.completion,
        fan_out=max(t.peak for t in tallies),
        depth=max(t.depth for t in tallies),
        cost_usd=None if unpriced else expected.cost,
        upper_bound_usd=None if unpriced else bound,
        depends_on_answers=depends,
        notes=(
            *(f"The check found: {problem}" for problem in problems[:_MAX_NOTED]),
            *_notes(runs, outcome, unpriced, depends=depends),
            *([free] if free else []),
        ),
        unpriced_models=tuple(unpriced),
        problems=problems,
    )


def _shape(tally: _Tally) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(tally.models.items()))


def _notes(
    runs: dict[Style, tuple[_Tally, Result]], outcome: Result, unpriced: list[str], *, depends: bool
) -> list[str]:
    notes = []
    counts = [sum(tally.models.values()) for tally, _ in runs.values()]
    if depends:
        notes.append(
            f"The control flow depends on the answers: {min(counts):,} to {max(counts):,} calls in "
            f"{len(runs)} dry runs with different answers; the real figures may lie outside of that."
        )
    if not outcome.ok:
        notes.append(f"The dry run ended with {outcome.status}: {outcome.error or 'no reason given'}")
    elif not all(result.ok for _, result in runs.values()):
        error = next(result.error for _, result in runs.values() if not result.ok)
        notes.append(f"Some answers would make the program fail: {error}")
    if any(tally.depth for tally, _ in runs.values()):
        notes.append("#:recursive calls write programs of their own: what those call is not counted.")
    if unpriced:
        notes.append(f"The price of {', '.join(unpriced)} is unknown.")
    if any(counts):
        notes.append(
            f"Assumed: answers of {EXPECTED_TOKENS} tokens; for the upper bound of #:max-tokens, or "
            f"{MAX_TOKENS:,} where a call has none."
        )
    return notes

"""LLM calls: counted, reserved, queued, sent, settled, logged.

Every ceiling holds under any fan-out, because a call's worst case is set aside before it is sent
and settled by the actual figures when it ends. Nothing here knows about wasm.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from rlm_wasm import tracing as telemetry
from rlm_wasm.capabilities import images
from rlm_wasm.errors import CapabilityDenied, LimitExceeded, ProviderError, UsageError
from rlm_wasm.limits import Limits
from rlm_wasm.providers import strict_json
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.providers.info import ProviderInfo, info_of
from rlm_wasm.providers.prices import price_of
from rlm_wasm.providers.tokens import estimate_prompt_tokens
from rlm_wasm.scope_log import ScopeLog

if TYPE_CHECKING:
    from rlm_wasm.execution.scheduler import Call, Scheduler

DEFAULT_MAX_TOKENS = 4096
"""What is set aside, and asked for, where a ceiling stands and the program gave no max-tokens."""

Recurse = Callable[[CompletionRequest, "LlmCalls", int], Awaitable[Completion]]
"""Serves a recursive call; the last argument is how deep its child may recurse."""


@dataclass(slots=True, eq=False, repr=False)
class Usage:
    """What was used, by an execution or a session. Costs are None once a price was unknown."""

    calls: int = 0
    done: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        """Both kinds."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def known_cost(self) -> float | None:
        """None where the price of a model is unknown."""
        return None if self.unpriced else self.cost_usd

    def add(self, completion: Completion, cost: float | None) -> None:
        """Settle one call."""
        self.done += 1
        if completion.cached:
            self.cached += 1
            return
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens
        if cost is None:
            self.unpriced += 1
        else:
            self.cost_usd += cost

    def plain(self) -> list[Any]:
        """For a snapshot."""
        return [getattr(self, name) for name in self.__slots__]

    @classmethod
    def from_plain(cls, values: list[Any]) -> Usage:
        """The inverse of plain."""
        return cls(*values)


@dataclass(slots=True, eq=False, repr=False)
class Budget:
    """What a session and all its children share."""

    limits: Limits
    execution: Usage = field(default_factory=Usage)
    session: Usage = field(default_factory=Usage)
    reserved_tokens: int = 0
    reserved_cost: float = 0.0
    last_id: int = 0
    in_flight: int = 0
    """Provider calls, those of children included."""
    waiting: deque[Callable[[], None]] = field(default_factory=deque)
    """What starts the calls that wait for a place."""

    def count(self) -> None:
        """One more call, or LimitExceeded."""
        if self.execution.calls >= self.limits.calls:
            raise LimitExceeded("calls", self.execution.calls + 1, self.limits.calls)
        self.execution.calls += 1
        self.session.calls += 1

    def take_place(self, start: Callable[[], None]) -> bool:
        """A place for a provider call at once (True), or ``start`` is called when there is one."""
        if self.in_flight < self.limits.concurrency:
            self.in_flight += 1
            return True
        self.waiting.append(start)
        return False

    def leave_place(self) -> None:
        """The call has ended: the longest waiting one gets its place."""
        if self.waiting:
            self.waiting.popleft()()
        else:
            self.in_flight -= 1

    def reserve(self, tokens: int, cost: float | None) -> None:
        """Set a call's worst case aside, or LimitExceeded."""
        most = self.limits.tokens
        if most is not None:
            wanted = self.session.tokens + self.reserved_tokens + tokens
            if wanted > most:
                raise LimitExceeded("tokens", wanted, most)
        most_cost = self.limits.cost_usd
        if most_cost is not None and cost is not None:
            total = self.session.cost_usd + self.reserved_cost + cost
            if total > most_cost:
                raise LimitExceeded("cost_usd", round(total, 6), most_cost)
        self.reserved_tokens += tokens
        self.reserved_cost += cost or 0.0

    def release(self, tokens: int, cost: float | None) -> None:
        """The inverse of reserve."""
        self.reserved_tokens -= tokens
        self.reserved_cost -= cost or 0.0


@dataclass(slots=True, eq=False, repr=False)
class _Pending:
    call: Call
    request: CompletionRequest
    recursive: int
    """0, or how many levels deep it may recurse."""
    tokens: int
    cost: float | None
    entry: dict[str, Any]
    started: float = 0.0
    span: telemetry.Span = None
    start: Callable[[], None] | None = None
    """In the queue while it waits for a place."""
    placed: bool = False


class LlmCalls:
    """One session's LLM calls. ``budget`` is shared with its parent where it has one."""

    def __init__(
        self,
        scheduler: Scheduler,
        provider: Callable[[], Provider],
        *,
        budget: Budget,
        log: ScopeLog,
        model: str | None,
        depth: int = 0,
        deepest: int | None = None,
        workspace: Any = None,
        recurse: Recurse | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._scheduler = scheduler
        self._provider = provider
        self.budget = budget
        self.log = log
        self._model = model
        self.depth = depth
        self._deepest = budget.limits.depth if deepest is None else deepest
        self._workspace = workspace
        self._recurse = recurse
        self._changed = changed
        self.running: dict[int, _Pending] = {}
        self.rate_limits: dict[str, Any] = {}
        self.parent_span: telemetry.Span = None
        """The running execution's."""

    @cached_property
    def _info(self) -> ProviderInfo:
        """What the provider says of itself, read once a session: every call wants some of it."""
        return info_of(self._provider())

    # ---- from the guest's request to the provider

    def start(self, call: Call, *, again: bool = False) -> Any:
        """Serve an "llm" operation. ``again``: it was counted and logged before (a restored session)."""
        if not call.number:
            call.number = self.budget.last_id + 1
        request, recursive, op = self._request(call)
        if recursive and self.depth + 1 > self._deepest:
            raise CapabilityDenied(
                f"recursion depth {self.depth + 1} is deeper than the limit of {self._deepest}: "
                "answer at this depth without #:recursive"
            )
        # What a recursive call is made of is reserved piece by piece, by ``ask``.
        tokens, cost = (0, None) if recursive else self._worst(request)
        if not again:
            self.budget.count()
        self.budget.reserve(tokens, cost)
        self.budget.last_id = max(self.budget.last_id, request.id)
        entry = self.log.add(
            op,
            request.instruction if not request.data else f"{request.instruction} | {request.data[:80]}",
            "sub-call" if self.depth == 0 else f"sub-{self.depth}",
            call_id=request.id,
            model=request.model,
            depth=self.depth + (1 if recursive else 0),
            parent=call.id,
        )
        pending = _Pending(call, request, recursive, tokens, cost, entry)
        call.on_cancel = lambda: self._forget(pending)
        if recursive:  # takes no place of its own: what it is made of does
            return self._send(pending)
        pending.start = partial(self._placed, pending)
        if self.budget.take_place(pending.start):
            pending.placed, pending.start = True, None
            return self._send(pending)
        self._changed()
        return self._scheduler.pending

    def _placed(self, pending: _Pending) -> None:
        pending.placed, pending.start = True, None
        self._scheduler.start_now(pending.call, partial(self._send, pending))

    def _request(self, call: Call) -> tuple[CompletionRequest, int, str]:
        op, instruction, data, model, temperature, most, as_json, pictures, wanted = call.arguments
        if not isinstance(instruction, str) or not isinstance(data, str):
            raise UsageError("llm-query: #:instruction and #:data must be text")
        info, limits = self._info, self.budget.limits
        if not most:
            most = DEFAULT_MAX_TOKENS if limits.tokens is not None or limits.cost_usd is not None else None
        request = CompletionRequest(
            id=call.number,
            instruction=instruction,
            data=data,
            model=model or self._model or info.default_model,
            temperature=temperature if isinstance(temperature, float) else None,
            max_tokens=most,
            json=bool(as_json),
            images=tuple(images.checked(i, self._workspace) for i in pictures) if pictures else (),
            depth=self.depth,
            timeout_s=self._scheduler.time_left(),
        )
        recursive = limits.depth + 1 if wanted is True else int(wanted or 0)
        return request, recursive, str(op)

    def _worst(self, request: CompletionRequest) -> tuple[int, float | None]:
        """The most tokens that a call may take, and dollars where a ceiling stands on them."""
        if self.budget.limits.tokens is None and self.budget.limits.cost_usd is None:
            return 0, None  # nothing that a call could break is worth an estimate
        prompt = estimate_prompt_tokens(request.instruction, request.data, len(request.images))
        completion = request.max_tokens or DEFAULT_MAX_TOKENS
        if self.budget.limits.cost_usd is None:
            return prompt + completion, None
        provider = self._provider()
        if self._info.free:
            return prompt + completion, 0.0
        cost = price_of(provider, request.model or "", prompt, completion)
        if cost is None:
            raise UsageError(
                f"the price of model {request.model!r} is unknown, and a cost limit is set: "
                "use a known model, or limit tokens instead"
            )
        return prompt + completion, cost

    def _send(self, pending: _Pending) -> Any:
        pending.started = time.monotonic()
        self.running[pending.call.id] = pending
        pending.span = telemetry.call_started(
            pending.request,
            self._info.name,
            recursive=pending.recursive > 0,
            parent=self.parent_span,
        )
        self._changed()
        if pending.recursive:
            if self._recurse is None:
                raise self._failed(pending, CapabilityDenied("#:recursive is not available in this session"))
            deepest = min(self._deepest, self.depth + pending.recursive)
            work: Any = partial(self._recurse, pending.request, self, deepest)
        else:
            provider = self._provider()
            if self._info.inline:
                return self._inline(pending, provider.complete(pending.request))
            work = partial(provider.complete, pending.request)
        return self._scheduler.spawn(pending.call, self._await(pending, work))

    def _inline(self, pending: _Pending, work: Coroutine[Any, Any, Completion]) -> Any:
        """A provider that never waits is run on the spot: no task, no turn of the event loop."""
        try:
            work.send(None)
        except StopIteration as stop:
            return self._settle(pending, stop.value)
        except Exception as error:
            raise self._failed(pending, error) from error
        work.close()
        raise self._failed(pending, ProviderError("the provider says that it never waits, but it does"))

    async def _await(self, pending: _Pending, work: Callable[[], Awaitable[Completion]]) -> Any:
        try:
            with telemetry.inside(pending.span):
                completion = await work()
        except Exception as error:
            raise self._failed(pending, error) from error
        except BaseException:
            self._end(pending)
            telemetry.call_failed(pending.span, "cancelled")
            raise
        return self._settle(pending, completion)

    # ---- and back

    def _settle(self, pending: _Pending, completion: Any) -> list[Any]:
        if not isinstance(completion, Completion):
            raise self._failed(
                pending, ProviderError(f"the provider returned {type(completion).__name__}, not a Completion")
            )
        request = pending.request
        model = completion.model or request.model or ""
        if not pending.recursive:  # else ``ask`` settled what it is made of
            self._count(request, completion)
        if completion.rate_limits:
            self.rate_limits[model] = dict(completion.rate_limits)
        tokens = completion.prompt_tokens + completion.completion_tokens
        pending.entry.update(model=model, tokens=tokens, cached=completion.cached, status="done")
        telemetry.call_ended(pending.span, completion)
        self._end(pending)
        text = completion.text
        if request.json:
            text = _valid_json(text, completion)
        used = (0, 0) if completion.cached else (completion.prompt_tokens, completion.completion_tokens)
        return [text, request.id, model, *used, request.depth]

    def _count(self, request: CompletionRequest, completion: Completion) -> None:
        provider = self._provider()
        if completion.cached or self._info.free:
            cost: float | None = 0.0
        else:
            model = completion.model or request.model or ""
            cost = price_of(provider, model, completion.prompt_tokens, completion.completion_tokens)
        self.budget.execution.add(completion, cost)
        self.budget.session.add(completion, cost)

    async def ask(self, request: CompletionRequest) -> Completion:
        """One of the calls that a recursive call is made of: reserved, and placed, like any other."""
        worst = self._worst(request)
        self.budget.reserve(*worst)
        try:
            completion = await self._asked(request)
        except Exception:
            self.budget.execution.done += 1
            raise
        finally:
            self.budget.release(*worst)
        self._count(request, completion)
        return completion

    async def _asked(self, request: CompletionRequest) -> Completion:
        placed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def start() -> None:
            if placed.done():  # cancelled just now
                self.budget.leave_place()
            else:
                placed.set_result(None)

        if not self.budget.take_place(start):
            try:
                await placed
            except asyncio.CancelledError:
                if start in self.budget.waiting:
                    self.budget.waiting.remove(start)
                elif placed.done() and not placed.cancelled():
                    self.budget.leave_place()
                raise
        try:
            completion: Completion = await self._provider().complete(request)
            return completion
        finally:
            self.budget.leave_place()

    def _failed(self, pending: _Pending, error: Exception) -> Exception:
        if not pending.recursive:
            self.budget.execution.done += 1
        pending.entry.update(status=f"failed: {error}"[:200])
        telemetry.call_failed(pending.span, error)
        self._end(pending)
        if isinstance(error, LimitExceeded | CapabilityDenied | UsageError):
            return error
        request = pending.request
        status = getattr(error, "status", None)
        what = f"call {request.id}" + (f" to {request.model}" if request.model else "")
        shown = f" (status {status})" if status is not None and str(status) not in str(error) else ""
        name = "" if isinstance(error, ProviderError) else f"{type(error).__name__}: "
        return ProviderError(f"llm-query: {what} failed{shown}: {name}{error}", status=status)

    def _end(self, pending: _Pending) -> None:
        if self.running.pop(pending.call.id, None) is None:
            return
        self.budget.release(pending.tokens, pending.cost)
        pending.call.on_cancel = None
        if pending.placed:
            pending.placed = False
            self.budget.leave_place()
        self._changed()

    def _forget(self, pending: _Pending) -> None:
        """The guest or the execution's end cancelled it."""
        pending.entry.update(status="cancelled")
        telemetry.call_failed(pending.span, "cancelled")
        pending.span = None
        if pending.call.id in self.running:
            self._end(pending)
        elif pending.start is not None:
            self.budget.waiting.remove(pending.start)
            pending.start = None
            self.budget.release(pending.tokens, pending.cost)
            self._changed()

    # ---- for people

    def models(self) -> dict[str, int]:
        """How many calls run, by model."""
        out: dict[str, int] = {}
        for pending in self.running.values():
            name = pending.request.model or "default"
            out[name] = out.get(name, 0) + 1
        return out

    def longest_s(self) -> float:
        """How long the oldest running call has run."""
        started = [pending.started for pending in self.running.values()]
        return time.monotonic() - min(started) if started else 0.0

    @property
    def queued(self) -> int:
        """Calls that wait for a place."""
        return len(self.budget.waiting)

    def report(self) -> dict[str, Any]:
        """What (tokens-used), (cost-used) and (budget-remaining) show."""
        budget, limits = self.budget, self.budget.limits
        used = budget.session

        def left(most: float | None, spent: float) -> float | None:
            return None if most is None else max(0, most - spent)

        return {
            "calls": budget.execution.calls,
            "prompt": used.prompt_tokens,
            "completion": used.completion_tokens,
            "tokens": used.tokens,
            "cost": used.known_cost,
            "cached": used.cached,
            "calls-left": max(0, limits.calls - budget.execution.calls),
            "tokens-left": left(limits.tokens, used.tokens + budget.reserved_tokens),
            "cost-left": left(limits.cost_usd, used.cost_usd + budget.reserved_cost),
            "rate-limits": self.rate_limits,
        }


def _valid_json(text: str, completion: Completion) -> str:
    """JSON text, taken out of a code fence where it stands in one."""
    stripped = text.strip()
    if stripped.startswith("```"):
        stripped = stripped.split("\n", 1)[-1].rsplit("```", 1)[0].strip()
    try:
        strict_json.loads(stripped)
    except ValueError as error:
        cut = " (it was cut by max-tokens)" if completion.finish_reason == "length" else ""
        raise ProviderError(
            f"#:json: the model's answer is no valid JSON{cut}: {error}: {text[:120]!r}"
        ) from error
    return stripped

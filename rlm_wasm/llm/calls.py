"""LLM calls: numbered, checked, reserved, queued, sent, settled, logged.

A guest's request for one (a HostRequest, with the protocol's id) becomes an LlmCall, with the number
that people see. Nothing here knows about wasm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

from rlm_wasm import tracing
from rlm_wasm.capabilities import images
from rlm_wasm.capabilities.table import is_awaitable
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.data import whole_characters
from rlm_wasm.errors import (
    CapabilityDenied,
    LimitExceeded,
    ProgramRefused,
    ProviderError,
    RlmError,
    SnapshotCorrupt,
    UsageError,
)
from rlm_wasm.execution import journal as journals
from rlm_wasm.execution.requests import PENDING, HostRequest
from rlm_wasm.foreign import described, message_of
from rlm_wasm.lazy_dataclass import dataclass, replace
from rlm_wasm.llm import literal_calls
from rlm_wasm.llm.budget import UNBOUNDED, Budget, Waiting, WorstCase
from rlm_wasm.providers import completions, prices, strict_json, tries, vendor_rules
from rlm_wasm.providers.aliases import ROLES, model_for
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.providers.billing import may_have_cost
from rlm_wasm.providers.info import ProviderInfo, info_of
from rlm_wasm.providers.tokens import beside_texts, estimate_tokens, tokens_in_turns
from rlm_wasm.records import Natural, structure, unstructure
from rlm_wasm.results import money
from rlm_wasm.runlog import events
from rlm_wasm.runlog.stream import EventStream, Recorder, numbers_of, place_of
from rlm_wasm.scope_log import ScopeLog
from rlm_wasm.turns import at_once_or_in_turns, in_turns

DEFAULT_MAX_TOKENS = 4096
"""What is set aside, and asked for, where a ceiling stands and the program gave no max-tokens."""

MAX_MODEL_NAME = 200
"""Characters of a model's name: it stands in the log, in reports and in errors."""

MAX_JSON = 1 << 20
"""Characters of an answer to a #:json call: no model's is longer, and reading it is one piece of work."""

MAX_ERROR = 10_000
"""Characters of a failed call's error in a run log."""

_AT_ONCE = 1 << 18
"""Characters of a prompt or an answer that are looked at without a turn of the event loop in between."""
_MAX_MODELS = 100
"""Models whose rate limits are kept."""
_MAX_OP = 40

Recurse = Callable[[CompletionRequest, "LlmCalls", int], Awaitable[Completion]]
"""Serves a recursive call; the last argument is how deep its child may recurse."""


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """A recursive call whose child is a session of its own, in a store, run by whoever there is."""

    number: Natural
    key: str
    """Its idempotency key; the session's name ends by it."""
    budget: str
    """The name of the shared budget that the session spends from, beside others."""
    over: bool = False
    """Whether what it used is in the account. It stays in the store until its answer is in the journal."""


@dataclass(slots=True, eq=False, repr=False)
class LlmCall:
    """One call, from its admission to its end."""

    host_request: HostRequest
    request: CompletionRequest
    recursive: int
    """0, or how many levels deep it may recurse."""
    worst: WorstCase
    entry: dict[str, Any]
    """Its line in the scope log."""
    pictures: tuple[Any, ...] = ()
    """As the program named them: they are read when the call is sent, and not while it waits."""
    started: float = 0.0
    span: tracing.Span = None
    waiting: Waiting | None = None
    """While it waits for its place."""
    placed: bool = False
    answer: Completion | None = None
    """While what came is looked through."""

    @property
    def number(self) -> int:
        """As people see it."""
        return self.request.id


class LlmCalls:
    """One session's LLM calls. ``budget`` and ``log`` are its parent's where it has one."""

    def __init__(
        self,
        provider: Callable[[], Provider],
        *,
        budget: Budget,
        log: ScopeLog,
        model: str | None,
        aliases: Mapping[str, str] | None = None,
        depth: int = 0,
        deepest: int | None = None,
        workspace: Workspace | None = None,
        recurse: Recurse | None = None,
        changed: Callable[[], None] = lambda: None,
        warn: Callable[[str], None] = lambda _text: None,
        journal: journals.Journal | None = None,
        child_over: Callable[[int], None] = lambda _number: None,
        recorder: Recorder | None = None,
        parent: int | None = None,
    ) -> None:
        self._journal = journal
        self.child_over = child_over
        self.asked: dict[str, Completion] = {}
        """Answers to what recursive calls under way are made of, by key."""
        self._counted: set[str] = set()
        """Those of them that were counted, and have no answer yet."""
        self.asking: set[str] = set()
        """Such calls that a process sent and died before their answers came."""
        self.placed: dict[int, PlacedCall] = {}
        """Recursive calls whose children are sessions of their own, until nobody wants to know of those."""
        self._make_provider = provider
        self.recorder = Recorder(EventStream()) if recorder is None else recorder
        self._parent = parent
        """The recursive call that this session's execution serves."""
        self._made: tuple[Provider, ProviderInfo] | None = None
        self.budget = budget
        self.log = log
        self._model = model
        self._aliases = aliases or {}
        self.depth = depth
        self._deepest = budget.limits.depth if deepest is None else deepest
        self._workspace = workspace
        self._recurse = recurse
        self._changed = changed
        self._warn = warn
        self.running: dict[int, LlmCall] = {}
        """Those that were sent, by number."""
        self.rate_limits: dict[str, Any] = {}
        self._refuses = False
        """The execution's program has calls that would be refused, so it is about to end."""
        self._span: tracing.Span = None

    def let_go(self) -> None:
        """The session is closed, and no call is under way: whom this knew goes at once, as it does itself."""
        self._warn, self.child_over = lambda _text: None, lambda _number: None
        self._recurse = None

    @property
    def deepest(self) -> int:
        """How deep recursive calls may go."""
        return self._deepest

    def _provider(self) -> tuple[Provider, ProviderInfo]:
        """The provider, made at the first call, and what it says of itself."""
        if self._made is None:
            provider = self._make_provider()
            self._made = provider, info_of(provider)
        return self._made

    @property
    def parent(self) -> int | None:
        """The recursive call that this session serves."""
        return self._parent

    @property
    def provider_name(self) -> str:
        """What the provider calls itself."""
        return self._provider()[1].name

    def begin_execution(self, span: tracing.Span) -> None:
        """From now on calls stand below this span."""
        self._refuses = False
        self._span = span

    def judged(self, arguments: list[Any]) -> list[str | None]:
        """Serve "check-calls": why calls with these literal arguments would be refused."""
        info = self._provider()[1]
        default = self._model or info.default_model
        return literal_calls.judged(
            arguments[0], lambda name: model_for(name or default, self._aliases, info)
        )

    # ---- from the guest's request to the provider

    def start(self, host_request: HostRequest) -> Any:
        """Serve an "llm" operation."""
        number = host_request.call_number or self.budget.next_number
        request, pictures, recursive, op = self._request(host_request, number)
        if recursive and self.depth + 1 > self._deepest:
            raise CapabilityDenied(
                f"recursion depth {self.depth + 1} is deeper than the limit of {self._deepest}: "
                "answer at this depth without #:recursive"
            )
        provider, info = self._made or self._provider()
        if not info.free and prices.misses_table(provider):
            return self._begin_later(host_request, request, pictures, recursive, op)
        if not self.budget.bounded:
            return self._begin(host_request, request, pictures, recursive, op, 0)
        if _size(request) <= _AT_ONCE:
            texts = estimate_tokens(request.instruction) + estimate_tokens(request.data)
            return self._begin(host_request, request, pictures, recursive, op, texts)
        return self._begin_later(host_request, request, pictures, recursive, op)

    async def _know_prices(self) -> None:
        """The table of published prices is there, where calls need it."""
        provider, info = self._made or self._provider()
        if not info.free and prices.misses_table(provider):
            await prices.load_table()

    async def _begin_later(
        self,
        host_request: HostRequest,
        request: CompletionRequest,
        pictures: tuple[Any, ...],
        recursive: int,
        op: str,
    ) -> Any:
        """A large prompt is looked at in turns, and what calls cost is loaded beside the event loop."""
        await self._know_prices()
        texts = 0
        if self.budget.bounded:
            texts = await in_turns(tokens_in_turns(request.instruction, request.data))
        if not host_request.call_number:  # others may have been numbered meanwhile
            request = replace(request, id=self.budget.next_number, idempotency_key=None)
            request = replace(request, idempotency_key=f"{self.budget.id}-{request.id}")
        answer = self._begin(host_request, request, pictures, recursive, op, texts)
        return await answer if is_awaitable(answer) else answer

    def _begin(
        self,
        host_request: HostRequest,
        request: CompletionRequest,
        pictures: tuple[Any, ...],
        recursive: int,
        op: str,
        texts: int,
    ) -> Any:
        number = request.id
        # What a recursive call is made of is reserved piece by piece, by ``ask``.
        worst = UNBOUNDED
        if self.budget.bounded and not recursive:
            worst = self._worst(request, texts, len(pictures))
        if not host_request.again:  # else it was counted and events.logged before
            self.budget.count()
        self.budget.take_number(number)
        if host_request.unsettled:
            self._settle_unknown(request, worst)
            host_request.settled()
        entry = self._logged_before(request.id) if host_request.again else None
        entry = entry or self.log.add_call(
            op,
            request.instruction[:80] + (f" | {request.data[:80]}" if request.data else ""),
            "sub-call" if self.depth == 0 else f"sub-{self.depth}",
            request.id,
            request.model,
            self.depth + (1 if recursive else 0),
            host_request.id,
        )
        call = LlmCall(host_request, request, recursive, worst, entry, pictures)
        host_request.serve_as(number, partial(self._cancelled, call))
        if self.recorder.on:
            self._log_queued(call, op)
        try:
            placed = bool(recursive) or self.budget.take(worst)
        except LimitExceeded as limit:  # it was counted, and whoever reads the log sees what became of it
            raise self._failed(call, limit) from None
        if placed:
            call.placed = not recursive  # a recursive one takes no place: what it is made of does
            return self._send(call)
        call.waiting = Waiting(worst, partial(self._placed, call), partial(self._refused, call))
        self.budget.wait(call.waiting)
        self._changed()
        return PENDING

    def _logged_before(self, number: int) -> dict[str, Any] | None:
        """The entry of a call that a snapshot had in flight, or None where the log has forgotten it."""
        return self.log.by_call().get(number)

    def _placed(self, call: LlmCall) -> None:
        call.waiting = None
        if not call.host_request.wanted:  # it is being cancelled, with the one whose place it would get
            self.budget.settle(call.worst)
            return
        call.placed = True
        call.host_request.run(partial(self._send, call))

    def _refused(self, call: LlmCall, reason: RlmError) -> None:
        call.waiting = None

        def refuse() -> Any:
            raise self._failed(call, reason)

        call.host_request.run(refuse)

    def _request(
        self, host_request: HostRequest, number: int
    ) -> tuple[CompletionRequest, tuple[Any, ...], int, str]:
        op, instruction, data, model, temperature, max_tokens, as_json, pictures, wanted, *literal_calls = (
            host_request.arguments
        )
        if not isinstance(instruction, str) or not isinstance(data, str):
            raise UsageError("llm-query: #:instruction and #:data must be text")
        _, info = self._made or self._provider()
        if literal_calls and literal_calls[0]:
            self._refuses = any(self.judged(literal_calls))
        if self._refuses:
            raise ProgramRefused("an LLM call of this program would be refused: none is sent")
        limits = self.budget.limits
        if info.ignores_model and isinstance(model, str) and model not in ("", info.name):
            # A role and an alias are names that the host gives a meaning: no slip.
            given = (*ROLES, *self._aliases)
            unknown = (
                None if model in given else vendor_rules.unknown_model(model[: MAX_MODEL_NAME + 1], given)
            )
            if unknown:
                self._warn(f"{op!s:.40}: {unknown} (The provider {info.name} answers whatever the model.)")
        model = model or self._model or info.default_model
        if model is not None and (not isinstance(model, str) or len(model) > MAX_MODEL_NAME):
            raise UsageError(f"{op!s:.40}: #:model is a name of {MAX_MODEL_NAME} characters at the most")
        if model is not None and not model.isprintable():  # a line's end in it could forge a line of a log
            raise UsageError(f"{op!s:.40}: #:model is a name without line breaks and control characters")
        model = model_for(model, self._aliases, info)
        temperature = temperature if isinstance(temperature, float) else None
        if max_tokens and (type(max_tokens) is not int or max_tokens < 1):
            raise UsageError(f"{op!s:.40}: #:max-tokens must be a positive integer")
        if not max_tokens:
            max_tokens = DEFAULT_MAX_TOKENS if self.budget.bounded else None
        pictures = tuple(pictures or ())
        if len(pictures) > limits.images:
            raise UsageError(
                f"llm-query: {len(pictures)} images; a call may have {limits.images} (the limit images)"
            )
        if as_json or temperature is not None or pictures:  # else there is nothing to refuse
            try:
                vendor_rules.check_request(
                    model,
                    temperature=temperature,
                    json=bool(as_json),
                    instruction=instruction,
                    images=len(pictures),
                )
            except UsageError as error:
                raise UsageError(f"{op}: {error}") from None
        request = CompletionRequest(
            id=number,
            instruction=instruction,
            data=data,
            model=model,
            temperature=temperature,
            max_tokens=max_tokens,
            json=bool(as_json),
            depth=self.depth,
            timeout_s=host_request.time_left(),
            idempotency_key=f"{self.budget.id}-{number}",
        )
        recursive = limits.depth + 1 if wanted is True else int(wanted or 0)
        return request, pictures, recursive, str(op)[:_MAX_OP]

    def _worst(self, request: CompletionRequest, texts: int, images: int) -> WorstCase:
        """The most tokens that a call may take, and dollars where a ceiling stands on them.

        ``texts`` are the tokens of its two texts.
        """
        prompt = texts + beside_texts(
            request.data, images, vendor_rules.max_image_tokens(request.model) if images else 0
        )
        completion = request.max_tokens or DEFAULT_MAX_TOKENS
        if not self.budget.bounds_cost:
            return WorstCase(prompt, completion)
        provider, info = self._provider()
        if info.free:
            return WorstCase(prompt, completion, 0.0)
        model = request.model or ""
        cost = prices.price_of(provider, model, prompt, completion)
        if cost is None:
            raise UsageError(
                f"the price of model {request.model!r} is unknown, and a cost limit is set: "
                "use a known model, or limit tokens instead"
            )
        return WorstCase(prompt, completion, cost)

    def _send(self, call: LlmCall) -> Any:
        call.started = time.monotonic()
        self.running[call.request.id] = call
        provider, info = self._made or self._provider()
        if self.recorder.on and not call.pictures:
            self.recorder.tell(events.CallSent, call=call.number)
        if self._span is not None:
            call.span = tracing.call_started(
                call.request,
                info.name,
                recursive=call.recursive > 0,
                parent=self._span,
            )
        if info.inline and not call.recursive and not call.pictures and _size(call.request) <= _AT_ONCE:
            return self._inline(call, provider.complete(call.request))
        self._changed()
        if call.recursive:
            if self._recurse is None:
                raise self._failed(call, CapabilityDenied("#:recursive is not available in this session"))
            deepest = min(self._deepest, self.depth + call.recursive)
            work: Any = partial(self._recurse, call.request, self, deepest)
        elif call.pictures:
            work = partial(self._with_images, call, provider)
        elif info.inline:
            work = partial(_in_thread, provider, call.request)
        else:
            work = partial(provider.complete, call.request)
        return call.host_request.spawn(self._await(call, work))

    async def _with_images(self, call: LlmCall, provider: Provider) -> Completion:
        """Read what the program named, hold its bytes while the call is under way, and ask."""
        read: list[str] = []
        for picture in call.pictures:
            url = await asyncio.to_thread(images.checked, picture, self._workspace)
            call.host_request.hold(len(url))
            read.append(url)
        if self.recorder.on:
            import hashlib

            hashes = tuple(hashlib.sha256(url.encode()).hexdigest() for url in read)
            self.recorder.tell(events.CallSent, call=call.number, image_sha256=hashes)
        request = replace(call.request, images=tuple(read))
        return await provider.complete(request)

    def _inline(self, call: LlmCall, work: Coroutine[Any, Any, Completion]) -> Any:
        """A provider that never waits is run on the spot: no task, no turn of the event loop."""
        try:
            work.send(None)
        except StopIteration as stop:
            completion = stop.value
        except Exception as error:
            raise self._failed(call, error) from error
        except BaseException as error:  # what would end its task ends its call: there is no task
            raise self._failed(call, ProviderError(described(error))) from None
        else:
            work.close()
            raise self._failed(call, ProviderError("the provider says that it never waits, but it does"))
        completion = self._checked(call, completion)
        return self._settle(call, _whole(completion))

    def _checked(self, call: LlmCall, completion: object) -> Completion:
        try:
            return completions.checked(completion, call.request)
        except ProviderError as error:
            raise self._failed(call, error) from error

    async def _await(self, call: LlmCall, work: Callable[[], Awaitable[Completion]]) -> Any:
        try:
            with tracing.inside(call.span), self._listening(call):
                if call.host_request.durable and not call.recursive:
                    await call.host_request.to_be_sent()
                completion = completions.checked(await work(), call.request)
            if len(completion.text) > _AT_ONCE:
                call.answer = completion
                call.host_request.arrives()
                completion = _with_text(completion, await in_turns(whole_in_turns(completion.text)))
            else:
                completion = _whole(completion)
        except Exception as error:
            raise self._failed(call, error) from error
        except BaseException:
            # Where the guest or the execution's end cancelled it, ``_cancelled`` has settled it.
            self._end(call, cancelled=True)
            tracing.call_failed(call.span, "cancelled")
            raise
        return self._settle(call, completion)

    # ---- for the run log

    def _log_queued(self, call: LlmCall, op: str) -> None:
        request, facts = call.request, call.host_request.facts()
        self._tell_queued(
            request,
            op,
            call.worst,
            parent=self._parent,
            images=len(call.pictures),
            temperature=request.temperature,
            json=request.json,
            recursive=call.recursive > 0,
            made_from=numbers_of(facts.get("from")),
            **place_of(facts),
        )

    def _listening(self, call: LlmCall) -> AbstractContextManager[None]:
        if not self.recorder.on:
            return nullcontext()
        return tries.told_to(
            lambda attempt, status: self.recorder.tell(
                events.CallTried, call=call.number, attempt=attempt, status=status
            )
        )

    def _log_ended(self, call: LlmCall, status: str, error: str | None = None) -> None:
        self.recorder.tell(events.CallEnded, call=call.number, status=status, error=error)

    def _tell_queued(self, request: CompletionRequest, op: str, worst: WorstCase, **more: Any) -> None:
        """A call by itself, as the root model's of a question is, and what one of a program has besides."""
        self.recorder.tell(
            events.CallQueued,
            call=request.id,
            op=op,
            depth=self.depth,
            model=request.model,
            instruction=events.logged(request.instruction),
            data=events.logged(request.data),
            max_tokens=request.max_tokens,
            reserved_tokens=worst.tokens,
            reserved_usd=worst.usd,
            **more,
        )

    def _log_own_failed(self, request: CompletionRequest, op: str | None, error: BaseException) -> None:
        if op is None or not self.recorder.on:
            return
        if isinstance(error, Exception):
            told = message_of(error)[:MAX_ERROR]
            self.recorder.tell(events.CallEnded, call=request.id, status="failed", error=told)
        else:
            self.recorder.tell(events.CallEnded, call=request.id, status="cancelled")

    def _log_answered(self, number: int, completion: Completion, model: str, cost: float | None) -> None:
        self.recorder.tell(
            events.CallEnded,
            call=number,
            model=model,
            answer=events.logged(completion.text),
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            cost_usd=cost,
            cached=completion.cached,
            finish_reason=completion.finish_reason,
        )

    # ---- and back

    def _settle(self, call: LlmCall, completion: Completion) -> list[Any]:
        request = call.request
        model = _model_of(request, completion)
        cost: float | None = 0.0
        if not call.recursive:  # else ``ask`` settled what it is made of
            cost = self._count(request, completion, model, call.worst)
        if completion.rate_limits:
            self.rate_limits.pop(model, None)
            self.rate_limits[model] = dict(completion.rate_limits)
            if len(self.rate_limits) > _MAX_MODELS:
                del self.rate_limits[next(iter(self.rate_limits))]
        tokens = completion.prompt_tokens + completion.completion_tokens
        self.log.change(call.entry, model=model, tokens=tokens, cached=completion.cached, status="done")
        if call.span is not None:
            tracing.call_ended(call.span, completion)
        if self.recorder.on:
            self._log_answered(call.number, completion, model, cost)
        self._end(call)
        text = completion.text
        truncated = completion.finish_reason == "length"
        if truncated:
            call.entry.update(truncated=True)
        if request.json:
            text = _valid_json(text, truncated=truncated)
        used = (0, 0) if completion.cached else (completion.prompt_tokens, completion.completion_tokens)
        return [text, request.id, model, *used, request.depth, truncated]

    def _count(
        self, request: CompletionRequest, completion: Completion, model: str, worst: WorstCase
    ) -> float | None:
        """Settle an answer; what it cost in dollars, None where nobody knows."""
        provider, info = self._made or self._provider()
        if completion.cached or info.free:
            cost: float | None = 0.0
        else:
            cost = self._price(provider, model, completion)
            if cost is None and self.budget.bounds_cost:
                # A gateway may call its models as it likes: under a ceiling none of them is for nothing.
                cost = self._price(provider, request.model or "", completion)
                cost = worst.usd if cost is None else cost
        self.budget.add(completion, cost, model, provider=info.name, asked_for=request.model)
        return cost

    @staticmethod
    def _price(provider: Provider, model: str, used: Completion) -> float | None:
        """What an answer cost; None where nobody knows, or where the provider fails to say."""
        try:
            return prices.price_of(
                provider, model, used.prompt_tokens, used.completion_tokens, used.cached_tokens
            )
        except ProviderError:
            return None

    async def ask(self, request: CompletionRequest, op: str | None = None) -> Completion:
        """One of the calls that a recursive call or a question is made of: reserved, placed like others.

        One whose answer is known, from a journal or a snapshot, is not asked again. ``op``: what a run log
        calls it; without, it is a part of the recursive call of its number.
        """
        journal, key = self._journal, request.idempotency_key or ""
        if key in self.asked:
            return self.asked[key]
        await self._know_prices()
        texts = (
            await in_turns(tokens_in_turns(request.instruction, request.data)) if self.budget.bounded else 0
        )
        worst = self._worst(request, texts, len(request.images)) if self.budget.bounded else UNBOUNDED
        if key in self.asking:
            self._settle_unknown(request, worst)
            self.asking.discard(key)
            if journal is not None:
                journal.add(journals.Kind.ASK_SETTLED, key)
        if op is not None and self.recorder.on:
            self._tell_queued(request, op, worst)
        try:
            if not self.budget.take(worst):
                await self._place(worst)
        except BaseException as error:
            self._log_own_failed(request, op, error)
            raise
        sent_at = self.recorder.now()
        if op is not None and self.recorder.on:
            self.recorder.tell(events.CallSent, call=request.id)
        try:
            if journal is not None:
                journal.add(journals.Kind.ASKING, key)
                await journal.flush()
            completion = completions.checked(await self._provider()[0].complete(request), request)
            # At once, however long it is: from here on it stands in every snapshot, and is not paid again.
            completion = _whole(completion)
        except BaseException as error:
            self._log_own_failed(request, op, error)
            if may_have_cost(error):
                self._settle_lost(request, worst)
            else:
                self.budget.count_failed(sent=True)
                self.budget.settle(worst)
            raise
        model = _model_of(request, completion)
        cost = self._count(request, completion, model, worst)
        self.budget.settle(worst)
        if op is not None and self.recorder.on:
            self._log_answered(request.id, completion, model, cost)
        elif self.recorder.on:
            self.recorder.tell(
                events.ProgramWritten,
                call=request.id,
                sent_at=sent_at,
                model=model,
                instruction=events.logged(request.instruction),
                data=events.logged(request.data),
                answer=events.logged(completion.text),
                prompt_tokens=completion.prompt_tokens,
                completion_tokens=completion.completion_tokens,
                cost_usd=cost,
            )
        if key:
            self.asked[key] = completion
            self._counted.discard(key)
        if journal is not None:
            journal.add(journals.Kind.ASKED, key, unstructure(completion))
            await journal.flush()
        return completion

    def count_once(self, key: str) -> None:
        """Count one of the calls that a recursive call is made of, where that was not done before.

        Raises LimitExceeded.
        """
        if key not in self.asked and key not in self._counted:
            self.budget.count()
            self._counted.add(key)
            if self._journal is not None:  # with the account: it may be long until the call has its place
                self._journal.add(journals.Kind.COUNTED, key)

    @property
    def counted(self) -> Collection[str]:
        """Keys of the calls that were counted in that way and have no answer yet."""
        return self._counted

    def adopt(
        self,
        asked: Iterable[tuple[str, Completion]],
        asking: Iterable[str],
        counted: Iterable[str],
        placed: Iterable[PlacedCall] = (),
    ) -> None:
        """Take over what a snapshot has of the recursive calls under way."""
        self.asked = dict(asked)
        self.asking = set(asking)
        self._counted = set(counted)
        self.placed = {call.number: call for call in placed}

    def asked_before(self, kind: journals.Kind, fields: list[Any]) -> None:
        """A journal says what recursive calls asked, and what was answered. Raises SnapshotCorrupt."""
        if kind is journals.Kind.PLACED:
            self.place(PlacedCall(*fields))
            return
        if kind is journals.Kind.PLACED_OVER:
            self.place_over(fields[0])
            return
        key = fields[0]
        if kind is journals.Kind.COUNTED:
            self._counted.add(key)
            return
        if kind is journals.Kind.ASKING:
            self.asking.add(key)
            self._counted.add(key)
        else:
            self.asking.discard(key)
        if kind is journals.Kind.ASKED:
            self.asked[key] = structure(Completion, fields[1], "an answer in the journal", SnapshotCorrupt)

    def place(self, call: PlacedCall) -> None:
        """The child of a recursive call is a session of its own."""
        self.placed[call.number] = call

    def place_over(self, number: int) -> None:
        """What that session used is in the account."""
        if number in self.placed:
            self.placed[number] = replace(self.placed[number], over=True)

    def forget_asked(self, numbers: Iterable[int]) -> None:
        """What came of these calls of the session's own is kept elsewhere, or wanted no more."""
        for number in numbers:
            key = f"{self.budget.id}-{number}"
            self.asked.pop(key, None)
            self.asking.discard(key)

    def _forget_asked(self, call: LlmCall) -> None:
        """A recursive call is over, and so is its child."""
        key = call.request.idempotency_key or ""
        for known in [known for known in self.asked if known == key or known.startswith(f"{key}-")]:
            del self.asked[known]
        self._counted = {known for known in self._counted if not known.startswith(f"{key}-")}
        self.child_over(call.number)

    async def _place(self, worst: WorstCase) -> None:
        """Until there is a place. Raises LimitExceeded where there will be none."""
        placed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def start() -> None:
            if placed.done():  # cancelled just now
                self.budget.settle(worst)
            else:
                placed.set_result(None)

        def refuse(reason: RlmError) -> None:
            if not placed.done():
                placed.set_exception(reason)

        waiting = Waiting(worst, start, refuse)
        self.budget.wait(waiting)
        try:
            await placed
        except asyncio.CancelledError:
            if waiting in self.budget.waiting:
                self.budget.leave_queue(waiting)
            elif placed.done() and not placed.cancelled() and placed.exception() is None:
                self.budget.settle(worst)
            raise

    def _failed(self, call: LlmCall, error: Exception) -> Exception:
        lost = call.placed and may_have_cost(error)
        if not call.recursive and not lost:
            self.budget.count_failed(sent=call.placed)
        said = message_of(error)
        self.log.change(call.entry, status=f"failed: {said}"[:200])
        tracing.call_failed(call.span, error)
        if self.recorder.on:
            self._log_ended(call, "failed", said[:MAX_ERROR])
        self._end(call, cancelled=lost)
        if isinstance(error, LimitExceeded | CapabilityDenied | UsageError):
            return error
        request = call.request
        status = getattr(error, "status", None)
        what = f"call {request.id}" + (f" to {request.model}" if request.model else "")
        status_text = f" (status {status})" if status is not None and str(status) not in said else ""
        told = said if isinstance(error, ProviderError) else described(error)
        return ProviderError(f"llm-query: {what} failed{status_text}: {told}", status=status)

    def _end(self, call: LlmCall, *, cancelled: bool = False) -> None:
        """The call is over: its place and its reservation are given back."""
        if self.running.pop(call.request.id, None) is None:
            return
        call.host_request.past_cancelling()
        if call.recursive:
            call.host_request.when_over(partial(self._forget_asked, call))
        if call.placed:
            call.placed = False
            if cancelled and call.answer is not None:  # nobody wants it any more, and it is paid
                answer = call.answer
                self._count(call.request, answer, _model_of(call.request, answer), call.worst)
                self.budget.settle(call.worst)
            elif cancelled:
                self._settle_lost(call.request, call.worst)
            else:
                self.budget.settle(call.worst)
        self._changed()

    def _settle_lost(self, request: CompletionRequest, worst: WorstCase) -> None:
        """A call that was sent and gave no answer used its prompt's tokens at the least."""
        self.budget.settle_cancelled(worst, self._least(request, worst), request.model or "")

    def _settle_unknown(self, request: CompletionRequest, worst: WorstCase) -> None:
        """The same of one that another process had sent, and that is sent again."""
        self.budget.settle_unknown(worst, self._least(request, worst), request.model or "")

    def _least(self, request: CompletionRequest, worst: WorstCase) -> tuple[int, float | None]:
        """What a call uses at the least that was sent: tokens, and dollars where the price is known."""
        provider, info = self._provider()
        prompt = worst.prompt_tokens  # estimated already, where a ceiling stands
        if not prompt:
            prompt = _least_tokens(request)
        model = request.model or ""
        if info.free:
            return prompt, 0.0
        return prompt, self._price(provider, model, Completion(text="", prompt_tokens=prompt))

    def _cancelled(self, call: LlmCall) -> None:
        """The guest, the embedder or the execution's end cancelled it."""
        self.log.change(call.entry, status="cancelled")
        if self.recorder.on:
            self._log_ended(call, "cancelled")
        tracing.call_failed(call.span, "cancelled")
        call.span = None
        if call.number in self.running:
            self._end(call, cancelled=True)
        elif call.waiting is not None:
            waiting, call.waiting = call.waiting, None
            self.budget.leave_queue(waiting)
            self._changed()

    def cancel(self, number: int) -> bool:
        """The embedder cancels a call: it fails in the guest. False where no call of that number runs."""
        call = self.running.get(number)
        if call is None:
            return False
        call.host_request.abort(ProviderError(f"llm-query: call {number} was cancelled"))
        return True

    # ---- for people

    def models(self) -> Mapping[str, int]:
        """How many calls run, by model."""
        out: dict[str, int] = {}
        for call in self.running.values():
            name = call.request.model or "default"
            out[name] = out.get(name, 0) + 1
        return out

    def longest_s(self) -> float:
        """How long the oldest running call has run, in seconds."""
        started = [call.started for call in self.running.values()]
        return time.monotonic() - min(started) if started else 0.0

    @property
    def queued(self) -> int:
        """Calls that wait for a place."""
        return len(self.budget.waiting)

    def report(self) -> dict[str, Any]:
        """What (tokens-used), (cost-used), (usage) and (budget-remaining) show.

        What was used is the session's, over all of its executions; what is left of the calls is the
        execution's, as their limit is.
        """
        budget, limits = self.budget, self.budget.limits
        used = budget.session

        kept = budget.kept

        def left(ceiling: float | None, spent: float) -> float | None:
            return None if ceiling is None else max(0, ceiling - spent)

        return {
            "calls": used.calls,
            "prompt": used.prompt_tokens,
            "completion": used.completion_tokens,
            "tokens": used.tokens,
            "cost": used.known_cost,
            "cached": used.cached,
            "cached-tokens": used.cached_tokens,
            "calls-left": max(0, limits.calls - budget.execution.calls - budget.kept_calls),
            "tokens-left": left(limits.tokens, budget.used_tokens + budget.reserved_tokens + kept.tokens),
            "cost-left": left(limits.cost_usd, budget.used_usd + budget.reserved_usd + (kept.usd or 0.0)),
            "rate-limits": self.rate_limits,
            "models": {
                name: {
                    "calls": model.calls,
                    "cached": model.cached,
                    "prompt_tokens": model.prompt_tokens,
                    "completion_tokens": model.completion_tokens,
                    "total_tokens": model.prompt_tokens + model.completion_tokens,
                    "cached_tokens": model.cached_tokens,
                    "usd": None if model.unpriced else model.cost_usd,
                }
                for name, model in used.models.items()
            },
        }

    def left_in_words(self) -> str:
        """What is left of calls, tokens and money, for a model that plans with it."""
        report = self.report()
        parts = [f"{report['calls-left']:,} calls"]
        if report["tokens-left"] is not None:
            parts.append(f"{report['tokens-left']:,} tokens")
        if report["cost-left"] is not None:
            parts.append(money(report["cost-left"]) or "$0")
        return ", ".join(parts)

    def own_request(
        self,
        instruction: str,
        data: str,
        *,
        model: str | None,
        timeout_s: float,
        max_tokens: int | None,
        purpose: Literal["query", "program"],
        number: int | None = None,
    ) -> CompletionRequest:
        """A call of the session's own, which no program asked for: counted and numbered as theirs are.

        ``number``: its own, where it was counted before. Raises LimitExceeded where there is no call left,
        UsageError for what no model takes.
        """
        info = self._provider()[1]
        model = model_for(model or self._model or info.default_model, self._aliases, info)
        vendor_rules.check_request(model, temperature=None, json=False, instruction=instruction, images=0)
        if number is None:
            self.budget.count()
            number = self.budget.next_number
            self.budget.take_number(number)
        return CompletionRequest(
            id=number,
            instruction=instruction,
            data=data,
            model=model,
            max_tokens=max_tokens or (DEFAULT_MAX_TOKENS if self.budget.bounded else None),
            depth=self.depth,
            timeout_s=timeout_s,
            idempotency_key=f"{self.budget.id}-{number}",
            purpose=purpose,
        )

    def model_named(self, arguments: list[Any]) -> str:
        """Serve "model-for": the model that a role or alias stands for. Raises UsageError."""
        name = arguments[0] if len(arguments) == 1 else None
        if not isinstance(name, str) or not name or len(name) > MAX_MODEL_NAME:
            raise UsageError(f"model-for: a role is a name of {MAX_MODEL_NAME} characters at the most")
        info = self._provider()[1]
        return model_for(name, self._aliases, info) or self._model or name

    @property
    def info(self) -> ProviderInfo:
        """What the provider says of itself."""
        return self._provider()[1]

    def estimated_tokens(self, arguments: list[Any]) -> Any:
        """Serve "estimate-tokens": what a call may take, as ``take`` would set it aside."""
        instruction, data, pictures, max_tokens = arguments
        if not isinstance(instruction, str) or not isinstance(data, str):
            raise UsageError("estimate-tokens: two texts")
        each = (
            vendor_rules.max_image_tokens(self._model or self._provider()[1].default_model) if pictures else 0
        )
        beside = beside_texts(data, pictures, each) + int(max_tokens or 0)

        def work() -> Generator[None, None, int]:
            return (yield from tokens_in_turns(instruction, data)) + beside

        return at_once_or_in_turns(work())


def _model_of(request: CompletionRequest, completion: Completion) -> str:
    return (completion.model or request.model or "")[:MAX_MODEL_NAME]


def _least_tokens(request: CompletionRequest) -> int:
    """An estimate of a prompt by its beginning: nobody's ceiling depends on it."""
    beginnings = request.instruction[:_AT_ONCE], request.data[:_AT_ONCE]
    length = len(request.instruction) + len(request.data)
    return estimate_tokens("".join(beginnings)) * max(length, 1) // max(len("".join(beginnings)), 1)


def _size(request: CompletionRequest) -> int:
    return len(request.instruction) + len(request.data)


async def _in_thread(provider: Provider, request: CompletionRequest) -> Completion:
    """A provider that never waits computes: with a large prompt, beside the event loop."""

    def run() -> Completion:
        work: Any = provider.complete(request)
        try:
            work.send(None)
        except StopIteration as stop:
            answer: Completion = stop.value
            return answer
        work.close()
        raise ProviderError("the provider says that it never waits, but it does")

    return await asyncio.to_thread(run)


def _whole(completion: Completion) -> Completion:
    return _with_text(completion, whole_characters(completion.text))


def _with_text(completion: Completion, text: str) -> Completion:
    """It with its text looked through: half a character may stand at the end of an answer that was cut."""
    return completion if text is completion.text else replace(completion, text=text)


def whole_in_turns(text: str) -> Generator[None, None, str]:
    """As ``whole_characters``; it yields between parts."""
    if text.isascii():
        return text
    parts = []
    for at in range(0, len(text), _AT_ONCE):
        parts.append(whole_characters(text[at : at + _AT_ONCE]))
        yield
    return "".join(parts)


def _valid_json(text: str, *, truncated: bool) -> str:
    """JSON text, taken out of a code fence where it stands in one."""
    if truncated:  # what is left may read well, and say something else: 12 of 1234
        raise ProviderError(
            f"#:json: the model's answer was cut off at its limit of tokens; raise #:max-tokens: "
            f"{text[:120]!r}"
        )
    stripped = strict_json.unfenced(text)
    if len(stripped) > MAX_JSON:
        raise ProviderError(
            f"#:json: the answer has {len(stripped):,} characters; {MAX_JSON:,} are the most that is checked"
        )
    try:
        strict_json.loads(stripped)
    except (ValueError, RecursionError) as error:
        raise ProviderError(
            f"#:json: the model's answer is no valid JSON: {error}: {text[:120]!r}"
        ) from error
    return stripped

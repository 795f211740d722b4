"""What calls may cost: nothing is spent beyond a ceiling, and nothing is refused for what was never spent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, Limits, ProviderError, Runtime
from rlm_wasm.errors import ProviderTimeout
from rlm_wasm.providers import BudgetProvider
from rlm_wasm.providers.tokens import estimate_prompt_tokens
from rlm_wasm.providers.vendor_rules import MAX_IMAGE_TOKENS, max_image_tokens
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


class Vendor(GatedProvider):
    """A dollar for a thousand tokens."""

    free = False

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars."""
        return (prompt_tokens + completion_tokens) / 1_000


class Failing:
    """Fails every call, after it was asked."""

    free = False

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        """Fail."""
        self.asked += 1
        await asyncio.sleep(0)
        raise self.error

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars."""
        return (prompt_tokens + completion_tokens) / 1_000


def _with(error: ProviderError) -> ProviderError:
    error.answered = True
    return error


TRY_FOR_EVER = '(let loop () (guard (e (#t #f)) (llm-query #:instruction "q" #:max-tokens 100)) (loop))'


async def test_calls_that_are_given_up_at_once_end_at_the_ceiling() -> None:
    """What was sent keeps what was set aside for it until its true cost is known: here, for good."""
    gate = Vendor(bracketed)
    program = (
        "(let loop () (with-timeout 0.0001"
        ' (lambda () (llm-query #:instruction "q" #:max-tokens 100)) (lambda () #f)) (loop))'
    )
    async with Runtime(provider=gate, limits=Limits(cost_usd=1.0)) as runtime:
        result = await runtime.run(program)
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == "cost_usd"
    assert len(gate.requests) == 9
    assert result.execution.prompt_tokens > 0  # the ledger counts what was sent
    assert 0 < (result.execution.cost_usd or 0) <= 1.0


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ProviderTimeout("too late"), id="the answer came too late"),
        pytest.param(_with(ProviderError("it reasoned and gave no answer")), id="no use"),
    ],
)
async def test_answers_that_are_no_use_are_billed_all_the_same(error: Exception) -> None:
    """A refusal, reasoning that used up every token, an answer that came too late: a loop of them ends."""
    vendor = Failing(error)
    async with Runtime(provider=vendor, limits=Limits(cost_usd=1.0)) as runtime:
        result = await runtime.run(TRY_FOR_EVER)
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == "cost_usd"
    assert vendor.asked == 9


async def test_a_recursive_calls_lost_answer_is_counted_under_the_model_that_was_asked() -> None:
    """As any other call's is, so that what each model used is told truly."""
    vendor = Failing(_with(ProviderError("it reasoned and gave no answer")))
    for how in ("", "#:recursive #t"):
        program = (
            f'(guard (e (#t #f)) (llm-query {how} #:instruction "q" #:model "gpt-4o" #:max-tokens 9))'
            " (finish (usage))"
        )
        async with Runtime(provider=vendor, limits=Limits(cost_usd=9.0)) as runtime:
            result = await runtime.run(program)
        assert result.status == "finished", result.error
        assert set(result.data) == {"gpt-4o"}
    assert vendor.asked == 2


async def test_what_a_server_refused_costs_nothing() -> None:
    """It is the limit on calls that ends a loop of those."""
    vendor = Failing(ProviderError("no such model", status=404))
    async with Runtime(provider=vendor, limits=Limits(cost_usd=1.0, calls=50)) as runtime:
        result = await runtime.run(TRY_FOR_EVER)
    assert result.error is not None
    assert result.error.kind == "calls"
    assert vendor.asked == 50


async def test_an_answer_without_use_is_said_to_be_an_answer() -> None:
    """The reader of answers marks what was billed."""
    from rlm_wasm.providers.chat_answers import completion_of

    answer = {"choices": [{"message": {"content": "", "reasoning": "hm"}, "finish_reason": "length"}]}
    with pytest.raises(ProviderError) as caught:
        completion_of(answer, {}, CompletionRequest(id=1, instruction="q", max_tokens=10), model="o3")
    assert caught.value.answered


# ---- images


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o-mini", 48_169),
        ("openai/gpt-4o-mini-2024-07-18", 48_169),
        ("gpt-4o", 1_445),
        ("gpt-4.1-nano", 3_779),
        ("gpt-5-mini", 2_489),
        ("o4-mini", 2_642),
        ("somebody-elses", MAX_IMAGE_TOKENS),
        (None, MAX_IMAGE_TOKENS),
    ],
)
def test_an_image_is_set_aside_for_by_the_model(model: str | None, tokens: int) -> None:
    """At the most that the vendor's own formula can give."""
    assert max_image_tokens(model) == tokens


async def test_images_are_in_the_reservation(tmp_path: Path) -> None:
    """Twenty of them were sent under a ceiling of two cents, and cost a dollar."""
    (tmp_path / "a.png").write_bytes(PNG)
    provider = InlineProvider()
    program = (
        '(llm-query #:instruction "q" #:model "gpt-4o-mini" #:max-tokens 10 #:images (list "a.png" "a.png"))'
    )
    limits = Limits(tokens=90_000)
    async with Runtime(provider=provider, workspace=tmp_path, limits=limits) as runtime:
        result = await runtime.run(program)
        assert result.status == "limit"
        assert result.error is not None
        assert "asked for 96,357" in result.error.message
        assert provider.requests == []
        assert (await runtime.run(program.replace("gpt-4o-mini", "gpt-4o"))).ok
    assert len(provider.requests[0].images) == 2


async def test_more_images_than_the_limit_are_refused(tmp_path: Path) -> None:
    """Before any of them is read."""
    async with Runtime(provider=InlineProvider(), limits=Limits(images=2), workspace=tmp_path) as runtime:
        result = await runtime.run('(llm-query #:instruction "q" #:images (make-list 3 "none.png"))')
    assert "the limit images" in str(result.error)


# ---- the other way round


async def test_forty_tiny_calls_under_half_a_dollar() -> None:
    """Their worst cases together are more than the ceiling; what they cost is next to nothing."""
    gate = Vendor(lambda _request: Completion(text="x", model="m", prompt_tokens=1, completion_tokens=1))
    program = (
        '(length (map-async (lambda (i) (llm-query-async #:instruction "q" #:max-tokens 100))'
        " (range 40) #:max-concurrent 40))"
    )
    async with Runtime(provider=gate, limits=Limits(cost_usd=0.5)) as runtime:
        task = asyncio.create_task(runtime.run(program))
        while not task.done():
            gate.release_all()
            await asyncio.sleep(0)
        result = await task
    assert result.value == "40", result.error
    assert gate.peak <= 4
    assert len(gate.requests) == 40


async def test_a_refusal_says_what_was_used_reserved_and_asked() -> None:
    """So that one can see why."""
    gate = Vendor(bracketed)
    program = (
        '(llm-query-async #:instruction "q" #:max-tokens 300) (llm-query #:instruction "q" #:max-tokens 900)'
    )
    async with Runtime(provider=gate, limits=Limits(cost_usd=0.9)) as runtime:
        result = await runtime.run(program)
    assert result.error is not None
    assert "used 0" in result.error.message
    assert "reserved by calls in flight 0.305" in result.error.message
    assert "asked for 0.905" in result.error.message
    assert "limit 0.9" in result.error.message


# ---- forks, children and fibers that are given up


class Bills(InlineProvider):
    """Bills whatever it was sent at its worst, answered or not; a dollar for a thousand tokens."""

    free = False
    inline = False

    def __init__(self, turns: int, program: str = "x") -> None:
        super().__init__()
        self.turns = turns
        self.program = program
        self.billed_usd = 0.0
        self.under_way = 0

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars."""
        return (prompt_tokens + completion_tokens) / 1_000

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer after some turns of the loop."""
        prompt, most = estimate_prompt_tokens(request.instruction, request.data, 0), request.max_tokens or 0
        self.billed_usd += self.price("", prompt, most)
        self.requests.append(request)
        self.under_way += 1
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        text = f"```scheme\n{self.program}\n```" if request.purpose == "program" else "x"
        return Completion(text=text, model="m", prompt_tokens=prompt, completion_tokens=most)


_CALL = '(llm-query #:instruction "q" #:max-tokens 10)'
_RECURSIVE = '(llm-query #:instruction "q" #:max-tokens 10 #:recursive #t)'
_BRIEFLY = "(with-timeout t (lambda () {}) (lambda () #f))"
GIVEN_UP = {
    "forks, given up together": _BRIEFLY.format(f"(fork-map (lambda (x) {_CALL}) (range 5))"),
    "calls of forks, each given up": "(guard (e (#t #f)) (fork-map (lambda (x) (let again ((i 0)) "
    f"{_BRIEFLY.format(_CALL)} (again (+ i 1)))) (range 5)))",
    "forks that fail": f'(guard (e (#t #f)) (fork-map (lambda (x) {_CALL} (error "x")) (range 5)))',
    "forks of forks": _BRIEFLY.format(
        f"(fork-map (lambda (x) (fork-map (lambda (y) {_CALL}) (range 2))) (range 3))"
    ),
    "children, given up": _BRIEFLY.format(_RECURSIVE),
    "children of a fan-out": _BRIEFLY.format(
        f"(map-async (lambda (i) {_RECURSIVE.replace('query', 'query-async')}) (range 5))"
    ),
    "fibers that are cancelled": f"(let ((fiber (spawn (lambda () {_CALL})))) (sleep 0) (cancel fiber))",
    "handles that nobody awaits": f"{_CALL.replace('query', 'query-async')} (sleep 0)",
}


@pytest.mark.parametrize("attack", GIVEN_UP)
async def test_what_is_given_up_in_a_loop_stays_under_the_ceiling(attack: str) -> None:
    """Whoever shares the budget: nothing is billed beyond it, and each reservation comes back exactly once."""
    child = f"(define t 0.0005) (let again ((i 0)) {_BRIEFLY.format(_CALL)} (if (< i 3) (again (+ i 1)) (finish 1)))"
    vendor = Bills(20, child)
    limits = Limits(cost_usd=9.0 if "children" in attack else 1.0, calls=10**6, timeout_s=1.0, depth=2)
    async with Runtime(provider=vendor, python="off", limits=limits) as runtime, runtime.session() as session:
        # Longer and longer: on a slow machine nothing may be sent before a short time is over.
        program = f"(let loop ((t 0.0005)) {GIVEN_UP[attack]} (loop (min 0.1 (* t 1.2))))"
        result = await session.execute(program)
        assert result.status == "limit"
        assert result.error is not None
        assert result.error.kind in ("cost_usd", "timeout_s", "handles")
        assert vendor.requests
        assert limits.cost_usd is not None
        assert 0 < vendor.billed_usd <= limits.cost_usd
        while vendor.under_way:
            await asyncio.sleep(0)
        shared = session._parts.calls.budget._pool
        assert (shared.in_flight, round(shared.reserved_usd, 9), shared.reserved_tokens) == (0, 0.0, 0)
        counted = (result.execution.cost_usd or 0.0) + shared.lost_usd
        assert (
            vendor.billed_usd - 1e-6 <= counted <= limits.cost_usd
        )  # a task may end before it begins to send


# ---- what a hostile server, or a provider with a mistake, may say


class Renamed(Vendor):
    """A gateway that calls its models as it likes: only the name that is asked for has a price."""

    def price(self, model: str, prompt_tokens: int, completion_tokens: int) -> float | None:  # type: ignore[override]
        """Dollars."""
        return super().price(model, prompt_tokens, completion_tokens) if model == "gpt-4o" else None


@pytest.mark.parametrize("wrapped", [False, True], ids=["limit", "wrapper"])
async def test_an_answer_by_a_name_without_a_price_is_not_for_nothing(wrapped: bool) -> None:
    """It is counted by the price of the model that was asked for, so that the ceiling holds."""
    gate = Renamed(
        lambda _request: Completion(text="x", model="house-blend", prompt_tokens=100, completion_tokens=1)
    )
    provider = BudgetProvider(gate, cost_usd=1.0) if wrapped else gate
    limits = Limits() if wrapped else Limits(cost_usd=1.0)
    program = (
        '(let loop () (syntax-e (llm-query #:instruction "q" #:model "gpt-4o" #:max-tokens 100)) (loop))'
    )
    async with Runtime(provider=provider, limits=limits) as runtime:
        running = asyncio.create_task(runtime.run(program))
        while not running.done():
            gate.release_all()
            await asyncio.sleep(0)
        result = await running
    assert not result.ok
    assert "cost_usd" in str(result.error)
    assert len(gate.requests) == 9  # of 0.101 dollars each: a tenth would pass the ceiling


@pytest.mark.parametrize("price", [float("nan"), float("inf"), -1.0, "free", RuntimeError("no table")])
async def test_a_price_that_is_none_is_no_way_around_a_ceiling(price: Any) -> None:
    """Not a number is smaller than every limit, and less than nothing lowers what was used."""

    class Odd(InlineProvider):
        free = False

        def price(self, *_of: Any) -> Any:
            if isinstance(price, Exception):
                raise price
            return price

    provider = Odd()
    async with Runtime(provider=provider, limits=Limits(cost_usd=1.0)) as runtime:
        result = await runtime.run('(llm-query #:instruction "q")')
    assert result.status == "error"
    assert result.error is not None
    assert "price" in result.error.message
    assert provider.requests == []
    async with Runtime(provider=provider) as runtime:  # without a ceiling it is a cost that nobody knows
        result = await runtime.run('(syntax-e (llm-query #:instruction "q"))')
    assert (result.status, result.execution.cost_usd) == ("ok", None)


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), ValueError("x")], ids=type)
async def test_a_provider_that_fails_at_once_takes_no_place(error: BaseException) -> None:
    """Neither a place nor what was set aside is left behind: the loop goes on to the ceiling of calls."""

    class Fails(InlineProvider):
        async def complete(self, request: CompletionRequest) -> Completion:
            self.requests.append(request)
            raise error

    provider = Fails()
    limits = Limits(calls=100, concurrency=2, tokens=10_000)
    async with Runtime(provider=provider, limits=limits) as runtime, runtime.session() as session:
        result = await session.execute(TRY_FOR_EVER)
        assert result.error is not None
        assert result.error.kind in ("calls", "tokens")
        assert len(provider.requests) > 10
        assert session.state()["calls_in_flight"] == []


# ---- what a hostile guest may say


@pytest.mark.parametrize("most", [-100_000, 1.5, "many", [1], True])
async def test_an_answer_of_less_than_nothing_lowers_no_reservation(most: Any) -> None:
    """The prelude refuses it, and so does the host, for a guest whose memory was forged."""
    from rlm_wasm.execution.requests import HostRequest
    from rlm_wasm.llm.budget import Budget
    from rlm_wasm.llm.calls import LlmCalls
    from rlm_wasm.scope_log import ScopeLog

    provider = InlineProvider()
    calls = LlmCalls(lambda: provider, budget=Budget(Limits(tokens=100)), log=ScopeLog(), model=None)
    request = HostRequest(None, 1, "llm", b"")  # type: ignore[arg-type]
    request.arguments = ["llm-query", "q", "", None, None, most, False, [], False]
    with pytest.raises((ValueError, RuntimeError)):
        calls._request(request, 1)
    assert provider.requests == []


def test_the_estimate_that_is_shown_is_for_an_image_of_usual_size() -> None:
    """What is expected and what may come at the worst are two figures."""
    assert estimate_prompt_tokens("q", "", 1) - estimate_prompt_tokens("q", "d", 0) < 1_000

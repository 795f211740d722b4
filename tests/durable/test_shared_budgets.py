"""What sessions of several runtimes spend from one budget is never more than it, and all of it can be spent."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, SharedBudget, UsageError
from rlm_wasm.llm.budget import nanousd
from rlm_wasm.llm.calls import DEFAULT_MAX_TOKENS
from rlm_wasm.store import open_store
from rlm_wasm.store.budgets import BudgetShares, Shared
from rlm_wasm.store.durable import DurableSessions
from rlm_wasm.store.leases import Holder
from rlm_wasm.store.records import Amount, Report

pytestmark = pytest.mark.usefixtures("quick_lending")

FAN_OUT = "(map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (range {calls}))"


class Counting:
    """Answers a little later, and knows how many it was asked, and at once at the most."""

    name = "counting"
    free = True

    def __init__(self) -> None:
        self.sent = self.running = self.peak = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        self.sent += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        self.running -= 1
        return Completion(text="a", prompt_tokens=6, completion_tokens=4)


def shared(url: str, name: str = "all") -> Shared:
    """How the budget stands."""
    store = open_store(url)
    found = store.budgets.state(name)
    assert found is not None
    asyncio.run(store.aclose())
    return found


def spent(
    url: str, sessions: int, calls: int, budget: SharedBudget, *, limits: Limits | None = None
) -> Counting:
    """So many sessions of two runtimes make so many calls each."""
    provider = Counting()

    async def work() -> None:
        options = {"store": url, "durable": True, "python": "off", "budget": budget, "limits": limits}
        async with Runtime(provider, **options) as one, Runtime(provider, **options) as two:  # type: ignore[arg-type]
            opened = [(one, two)[number % 2].session(name=f"s{number}") for number in range(sessions)]
            results = await asyncio.gather(
                *(session.execute(FAN_OUT.format(calls=calls)) for session in opened)
            )
            for result in results:
                assert result.ok or (result.status == "limit" and "shared budget" in str(result.error)), (
                    result
                )

    asyncio.run(work())
    return provider


def test_calls_are_sent_until_the_budget_is_used_and_no_more(url: str) -> None:
    """By whichever session; who asks for one call more is told which limit that is."""
    assert spent(url, 4, 20, SharedBudget(name="all", calls=50)).sent == 50
    state = shared(url)
    assert state.used["calls"] == state.lent["calls"] == 50
    assert state.lent["places"] == state.holders == 0


def test_what_was_used_stays_used_and_a_higher_limit_goes_on_from_there(url: str) -> None:
    """By the name; whoever opens it last says what the limit is."""
    assert spent(url, 2, 10, SharedBudget(name="all", calls=15)).sent == 15
    assert spent(url, 2, 10, SharedBudget(name="all", calls=15)).sent == 0
    assert spent(url, 2, 10, SharedBudget(name="all", calls=22)).sent == 7
    assert spent(url, 1, 3, SharedBudget(name="another", calls=3)).sent == 3
    assert shared(url).used["calls"] == 22


def test_never_more_calls_are_in_flight_than_places(url: str) -> None:
    """All sessions together; each comes to its end."""
    provider = spent(url, 6, 12, SharedBudget(name="all", concurrency=5), limits=Limits(concurrency=4))
    assert provider.sent == 72
    assert 2 <= provider.peak <= 5
    assert shared(url).lent["places"] == 0


def test_tokens_are_set_aside_at_their_worst_and_settled_by_what_was_used(url: str) -> None:
    """So never more is used than the budget, and a call is sent as long as its worst case fits alone."""
    provider = spent(url, 3, 200, SharedBudget(name="all", tokens=5_000))
    state = shared(url)
    assert state.used["tokens"] == 10 * provider.sent <= 5_000
    # DEFAULT_MAX_TOKENS and a short prompt are what a call sets aside.
    assert 5_000 - state.used["tokens"] < DEFAULT_MAX_TOKENS + 100


async def test_money_is_bounded_for_all_together(url: str) -> None:
    """In whole billionths of a dollar, so that sums are exact."""

    class Priced(Counting):
        name = "openai"
        default_model = "gpt-4o-mini"
        free = False

    provider = Priced()
    budget = SharedBudget(name="all", cost_usd=0.0005)
    source = "(map-async (lambda (i) (llm-query-async #:instruction (number->string i) #:max-tokens 400)) (range 300))"
    async with Runtime(provider, store=url, durable=True, budget=budget) as runtime:
        sessions = [runtime.session(name=f"s{number}") for number in range(3)]
        results = await asyncio.gather(*(session.execute(source) for session in sessions))
        used = sum(session.state()["used"]["cost_usd"] for session in sessions)
        said = " ".join(str(result.error) for result in results)
    assert 0 < used <= 0.0005
    assert nanousd(0.0005) - nanousd(used) < nanousd(0.0003), (
        "what is left is less than one call's worst case"
    )
    assert "cost_usd of the shared budget all" in said


async def test_a_session_that_goes_on_elsewhere_has_its_account_and_its_piece(url: str) -> None:
    """A process that dies takes nothing along: the sum of what was answered is the budget, at last."""
    budget = SharedBudget(name="all", calls=10)
    gate = asyncio.Event()

    class Held(Counting):
        async def complete(self, request: CompletionRequest) -> Completion:
            if self.sent == 4:
                await gate.wait()
            return await super().complete(request)

    provider = Held()
    source = "(map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (range 6) #:max-concurrent 1)"
    async with Runtime(provider, store=url, durable=True, budget=budget) as runtime:
        session = runtime.session(name="a")
        running = asyncio.create_task(session.execute(source))
        while provider.sent < 4:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        await session.suspend()
        await running
    gate.set()
    async with Runtime(provider, store=url, durable=True, budget=budget) as runtime:
        other = runtime.session(name="b")
        assert (await other.execute(FAN_OUT.format(calls=3))).ok
        session = await runtime.resume("a")
        assert (await session.resume()).ok
        state = runtime.store.budgets.state("all")  # type: ignore[attr-defined]
        assert provider.sent == 9
        more = await other.execute(FAN_OUT.format(calls=4))
        assert more.status == "limit"
        assert more.error is not None
        assert (more.error.kind, more.error.used, more.error.limit) == ("calls", 11, 10)
        assert state.limits["calls"] == 10
    assert provider.sent == 10


def report(
    used: int, in_flight: int = 0, *, next_: int = 0, wish: int = 0, gives_back: bool = False
) -> Report:
    """Of a session whose calls take one token each."""

    def amount(count: int, places: int) -> Amount:
        return Amount(calls=count, tokens=count, nanousd=count, places=places)

    reserved = amount(used + in_flight, in_flight)
    return Report(
        used=amount(used, in_flight),
        reserved=reserved,
        minimum=amount(used + in_flight + next_, in_flight + next_) if next_ else reserved,
        wish=amount(used + in_flight + wish, in_flight + wish) if next_ else reserved,
        gives_back=gives_back,
    )


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["ask", "end", "give", "die"]), st.integers(1, 9)),
    max_size=60,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, most=st.integers(0, 25), places=st.integers(1, 6))
def test_whatever_sessions_do_pieces_are_never_more_than_the_budget(
    steps: list[tuple[int, str, int]], most: int, places: int
) -> None:
    """A model of sessions that ask, end calls, give back, and die in the middle of calls."""
    store = open_store("sqlite://")
    durable, budgets = DurableSessions(store), BudgetShares(store)
    budgets.open(SharedBudget(name="b", calls=most, tokens=most, cost_usd=most / 1e9, concurrency=places))
    used, flying, has, epochs = [0] * 3, [0] * 3, [0] * 3, [0] * 3

    def opened(number: int) -> int:
        taken = durable.acquire(f"s{number}", Holder.here(), make=True)
        assert taken is not None
        return taken.epoch

    for number in range(3):
        epochs[number] = opened(number)
    for number, what, count in steps:
        name = f"s{number}"
        if what == "ask":
            given_ = report(used[number], flying[number], next_=1, wish=count)
        elif what == "end":
            ended = min(count, flying[number])
            used[number] += ended
            flying[number] -= ended
            given_ = report(used[number], flying[number])
        elif what == "give":
            given_ = report(used[number], flying[number], gives_back=True)
        else:
            durable.release(name, epochs[number])
            epochs[number] = opened(number)
            # What was in flight is sent again: its first sending may have cost its worst.
            used[number] += flying[number]
            flying[number] = 0
            continue
        piece = budgets.exchange("b", name, epochs[number], given_)
        has[number] = min(piece.calls or 0, used[number] + (piece.places or 0))
        if what == "ask" and piece.covers(given_.minimum):
            flying[number] += 1
            assert piece.refused is None
        elif what == "ask" and piece.refused is not None:
            assert sum(used) + 1 > most
        state = budgets.state("b")
        assert state is not None
        assert state.lent["places"] == sum(flying) or state.lent["places"] <= places
        for kind in ("calls", "tokens", "nanousd"):
            assert sum(used) <= sum(used) + sum(flying) <= most
            assert state.lent[kind] <= most
            assert state.used[kind] <= state.lent[kind]
    asyncio.run(store.aclose())


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "n" * 256},
        {"name": "n", "calls": -1},
        {"name": "n", "calls": 1.5},
        {"name": "n", "tokens": True},
        {"name": "n", "cost_usd": float("nan")},
        {"name": "n", "concurrency": 0},
        {"name": "n", "tokens": 10**16},
    ],
    ids=str,
)
def test_a_budget_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    """Before anything runs."""
    with pytest.raises(UsageError, match=r"shared budget|SharedBudget"):
        SharedBudget(**wrong)  # type: ignore[arg-type]


def test_a_shared_budget_without_a_store_is_refused(url: str) -> None:
    """What it would be shared through is named."""
    budget = SharedBudget(name="b", calls=1)
    with pytest.raises(UsageError, match=r"store=…, durable=True"):
        Runtime("echo", budget=budget)
    with pytest.raises(UsageError, match="must be a SharedBudget, got dict"):
        Runtime("echo", store=url, durable=True, budget={"calls": 1})  # type: ignore[arg-type]

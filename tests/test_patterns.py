"""The programs of the patterns, recipes and scenarios run on real data, and do what their pages say."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, ProviderError, Result, Runtime
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

ROOT = Path(__file__).parent.parent
PROGRAMS = ROOT / "examples" / "patterns"
REVIEWS = (ROOT / "examples" / "reviews.txt").read_text(encoding="utf-8")


def source(name: str) -> str:
    """A program's text."""
    return (PROGRAMS / f"{name}.scm").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Docstrings of a dozen modules of Python's standard library."""
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    script = ROOT / "examples" / "make_corpus.py"
    subprocess.run([sys.executable, str(script), str(path), "--limit", "12"], check=True, capture_output=True)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.scm")), ids=lambda path: path.stem)
async def test_a_program_runs_offline_on_real_data(path: Path, corpus: str) -> None:
    """With the extractive provider and the data that its first lines name."""
    text = path.read_text(encoding="utf-8")
    assert f"rlm-wasm run examples/patterns/{path.name} --context " in text
    named = text.split("--context ", 1)[1].split()[0]
    context = corpus if named == "corpus.txt" else (ROOT / named).read_text(encoding="utf-8")
    async with Runtime(provider="extractive") as runtime:
        result = await runtime.run(text, context=context, timeout_s=120)
    assert result.status == "finished", result.error
    assert result.value.strip()
    assert result.value not in ("Not found.", "no findings")


def test_there_are_sixteen_patterns_five_recipes_and_six_scenarios() -> None:
    """As in the usage guide."""
    names = [path.stem for path in PROGRAMS.glob("*.scm")]
    assert sorted(int(n[:2]) for n in names if n[0].isdigit()) == list(range(1, 17))
    assert len([n for n in names if n.startswith("recipe-")]) == 5
    assert len([n for n in names if n.startswith("scenario-")]) == 6


async def run(name: str, provider: Any, context: str = REVIEWS) -> Result:
    """Run a program with a provider of the test's own."""
    async with Runtime(provider=provider) as runtime:
        return await runtime.run(source(name), context=context)


async def test_fan_out_goes_on_without_a_section_that_fails(corpus: str) -> None:
    """Fail each of the first three calls in turn."""
    for nth in (1, 2, 3):
        count = 0

        def answer(request: CompletionRequest, nth: int = nth) -> str:
            nonlocal count
            count += 1
            if count == nth:
                raise ProviderError("no")
            return "fine"

        result = await run("01-parallel-fan-out", InlineProvider(answer), corpus)
        assert result.status == "finished"
        assert "11 of 12 sections" in result.stderr


async def test_fan_out_keeps_ten_calls_in_flight(corpus: str) -> None:
    """And no more."""
    gate = GatedProvider(bracketed)
    task = asyncio.create_task(run("01-parallel-fan-out", gate, corpus))
    await gate.arrived(10)
    while not task.done():
        gate.release_many(20)
        await asyncio.sleep(0)
    assert gate.peak == 10


async def test_generated_code_runs_over_the_whole_text() -> None:
    """The model saw a sample; its program counts every line."""
    program = 'Here:\n```scheme\n(length (filter non-empty-string? (string-split context "\\n")))\n```'
    assert (await run("02-code-generation", InlineProvider(lambda r: program))).value == "12"


async def test_generated_code_that_fails_is_replaced_by_a_question() -> None:
    """The program's error is said on standard error."""

    def answer(request: CompletionRequest) -> str:
        return "```scheme\n(car 5)\n```" if "Write a Scheme" in request.instruction else "the hinge"

    result = await run("02-code-generation", InlineProvider(answer))
    assert result.value == "the hinge"
    assert "the model's program failed" in result.stderr


async def test_a_critic_who_approves_ends_the_loop() -> None:
    """One draft, two rounds: five calls would be the most, four are made."""
    verdicts = iter(["rejected: too long", "Approved."])

    def answer(request: CompletionRequest) -> str:
        return next(verdicts) if "approved or rejected" in request.instruction else "a text"

    provider = InlineProvider(answer)
    assert (await run("04-critique-refine", provider)).value == "a text"
    assert len(provider.requests) == 4
    assert "too long" in provider.requests[2].instruction


@pytest.mark.parametrize(("plan", "calls"), [("direct", 2), ("LINES", 14), ("tree.", 2), ("no idea", 2)])
async def test_the_plan_chooses_the_pipeline(plan: str, calls: int) -> None:
    """A plan that names none means the direct way."""
    provider = InlineProvider(lambda r: plan if "Choose one of" in r.instruction else "answer")
    assert (await run("06-meta-orchestration", provider)).value == "answer"
    assert len(provider.requests) == calls


async def test_hedging_takes_the_first_answer_and_cancels_the_others() -> None:
    """Whichever it is."""
    for winner in range(3):
        gate = GatedProvider(lambda request: request.model or "")
        task = asyncio.create_task(run("07-speculative-execution", gate))
        await gate.arrived(3)
        model = gate.waiting[winner].model
        gate.release(winner)
        assert (await task).value == model
        await asyncio.sleep(0)
        assert len(gate.cancelled) == 2


async def test_only_what_the_cheap_model_was_unsure_of_is_done_again() -> None:
    """Two of twelve."""

    def answer(request: CompletionRequest) -> str:
        if request.model == "good":
            return "negative"
        return "unclear" if "hinge" in request.data or "phone" in request.data else "positive"

    provider = InlineProvider(answer)
    assert (await run("09-active-learning", provider)).value == "14 calls for 12 reviews"
    assert [r.model for r in provider.requests].count("good") == 2


async def test_no_merge_holds_more_than_five_texts(corpus: str) -> None:
    """However many chunks there are."""
    provider = InlineProvider(lambda r: "one line")
    assert (await run("10-tree-aggregation", provider, corpus)).ok
    merges = [r for r in provider.requests if "these summaries" in r.instruction]
    assert merges
    assert all(len(r.data.split("\n")) <= 5 for r in merges)


async def test_without_four_of_five_a_person_decides() -> None:
    """Three votes are no consensus."""
    yes = ("middle", "good")
    result = await run("11-consensus-protocol", InlineProvider(lambda r: "Yes." if r.model in yes else "no"))
    assert result.data == ["undecided: ask a person"] * 4
    result = await run(
        "11-consensus-protocol", InlineProvider(lambda r: "no" if r.model == "good" else "Yes.")
    )
    assert result.data == ["yes"] * 4


async def test_a_strategy_whose_answer_is_not_in_the_text_is_rejected() -> None:
    """The first answer is made up, the second call fails, the third is right."""
    answers = iter(["It has a phone line.", ProviderError("no"), "nobody answers the phone"])

    def answer(request: CompletionRequest) -> str:
        said = next(answers)
        if isinstance(said, Exception):
            raise said
        return said

    result = await run("12-backtracking-search", InlineProvider(answer))
    assert result.value == "nobody answers the phone"
    assert result.stderr.count("rejected: ") == 2


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_an_anytime_answer_survives_a_level_that_fails(nth: int) -> None:
    """The best one so far is kept."""
    count = 0

    def answer(request: CompletionRequest) -> str:
        nonlocal count
        count += 1
        if count == nth:
            raise ProviderError("no")
        return f"level {count}"

    assert (await run("13-anytime", InlineProvider(answer))).value == ("level 2" if nth == 3 else "level 3")


async def test_eight_questions_of_three_kinds_take_three_calls() -> None:
    """Wordings that differ in case and spaces are one question."""
    result = await run("14-memoization", InlineProvider(lambda r: "answer"))
    assert result.value == "8 questions, 3 calls"


async def test_a_stream_goes_on_where_it_stopped(corpus: str) -> None:
    """The third call fails; the next run asks only for what is left."""
    count = 0

    def answer(request: CompletionRequest) -> str:
        nonlocal count
        count += 1
        if count == 3:
            raise ProviderError("no")
        return f"known {count}"

    text = corpus[:20_000]
    provider = InlineProvider(answer)
    async with Runtime(provider=provider) as runtime:
        assert (await runtime.run(source("15-stream-processing"), context=text)).status == "error"
        result = await runtime.run(source("15-stream-processing"), context=text)
    assert result.status == "finished"
    assert provider.requests[3].data.startswith("known 2\n")
    assert len(provider.requests) == 6


async def test_a_bandit_prefers_the_model_that_answers_in_the_right_form() -> None:
    """The others are tried, and then left alone."""
    provider = InlineProvider(lambda r: "positive" if r.model == "middle" else "I would say it is fine")
    result = await run("16-multi-armed-bandit", provider)
    pulls = {str(item.items[0]): item.tail for item in result.data}
    assert pulls["middle"] > 3 * pulls["cheap"] > 0


async def test_the_late_hedge_asks_again_only_where_the_first_is_late() -> None:
    """A quick first answer is the only call."""
    provider = InlineProvider(lambda r: "the hinge")
    assert (await run("scenario-6-hedged-p99", provider)).value == "the hinge"
    assert len(provider.requests) == 1


def test_every_program_stands_in_a_page() -> None:
    """docs/patterns/ has a page for every program, word for word."""
    shown = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "patterns").glob("*.md"))
    for path in PROGRAMS.glob("*.scm"):
        assert f"```scheme\n{path.read_text(encoding='utf-8')}```" in shown, path.name


def test_the_measurements_bear_out_what_the_pages_say_of_them() -> None:
    """The verdicts are prose; these are the figures that they rest on."""

    def figures(name: str) -> list[list[float]]:
        rows = json.loads((ROOT / "benchmarks" / "patterns.json").read_text(encoding="utf-8"))[name]["rows"]
        return [[float(m.replace(",", "")) for m in re.findall(r"\d[\d,.]*", " ".join(row))] for row in rows]

    speed_ups = [row[-1] for row in figures("fan-out")]
    assert max(speed_ups[:3]) < 10 < speed_ups[-1]
    one, three, late = figures("hedging")
    assert one[-2] / three[-2] > 5
    assert late[-1] < 1.1
    _alone, by_three, by_five = figures("ensemble")
    assert by_three[1] < 93 < 94.5 < by_five[1]
    assert by_five[2] < 91
    cheap, dear, active = figures("active-learning")
    assert dear[-1] / active[-1] > 3
    assert active[0] > cheap[0]
    assert [row[0] for row in figures("cache")] == [1000, 400]
    assert figures("bandit")[-1][-1] == min(row[-1] for row in figures("bandit"))
    assert len({row[-3] for row in figures("tree")}) == 1
    assert figures("consensus")[1][-3] < 1
    assert figures("critique")[-1][1] > 90
    each, once, tried = figures("code-generation")
    assert each[-2] == 200 * once[-2]
    assert once[0] < 90 < 99 < tried[-4]
    alone, delegated = figures("delegation")
    assert alone[2] < delegated[2] == delegated[3]
    assert delegated[-1] > alone[-1]
    apart, short, whole = figures("fold")
    assert apart[0] == 0 < short[1] < whole[0] == whole[1]
    assert whole[-2] > 5 * apart[-2]
    *fixed, planned = figures("planning")
    assert planned[0] > max(row[0] for row in fixed)
    _cheap, good, verified = figures("backtracking")
    assert good[0] < verified[0]
    assert verified[-1] < good[-1]
    assert verified[-2] <= 1.5
    for good, levels in zip(figures("anytime")[::2], figures("anytime")[1::2], strict=True):
        assert levels[1] > good[1]
        assert levels[1] >= 90
        assert levels[2] >= good[2]
    batch, tens, single = figures("stream")
    assert batch[0] > 1700 > 60 > tens[0] > single[0] > 2
    assert [row[-1] for row in (batch, tens, single)] == [600, 10, 1]


COLLIDING = ("question 67480", "question 137245")
"""Two texts that a 32-bit hash once took for one."""


@pytest.mark.parametrize(
    "name", ["recipe-2-low-latency", "recipe-5-production", "14-memoization", "scenario-4-docs-qa"]
)
async def test_questions_whose_short_hashes_collide_get_their_own_answers(name: str) -> None:
    """Keys in the store are content-key, which has all of SHA-256."""
    text = source(name)
    program = text[: text.index("(finish")]
    first, second = COLLIDING
    ask = {
        "recipe-2-low-latency": '(finish (list (answer "{}") (answer "{}")))',
        "14-memoization": '(finish (list (answer "{}") (answer "{}")))',
        "scenario-4-docs-qa": '(finish (list (answer "{}") (answer "{}")))',
        "recipe-5-production": '(define (asked q) (set! question q) (set! key (string-append "production:" (content-key question context)))'
        ' (or (restore key) (checkpoint key (answer)))) (finish (list (asked "{}") (asked "{}")))',
    }[name].format(first, second)
    # What the programs ask for themselves on the way is not what is tested here.
    program = program.split("(define first-time")[0].split("(define questions")[0].split("(define day")[0]
    provider = InlineProvider(
        lambda r: "approved" if "approved or rejected" in r.instruction else f"[{r.instruction}]"
    )
    async with Runtime(provider=provider, python="off") as runtime:
        result = await runtime.run(program + ask, context=REVIEWS)
    assert result.data == [f"[{first}]", f"[{second}]"], result.error


def test_no_program_of_the_guide_makes_keys_by_a_short_hash() -> None:
    """``equal-hash-code`` and its kin are for tables, not for the store."""
    for path in (
        *PROGRAMS.glob("*.scm"),
        *(ROOT / "rlm_wasm").rglob("guide/**/*.md"),
        *(ROOT / "docs").rglob("*.md"),
    ):
        if path.name != "reference.md":
            assert not re.search(
                r"\((?:equal-hash|string-hash|hash-code|equal-hash-code)\b", path.read_text("utf-8")
            ), path


# ---- recipes and scenarios do what their steps say


async def test_recipe_1_votes_by_five_on_what_the_cheap_model_was_unsure_of() -> None:
    """And on nothing else: twelve cheap calls, two votes of five."""
    votes = iter(["positive", "negative", "negative", "negative", "positive"] * 2)

    def answer(request: CompletionRequest) -> str:
        unsure = "hinge" in request.data or "phone" in request.data
        if not unsure:
            return "positive"
        asked[request.data] = asked.get(request.data, 0) + 1
        return "unclear" if asked[request.data] == 1 else next(votes)

    asked: dict[str, int] = {}
    provider = InlineProvider(answer)
    result = await run("recipe-1-budget-quality", provider)
    assert result.value == "12 reviews, 22 calls (60 by vote alone)"
    assert set(asked.values()) == {1 + 5}
    first_of_all = [request.model for request in provider.requests[:12]]
    assert first_of_all == ["cheap"] * 12


async def test_recipe_2_asks_three_at_once_keeps_the_winner_and_asks_no_second_time() -> None:
    """The losers' requests are aborted."""
    gate = GatedProvider(lambda request: f"by {request.model}")
    task = asyncio.create_task(run("recipe-2-low-latency", gate))
    await gate.arrived(3)
    winner = gate.waiting[1].model
    gate.release(1)
    assert (await task).value == f"by {winner}"
    await asyncio.sleep(0)
    assert len(gate.cancelled) == 2
    assert len(gate.requests) == 3


async def test_recipe_3_merges_in_pairs_with_the_good_model_at_the_top(corpus: str) -> None:
    """Twelve leaves: six, three, two and one merges, an odd one going up as it is."""
    provider = InlineProvider(lambda r: f"<{r.model}>")
    result = await run("recipe-3-hierarchical-mapreduce", provider, corpus)
    assert result.value == "<good>"
    assert [r.model for r in provider.requests] == ["cheap"] * 12 + ["middle"] * (6 + 3 + 1) + ["good"]
    assert all(len(r.data.split("\n")) == 2 for r in provider.requests[12:])


async def test_recipe_3_says_where_there_is_nothing_to_read() -> None:
    """And asks nobody."""
    provider = InlineProvider(lambda r: "never")
    assert (await run("recipe-3-hierarchical-mapreduce", provider, "")).value == "nothing to read"
    assert provider.requests == []


async def test_recipe_4_begins_with_what_the_last_run_has_learnt() -> None:
    """The second run does not try the useless model again, as the first had to."""

    def answer(request: CompletionRequest) -> str:
        return "unclear" if request.model == "cheap" else "positive"

    provider = InlineProvider(answer)
    async with Runtime(provider=provider) as runtime:
        first = await runtime.run(source("recipe-4-adaptive"), context=REVIEWS)
        tried = [r.model for r in provider.requests].count("cheap")
        second = await runtime.run(source("recipe-4-adaptive"), context=REVIEWS)
        again = [r.model for r in provider.requests].count("cheap") - tried
    counts = [{str(item.items[0]): item.tail for item in result.data} for result in (first, second)]
    assert sum(counts[0].values()) == 12
    assert sum(counts[1].values()) == 24
    assert tried > again
    assert [r.model for r in provider.requests].count("good") == tried + again


@pytest.mark.parametrize(
    ("verdicts", "value", "calls"),
    [(["approved"], "draft", 2), (["rejected", "approved"], "better", 4), ([None], "draft", 2)],
)
async def test_recipe_5_has_an_answer_whatever_the_critic_does(
    verdicts: list[str | None], value: str, calls: int
) -> None:
    """Approved at once, after a refinement, or a critic that fails; the second run is answered by the store."""
    said = iter(verdicts)

    def answer(request: CompletionRequest) -> str:
        if "approved or rejected" in request.instruction:
            verdict = next(said)
            if verdict is None:
                raise ProviderError("no")
            return verdict
        return "draft" if request.model == "cheap" else "better"

    provider = InlineProvider(answer)
    async with Runtime(provider=provider) as runtime:
        for _ in range(2):
            assert (await runtime.run(source("recipe-5-production"), context=REVIEWS)).value == value
    assert len(provider.requests) == calls


async def test_scenario_2_stays_within_its_budget() -> None:
    """A call that may not fit is not sent."""
    long_answers = InlineProvider(
        lambda r: Completion(text="unclear", prompt_tokens=4000, completion_tokens=5)
    )
    result = await run("scenario-2-image-classification", long_answers)
    assert result.status == "error"
    assert "token budget exceeded" in result.error.message
    provider = InlineProvider(lambda r: "positive")
    assert (await run("scenario-2-image-classification", provider)).ok
    assert len(provider.requests) == 12


async def test_scenario_3_takes_the_quick_verdict_where_the_better_one_is_late() -> None:
    """Late is what has not come within a second; here it never comes."""

    class Slow(InlineProvider):
        inline = False

        async def complete(self, request: CompletionRequest) -> Completion:
            if request.model == "good":
                await asyncio.Event().wait()
            return await super().complete(request)

    program = source("scenario-3-chat-moderation").replace("with-timeout 1", "with-timeout 0")
    async with Runtime(provider=Slow(lambda r: r.model or ""), python="off") as runtime:
        result = await runtime.run(program, context="one\ntwo")
    assert [(str(item.items[0]), item.tail) for item in result.data] == [("cheap", 2)]


@pytest.mark.parametrize(("strategy", "calls"), [("each", 13), ("together", 2), ("no idea", 13)])
async def test_scenario_5_runs_the_pipeline_that_was_planned(strategy: str, calls: int) -> None:
    """Each ticket by itself where the plan says nothing else."""
    plan = json.dumps({"urgent": "broke", "strategy": strategy})
    provider = InlineProvider(lambda r: plan if r.json else "positive")
    assert (await run("scenario-5-support-tickets", provider)).ok
    assert len(provider.requests) == calls


async def test_scenario_6_starts_a_second_attempt_where_the_first_is_late() -> None:
    """The first never answers; the second one's answer counts, and the first is cancelled."""

    class First(InlineProvider):
        inline, hung = False, 0

        async def complete(self, request: CompletionRequest) -> Completion:
            self.hung += 1
            if self.hung == 1:
                await asyncio.Event().wait()
            return await super().complete(request)

    provider = First(lambda r: "the hinge")
    program = source("scenario-6-hedged-p99").replace("patience-s 4", "patience-s 0")
    async with Runtime(provider=provider, python="off") as runtime:
        result = await runtime.run(program, context=REVIEWS)
    assert (result.value, provider.hung) == ("the hinge", 2)

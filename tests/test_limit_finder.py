"""The smallest limits under which a program gives the same result: they hold, and one less does not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from rlm_wasm import Limits, ProviderError, Runtime, UsageError
from rlm_wasm.cli import main
from rlm_wasm.limit_finder import find_limits, growth_of
from rlm_wasm.providers.prices import Price, PriceTable
from rlm_wasm.testing import EchoProvider, InlineProvider, ScriptedProvider

FAN_OUT = """
(map-async (lambda (line) (llm-query-async #:instruction "name it" #:data line))
           (string-split (get-context) "\\n"))"""
LINES = "one\ntwo\nthree\nfour\n"

WHOLE = [
    "fuel",
    "memory_bytes",
    "python_memory_bytes",
    "message_bytes",
    "host_bytes",
    "checkpoint_bytes",
    "output_bytes",
    "handles",
    "calls",
    "tokens",
]
STEPS = {"memory_bytes": 1 << 16, "python_memory_bytes": 1 << 20}

PROGRAMS: dict[str, tuple[str, str | None]] = {
    "a sum": ("(+ 1 2)", None),
    "a fan-out": (FAN_OUT, LINES),
    "much memory": ("(length (vector->list (make-vector 200000 0)))", None),
    "much output": ('(for ([i 500]) (display "line")) 7', None),
    "a checkpoint": ('(checkpoint "k" (range 1000)) (length (restore "k"))', None),
    "Python": ('(py-eval "len(list(range(1000)))")', None),
    "a caught failure": ('(try (llm-query #:instruction "fail") on-error (lambda (m) m))', None),
}


def answer(request: object) -> object:
    """Answers everything but "fail"."""
    instruction = getattr(request, "instruction", "")
    return ProviderError("no") if instruction == "fail" else f"[{instruction}]"


async def outcome(source: str, context: str | None, limits: Limits) -> tuple[str, str, str, tuple[str, ...]]:
    """What a program gives under these limits, in a runtime of its own."""
    async with Runtime(provider=ScriptedProvider(answer), limits=limits) as runtime:
        result = await runtime.run(source, context=context)
        return result.status, result.value, result.stdout, result.truncated


@pytest.mark.parametrize("which", PROGRAMS)
async def test_what_is_found_is_enough_and_one_less_of_anything_is_not(which: str) -> None:
    """Each limit by itself: the others stand as they were found."""
    source, context = PROGRAMS[which]
    needs = await find_limits(source, context=context, provider=ScriptedProvider(answer), growth=False)
    wanted = await outcome(source, context, Limits())
    assert await outcome(source, context, needs.limits) == wanted
    for name in WHOLE:
        value = getattr(needs.limits, name)
        step = STEPS.get(name, 1)
        if value is None or value < step:
            continue
        assert await outcome(source, context, replace(needs.limits, **{name: value - step})) != wanted, name


async def test_the_provider_is_asked_once_for_each_call() -> None:
    """However many runs the search takes."""
    provider = ScriptedProvider(answer)
    needs = await find_limits(FAN_OUT, context=LINES, provider=provider, growth=False)
    assert needs.runs > 50
    assert len(provider.requests) == 4


async def test_tokens_and_money_are_found_where_calls_have_a_price() -> None:
    """What a call reserves counts, not only what it used in the end."""
    prices = PriceTable({"scripted": Price(1.0, 2.0)})
    provider = ScriptedProvider(answer, prices=prices)
    needs = await find_limits(FAN_OUT, context=LINES, provider=provider, growth=False)
    used = needs.result.execution
    assert needs.limits.tokens is not None
    assert needs.limits.tokens > used.tokens
    assert needs.limits.cost_usd is not None
    assert used.cost_usd is not None
    assert needs.limits.cost_usd > used.cost_usd > 0


async def test_growth_tells_linear_from_quadratic() -> None:
    """By the second doubling against the first, so that what every program costs does not count."""
    pairs = '(define l (string-split (get-context) "\\n")) (for*/sum ([a l] [b l]) (string-length a))'
    text = "some words in a line\n" * 40
    linear = await find_limits(
        "(string-length (string-upcase (get-context)))", context=text * 50, provider=EchoProvider()
    )
    square = await find_limits(pairs, context=text, provider=EchoProvider())
    fuel = {
        which: next(r for r in needs.growth if r.name == "fuel")
        for which, needs in (("linear", linear), ("square", square))
    }
    assert (fuel["linear"].kind, fuel["linear"].suspicious) == ("linear", False)
    assert (fuel["square"].kind, fuel["square"].suspicious) == ("quadratic", True)


async def test_growth_of_a_fan_out_is_linear_in_whatever_is_short() -> None:
    """Neither the work of the collector in little memory nor a message of the host's hides that."""
    reviews = "Fast delivery, good fit.\nIt broke on the second day.\n" * 6
    program = """(define reviews (string-split (get-context) "\n" #:trim? #t))
    (define found (map-async (lambda (r) (vote (for/list ([i 3]) (lambda () (syntax-e
        (llm-query #:instruction "Sum up." #:data r)))) #:method 'plurality)) reviews #:max-concurrent 5))
    (for ([r reviews] [f found]) (printf "~a ~a\n" r f))
    (length found)"""
    needs = await find_limits(program, context=reviews, provider=EchoProvider())
    assert [row.name for row in needs.growth if row.suspicious] == []


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((1_389, 1_440, 2_880), "linear"),
        ((100, 100, 180), "linear"),
        ((101, 104, 116), "quadratic"),
        ((101, 108, 164), "cubic or worse"),
        ((5, 9, 17), "linear"),
        ((7, 7, 7), "constant"),
        ((0, 0, 0), "constant"),
        ((0, 0, 2_621_440), "grows"),
        ((0, 1, 3), "linear"),
        ((5, 0, 3), "linear"),
    ],
)
def test_growth_is_judged_by_the_part_that_grows(values: tuple[float, ...], kind: str) -> None:
    """Beside a part that does not: one that is added, or one that is the larger at first."""
    assert growth_of("fuel", "instructions", values).kind == kind


async def test_growth_counts_calls_and_does_not_judge_time() -> None:
    """Time is shown, and is never the same twice."""
    needs = await find_limits(FAN_OUT, context=LINES, provider=EchoProvider())
    rows = {row.name: row for row in needs.growth}
    assert rows["calls"].values == (4, 8, 16)
    assert rows["time"].exponent is None
    assert not rows["time"].suspicious


async def test_a_json_list_grows_by_its_items() -> None:
    """Not by its text twice, which would be no JSON."""
    program = "(length (string->jsexpr (get-context)))"
    needs = await find_limits(program, context="[1, 2, 3]", provider=EchoProvider())
    assert needs.growth
    assert not needs.notes


async def test_growth_that_would_be_paid_for_is_measured_only_when_asked() -> None:
    """And a note says so."""
    provider = ScriptedProvider(answer)
    needs = await find_limits(FAN_OUT, context=LINES, provider=provider)
    assert needs.growth == ()
    assert any("pay" in note for note in needs.notes)
    await find_limits(FAN_OUT, context=LINES, provider=provider, growth=True)
    assert len(provider.requests) == 4 + (4 + 4 + 8)  # twice the lines ask each for a second time


async def test_phases_add_up_to_the_whole() -> None:
    """What every program costs, up to the first call, and the rest."""
    needs = await find_limits(FAN_OUT, context=LINES, provider=InlineProvider(), growth=False)
    assert [phase.name for phase in needs.phases] == ["set-up", "to the first call", "the rest"]
    assert sum(phase.fuel for phase in needs.phases) == needs.result.execution.fuel
    assert [phase.calls for phase in needs.phases] == [0, 0, 4]
    assert all(phase.fuel > 0 for phase in needs.phases)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("(car 1)", {}, "ends with status error"),
        ("(range 100000)", {"limits": Limits(fuel=1_000_000)}, "under the limits that it was given.*fuel"),
        ("(list (current-inexact-milliseconds))", {}, "another result each time"),
        ("(make-string 2000000 #\\a)", {}, "cut at output_bytes"),
        ("(+ 1", {}, "ends with status error"),
    ],
    ids=["error", "limit", "clock", "cut", "unread"],
)
async def test_what_cannot_be_searched_is_said(
    source: str, options: Mapping[str, Limits], message: str
) -> None:
    """Before any limit is tried."""
    with pytest.raises(UsageError, match=message):
        await find_limits(source, provider=EchoProvider(), **options)


async def test_a_program_that_asks_by_the_clock_is_found_out() -> None:
    """Its second run asks what nobody answered."""
    program = "(llm-query #:instruction (number->string (current-inexact-milliseconds)))"
    with pytest.raises(UsageError, match="asks for something else each time"):
        await find_limits(program, provider=ScriptedProvider(answer))


async def test_a_margin_leaves_room_and_keeps_what_a_limit_can_be() -> None:
    """message_bytes has a maximum of its own."""
    needs = await find_limits("(+ 1 2)", provider=EchoProvider(), growth=False)
    exact, roomy = needs.found(), needs.found(0.5)
    assert roomy.fuel == -(-exact.fuel * 3 // 2)
    large = replace(needs, limits=replace(needs.limits, message_bytes=60 << 20))
    assert large.found(0.5).message_bytes == 64 << 20
    assert eval(needs.text(), {"Limits": Limits}).fuel == exact.fuel


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """``rlm-wasm limits`` in this process."""
    with pytest.raises(SystemExit) as ended:
        main(["limits", "-p", "echo", *arguments])
    assert isinstance(ended.value.code, int)
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_the_command_prints_limits_to_paste(capsys: pytest.CaptureFixture[str]) -> None:
    """They are Python."""
    status, out, _ = command(capsys, "-e", "(+ 1 2)")
    assert status == 0
    code = out.split("\n\n")[0]
    assert eval(code, {"Limits": Limits}).calls == 0
    assert "set-up" in out


def test_the_command_warns_of_what_grows_like_the_square(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """On standard error; the table has the figures."""
    text = tmp_path / "lines.txt"
    text.write_text("words\n" * 60)
    program = '(define l (string-split (get-context) "\\n")) (for*/sum ([a l] [b l]) 1)'
    status, out, err = command(capsys, "-c", str(text), "-e", program)
    assert status == 0
    assert "quadratic" in out
    assert "warning: fuel is quadratic" in err


def test_the_command_has_a_json_form(capsys: pytest.CaptureFixture[str]) -> None:
    """With the same figures."""
    status, out, _ = command(capsys, "--json", "--margin", "10", "-e", "(+ 1 2)")
    found = json.loads(out)
    assert status == 0
    assert found["limits"]["calls"] == 0
    assert f"fuel={found['limits']['fuel']:_}" in found["code"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give one program"),
        (["-e", " "], "empty"),
        (["-e", "1", "--store", "sqlite:///x.db"], "reads no store"),
        (["-e", "(car 1)"], "ends with status error"),
        (["nosuch.scm"], "cannot read"),
    ],
)
def test_mistakes_of_the_command_are_usage_errors(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """Exit status 2, and what was wrong."""
    status, _, err = command(capsys, *arguments)
    assert status == 2
    assert words in err

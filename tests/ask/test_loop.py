"""An ask: programs until one finishes, and a clear Answer where none does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pydantic
import pytest

import rlm_wasm
from rlm_wasm import Answer, Completion, CompletionRequest, Limits, ProviderError, Runtime, Step, UsageError
from rlm_wasm.asking.bounds import SHOWN
from rlm_wasm.asking.prompts import reference
from rlm_wasm.asking.transcript import MAX_CHARS
from rlm_wasm.providers.openai import OpenAIProvider
from rlm_wasm.providers.prices import Price, PriceTable
from rlm_wasm.providers.scripted import ScriptedProvider
from rlm_wasm.providers.tokens import estimate_tokens
from rlm_wasm.testing import Fault, GatedProvider, InlineProvider, OpenAIServer

TEXT = "The magic number is 42.\nNothing else matters.\n"


def fenced(program: str) -> str:
    """As a model answers."""
    return f"```scheme\n{program}\n```"


def root(*replies: Any, sub: str = "sub-answer") -> InlineProvider:
    """A model that writes these, one after another, and answers other calls with ``sub``."""
    left = list(replies)

    def answer(request: CompletionRequest) -> Any:
        if request.purpose != "program":
            return sub
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    return InlineProvider(answer)


async def asked(
    provider: Any, question: str = "What is the number?", context: Any = TEXT, **options: Any
) -> Answer:
    """One question in a runtime of its own."""
    limits = options.pop("limits", None)
    async with Runtime(provider=provider, limits=limits) as runtime:
        return await runtime.ask(question, context, **options)


async def test_a_program_that_finishes_is_the_answer() -> None:
    """With its steps: what ran, what it gave, what it cost."""
    provider = root(
        fenced('(define n (context-length))\n(displayln "looked")\n(list n "x")'), fenced("(finish n)")
    )
    answer = await asked(provider)
    assert (answer.status, answer.value, answer.data, answer.how) == (
        "finished",
        str(len(TEXT)),
        len(TEXT),
        "program",
    )
    assert answer.computed
    first, second = answer.steps
    assert (first.number, first.status, first.value, first.output) == (
        1,
        "ok",
        f'({len(TEXT)} "x")',
        "looked",
    )
    assert second.program == "(finish n)"
    assert (first.calls, second.calls, answer.execution.calls) == (1, 1, 2)
    assert answer.raise_for_status() is answer


async def test_the_model_is_told_the_task_the_data_and_what_is_left() -> None:
    """And sees of the data no more than its ends."""
    provider = root(fenced("(finish 1)"))
    text = "name,age,city\nAda,36,London\n" + "Bob,40,Paris\n" * 100_000
    await asked(provider, context={"people.csv": text, "notes": "# One\n\ntext\n\n## Two\n\nmore\n"})
    (request,) = provider.requests
    assert "What is the number?" in request.instruction
    assert reference() in request.instruction
    assert f'(get-context "people.csv"): {len(text):,} characters, 100,002 lines, CSV' in request.data
    assert "header: name, age, city" in request.data
    assert "headings: # One; ## Two" in request.data
    assert "20 of 20 iterations, 999 calls" in request.data.replace("998", "999")
    assert len(request.data) < 2_000
    assert request.purpose == "program"


def test_the_reference_stays_small() -> None:
    """It goes with every iteration."""
    assert estimate_tokens(reference()) <= 1_800


async def test_prose_is_asked_again_and_never_the_answer() -> None:
    """So is an empty reply, and one with reasoning only; each is counted."""
    provider = root("It is 42.", "", "<think>(finish 42)</think>", fenced("(finish 6)"))
    answer = await asked(provider)
    assert (answer.value, answer.asked_again, len(answer.steps)) == ("6", 3, 4)
    assert "holds no Scheme program" in provider.requests[1].data
    assert "is empty" in provider.requests[2].data
    assert "reasoning" in provider.requests[3].data
    assert [step.program for step in answer.steps] == ["", "", "", "(finish 6)"]


def with_choice(content: Any, reason: str = "stop", **message: Any) -> Fault:
    """A server's answer with this message."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": reason,
    }
    return Fault.body({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})


CALLED = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("nothing", "words"),
    [
        (with_choice(""), "empty"),
        (with_choice(" \n"), "empty"),
        (with_choice(None), "no content"),
        (with_choice([]), "no content"),
        (with_choice("<think>First I</think>"), "reasoning alone"),
        (with_choice(None, reasoning_content="First I"), "reasoned and gave no answer"),
        (with_choice("", reasoning="First I"), "reasoned and gave no answer"),
        (with_choice("", "length"), "before it began to answer"),
        (with_choice(None, refusal="I cannot"), "refused: I cannot"),
        (with_choice("half", "content_filter"), "content filter"),
        (with_choice(None, "tool_calls", tool_calls=CALLED), "called a tool"),
    ],
)
async def test_a_server_that_says_nothing_is_asked_again(nothing: Fault, words: str) -> None:
    """In whichever of its ways: counted, shown to the model with what came, and never the end of it."""
    async with OpenAIServer(lambda request: fenced("(finish 1)")) as server:
        server.next(nothing)
        provider = OpenAIProvider(base_url=server.base_url, api_key="k", model="m")
        answer = await asked(provider)
    assert (answer.status, answer.value, answer.asked_again) == ("finished", "1", 1)
    assert words in answer.steps[0].error
    assert words in server.requests[1].user


async def test_a_last_word_that_is_none_is_asked_for_once_more() -> None:
    """Where the provider calls it a failed call."""
    async with OpenAIServer(
        lambda request: fenced("1") if "Write the next program" in request.user else "42"
    ) as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="k", model="m")

        answer = await asked(provider, max_iterations=1, on_step=lambda step: server.next(with_choice(None)))
    assert (answer.value, answer.how, answer.asked_again) == ("42", "last word", 1)


@pytest.mark.parametrize("empty", ['(finish "")', '(finish "  ")', "(finish)", "(finish (void))"])
async def test_an_empty_value_is_no_answer(empty: str) -> None:
    """The model is told, and goes on."""
    provider = root(fenced(empty), fenced("(finish 7)"))
    answer = await asked(provider)
    assert answer.value == "7"
    assert answer.steps[0].error


async def test_an_error_is_shown_with_place_and_hint() -> None:
    """And the program after it sees the definitions before it."""
    provider = root(fenced("(define kept 5)\n(string-length 5)"), fenced("(finish kept)"))
    answer = await asked(provider)
    assert answer.value == "5"
    shown = provider.requests[1].data
    assert "It failed: string-length" in shown
    assert "line 2" in shown
    assert answer.steps[0].error in shown


async def test_what_is_shown_is_bounded_at_head_and_tail() -> None:
    """Value, output and program alike, whatever their size."""
    program = (
        '(display "HEAD") (display (make-string 500000 #\\a)) (display "TAIL")\n'
        '(string-append "FIRST" (make-string 500000 #\\b) "LAST")'
    )
    provider = root(fenced(program), fenced("(finish 1)"))
    answer = await asked(provider)
    step = answer.steps[0]
    assert len(step.output) <= SHOWN
    assert len(step.value) <= SHOWN
    assert step.output.startswith("HEAD")
    assert step.output.endswith("TAIL")
    assert step.value.startswith('"FIRST')
    assert step.value.endswith('LAST"')
    assert "characters left out" in step.output
    assert step.value in provider.requests[1].data


async def test_old_iterations_are_compacted_and_the_last_is_whole() -> None:
    """The prompt stays bounded however long it goes on."""
    long = fenced("(display (make-string 9000 #\\a)) (make-string 9000 #\\b)")
    provider = root(*[long] * 12, fenced("(finish 1)"))
    answer = await asked(provider)
    assert len(answer.steps) == 13
    last = provider.requests[-1].data
    assert len(last) < MAX_CHARS + 5_000
    assert "## Iteration 1, shortened" in last
    assert "## Iteration 12\n" in last
    assert "a" * 9_000 in last


async def test_a_long_question_becomes_a_context() -> None:
    """No prompt holds it."""
    provider = root(fenced('(finish (context-length "question"))'))
    answer = await asked(provider, question="q" * 30_000)
    assert answer.value == "30000"
    assert all(len(request.instruction) + len(request.data) < 12_000 for request in provider.requests)


async def test_what_a_check_finds_is_shown_before_a_program_runs() -> None:
    """So that nothing is spent on a program that must fail."""
    provider = root(fenced('(llm-query #:instruction "q")\n(finish (no-such 1))'), fenced("(finish 2)"))
    answer = await asked(provider)
    assert answer.value == "2"
    assert answer.steps[0].status == "unrun"
    assert "unbound variable: no-such (line 2" in provider.requests[1].data
    assert len(provider.requests) == 2, "the first program's call was never made"


# ---- limits


async def test_used_up_iterations_end_in_a_last_word_that_is_marked() -> None:
    """It is no computed answer, and the Answer says so in every way."""
    provider = root(fenced('(displayln "found: 42")'), sub="42, it seems")
    answer = await asked(provider, max_iterations=3)
    assert (answer.status, answer.value, answer.how, answer.computed) == (
        "limit",
        "42, it seems",
        "last word",
        False,
    )
    assert answer.error is not None
    assert (answer.error.kind, answer.error.used, answer.error.limit) == ("iterations", 3, 3)
    assert any("not computed" in note for note in answer.notes)
    assert not answer.ok
    last = provider.requests[-1]
    assert last.purpose == "query"
    assert "found: 42" in last.data
    assert len(provider.requests) == 4
    with pytest.raises(rlm_wasm.LimitExceeded, match="iterations"):
        answer.raise_for_status()


async def test_a_model_that_never_writes_a_program_is_told_apart() -> None:
    """Its prose is its last word, at the most."""
    answer = await asked(root("The answer is 42.", sub="I found nothing."), max_iterations=4)
    assert (answer.status, answer.how, answer.asked_again) == ("limit", "last word", 4)
    assert answer.value == "I found nothing."
    assert answer.execution.calls == 5
    assert all("holds no Scheme program" in step.error for step in answer.steps)


@pytest.mark.parametrize("calls", [3, 4, 10])
async def test_calls_that_run_out_leave_one_for_the_last_word(calls: int) -> None:
    """It was kept back; the limit holds exactly."""
    spend = fenced('(define (go) (llm-query #:instruction "more") (go)) (displayln "begun") (go)')
    provider = root(spend, sub="so far: begun")
    answer = await asked(provider, limits=Limits(calls=calls))
    assert answer.error is not None
    assert (answer.status, answer.error.kind, answer.value) == ("limit", "calls", "so far: begun")
    assert len(provider.requests) == answer.execution.calls == calls
    assert answer.steps[0].output == "begun", "what was found so far"


async def test_money_that_runs_out_leaves_some_for_the_last_word() -> None:
    """A tenth was kept back, and the ceiling holds."""

    def answer_to(request: CompletionRequest) -> Any:
        if request.purpose == "program":
            return fenced(
                '(displayln "begun") (let loop () (llm-query #:instruction "more" #:max-tokens 100) (loop))'
            )
        return "the last word"

    provider = ScriptedProvider(answer_to, model="m", prices=PriceTable({"m": Price(10.0, 10.0)}))
    answer = await asked(provider, limits=Limits(cost_usd=0.1))
    assert answer.error is not None
    assert (answer.status, answer.error.kind, answer.value) == ("limit", "cost_usd", "the last word")
    assert answer.execution.cost_usd is not None
    assert 0.05 < answer.execution.cost_usd <= 0.1


async def test_a_ceiling_too_low_for_any_call_says_so() -> None:
    """Without having asked anybody."""
    provider = root(fenced("(finish 1)"))
    answer = await asked(provider, limits=Limits(tokens=100))
    assert answer.error is not None
    assert (answer.status, answer.error.kind, answer.value, answer.how) == ("limit", "tokens", "", "none")
    assert provider.requests == []
    assert any("nothing could be said" in note for note in answer.notes)


async def test_fuel_is_one_account_for_all_iterations() -> None:
    """Twenty programs have no more of it than one."""
    burn = fenced("(let loop ([i 0]) (if (< i 80000) (loop (+ i 1)) i))")
    answer = await asked(root(burn, sub="at last"), limits=Limits(fuel=60_000_000))
    assert answer.error is not None
    assert (answer.status, answer.error.kind, answer.value) == ("limit", "fuel", "at last")
    assert 1 < len(answer.steps) < 20


async def test_memory_that_runs_out_ends_one_program_only() -> None:
    """The next one may want less."""
    answer = await asked(
        root(fenced("(make-vector 100000000 1)"), fenced("(finish 1)")), limits=Limits(memory_bytes=16 << 20)
    )
    assert answer.value == "1"
    assert answer.steps[0].status == "limit"
    assert "memory_bytes" in answer.steps[0].error


async def test_time_that_runs_out_leaves_some_for_the_last_word() -> None:
    """The program is ended, not the question."""
    answer = await asked(root(fenced('(displayln "begun") (sleep 1000)'), sub="at last"), timeout_s=0.5)
    assert answer.error is not None
    assert (answer.status, answer.error.kind, answer.error.limit) == ("limit", "timeout_s", 0.5)
    assert (answer.value, answer.steps[0].output) == ("at last", "begun")


async def test_a_model_that_does_not_answer_in_time_ends_it() -> None:
    """Then there is nobody to have the last word."""
    gate = GatedProvider(lambda request: "late")
    answer = await asked(gate, timeout_s=0.2)
    assert answer.error is not None
    assert (answer.status, answer.error.kind, answer.value) == ("limit", "timeout_s", "")


# ---- what goes wrong


@pytest.mark.parametrize("context", ["", " \n", {"a": "", "b": "\n"}])
async def test_an_empty_context_costs_nothing(context: Any) -> None:
    """It says that there is nothing to answer from."""
    provider = root(fenced("(finish 1)"))
    answer = await asked(provider, context=context)
    assert answer.error is not None
    assert answer.status == "error"
    assert "empty" in answer.error.message
    assert provider.requests == []


async def test_an_unknown_model_is_an_answer_with_what_was_found() -> None:
    """The provider's words, and the steps before."""
    provider = root(fenced("(displayln 1)"), ProviderError("the model nosuch does not exist", status=404))
    answer = await asked(provider)
    assert answer.error is not None
    assert (answer.status, answer.error.type) == ("error", "exn:fail:llm")
    assert "nosuch does not exist" in answer.error.message
    assert (len(answer.steps), answer.execution.calls) == (1, 2)


async def test_no_key_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a script, too."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    answer = await asyncio.to_thread(rlm_wasm.ask, "q", "text", provider="openai")
    assert answer.status == "error"
    assert answer.error is not None
    assert "OPENAI_API_KEY" in answer.error.message


async def test_a_provider_that_breaks_is_an_answer() -> None:
    """Whatever it raises."""
    answer = await asked(root(ZeroDivisionError("oops")))
    assert answer.error is not None
    assert "ZeroDivisionError: oops" in answer.error.message


async def test_a_last_call_that_fails_leaves_what_was_found() -> None:
    """The notes say why there is no last word."""

    def answer_to(request: CompletionRequest) -> str:
        if request.purpose == "program":
            return fenced('(displayln "found")')
        raise ProviderError("gone")

    answer = await asked(InlineProvider(answer_to), max_iterations=2)
    assert (answer.status, answer.value, answer.how) == ("limit", "", "none")
    assert any("gone" in note for note in answer.notes)
    assert answer.steps[-1].output == "found"


async def test_an_empty_last_word_is_asked_for_once_more() -> None:
    """Reasoning alone is empty, too."""
    said = ["<think>hm", "42"]

    def answer_to(request: CompletionRequest) -> str:
        return fenced("(displayln 1)") if request.purpose == "program" else said.pop(0)

    answer = await asked(InlineProvider(answer_to), max_iterations=1)
    assert (answer.value, answer.asked_again, answer.execution.calls) == ("42", 1, 3)


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("", {}),
        (5, {}),
        ("q", {"max_iterations": 0}),
        ("q", {"timeout_s": -1}),
        ("q", {"timeout_s": "5"}),
        ("q", {"timeout_s": float("nan")}),
        ("q", {"model": 5}),
        ("q", {"model": "a\nb"}),
        ("q", {"model": "m" * 300}),
        ("q", {"answer_type": {"type": "nonsense"}}),
        ("q", {"answer_type": 17}),
    ],
)
async def test_a_slip_of_the_caller_is_raised(question: Any, options: dict[str, Any]) -> None:
    """Before anything is asked."""
    provider = root(fenced("(finish 1)"))
    with pytest.raises(UsageError):
        await asked(provider, question=question, **options)
    assert provider.requests == []


async def test_it_can_be_cancelled_while_the_model_thinks() -> None:
    """The Answer says so; the session is free again."""
    gate = GatedProvider(lambda request: fenced("(finish 1)"))
    async with Runtime(provider=gate) as runtime, runtime.session() as session:
        await session.load_context(TEXT)
        asking = asyncio.ensure_future(session.ask("q"))
        await gate.arrived(1)
        assert session.running
        with pytest.raises(UsageError, match="executing already"):
            await session.execute("1")
        session.cancel()
        answer = await asking
        assert answer.status == "cancelled"
        assert not session.running
        assert (await session.execute("(+ 1 2)")).value == "3"


async def test_it_can_be_cancelled_in_the_middle_of_a_program() -> None:
    """Its steps are there."""
    provider = root(fenced('(displayln "on") (sleep 1000)'))
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        await session.load_context(TEXT)
        answer = await session.ask("q", on_output=lambda stream, text: session.cancel())
    assert answer.status == "cancelled"
    assert answer.steps[0].output == "on"


async def test_what_programs_define_stays_in_the_session() -> None:
    """A second question finds it; limits count anew."""
    async with (
        Runtime(provider=root(fenced("(define n 20) (finish n)"), fenced("(finish (+ n 1))"))) as runtime,
        runtime.session(limits=Limits(calls=3)) as session,
    ):
        await session.load_context(TEXT)
        assert (await session.ask("first")).value == "20"
        assert (await session.ask("second")).value == "21"
        assert (await session.execute("n")).value == "20"


async def test_a_question_about_one_of_the_contexts() -> None:
    """The others are not described; one that is not there is a slip."""
    provider = root(fenced("(finish 1)"))
    async with Runtime(provider=provider) as runtime, runtime.session() as session:
        await session.load_context("alpha", "a")
        await session.load_context("beta", "b")
        await session.ask("q", contexts=["b"])
        assert "beta" in provider.requests[0].data
        assert "alpha" not in provider.requests[0].data
        with pytest.raises(UsageError, match=r"no context named 'c' \(loaded: a, b\)"):
            await session.ask("q", contexts=["c"])


async def test_every_iteration_is_told_when_it_is_over() -> None:
    """For who shows it as it goes."""
    told: list[Step] = []
    answer = await asked(root("prose", fenced("(finish 1)")), on_step=told.append)
    assert tuple(told) == answer.steps


async def test_root_and_sub_model_are_two() -> None:
    """Programs that name no model ask the second."""
    provider = root(fenced('(finish (syntax-e (llm-query #:instruction "q")))'))
    answer = await asked(provider, model="root", sub_model="sub")
    assert [request.model for request in provider.requests] == ["root", "sub"]
    assert "go to sub" in provider.requests[0].instruction
    assert answer.value == "sub-answer"


async def test_calls_of_one_program_overlap() -> None:
    """As they do anywhere."""
    gate = GatedProvider(
        lambda request: (
            fenced('(finish (map-async (lambda (i) (llm-query-async #:instruction "q")) (range 4)))')
            if request.purpose == "program"
            else "x"
        )
    )
    async with Runtime(provider=gate) as runtime:
        asking = asyncio.ensure_future(runtime.ask("q", TEXT))
        await gate.arrived(1)
        gate.release()
        await gate.arrived(4)
        gate.release_all()
        answer = await asking
    assert answer.data == ["x"] * 4
    assert gate.peak == 4


# ---- what an answer must be


class Person(pydantic.BaseModel):
    """For answer_type."""

    name: str
    age: int


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}


async def test_an_answer_is_a_pydantic_model() -> None:
    """Of a hash table with symbols or strings, or of JSON text; what does not fit is shown back."""
    provider = root(fenced('(finish (hash \'name "Ada"))'), fenced('(finish (hash "name" "Ada" \'age 36))'))
    answer = await asked(provider, answer_type=Person)
    assert answer.parsed == Person(name="Ada", age=36)
    assert answer.data == {"name": "Ada", "age": 36}
    assert "does not fit the schema: age: Field required" in provider.requests[1].data
    assert '"age"' in provider.requests[0].instruction
    json.dumps(answer.to_dict())


async def test_an_answer_fits_a_json_schema() -> None:
    """Text that is JSON counts as what it says."""
    provider = root(fenced("(finish (hash 'n 0))"), fenced('(finish "{\\"n\\": 3}")'))
    answer = await asked(provider, answer_type=SCHEMA)
    assert answer.parsed == answer.data == {"n": 3}
    assert "n: 0 is less than the minimum of 1" in answer.steps[0].error


async def test_a_schema_that_nothing_meets_ends_with_what_was_said() -> None:
    """No parsed answer, and every failure in the steps."""
    answer = await asked(root(fenced("(finish 5)"), sub="five"), answer_type={"not": {}}, max_iterations=3)
    assert (answer.status, answer.parsed, answer.value) == ("limit", None, "five")
    assert all("does not fit the schema" in step.error for step in answer.steps)
    assert any("does not fit the answer's type" in note for note in answer.notes)


async def test_a_last_word_that_fits_is_parsed() -> None:
    """It is still not computed."""
    answer = await asked(
        root(fenced("(displayln 1)"), sub='```json\n{"n": 7}\n```'), answer_type=SCHEMA, max_iterations=1
    )
    assert (answer.parsed, answer.how) == ({"n": 7}, "last word")


async def test_a_reference_in_a_schema_reaches_for_no_network() -> None:
    """What it names is not there, and that is said."""
    answer = await asked(
        root(fenced("(finish 5)"), sub=""),
        answer_type={"$ref": "http://localhost:1/x.json"},
        max_iterations=1,
    )
    assert "cannot be applied" in answer.steps[0].error


# ---- without a model that writes programs


async def test_the_extractive_provider_runs_the_planners_program_and_says_so() -> None:
    """Over all contexts, by searching for a fact."""
    answer = await asked("extractive", "What is the magic number?", {"a": "x y. " * 9_000, "b": TEXT})
    assert (answer.status, answer.how) == ("finished", "plan")
    assert "magic number is 42" in answer.value
    assert any("writes no programs" in note and "Search every part" in note for note in answer.notes)
    assert len(answer.steps) == 1
    assert "context-chunks" in answer.steps[0].program


async def test_contexts_without_text_are_left_out_of_a_plan() -> None:
    """A part that says nothing would be answered from the question itself."""
    contexts = {"a": "", "b": "The captain was Ada.", "c": " \n "}
    answer = await asked("extractive", "Who was the captain?", contexts)
    assert answer.value == "The captain was Ada."
    assert '(list "b")' in answer.steps[0].program or '"b"' in answer.steps[0].program


@pytest.mark.parametrize(
    ("model", "told"), [("no-such-model", True), ("cheap", False), ("extractive", False), (None, False)]
)
async def test_a_model_that_nobody_asks_is_told(model: str | None, told: bool) -> None:
    """The provider answers whatever the model: who named one is to know."""
    answer = await asked("extractive", "What is the magic number?", {"b": TEXT}, model=model)
    assert answer.ok
    assert any("no-such-model" in note for note in answer.notes) is told


async def test_a_task_for_the_whole_is_not_searched() -> None:
    """It is planned for as ever."""
    answer = await asked("extractive", "Summarize the report", TEXT)
    assert answer.ok
    assert any("Parallel fan-out" in note for note in answer.notes)


async def test_without_data_and_without_a_model_there_is_no_answer() -> None:
    """And that is said."""
    answer = await asked("extractive", "What is 6 times 7?", None)
    assert answer.status == "error"
    assert answer.error is not None
    assert "no context" in answer.error.message


async def test_a_question_without_data_is_worked_on_by_a_model() -> None:
    """There are computations that need none."""
    provider = root(fenced("(finish (* 6 7))"))
    answer = await asked(provider, "What is 6 times 7?", None)
    assert answer.value == "42"
    assert "no contexts" in provider.requests[0].data


def test_without_asyncio() -> None:
    """For scripts."""
    answer = rlm_wasm.ask("What is the magic number?", TEXT, provider="extractive")
    assert "42" in answer.value


async def test_without_asyncio_inside_of_a_loop_is_refused() -> None:
    """With what to do instead."""
    with pytest.raises(UsageError, match=r"await Runtime.ask"):
        rlm_wasm.ask("q", TEXT)


async def test_the_log_shows_the_models_own_calls() -> None:
    """And the answer."""
    async with Runtime(provider=root(fenced("(finish 1)"))) as runtime, runtime.session() as session:
        await session.load_context(TEXT)
        await session.ask("q")
        entries = session.scope_log()
    assert [(entry["op"], entry["scope"]) for entry in entries] == [("ask", "root"), ("answer", "root")]
    assert entries[0]["status"] == "done"


async def test_cached_completions_are_counted_as_such() -> None:
    """The steps' figures are what was spent."""
    provider = InlineProvider(
        lambda request: Completion(
            text=fenced("(finish 1)"), cached=True, prompt_tokens=5, completion_tokens=5
        )
    )
    answer = await asked(provider)
    assert (answer.execution.cached, answer.execution.tokens, answer.steps[0].tokens) == (1, 0, 0)

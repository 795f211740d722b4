"""The extractive provider: what it understands, and that it is fast and repeatable."""

from __future__ import annotations

import json
import time

import pytest

from rlm_wasm.extractive import ExtractiveProvider
from rlm_wasm.extractive.provider import NOT_FOUND, answer
from rlm_wasm.providers import CompletionRequest

HAY = "\n".join(f"Entry {n}: the number of hay bales is {n * 7 % 1000}." for n in range(3000))
NEEDLE = "By the way, the magic number is 74219, which nobody knows."


def ask(instruction: str, data: str = "", *, as_json: bool = False) -> str:
    """The answer's text."""
    return answer(CompletionRequest(id=1, instruction=instruction, data=data, json=as_json))


def test_a_question_finds_the_line_that_holds_the_answer() -> None:
    """Although every other line speaks of numbers too."""
    assert ask("What is the magic number?", f"{HAY}\n{NEEDLE}\n{HAY}") == NEEDLE


def test_the_fallback_word_of_the_instruction_is_the_answer_where_nothing_fits() -> None:
    """However it is asked for."""
    for instruction in (
        "Find the magic number. If there is none, answer NONE.",
        "What is the magic number? Reply with 'NONE' if it is not in the text.",
        "Report the magic number. If the text doesn't mention it, say only NONE",
    ):
        assert ask(instruction, HAY) == "NONE"
        assert ask(instruction, f"{HAY}\n{NEEDLE}") == NEEDLE


def test_nothing_found_without_a_fallback_is_said() -> None:
    """It never makes something up."""
    assert ask("Who is the zookeeper?", HAY) == NOT_FOUND


def test_a_bare_number_is_given_where_only_the_number_is_wanted() -> None:
    """Also out of many lines that say that they found nothing."""
    data = f"NONE\nNONE\n{NEEDLE}\nNONE"
    assert ask("What is the magic number? Reply with the number only.", data) == "74219"


def test_long_lines_are_taken_apart_into_sentences() -> None:
    """A document of one line is a document."""
    text = "The sea was calm. " * 2000 + "The captain was named Ahab. " + "Whales swam by. " * 2000
    assert ask("What was the captain's name?", text) == "The captain was named Ahab."


def test_a_summary_is_the_central_sentences_in_their_order() -> None:
    """As many as asked for."""
    text = (
        "The cat sat on the mat. Dogs bark at night. A cat likes a warm mat."
        " The cat left the mat at noon. Trains are late."
    )
    sentences = ask("Summarise the text in two sentences.", text)
    assert sentences == "The cat sat on the mat. A cat likes a warm mat."


@pytest.mark.parametrize(
    "instruction",
    [
        "Classify the sentiment as positive, negative or neutral.",
        "Is this review positive or negative?",
        "Answer with one of: positive, negative, neutral.",
        "What is the sentiment (positive/negative)?",
        "Reply only 'positive' or 'negative'.",
    ],
)
def test_choices_are_found_in_the_instruction(instruction: str) -> None:
    """And the answer is one of them, nothing else."""
    assert ask(instruction, "I loved it, a wonderful film. Great!") == "positive"
    assert ask(instruction, "Terrible. A waste of money, I hated it.") == "negative"


def test_yes_or_no_is_whether_the_data_holds_what_is_asked() -> None:
    """By most of the words of the question."""
    question = "Does the text mention a delayed train? Answer yes or no."
    assert ask(question, "The train was delayed by an hour.") == "yes"
    assert ask(question, "The flight left on time.") == "no"


def test_a_scale_gives_a_number_on_it() -> None:
    """Whole numbers where the ends are whole."""
    assert 0 <= int(ask("Rate the review's quality from 0 to 10.", "Great, I love it.")) <= 10
    assert 0 <= float(ask("Give your confidence, 0.0 to 1.0.", "Unsure.")) <= 1


def test_json_has_the_keys_that_the_instruction_shows() -> None:
    """With values of the kinds that it hints at."""
    data = "His name is Bob Smith. Bob is of age 42. He is a club member. The mood is good."
    template = 'json: {"name": "…", "age": 0, "member": true, "mood": "good"|"bad", "tags": []}'
    found = json.loads(ask(template, data, as_json=True))
    assert list(found) == ["name", "age", "member", "mood", "tags"]
    assert found["name"] == "His name is Bob Smith."
    assert (found["age"], found["member"], found["mood"]) == (42, True, "good")
    assert isinstance(found["tags"], list)


def test_json_has_the_keys_that_the_instruction_names() -> None:
    """In words."""
    data = "The city is Rome. The year was 1999."
    found = json.loads(ask("Extract the fields city and year as json", data, as_json=True))
    assert found == {"city": "The city is Rome.", "year": 1999}


@pytest.mark.parametrize(
    ("instruction", "data"),
    [("json", ""), ("Give a json array of all errors", HAY), ('json {"a": ', "x"), ("json", "\0")],
)
def test_json_is_always_valid(instruction: str, data: str) -> None:
    """Whatever is asked."""
    json.loads(ask(instruction, data, as_json=True))


def test_data_in_the_instruction_itself_is_found() -> None:
    """Programs often put both into one string."""
    assert ask("Classify as positive or negative: I hate this, it is awful.") == "negative"


def test_a_scheme_program_is_one_that_asks_the_task() -> None:
    """So that recursion runs offline."""
    instruction = 'You solve a task by writing one Scheme program.\nThe task: find the "magic" number'
    program = ask(instruction, "The data begins: …")
    assert program.startswith("```scheme\n(finish ")
    assert '#:instruction "find the \\"magic\\" number"' in program


def test_what_is_asked_for_as_a_program_is_answered_by_one() -> None:
    """Whatever the words of the instruction."""
    request = CompletionRequest(id=1, instruction="Task: find the magic number", purpose="program")
    assert '#:instruction "find the magic number"' in answer(request)


@pytest.mark.parametrize("data", ["", "\n\n\n", "İstanbul'da 7 gün. " * 50, "字" * 5000, "\ud800"])
@pytest.mark.parametrize("instruction", ["", "?", "Summarise.", "What is the magic number?", "İ"])
def test_no_input_is_too_strange(instruction: str, data: str) -> None:
    """There is always an answer, and it is text."""
    assert isinstance(ask(instruction, data), str)


async def test_the_same_request_has_the_same_answer_and_says_who_answered() -> None:
    """No language model is claimed."""
    provider = ExtractiveProvider(model="gpt-4o")
    request = CompletionRequest(id=1, instruction="What is the magic number?", data=NEEDLE)
    first, second = await provider.complete(request), await provider.complete(request)
    assert first == second
    assert first.model == "extractive"
    assert first.completion_tokens > 0


async def test_an_answer_is_cut_at_max_tokens() -> None:
    """And says so by its finish reason."""
    request = CompletionRequest(id=1, instruction="magic number?", data=NEEDLE, max_tokens=2)
    completion = await ExtractiveProvider().complete(request)
    assert completion.text == NEEDLE[:8]
    assert completion.finish_reason == "length"


def test_ten_megabytes_take_seconds_not_minutes() -> None:
    """A generous bound: what is measured is that no step is quadratic or per word."""
    chunk = HAY[:100_000]
    started = time.process_time()
    for _ in range(100):
        ask("Find the magic number. If there is none, answer NONE.", chunk)
    assert time.process_time() - started < 20

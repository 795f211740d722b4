"""The embedded default provider: answers by ranking the data's sentences. No network, no key.

It is no language model and doesn't pretend to be one: ``Completion.model`` says "extractive". The
same request always has the same answer. It is there so that every program runs anywhere, and so
that orchestration can be tested on real data at no cost.

What it does with an instruction:

* a search or a question: the best line or sentence of the data, or the fallback word that the
  instruction gives ("if there is none, answer NONE"), or "Not found.";
* a summary: the most central sentences, in their order;
* choices ("answer positive or negative"): the one that fits the data best;
* a scale ("rate from 0 to 10"), a number ("reply with the number only");
* JSON: an object with the keys that the instruction names;
* a Scheme program for a task: a small one that asks the task of the data.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from typing import TYPE_CHECKING, Any, Final

from rlm_wasm.extractive.instruction_parser import Key, ParsedInstruction, content_words, read_instruction
from rlm_wasm.extractive.ranking import Unit, central, given_up, rank, units_of, unwrap
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.providers.tokens import beside_texts, estimate_tokens, first_tokens, tokens_in_turns
from rlm_wasm.turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_FOUND: Final = "Not found."
_ENOUGH: Final = 0.5
"""A unit must hold more than this share of the terms to count as found."""

_OFF_LOOP: Final = 256 * 1024
"""Data longer than this is ranked on a worker thread, so that the event loop goes on."""

_TASK: Final = re.compile(
    r"^[ \t]*(?:the[ \t]+)?(?:task|goal)[ \t]*:\s*(.+)\Z", re.IGNORECASE | re.MULTILINE | re.DOTALL
)
_NUMBER: Final = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")

_CUES: Final[dict[str, frozenset[str]]] = {
    "positive": frozenset(
        """good great excellent love loved loves wonderful best happy enjoy enjoyed perfect amazing
        fantastic recommend recommended pleased nice superb delightful helpful fast easy thanks
        thank brilliant awesome beautiful satisfied impressive""".split()  # noqa: SIM905
    ),
    "negative": frozenset(
        """bad terrible awful hate hated worst poor broken disappointing disappointed horrible slow
        useless waste refund wrong fail failed fails crash crashed bug angry never unhappy annoying
        difficult dirty rude expensive defective problem problems""".split()  # noqa: SIM905
    ),
}
_CUE_NAMES: Final = {
    "pos": "positive",
    "good": "positive",
    "approve": "positive",
    "favorable": "positive",
    "neg": "negative",
    "bad": "negative",
    "reject": "negative",
    "unfavorable": "negative",
}
_YES: Final = frozenset({"yes", "true", "relevant", "approve", "approved", "valid", "pass"})
_NO: Final = frozenset({"no", "false", "irrelevant", "reject", "rejected", "invalid", "fail"})
_UNDECIDED: Final = frozenset({"neutral", "other", "unknown", "none", "mixed", "unclear", "unsure"})


class ExtractiveProvider:
    """Ranks the lines or sentences of the data against the instruction."""

    name = "extractive"
    free = True
    ignores_model = True
    language_model = False
    writes_programs = False

    def __init__(self, *, model: str | None = None) -> None:
        # A program names models for the provider that it is meant for; here each is this one.
        del model
        self.default_model = "extractive"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer. Long data is ranked on a worker thread."""
        if len(request.data) + len(request.instruction) > _OFF_LOOP:
            text = await _answered_beside(request)
        else:
            text = answer(request)
        finish_reason = "stop"
        if request.max_tokens is not None and estimate_tokens(text) > request.max_tokens:
            text, finish_reason = first_tokens(text, request.max_tokens), "length"
        return Completion(
            text=text,
            model="extractive",
            prompt_tokens=await in_turns(tokens_in_turns(request.instruction, request.data))
            + beside_texts(request.data, len(request.images)),
            completion_tokens=estimate_tokens(text),
            finish_reason=finish_reason,
        )


async def _answered_beside(request: CompletionRequest) -> str:
    """On a thread, whose work ends soon where nobody waits for it any longer."""
    stop = threading.Event()
    token = given_up.set(stop)
    try:
        return await asyncio.to_thread(answer, request)
    finally:
        stop.set()
        given_up.reset(token)


def answer(request: CompletionRequest) -> str:
    """The answer's text. A pure function of instruction, data and the JSON flag."""
    question = read_instruction(_shortened(request.instruction), json=request.json)
    data = unwrap(request.data or _data_within(request.instruction))
    if question.form == "program" or request.purpose == "program":
        return _program(request.instruction)
    units = rank(data, question.terms, question.phrases, digits=question.wants_digits)
    if question.json:
        return json.dumps(_json(question, data, units), ensure_ascii=False)
    return _FORMS[question.form](question, data, units)


_INSTRUCTION: Final = 4_096
"""Characters of an instruction that are looked at: what it asks for is at its beginning, or at its end."""


def _shortened(instruction: str) -> str:
    if len(instruction) <= _INSTRUCTION:
        return instruction
    return f"{instruction[: _INSTRUCTION // 2]}\n{instruction[-_INSTRUCTION // 2 :]}"


def _sentences(question: ParsedInstruction, data: str, units: list[Unit]) -> str:
    best = units[0].coverage if units else 0.0
    if question.fallback is not None and best <= _ENOUGH:
        return question.fallback
    if question.summary:
        separator = "\n" if "\n" in data[:_OFF_LOOP].strip() else " "
        return separator.join(central(data, question.count)) or question.fallback or NOT_FOUND
    if not units:
        # Nothing to search for: the beginning is the best that can be shown.
        return NOT_FOUND if question.terms else " ".join(units_of(data[:4096])[: question.count])
    good = [unit for unit in units if unit.score >= 0.5 * units[0].score][: question.count]
    return "\n".join(dict.fromkeys(u.text for u in sorted(good, key=lambda u: u.start)))


def _choice(question: ParsedInstruction, data: str, units: list[Unit]) -> str:
    return _chosen(question.choices, data, units[0].coverage if units else 0.0)


def _scaled(question: ParsedInstruction, data: str, units: list[Unit]) -> str:
    assert question.scale is not None
    low, high = question.scale
    value = low + (high - low) * max(units[0].coverage if units else 0.0, abs(_polarity(data)))
    whole = low.is_integer() and high.is_integer() and high > 1
    return str(round(value)) if whole else f"{value:.2f}"


def _number(question: ParsedInstruction, _data: str, units: list[Unit]) -> str:
    for unit in units:
        if unit.coverage <= _ENOUGH and question.fallback is not None:
            break
        number = _number_in(unit.text, question.terms)
        if number is not None:
            return number
    return question.fallback or NOT_FOUND


_FORMS: Final[dict[str, Callable[[ParsedInstruction, str, list[Unit]], str]]] = {
    "sentences": _sentences,
    "choice": _choice,
    "scale": _scaled,
    "number": _number,
}


def _data_within(instruction: str) -> str:
    """The data of an instruction that carries it along: what follows a colon or a line break."""
    head, separator, rest = instruction.partition("\n")
    if not separator:
        head, separator, rest = instruction.partition(":")
    return rest.strip() if separator and rest.strip() else head


def _number_in(unit: str, terms: tuple[str, ...]) -> str | None:
    """The number nearest behind the last of the terms, or else the last one before them."""
    numbers = list(_NUMBER.finditer(unit))
    if not numbers:
        return None
    lowered = unit.lower()
    behind = max((lowered.rfind(term) for term in terms), default=-1)
    after = [n for n in numbers if n.start() > behind]
    return (after[0] if after else numbers[-1]).group().rstrip(",")


def _chosen(choices: tuple[str, ...], data: str, coverage: float) -> str:
    """The choice that the data speaks for; where nothing does, the undecided one or the first."""
    lowered = [choice.lower() for choice in choices]
    yes = next((i for i, c in enumerate(lowered) if c in _YES), None)
    no = next((i for i, c in enumerate(lowered) if c in _NO), None)
    if yes is not None and no is not None:
        return choices[yes] if coverage > _ENOUGH else choices[no]
    words = set(content_words(data[:65536]))
    text = data[:65536].lower()
    scores = []
    for choice in lowered:
        named = len(re.findall(rf"(?<!\w){re.escape(choice)}", text))
        cues = _CUES.get(_CUE_NAMES.get(choice, choice), frozenset())
        scores.append(named + len(words & cues))
    best = max(scores)
    if best > 0 and scores.count(best) == 1:
        return choices[scores.index(best)]
    undecided = next((i for i, c in enumerate(lowered) if c in _UNDECIDED), None)
    return choices[undecided if undecided is not None else scores.index(best)]


def _polarity(data: str) -> float:
    """From -1 (all cues negative) to 1 (all positive); 0 without cues."""
    words = set(content_words(data[:65536]))
    good, bad = len(words & _CUES["positive"]), len(words & _CUES["negative"])
    return (good - bad) / (good + bad) if good + bad else 0.0


def _json(question: ParsedInstruction, data: str, ranked: list[Unit]) -> Any:
    """A JSON value of the form that the instruction describes."""
    if question.array:
        count = question.count if question.count > 1 else 10
        units = [u for u in ranked if u.score >= 0.5 * ranked[0].score] if ranked else []
        texts = [u.text for u in sorted(units[:count], key=lambda u: u.start)]
        if not question.keys:
            return texts
        return [{k.name: _value(k, question, text) for k in question.keys} for text in texts]
    if not question.keys:
        return {"answer": _sentences(question, data, ranked)}
    return {key.name: _value(key, question, data) for key in question.keys}


def _value(key: Key, question: ParsedInstruction, data: str) -> Any:
    """The value for one key, looked for by the key's own name first."""
    name = re.sub(r"[_-]+|(?<=[a-z])(?=[A-Z])", " ", key.name)
    terms = tuple(content_words(name)) or (name.lower(),)
    digits = key.kind == "number"
    units = rank(data, terms, digits=digits) or rank(data, question.terms, question.phrases, digits=digits)
    if key.choices:
        return _chosen(key.choices, data, units[0].coverage if units else 0.0)
    if key.kind == "boolean":
        return bool(units) and units[0].coverage > _ENOUGH
    if key.kind == "number":
        number = next((n for u in units if (n := _number_in(u.text, terms)) is not None), None)
        return _as_number(number) if number is not None else 0
    if key.kind == "list":
        return [u.text for u in units[:5]]
    if units:
        return units[0].text
    sentences = central(data, 1)
    return sentences[0] if sentences else ""


def _as_number(text: str) -> int | float:
    text = text.replace(",", "")
    try:
        return int(text)
    except ValueError:
        return float(text)


def _program(instruction: str) -> str:
    """A Scheme program for a task: asks the task of the context, in one call."""
    match = _TASK.search(instruction)
    task = match.group(1).strip() if match else "Summarise the text in three sentences."
    quoted = json.dumps(task, ensure_ascii=False)
    return f'```scheme\n(finish (syntax-e (llm-query #:instruction {quoted} #:data (or context ""))))\n```'

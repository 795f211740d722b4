"""What an instruction asks for: its search terms, and the form that the answer must have.

The extractive provider has no model that understands an instruction. It reads the handful of
forms that orchestration programs use: choices, a scale, a number, JSON keys, a fallback word for
"not there", a count of sentences. Everything else is taken as a search for sentences.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from rlm_wasm.lazy_dataclass import dataclass

Form = Literal["sentences", "choice", "number", "scale", "program"]
ValueKind = Literal["text", "number", "boolean", "list"]

_STOP_WORDS: Final = frozenset(
    """a about above after all also am an and any anything are as at be because been before being
    below between both but by can could did do does doing down each either every few find for from
    get give given had has have having he her here him his how i if in into is it its itself just
    let like list locate look many me mention mentioned mentions more most much must my no nor not
    now of off on once one only or other our out over own per please quote report return same say
    search see she should show shown so some something such tell than that the their them then
    there these they this those through to too under until up us very was we were what when where
    whether which while who whom whose why will with within without would you your
    answer answers choose chunk classify concise concisely content contents context data describe
    document exactly explain extract following identify input json key line lines main
    paragraph passage point points provide question read reply respond response section sentence
    sentences short summarise summarize summary text word words write briefly brief below""".split()  # noqa: SIM905 (prose)
)

_WORD: Final = re.compile(r"[^\W_][\w'’-]*")
_QUOTED: Final = re.compile(r"[\"“`]([^\"”`\n]{2,80})[\"”`]")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_ABOUT_THE_ANSWER: Final = re.compile(
    r"(?:if|otherwise|else|answer|reply|respond|return|output|say|only|do not|don't|never|be|keep"
    r"|use|no|format|include|rate|score|write|you are|return only|limit)\b",
    re.IGNORECASE,
)

_VERB = r"(?:answer|reply|say|respond|return|write|output|print|give|use)"
_FALLBACK: Final = re.compile(
    rf"\b(?i:{_VERB})\b"
    r"(?:\s+(?:only|just|exactly|simply|with|by|the\s+word|the\s+single\s+word|text))*"
    r"\s*:?\s*(?:[\"“'`](?P<quoted>[^\"”'`\n]{1,60})[\"”'`]|(?P<upper>[A-Z][A-Z_-]+(?: [A-Z_-]+)*)"
    r"|(?P<plain>none|nothing|unknown|n/a|no match|not found|empty))",
)
_ABSENCE: Final = re.compile(
    r"\b(?:no|not|none|nothing|absent|missing|cannot|can't|doesn't|does not|isn't|without"
    r"|otherwise|else|unknown|unclear|irrelevant)\b",
    re.IGNORECASE,
)

_ITEM = r"(?:[\"“'`][^\"”'`\n]{1,40}[\"”'`]|[A-Za-z][\w+-]*)"
_MANY = "{1,40}"  # a bound, so that a text of nothing but lists is not looked through for each of them
_LIST = rf"{_ITEM}(?:\s*(?:,\s*(?:or\s+)?|/|\||\s+or\s+){_ITEM}){_MANY}"
_LOOSE_ITEM = r"[A-Za-z\"“'`][^,|/.;:()\n]{0,40}?"
_LOOSE_LIST = rf"{_LOOSE_ITEM}(?:\s*(?:,\s*(?:or\s+|and\s+)?|/|\||\s+or\s+|\s+and\s+){_LOOSE_ITEM}){_MANY}"
_CHOICE_PATTERNS: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # one of: a, b or c
        r"\b(?:one of|choose (?:from|among|between)|pick (?:from|among|between)|options?|labels?"
        r"|categories|classes|choices)\b(?:\s+(?:the\s+)?(?:following|these))?"
        r"(?:\s+(?:categories|labels|words|classes|options|choices|values))?\s*[:(\[]?\s*"
        rf"(?P<list>{_LOOSE_LIST})(?=\s*[.;:)\]\n]|\s*$)",
        # classify the mail as spam or ham
        r"\b(?:classif|categori|label|mark|tag|judge)\w*\b[^.\n:]{0,60}?\b(?:as|into|:)\s+(?:either\s+)?"
        rf"(?P<list>{_LIST})",
        # answer yes or no
        rf"\b{_VERB}(?:\s+(?:only|just|exactly|strictly|with|by|in|as|either|one\s+word|the\s+word"
        rf"|a\s+single\s+word))*\s*[:(]?\s*(?P<list>{_LIST})",
        # (yes/no)
        rf"[(\[]\s*(?P<list>{_ITEM}(?:\s*(?:/|\||,\s*or\s|\sor\s)\s*{_ITEM})+)\s*[)\]]",
        # is the review positive or negative?
        rf"\b(?:is|are|was|were)\b[^.?\n]{{1,60}}?\s(?P<list>{_ITEM}\s+or\s+{_ITEM})\s*\?",
        # sentiment: positive, negative, neutral
        rf"\b(?:sentiment|category|class|label|topic|verdict)\s*(?::|=|\bas\b)\s*(?P<list>{_LIST})",
    )
)
_LIST_SEPARATOR: Final = re.compile(r"\s*(?:,\s*(?:or\s+|and\s+)?|/|\||\s+or\s+|\s+and\s+)\s*", re.I)

_SCALE: Final = re.compile(
    r"\b(?:scores?|rat(?:e|ing)|confidence|probability|grade|scale|certainty|likelihood|relevance"
    r"|quality)\b[^.\n]{0,80}?(?<![\d.])(?P<low>\d+(?:\.\d+)?)\s*(?:-|–|to|and|\.\.|through)\s*"
    r"(?P<high>\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_NUMBER_ONLY: Final = re.compile(
    r"\b(?:only|just|nothing but)\s+(?:with\s+)?(?:the|a|that|its)?\s*(?:\w+\s+)?"
    r"(?:numbers?|digits?|integers?|figures?|amounts?|counts?|totals?)\b"
    r"|\b(?:numbers?|digits?|integers?)\s+(?:only|alone)\b",
    re.IGNORECASE,
)
_PROGRAM: Final = re.compile(
    r"\b(?:writ(?:e|ing)|generate|produce|return|create|design)\b[^.]{0,120}\bscheme\b", re.I | re.S
)
_JSON: Final = re.compile(
    r"\b(?:as|in|return|output|valid|only|produce|give|with|reply|respond|write)\b[^.\n]{0,30}\bjson\b",
    re.IGNORECASE,
)
_JSON_ARRAY: Final = re.compile(
    r"\bjson\s+(?:array|list)\b|\b(?:array|list)\s+of\s+(?:json\s+)?(?:objects|strings|numbers)\b"
    r"|\bjson\b[^.\n]{0,20}\[",
    re.IGNORECASE,
)
_TEMPLATE_KEY: Final = re.compile(r"[\"'“](?P<key>[\w -]{1,40})[\"'”]\s*:\s*(?P<hint>[^,}\n]{0,60})")
_NAMED_KEYS: Final = re.compile(
    r"\b(?:keys?|fields?|properties|attributes)\b\s*(?:named|called|are|:|=)?\s*"
    r"(?P<list>[\"'“`]?\w+[\"'”`]?(?:\s*\([^)\n]{0,60}\))?"
    r"(?:\s*(?:,\s*(?:and\s+)?|\s+and\s+)[\"'“`]?\w+[\"'”`]?(?:\s*\([^)\n]{0,60}\))?)*)",
    re.IGNORECASE,
)
_KEY_SEPARATOR: Final = re.compile(r"\s*(?:,\s*(?:and\s+)?|\s+and\s+)(?![^(]*\))")

_COUNTS: Final = {
    "a": 1,
    "one": 1,
    "single": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
}
_COUNT: Final = re.compile(
    rf"\b(?P<count>\d{{1,2}}|{'|'.join(_COUNTS)})\s+(?:\w+\s+)?"
    r"(?:sentences?|lines?|bullet|bullets|points?|facts|items|findings|themes|examples)\b",
    re.IGNORECASE,
)
_SUMMARY: Final = re.compile(
    r"\b(?:summar\w+|condens\w+|overview|gist|key points|combin\w+|merg\w+|synthes\w+|describe"
    r"|analy[sz]e\w*)\b",
    re.I,
)
_LISTING: Final = re.compile(r"\b(?:all|every|each|list|which)\b", re.IGNORECASE)

_NUMBER_CUE: Final = re.compile(
    r"\b(?:numbers?|how many|how much|amounts?|prices?|costs?|codes?|ids?|digits?|counts?|totals?"
    r"|percent\w*|years?|dates?|when|ages?|revenue|salary|phone|port|version)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a JSON answer must have, and what kind of value was hinted at."""

    name: str
    kind: ValueKind = "text"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedInstruction:
    """An instruction, read."""

    terms: tuple[str, ...]
    phrases: tuple[str, ...]
    form: Form
    count: int
    summary: bool
    wants_digits: bool
    choices: tuple[str, ...] = ()
    scale: tuple[float, float] | None = None
    fallback: str | None = None
    json: bool = False
    array: bool = False
    keys: tuple[Key, ...] = ()


def read_instruction(instruction: str, *, json: bool = False) -> ParsedInstruction:
    """Take an instruction apart. Never fails: what isn't recognised is a search."""
    as_json = json or bool(_JSON.search(instruction))
    choices = () if as_json else _choices(instruction)
    scale = None if as_json else _scale(instruction)
    summary = bool(_SUMMARY.search(instruction))
    form: Form = "sentences"
    if _PROGRAM.search(instruction):
        form = "program"
    elif choices:
        form = "choice"
    elif scale:
        form = "scale"
    elif _NUMBER_ONLY.search(instruction):
        form = "number"
    terms, phrases = _terms(instruction, excluded={c.lower() for c in choices})
    return ParsedInstruction(
        terms=terms,
        phrases=phrases,
        form=form,
        count=_count(instruction, summary=summary),
        summary=summary,
        wants_digits=form == "number" or bool(_NUMBER_CUE.search(instruction)),
        choices=choices,
        scale=scale,
        fallback=_fallback(instruction),
        json=as_json,
        array=as_json and bool(_JSON_ARRAY.search(instruction)),
        keys=_keys(instruction) if as_json else (),
    )


_LABEL: Final = re.compile(r"\b(?:Task|Question|Query): ")
"""What stands before a task that an instruction passes on: only what comes after it is looked for."""


def content_words(text: str) -> list[str]:
    """The words of a text that carry meaning, in lower case, each once, in order."""
    words = dict.fromkeys(_WORD.findall(text.replace("’", "'").lower()))
    return [word for word in words if word not in _STOP_WORDS]


def _terms(instruction: str, excluded: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Search terms and quoted phrases, from the sentences that aren't about the answer's form."""
    label = _LABEL.search(instruction)
    asked = instruction[label.end() :] if label else ""
    sentences = [
        s for s in _SENTENCE_END.split((asked if content_words(asked) else instruction).strip()) if s
    ]
    asking = [s for s in sentences if not _ABOUT_THE_ANSWER.match(s)] or sentences
    text = " ".join(asking)
    phrases = tuple(dict.fromkeys(m.group(1).strip().lower() for m in _QUOTED.finditer(text)))
    words = [w for w in content_words(text) if w not in excluded]
    return tuple(words[:24]), tuple(p for p in phrases if p not in excluded)


def _fallback(instruction: str) -> str | None:
    """The word to say when the text doesn't hold what was asked, where the instruction gives one."""
    for sentence in _SENTENCE_END.split(instruction):
        if not _ABSENCE.search(sentence):
            continue
        matches = list(_FALLBACK.finditer(sentence))
        if matches:  # the last one: "answer X if …, otherwise say NONE"
            return next(group.strip() for group in matches[-1].groups() if group)
    return None


def _choices(instruction: str) -> tuple[str, ...]:
    for pattern in _CHOICE_PATTERNS:
        for match in pattern.finditer(instruction):
            items = [_unquoted(item) for item in _LIST_SEPARATOR.split(match.group("list"))]
            items = list(dict.fromkeys(item for item in items if item))
            if 2 <= len(items) <= 20 and not all(i.lower() in _STOP_WORDS - {"no"} for i in items):
                return tuple(items)
    return ()


def _scale(instruction: str) -> tuple[float, float] | None:
    match = _SCALE.search(instruction)
    if not match:
        return None
    low, high = float(match["low"]), float(match["high"])
    return (low, high) if low < high else None


def _count(instruction: str, *, summary: bool) -> int:
    match = _COUNT.search(instruction)
    if match:
        word = match["count"].lower()
        return max(1, min(20, int(word) if word.isdigit() else _COUNTS[word]))
    if summary:
        return 3
    return 10 if _LISTING.search(instruction) else 1


def _keys(instruction: str) -> tuple[Key, ...]:
    keys: dict[str, Key] = {}
    for match in _TEMPLATE_KEY.finditer(instruction):
        name = match["key"].strip()
        keys.setdefault(name, _typed(name, match["hint"]))
    if not keys:
        for match in _NAMED_KEYS.finditer(instruction):
            for item in _KEY_SEPARATOR.split(match["list"]):
                name, _, hint = item.partition("(")
                name = _unquoted(name)
                if name and name.lower() not in _STOP_WORDS:
                    keys.setdefault(name, _typed(name, hint.rstrip(") ")))
    return tuple(keys.values())


def _typed(name: str, hint: str) -> Key:
    """A key with the kind that its hint, or else its name, suggests."""
    hint = hint.strip()
    quoted = [_unquoted(part) for part in hint.split("|")] if "|" in hint else []
    if hint.startswith("["):
        return Key(name, "list")
    if re.match(r"(?:true|false|bool)", hint, re.I):
        return Key(name, "boolean")
    if quoted:
        return Key(name, "text", tuple(quoted))
    if re.match(r"[<(]?(?:-?\d|int|number|float)", hint, re.I):
        return Key(name, "number")
    if not hint and re.search(r"score|count|number|confidence|year|age|price|amount", name, re.I):
        return Key(name, "number")
    return Key(name, "list" if re.match(r"[<(]?(?:list|array)", hint, re.I) else "text")


def _unquoted(item: str) -> str:
    return item.strip().strip("\"“”'`‘’.()[]<> ").strip()

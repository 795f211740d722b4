"""Texts for the guest's parsers: kept corpora, what damages them, and what is known of the answer without the guest.

``corpus/KIND.txt`` has an input a line, each as a JSON string: texts that are well formed, texts that are not,
and whatever a fuzzer once found. A run damages and splices them. Inputs to which the guest says something
that it has not said before in this run join the corpus, so that the run goes on from there.

An answer is judged by something other than the guest: JSON by Python's own reader, numbers by Python's,
regular expressions by ``re`` (of such as mean the same to both), data by writing and reading it again.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "corpus"
MOST = 2_000
"""Characters of an input."""

Judge = Callable[[str, Any], str | None]
"""What is wrong with the guest's answer to an input: None where it is right, or where nobody can say."""


@dataclass(frozen=True)
class Kind:
    """One of the guest's parsers. ``program``: the procedure that an input is given to; ``letters``: what is put in."""

    program: str
    letters: str
    judge: Judge
    made: Callable[[random.Random], str] | None = None
    """Makes an input that no damage would come to."""


def corpus(kind: str) -> list[str]:
    """The kept inputs."""
    lines = (FOLDER / f"{kind}.txt").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line]


def keep(kind: str, inputs: list[str]) -> None:
    """Add inputs to the kept ones."""
    with (FOLDER / f"{kind}.txt").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(text) + "\n" for text in inputs)


def damaged(rng: random.Random, known: list[str], letters: str) -> str:
    """A known input with pieces of it changed, dropped, doubled, or taken from another."""
    text = rng.choice(known)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at = rng.randrange(len(text) + 1)
        act = rng.randrange(7)
        if act == 0:
            text = text[:at] + rng.choice(letters) + text[at:]
        elif act == 1:
            text = text[:at] + text[at + rng.randrange(1, 5) :]
        elif act == 2:
            piece = text[at : at + rng.randrange(1, 9)]
            text = text[:at] + piece * rng.choice((2, 2, 3, 40)) + text[at:]
        elif act == 3:
            other = rng.choice(known)
            start = rng.randrange(len(other) + 1)
            text = text[:at] + other[start : start + rng.randrange(1, 30)] + text[at + rng.randrange(6) :]
        elif act == 4:
            text = text[:at] + rng.choice(letters) + text[at + 1 :]
        elif act == 5:
            text = text[:at] + chr(rng.choice((0, 0x7F, 0xE9, 0x3BB, 0x2028, 0xFFFD, 0x1F600))) + text[at:]
        else:
            text = re.sub(
                r"\d+", lambda _: str(rng.choice((0, 1, 9, 255, 65536, 2**63, 10**30))), text, count=1
            )
    return text[:MOST]


# ---- what is known of the answers


def _strict(_name: str) -> Any:
    raise ValueError("JSON has no such number")


def _surrogate(text: str) -> bool:
    return re.search("[\ud800-\udfff]", text) is not None


def judge_json(text: str, answer: Any) -> str | None:
    """Python's reader takes the same texts, and reads the same from them."""
    try:
        expected = json.loads(text.removeprefix("\ufeff"), parse_constant=_strict)
    except (ValueError, RecursionError):
        return None if answer[0] == "error" else f"Python refuses it, the guest reads {answer[1]!r}"
    if not _finite(expected) or _surrogate(json.dumps(expected, ensure_ascii=False)):
        return None  # a number that is infinite can be read and not written
    if answer[0] == "error":
        return f"Python reads {expected!r}, the guest says {answer[1]}"
    again = json.loads(answer[1])
    return None if _same_json(again, expected) else f"Python reads {expected!r}, the guest {again!r}"


def _same_json(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same_json(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(_same_json, a, b))
    return type(a) is type(b) and bool(a == b)


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list) else True


_INTEGER = re.compile(r"[+-]?[0-9]+")
_RATIONAL = re.compile(r"[+-]?[0-9]+/[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(e[+-]?[0-9]+)?")


def judge_number(text: str, answer: Any) -> str | None:
    """The number that Python reads; and where it reads none, one that is read from its own digits again."""
    if answer[0] == "error":
        # An exact number of millions of bits, and a text that stands for a division by zero.
        return None if re.search("too large|division by zero", answer[1]) else str(answer[1])
    got, again = answer[1]
    if not again:
        return f"its digits {got!r} are another number"
    expected: Any = None
    if _INTEGER.fullmatch(text):
        expected = int(text)
    elif _RATIONAL.fullmatch(text) and int(text.partition("/")[2]):
        expected = Fraction(text)
    elif _DECIMAL.fullmatch(text):
        expected = float(text)
    if expected is None:
        return None
    if got is False:
        return f"it is {expected!r} for Python, and no number for the guest"
    if isinstance(expected, float):
        shown = float(got.replace("inf.0", "inf"))
        right = shown == expected and math.copysign(1, shown) == math.copysign(1, expected)
    else:
        right = got == str(expected)
    return None if right else f"it is {expected!r} for Python, and {got} for the guest"


def judge_data(_text: str, answer: Any) -> str | None:
    """What was read is the same when it is written and read again."""
    if answer[0] == "error":
        return None
    return None if answer[1] is True else f"written and read again it is another: {answer[1]!r}"


def judge_regexp(text: str, answer: Any) -> str | None:
    """The groups that ``re`` finds, for patterns that were made to mean the same to both."""
    if "\n" not in text:
        return None
    pattern, subject = text.split("\n", 1)
    try:
        found = re.search(pattern, subject)
    except re.error:
        return f"the guest has a pattern that was not made well: {pattern!r}"
    if answer[0] == "error":
        return f"the guest says {answer[1]}"
    expected: Any = (
        False if found is None else [m if m is not None else False for m in (found.group(), *found.groups())]
    )
    return None if answer[1] == expected else f"re finds {expected!r}, the guest {answer[1]!r}"


# ---- made, not damaged


def pattern_and_text(rng: random.Random) -> str:
    """A pattern of what Racket's and Python's mean alike, and a text that it may match, on two lines.

    A loop over what may be empty is left out, where they differ, and a group within a loop, whose last turn's
    match Python keeps and Racket forgets.
    """

    def atom(depth: int, looped: bool) -> tuple[str, bool]:
        """The pattern, and whether it may match nothing."""
        act = rng.randrange(10)
        if act < 4 or depth == 0:
            return rng.choice("aabbc"), False
        if act == 4:
            return rng.choice(("[ab]", "[^a]", ".", "[a-c]", r"\d", r"\w", "[^bc]")), False
        if act == 5:
            return rng.choice(("^", "$", r"\b", "(?=a)", "(?!b)", "(?<=a)", "(?<!c)")), True
        inner, empty = branches(depth - 1, looped)
        return (f"(?:{inner})" if looped or act < 8 else f"({inner})"), empty

    def piece(depth: int, looped: bool) -> tuple[str, bool]:
        if rng.random() < 0.6:
            return atom(depth, looped)
        inner, empty = atom(depth, True)
        if empty:
            return inner, True
        times = rng.choice(("*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}"))
        return inner + times, times[0] in "*?" or times == "{0,2}"

    def sequence(depth: int, looped: bool) -> tuple[str, bool]:
        pieces = [piece(depth, looped) for _ in range(rng.randrange(1, 4))]
        return "".join(text for text, _ in pieces), all(empty for _, empty in pieces)

    def branches(depth: int, looped: bool) -> tuple[str, bool]:
        parts = [sequence(depth, looped) for _ in range(rng.choice((1, 1, 2, 3)))]
        return "|".join(text for text, _ in parts), any(empty for _, empty in parts)

    return branches(3, False)[0] + "\n" + "".join(rng.choice("aaabbc1 ") for _ in range(rng.randrange(14)))


KINDS: Mapping[str, Kind] = {
    "json": Kind(
        "(lambda (s) (jsexpr->string (string->jsexpr s)))",
        '[]{}",:\\u0123456789abcdeE+-. \n\ttrufalsn/',
        judge_json,
    ),
    "numbers": Kind(
        """(lambda (s)
             (let* ([n (string->number s)] [t (and n (number->string n))])
               (list t (or (not n) (eqv? n (string->number t))))))""",
        "0123456789+-./eEinfa#xbodspl@i",
        judge_number,
    ),
    "reader": Kind(
        """(lambda (s)
             (let* ([v (read (open-input-string s))] [t (format "~s" v)])
               (or (equal? v (read (open-input-string t))) t)))""",
        "()[]{}'`,@#;|\\\"\n .0123456789abxtfue+-&%<>=:!",
        judge_data,
    ),
    "regexps": Kind(
        """(lambda (s)
             (let* ([parts (regexp-split #rx"\\n" s)])
               (regexp-match (pregexp (car parts)) (if (pair? (cdr parts)) (cadr parts) "aab1 ba"))))""",
        "()[]{}*+?|^$.\\abdwspiDWS123,-:=!<>&\n",
        lambda _text, _answer: None,
    ),
    "patterns": Kind(
        """(lambda (s)
             (let* ([parts (regexp-split #rx"\\n" s)])
               (regexp-match (pregexp (car parts)) (cadr parts))))""",
        "abc",
        judge_regexp,
        pattern_and_text,
    ),
}


def program(kind: Kind, inputs: list[str]) -> str:
    """One that gives for each input (ok value) or (error message)."""
    texts = " ".join(literal(text) for text in inputs)
    return (
        f"(define f {kind.program})\n"
        '(map (lambda (s) (guard (e (#t (list "error" (if (exn? e) (exn-message e) (format "~s" e))))) (list "ok" (f s))))'
        f" (list {texts}))"
    )


def literal(text: str) -> str:
    """The text as a Scheme string."""
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\x{ord(c):x};" for c in text) + '"'


def signature(answer: Any) -> str:
    """What the guest said, without what it quotes of the input."""
    if answer[0] == "ok":
        return f"ok {type(answer[1]).__name__}"
    return re.sub(r"[^a-z]+", " ", str(answer[1]).lower())[:48]

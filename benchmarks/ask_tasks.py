"""Questions with known answers over texts of any size, and a model that reads: for benchmarks/ask.py.

Every task is worked on in the same way in each language: the text's lines in parts, one sub-call a part, code
that puts the answers together. ``reader`` is the scripted sub-model: it does what the instruction says with
the text that it is shown, and nothing else.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

CHARS_A_TOKEN = 4
LINES_A_PART = 1_500
WORDS = [
    "harbour",
    "lamp",
    "window",
    "river",
    "copper",
    "garden",
    "letter",
    "market",
    "winter",
    "bridge",
    "engine",
    "paper",
    "stone",
    "signal",
    "field",
]
COMPLAINTS = ("arrived broken", "never worked", "is far too loud", "lost my parcel", "overcharged me twice")
PRAISE = (
    "works like a charm",
    "made my day",
    "was fixed within an hour",
    "is a joy to use",
    "came a day early",
)


@dataclass(frozen=True)
class Task:
    """``instruction`` is the sub-model's, over a part; ``python`` and ``scheme`` put ``found`` together."""

    name: str
    question: str
    context: str
    answer: str
    instruction: str
    python: str
    scheme: str
    second: str = ""
    """A second instruction, with {found} in it: a hop that depends on the first."""


def is_right(task: Task, said: str) -> bool:
    """Whether an answer is the known one, in whatever dress a model gives it."""
    said = said.strip().strip("\"'`*.").strip()
    if task.answer.isdigit():
        return {number.replace(",", "") for number in re.findall(r"\d[\d,]*", said)} == {task.answer}
    if "," in task.answer or "_" in task.answer:
        return sorted(re.findall(r"\w+_\w+", said)) == sorted(task.answer.split(","))
    return said.casefold() == task.answer.casefold()


def _filler(rng: random.Random, lines: int) -> list[str]:
    return [" ".join(rng.choices(WORDS, k=9)) + "." for _ in range(lines)]


def niah(tokens: int, seed: int = 0) -> Task:
    """One needle."""
    rng = random.Random(seed)
    lines = _filler(rng, max(20, tokens * CHARS_A_TOKEN // 62))
    number = str(rng.randrange(1_000_000, 9_999_999))
    lines[int(len(lines) * 0.62)] = f"The magic number of the blue heron is {number}."
    return Task(
        "s-niah", "What is the magic number of the blue heron? Reply with the number alone.", "\n".join(lines), number,
        "NEEDLE blue heron: reply with its magic number alone, or NONE.",
        'result = next(x for x in found if x != "NONE")',
        '(define result (findf (lambda (x) (not (equal? x "NONE"))) found))',
    )  # fmt: skip


def _reviews(rng: random.Random, tokens: int) -> tuple[list[str], list[tuple[str, str, bool]]]:
    lines, facts = [], []
    for number in range(max(30, tokens * CHARS_A_TOKEN // 64)):
        user, product = f"user{rng.randrange(400):03}", f"item{rng.randrange(40):02}"
        bad = rng.random() < 0.2
        said = rng.choice(COMPLAINTS if bad else PRAISE)
        lines.append(f"{number} | {user} | {product} | It {said} {rng.choice(WORDS)}.")
        facts.append((user, product, bad))
    return lines, facts


def oolong(tokens: int, seed: int = 1) -> Task:
    """Every line has to be judged, and the judgements counted."""
    lines, facts = _reviews(random.Random(seed), tokens)
    return Task(
        "oolong", "How many of the reviews are complaints? Reply with the number alone.", "\n".join(lines),
        str(sum(bad for _, _, bad in facts)),
        "COUNT complaints: reply with the number of lines that complain, alone.",
        "result = str(sum(int(x) for x in found))",
        "(define result (number->string (apply + (map string->number found))))",
    )  # fmt: skip


def pairs(tokens: int, seed: int = 2) -> Task:
    """Every line has to be judged, and all pairs of them looked at."""
    lines, facts = _reviews(random.Random(seed), tokens)
    by_product: dict[str, set[str]] = {}
    for user, product, bad in facts:
        if bad:
            by_product.setdefault(product, set()).add(user)
    found = {
        pair for users in by_product.values() for pair in ((a, b) for a in users for b in users if a < b)
    }
    return Task(
        "oolong-pairs", "How many pairs of users have complained about the same item? Reply with the number alone.",
        "\n".join(lines), str(len(found)),
        "COMPLAINERS: reply with user and item of every line that complains, as user|item, one a line, or NONE.",
        "by_item = {}\nfor x in found:\n    for row in x.split('\\n'):\n        if '|' in row:\n"
        "            user, item = row.split('|')\n            by_item.setdefault(item, set()).add(user)\n"
        "result = str(len({(a, b) for users in by_item.values() for a in users for b in users if a < b}))",
        "(define by-item (make-hash))\n(define pairs (make-hash))\n"
        "(for ([x found]) (for ([row (string-split x \"\\n\")])\n"
        "  (define parts (string-split row \"|\"))\n"
        "  (when (= (length parts) 2)\n"
        "    (hash-set! (hash-ref! by-item (cadr parts) make-hash) (car parts) #t))))\n"
        "(for ([(item users) by-item])\n"
        "  (let loop ([names (sort (hash-keys users) string<?)])\n"
        "    (unless (null? names)\n"
        "      (for ([b (cdr names)]) (hash-set! pairs (string-append (car names) \"|\" b) #t))\n"
        "      (loop (cdr names)))))\n"
        "(define result (number->string (hash-count pairs)))",
    )  # fmt: skip


def multi_hop(tokens: int, seed: int = 3) -> Task:
    """What is found first says what to look for next."""
    rng = random.Random(seed)
    lines = _filler(rng, max(40, tokens * CHARS_A_TOKEN // 62))
    company, city = f"Company{rng.randrange(1000):03}", rng.choice(["Tromso", "Valparaiso", "Cork", "Hobart"])
    lines[len(lines) // 5] = f"Ada Smith works for {company}."
    lines[len(lines) * 4 // 5] = f"{company} has its seat in {city}."
    return Task(
        "multi-hop", "In which city is the company that Ada Smith works for? Reply with its name alone.",
        "\n".join(lines), city, "EMPLOYER of Ada Smith: reply with the company alone, or NONE.",
        'result = next(x for x in found if x != "NONE")',
        '(define result (findf (lambda (x) (not (equal? x "NONE"))) found))',
        second="SEAT of {found}: reply with the city alone, or NONE.",
    )  # fmt: skip


def code(tokens: int, seed: int = 4) -> Task:
    """Who calls whom, in Python."""
    rng = random.Random(seed)
    lines, callers = [], []
    for number in range(max(12, tokens * CHARS_A_TOKEN // 90)):
        name = f"step_{number}_{rng.choice(WORDS)}"
        calls = rng.random() < 3 / max(12, tokens * CHARS_A_TOKEN // 90)
        if calls:
            callers.append(name)
        body = "legacy_open(path)" if calls else f"{rng.choice(WORDS)}(path, {number})"
        lines.append(f"def {name}(path): return {body}  # {rng.choice(WORDS)}")
    lines.append("def last_step(path): return legacy_open(path)")
    return Task(
        "code", "Which functions call legacy_open? Reply with their names, sorted, joined by commas.", "\n".join(lines),
        ",".join(sorted([*callers, "last_step"])),
        "CALLERS of legacy_open: reply with the functions that call it, one a line, or NONE.",
        'result = ",".join(sorted(n for x in found if x != "NONE" for n in x.split("\\n")))',
        '(define result (string-join (sort (append-map (lambda (x) (if (equal? x "NONE") (list) (string-split x "\\n")))'
        ' found) string<?) ","))',
    )  # fmt: skip


TASKS: dict[str, Callable[..., Task]] = {
    "s-niah": niah,
    "oolong": oolong,
    "oolong-pairs": pairs,
    "multi-hop": multi_hop,
    "code": code,
}


def reader(prompt: str) -> str:
    """The sub-model: what the instruction asks, from the text shown with it."""
    complaining = re.compile("|".join(COMPLAINTS))
    if "NEEDLE" in prompt:
        return _first(r"magic number of the blue heron is (\d+)", prompt)
    if "COUNT complaints" in prompt:
        return str(sum(bool(complaining.search(line)) for line in prompt.split("\n")))
    if "COMPLAINERS" in prompt:
        rows = [line.split(" | ") for line in prompt.split("\n") if complaining.search(line)]
        return "\n".join(f"{row[1]}|{row[2]}" for row in rows if len(row) == 4) or "NONE"
    if "EMPLOYER" in prompt:
        return _first(r"Ada Smith works for (\w+)\.", prompt)
    if "SEAT" in prompt:
        wanted = re.search(r"SEAT of (\w+):", prompt)
        return _first(rf"{wanted[1]} has its seat in (\w+)\.", prompt) if wanted else "NONE"
    if "CALLERS" in prompt:
        return "\n".join(re.findall(r"def (\w+)\(path\): return legacy_open", prompt)) or "NONE"
    return "NONE"


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else "NONE"


# ---- the root model's programs


def python_steps(task: Task) -> list[str]:
    """Look, read every part, put together."""
    steps = [
        "print(len(context)); print(context[:300])",
        "lines = context.split('\\n')\n"
        f"parts = ['\\n'.join(lines[i:i + {LINES_A_PART}]) for i in range(0, len(lines), {LINES_A_PART})]\n"
        f"found = llm_query_batched([{task.instruction + chr(10)!r} + part for part in parts])\n"
        f"{task.python}\nprint(result)",
    ]
    if task.second:
        steps.append(
            f"found = llm_query_batched([{task.second + chr(10)!r}.replace('{{found}}', result) + part for part in parts])\n"
            f"{task.python}\nprint(result)"
        )
    return steps


def scheme_steps(task: Task, *, ours: bool) -> list[str]:
    """The same in Scheme: for our own loop, or in dspy's, where the tools have its names."""

    def call(instruction: str) -> str:
        if ours:
            return (
                "(define found (map-async (lambda (part) (llm-query-async #:instruction "
                f"{instruction} #:data part)) parts #:max-concurrent 16))"
            )
        return (
            "(define found (llm_query_batched (map (lambda (part) (string-append "
            f'{instruction} "\\n" part)) parts)))'
        )

    # Guile has no string-split by text, so that every program brings its own, in plain R7RS.
    steps = [
        "(display (string-length context)) (newline) (display (substring context 0 300))",
        '(define lines (string-split context "\\n"))\n'
        "(define (parts-of lines) (let loop ((rest lines) (n 0) (part '()) (out '()))\n"
        '  (cond ((null? rest) (reverse (if (null? part) out (cons (string-join (reverse part) "\\n") out))))\n'
        f'        ((= n {LINES_A_PART}) (loop rest 0 \'() (cons (string-join (reverse part) "\\n") out)))\n'
        "        (else (loop (cdr rest) (+ n 1) (cons (car rest) part) out)))))\n"
        "(define parts (parts-of lines))\n"
        f"{call(_quoted(task.instruction))}\n{task.scheme}\n(display result)",
    ]
    if task.second:
        begin, end = task.second.split("{found}")
        steps.append(
            f"{call(f'(string-append {_quoted(begin)} result {_quoted(end)})')}\n{task.scheme}\n(display result)"
        )
    return steps


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

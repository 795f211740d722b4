"""Runs for the page to show: their records, made by programs over simulated models, or by hand where they are many."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import Any

from rlm_wasm import Completion, CompletionRequest, Limits, ProviderError, Runtime
from rlm_wasm.providers import tries
from rlm_wasm.providers.prices import Price
from rlm_wasm.runlog.events import (
    RECORDS,
    CallEnded,
    CallQueued,
    CallSent,
    ChildEnded,
    ChildStarted,
    Failure,
    FiberGoesOn,
    FiberStarted,
    Record,
    RunEnded,
    RunStarted,
    Text,
)
from rlm_wasm.testing import Latency, SimulatedModel, SimulatedProvider

FAST = Latency(median_s=0.03, sigma=0.5, straggler_rate=0.1, straggler_factor=3)
MODELS = {
    "small": SimulatedModel(latency=FAST, price=Price(0.15, 0.6)),
    "large": SimulatedModel(latency=Latency(median_s=0.09), price=Price(2.5, 10.0), accuracy=1.0),
}
TOWNS = [f"Town {i} lies by the river and has {i * 137 % 9000 + 500} inhabitants." for i in range(60)]

NEEDLE = """\
;; Find the one sentence that answers, among many.
(define question "Which town has the lighthouse?")

(define (relevant? part)
  (llm-query-async #:instruction (string-append "Quote what answers: " question)
                   #:data part #:model "small"))

(define parts (context-chunks 600 0))
(define found (map-async relevant? parts #:max-concurrent 6))
(define answer
  (syntax-e (llm-query #:instruction question
                       #:data (string-join found "\\n")
                       #:model "large")))
(finish answer)
"""
SURVEY = """\
(define (sentiment text)
  (llm-query-async #:instruction "One word: the sentiment." #:data text #:model "small"))
(define (summary words)
  (syntax-e (llm-query #:instruction "Sum up." #:data (string-join words ", ") #:model "large")))
(display "asking …\\n")
(define words (map-async sentiment (string-split context "\\n") #:max-concurrent 8))
(eprintf "~a answers\\n" (length words))
(finish (summary words))
"""
RACE = """\
(define (ask model)
  (lambda () (llm-query #:instruction "The capital?" #:data "Utopia" #:model model)))
(for/list ([i (in-range 4)])
  (race (list (ask "small") (ask "large") (ask "small"))))
"""
RECURSION = """\
(define part (substring context 0 800))
(finish (syntax-e (llm-query #:instruction "Which towns are there?" #:data part
                             #:model "large" #:recursive #t)))
"""
RETRY = """\
(define (ask i)
  (llm-query-async #:instruction "Say it." #:data (number->string i) #:model "small"))
(finish (string-join (map-async ask (range 12) #:max-concurrent 4 #:on-error "none")))
"""
HOSTILE_TEXTS = (
    "<script>window.hit = 1</script>",
    '<img src=x onerror="window.hit = 2">',
    "</script><script>window.hit = 3</script>",
    "<!--<script>",
    "]]>\u2028window.hit = 4//\u2029",
    "javascript:window.hit=5",
    "\\u003cscript>window.hit = 6\\u003c/script>",
    "<svg onload=window.hit=7><style>*{display:none}</style>",
    '"}];window.hit=8;[{"',
    "\u202eevil\u202c \x1b[31m\x00 half a pair: \ud800",
)
HOSTILE = """\
;; </script><script>window.hit = 9</script>
(define (ask i) (llm-query-async #:instruction "<b onmouseover=window.hit=10>x</b>" #:data (number->string i)))
(define all (map-async ask (range 10)))
(for-each display all)
(finish (string-join all "\\n"))
"""


class Faulty(SimulatedProvider):
    """Some tries fail: they are told as a provider does that retries by itself."""

    async def complete(self, request: CompletionRequest) -> Completion:
        number = int(request.data or 0)
        for attempt in range(number % 4):
            tries.begins()
            await asyncio.sleep(0.02)
            if number == 11 and attempt == 2:
                raise ProviderError("the server is overloaded (503)", status=503)
            tries.answered(429 if attempt % 2 == 0 else 503)
            await asyncio.sleep(0.03)
        tries.begins()
        completion = await super().complete(request)
        tries.answered(200)
        return completion


class Hostile:
    """Answers with what tries to become markup, or script."""

    name = "hostile"
    default_model = "<i onclick=window.hit=11>model</i>"
    free = True

    async def complete(self, request: CompletionRequest) -> Completion:
        return Completion(
            text=HOSTILE_TEXTS[int(request.data) % len(HOSTILE_TEXTS)], model=self.default_model
        )


def _written(request: CompletionRequest) -> list[str]:
    if request.purpose == "program":
        return [
            '```scheme\n(define lines (string-split context ". "))\n(define (name line)\n'
            '  (llm-query-async #:instruction "The name?" #:data line #:model "small"))\n'
            '(finish (string-join (map-async name lines) "; "))\n```'
        ]
    return [request.data[:60] or "yes"]


async def records_of(
    program: str, provider: Any = None, context: str | None = None, name: str = "program", **limits: Any
) -> list[Record]:
    """What a run of the program tells its log."""
    records: list[Record] = []
    made = provider or SimulatedProvider(MODELS, answers=_written)
    runtime = Runtime(provider=made, log=records.append, limits=Limits(**limits))
    async with runtime, runtime.session() as session:
        if context is not None:
            await session.load_context(context)
        await session.execute(program, name=name)
    return records


async def scenario(name: str) -> list[Record]:
    """The records of one of the cases by name."""
    towns = " ".join(TOWNS[:30])
    if name == "needle":
        return await records_of(NEEDLE, context=towns, name="needle.scm", cost_usd=0.05, tokens=200_000)
    if name == "survey":
        return await records_of(SURVEY, context="\n".join(TOWNS), name="survey.scm", cost_usd=0.5)
    if name == "race":
        return await records_of(RACE, name="race.scm")
    if name == "retry":
        return await records_of(RETRY, Faulty(MODELS), name="retry.scm", concurrency=6)
    if name == "recursion":
        return await records_of(RECURSION, context=towns, name="recursion.scm")
    if name == "failed":
        return await records_of(
            '(define (check x)\n  (error "the answer is no number:" x))\n'
            '(map-async (lambda (i) (syntax-e (llm-query #:instruction "n" #:model "small"))) (range 5))\n'
            '(parallel (list (lambda () (check "seven"))))',
            name="failed.scm",
        )
    if name == "hostile":
        return await records_of(HOSTILE, Hostile(), name="<script>window.hit=12</script>")
    assert name == "empty"
    return []


def filled(kind: type[Any], text: str, **fixed: Any) -> Any:
    """A record, or a part of one, with this text in every field that takes a text."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        shape = str(field.type)
        if shape in ("str", "str | None"):
            values[field.name] = text
        elif shape in ("Text", "Text | None"):
            values[field.name] = Text(text)
        elif shape == "tuple[str, ...]":
            values[field.name] = (text,)
        elif shape == "Mapping[str, Any]":
            values[field.name] = {
                text: text,
                "calls": text,
                "timeout_s": text,
                "concurrency": text,
                "cost_usd": 1,
            }
        elif shape == "Failure | None":
            values[field.name] = filled(Failure, text, line=1)
    return kind(**{**values, **fixed})


def hostile_everywhere(run: str, text: str, *, ended: bool = True) -> list[Record]:
    """A log with this text in every field of every record."""
    fixed = {
        "call": 1,
        "fiber": 1,
        "line": 1,
        "request": 1,
        "derived_from": (1,),
        "depth": 1,
        "made_from": (1,),
    }
    records: list[Record] = []
    for number, kind in enumerate(RECORDS):
        if kind is FiberGoesOn or (kind is RunEnded and not ended):
            continue
        known = {field.name for field in dataclasses.fields(kind)}
        child = {"execution": 1} if kind in (ChildStarted, ChildEnded) else {}
        mine = {name: value for name, value in fixed.items() if name in known}
        records.append(filled(kind, text, **{**mine, **child, "run": run, "at": 1e9 + number}))
    return records


def many(calls: int = 10_000, fibers: int = 40, *, running: bool = False) -> list[Record]:
    """A run of many calls, as its log would tell it."""
    rng = random.Random(7)
    run, start = "5eed5eed5eed5eed", 1_700_000_000.0
    program = Text(
        '(define (ask x)\n  (llm-query-async #:instruction "q" #:data x))\n(map-async ask items #:max-concurrent 40)\n'
    )
    limits = {"concurrency": 50, "calls": 20_000, "timeout_s": 3600.0, "cost_usd": 5.0, "tokens": None}
    records: list[Record] = [
        RunStarted(run=run, at=start, name="many.scm", program=program, provider="simulated", limits=limits)
    ]
    timed: list[tuple[float, int, Record]] = []
    free = [start + 0.01 * f for f in range(fibers)]
    for fiber in range(fibers):
        born = FiberStarted(run=run, at=free[fiber], fiber=fiber + 1, what="map-async", line=3)
        timed.append((born.at, 0, born))
    models = ("small", "large", "other")
    for number in range(1, calls + 1):
        fiber = min(range(fibers), key=free.__getitem__)
        queued = free[fiber] + 0.002
        sent = queued + rng.random() * 0.05
        end = sent + rng.lognormvariate(-0.7, 0.5)
        free[fiber] = end
        model = rng.choices(models, (8, 2, 1))[0]
        status = rng.choices(("done", "failed", "cancelled"), (97, 2, 1))[0]
        asked = CallQueued(
            run=run, at=queued, call=number, op="llm-query-async", fiber=fiber + 1, line=2, column=3, model=model,
            instruction=Text("Classify"), data=Text(f"item {number}"), reserved_tokens=500, reserved_usd=0.0004,
        )  # fmt: skip
        ended = CallEnded(
            run=run, at=end, call=number, status=status, model=model if status == "done" else "",
            answer=Text(f"class {number % 7}") if status == "done" else None, prompt_tokens=200 if status == "done" else 0,
            completion_tokens=20 if status == "done" else 0, cost_usd=0.0001 if status == "done" else 0.0,
            error="overloaded" if status == "failed" else None,
        )  # fmt: skip
        timed += [
            (queued, number, asked),
            (sent, number, CallSent(run=run, at=sent, call=number)),
            (end, number, ended),
        ]
    timed.sort(key=lambda item: item[:2])
    if running:
        timed = timed[: len(timed) * 2 // 3]
    records += [record for _, _, record in timed]
    if not running:
        last = records[-1].at + 0.01
        records.append(
            RunEnded(
                run=run, at=last, status="finished", value=Text("done"), calls=calls, prompt_tokens=200 * calls,
                completion_tokens=20 * calls, cost_usd=0.0001 * calls, elapsed=last - start,
            )
        )  # fmt: skip
    return records

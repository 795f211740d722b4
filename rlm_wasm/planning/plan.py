"""Composes programs for a task: by rules, and with the configured model's advice where there is one.

The rules need no model: they look at the priority, the scale and the words of the task, choose
among strategies, and fill in the sizes. Every program is run dry before it is given out, on the
loaded context or on a stand-in of the stated scale; its estimate comes from there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import ProviderError
from rlm_wasm.planning.estimate import Estimate, estimate
from rlm_wasm.providers.base import CompletionRequest
from rlm_wasm.providers.info import info_of

if TYPE_CHECKING:
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session

CHEAP, GOOD, MIDDLE = "gpt-4.1-nano", "gpt-4o", "gpt-4o-mini"
CHUNK = 20_000
_SCALES = {"small": 10, "medium": 50, "large": 200, "massive": 1000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be planned for."""

    task_description: str
    data_characteristics: str = ""
    constraints: str = ""
    priority: str = "balanced"
    scale: int | str | None = None
    min_outputs: int | None = None
    coverage_target: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A program with the reasons for it."""

    name: str
    patterns: tuple[int, ...]
    why: str
    program: str
    estimate: Estimate

    def to_text(self) -> str:
        """For people."""
        numbers = ", ".join(map(str, self.patterns))
        return (
            f"### {self.name} (pattern {numbers})\n{self.why}\n\n```scheme\n{self.program}```\n"
            f"{self.estimate.to_text()}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The recommended strategy first."""

    recommended: Strategy
    alternatives: tuple[Strategy, ...]
    creative: tuple[Strategy, ...]
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """For people."""
        parts = ["## Recommended", self.recommended.to_text(), "## Alternatives"]
        parts += [strategy.to_text() for strategy in self.alternatives]
        parts += ["## Creative", *(strategy.to_text() for strategy in self.creative)]
        return "\n\n".join([*parts, *self.notes])


async def plan(runtime: Runtime, task: Task, *, session: Session | None = None) -> Plan:
    """Plan for a task, over the session's data where it has some."""
    scene, notes = _scene(task, session)
    chosen = _chosen(task, scene)
    strategies = [await _tried(runtime, session, scene, name) for name in chosen]
    advised = await _advised(runtime, session, task, scene, strategies[0])
    if isinstance(advised, Strategy):
        strategies = [advised, *strategies]
        notes.append(f'The recommended program is the model\'s refinement of "{strategies[1].name}".')
    elif advised:
        notes.append(advised)
    return Plan(
        recommended=strategies[0],
        alternatives=tuple(strategies[1:-2]),
        creative=tuple(strategies[-2:]),
        notes=tuple(notes),
    )


# ---- the rules


@dataclass(frozen=True, slots=True)
class _Scene:
    """The figures that the programs are filled in with."""

    task: str
    items: int
    loaded: bool
    chunks: str
    cheap: str
    good: str
    middle: str
    branch: int
    labels: bool


def _scene(task: Task, session: Session | None) -> tuple[_Scene, list[str]]:
    notes = []
    text = None if session is None else session.contexts.get(None)
    items = _items(task, text)
    forbidden = re.findall(r"(?:no|not|without|avoid)\s+([\w.-]*\d[\w.-]*)", task.constraints.lower())
    cheap = MIDDLE if CHEAP in forbidden else CHEAP
    good = {"cost": MIDDLE, "speed": MIDDLE}.get(task.priority, GOOD)
    if good in forbidden:
        good = MIDDLE if MIDDLE not in forbidden else "gpt-4.1"
    chunks = f"(context-chunks {CHUNK} 200)"
    if text is None:
        notes.append(
            f"No context is loaded: the figures are for a stand-in of {items} items of 2,000 characters. "
            "Load the data and plan again for the real ones."
        )
        chunks = f"(or data-chunks (context-chunks {CHUNK} 200))"
    if task.coverage_target < 1:
        share = max(1, round(items * task.coverage_target))
        chunks = f"(let ([all {chunks}]) (take (shuffle all) (min (length all) {share})))"
        notes.append(f"Coverage: {task.coverage_target:.0%} of the chunks are read, chosen at random.")
    if task.min_outputs and task.min_outputs > items:
        notes.append(f"{task.min_outputs} outputs from {items} items: ask for several from each.")
    wanted = task.task_description
    if task.min_outputs:
        wanted += f" Give at least {task.min_outputs} results."
    if task.constraints:
        wanted += f" Constraints: {task.constraints}"
    words = f"{task.task_description} {task.data_characteristics}".lower()
    labels = bool(re.search(r"classif|label|categor|sentiment|yes.?no|detect|moderat|diagnos|triage", words))
    scene = _Scene(
        wanted, items, text is not None, chunks, cheap, good, MIDDLE, 5 if items <= 100 else 10, labels
    )
    return scene, notes


def _items(task: Task, text: str | None) -> int:
    if text is not None:
        return max(1, -(-len(text) // CHUNK))
    scale = task.scale
    if isinstance(scale, int):
        return max(1, min(scale, 1000))
    if scale is not None and scale.strip().lower() in _SCALES:
        return _SCALES[scale.strip().lower()]
    for words in (scale or "", task.data_characteristics, task.task_description):
        number = re.search(r"(\d[\d,]*)\s*(k\b)?", words.lower())
        if number:
            return max(1, min(int(number[1].replace(",", "")) * (1000 if number[2] else 1), 1000))
    return _SCALES["small"]


def _chosen(task: Task, scene: _Scene) -> list[str]:
    """Names of programs: recommended, alternatives, and the last two creative."""
    words = f"{task.task_description} {task.data_characteristics}".lower()
    large = scene.items > 20
    by_priority = {
        "cost": ["triage", "fan-out", "tree"],
        "speed": ["fan-out", "hedged", "tree"],
        "quality": ["vote" if scene.labels else "refined", "tree", "fan-out"],
        "balanced": ["tree" if large else "fan-out", "triage" if scene.labels else "refined", "fan-out"],
    }
    names = by_priority[task.priority]
    if re.search(r"find|search|needle|where|which line|locate|magic", words):
        names = ["needle", *names]
    if re.search(r"story|narrative|chronolog|in order|sequence|timeline|conversation|transcript", words):
        names = ["fold", *names]
    names = [*dict.fromkeys([*names, "tree", "fan-out"])][:4]
    creative = ["delegated", "written"]
    if re.search(r"structure|schema|format|unknown", words):
        creative.reverse()
    return [*names, *creative]


def _quoted(text: str) -> str:
    """A Scheme string literal."""
    return json.dumps(text, ensure_ascii=False).replace("\\/", "/")


@dataclass(frozen=True, slots=True)
class _Template:
    """A file of the strategies folder: three lines about it, then the program with its blanks."""

    name: str
    patterns: tuple[int, ...]
    why: str
    program: Template

    def filled(self, scene: _Scene) -> str:
        """The program for a task."""
        sizes = {
            "cheap": scene.cheap,
            "middle": scene.middle,
            "good": scene.good,
            "branch": str(scene.branch),
        }
        parts = {part: Template(_file(f"parts-{part}")).substitute(sizes) for part in ("findings", "merge")}
        stand_in = "" if scene.loaded else _STAND_IN
        head = f"(define task {_quoted(scene.task)})\n{stand_in}(define chunks {scene.chunks})\n"
        return self.program.substitute(sizes, head=head, **parts)


_STAND_IN = "(define data-chunks #f)  ; your own list of texts, or load_context\n"


def _file(name: str) -> str:
    return files("rlm_wasm.planning").joinpath("strategies", f"{name}.scm").read_text(encoding="utf-8")


@cache
def _template(key: str) -> _Template:
    name, patterns, why, program = _file(key).split("\n", 3)
    return _Template(
        name.removeprefix("; name: "),
        tuple(map(int, patterns.removeprefix("; patterns: ").split())),
        why.removeprefix("; why: "),
        Template(program),
    )


async def _tried(runtime: Runtime, session: Session | None, scene: _Scene, key: str) -> Strategy:
    template = _template(key)
    program = template.filled(scene)
    tried = program if scene.loaded else _standing_in(program, scene)
    return Strategy(
        name=template.name,
        patterns=template.patterns,
        why=template.why,
        program=program,
        estimate=await estimate(runtime, tried, session=session),
    )


def _standing_in(program: str, scene: _Scene) -> str:
    data = f"(define data-chunks (for/list ([i {scene.items}]) (make-string 2000 #\\a)))"
    return program.replace(_STAND_IN, data + "\n")


# ---- a model's advice

_ADVICE = """\
You improve a Scheme program that orchestrates LLM calls (R7RS with Racket's common procedures and the \
combinators shown). Reply with one json object: {{"name": short name, "why": one sentence, "program": the \
whole improved program}}. Keep its shape where it is good already; adapt instructions, models, sizes and \
steps to the task. It must end with (finish value). The task: {task}
Data: {data}. Constraints: {constraints}. Priority: {priority}."""


async def _advised(
    runtime: Runtime, session: Session | None, task: Task, scene: _Scene, first: Strategy
) -> Strategy | str:
    """The model's refinement of the first strategy; else what became of it, or nothing."""
    provider: Any = runtime.grants.provider()
    if not info_of(provider).language_model:
        return ""
    request = CompletionRequest(
        id=0,
        instruction=_ADVICE.format(
            task=task.task_description,
            data=task.data_characteristics or f"{scene.items} parts",
            constraints=task.constraints or "none",
            priority=task.priority,
        ),
        data=first.program,
        model=runtime.grants.model,
        json=True,
        max_tokens=3000,
        timeout_s=60,
    )
    try:
        answer = json.loads((await provider.complete(request)).text)
        program = str(answer["program"])
        tried = program if scene.loaded else _standing_in(program, scene)
        figures = await estimate(runtime, tried, session=session)
    except ProviderError as error:
        return f"The model gave no advice ({error}): this plan is by rules alone."
    except (ValueError, KeyError, TypeError):
        return "The model's advice could not be read: this plan is by rules alone."
    if figures.status not in ("ok", "finished"):
        return f"The model's program failed its dry run ({figures.notes[0]}): this plan is by rules alone."
    return replace(
        first,
        name=str(answer.get("name") or f"{first.name}, refined"),
        why=str(answer.get("why") or first.why),
        program=program,
        estimate=figures,
    )

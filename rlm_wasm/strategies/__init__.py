"""Which program fits a task, by rules: templates, chosen by the task's words and its data's size.

No model is asked. A plan composes these and estimates them; an ask runs the first of them where the provider
writes no programs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template

from rlm_wasm.lazy_dataclass import dataclass

CHUNK = 20_000
ROLES = ("cheap", "middle", "good")
_MAX_NAMED = 200
"""Contexts that a program names one by one."""
_SCALES = {"small": 10, "medium": 50, "large": 200, "massive": 1000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be planned for."""

    task_description: str
    """What is to be done."""
    data_characteristics: str = ""
    """What the data is like."""
    constraints: str = ""
    """What must or must not be."""
    priority: str = "balanced"
    """"speed", "cost", "quality" or "balanced"."""
    scale: int | str | None = None
    """How many items, or in words."""
    min_outputs: int | None = None
    """How many results are wanted at the least."""
    coverage_target: float = 1.0
    """Share of the data that must be looked at, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Scene:
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


def scene_of(
    task: Task, contexts: Mapping[str | None, str], models: Mapping[str, str | None] | None = None
) -> tuple[Scene, list[str]]:
    """The figures for a task over these texts, None being the main one; and what is to be said about them.

    ``models`` says which model each role stands for, so that a constraint may name models.
    """
    notes = []
    size = sum(map(len, contexts.values())) if contexts else None
    items = _items(task, size)
    forbidden = re.findall(r"(?:no|not|without|avoid)\s+([\w.-]+)", task.constraints.lower())
    allowed = [role for role in ROLES if not {role, (models or {}).get(role)} & set(forbidden)] or list(ROLES)

    def one(*preferred: str) -> str:
        return next(role for role in (*preferred, *ROLES) if role in allowed)

    cheap, middle = one("cheap"), one("middle", "cheap")
    good = one("middle") if task.priority in ("cost", "speed") else one("good", "middle")
    chunks = _chunks(contexts)
    if size is None:
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
    scene = Scene(
        wanted, items, size is not None, chunks, cheap, good, middle, 5 if items <= 100 else 10, labels
    )
    return scene, notes


def _chunks(contexts: Mapping[str | None, str]) -> str:
    """The expression for the pieces of all contexts, those of the main one first."""
    main = f"(context-chunks {CHUNK} 200)"
    named = [name for name in contexts if name is not None]
    if not named:
        return main
    names = " ".join(map(_quoted, named)) if len(named) <= _MAX_NAMED else ""
    listed = f"(list {names})" if names else "(context-names)"
    pieces = f"(append-map (lambda (name) (context-chunks {CHUNK} 200 name)) {listed})"
    return f"(append {main} {pieces})" if None in contexts else pieces


def for_question(question: str, contexts: Mapping[str | None, str]) -> tuple[str, str]:
    """The name of the strategy for a question, and its program.

    A question for a fact searches every part; any other task is planned for as ever.
    """
    task = Task(task_description=question)
    scene, _ = scene_of(task, contexts)
    strategy = template("needle" if _asks_for_fact(question) else chosen(task, scene)[0])
    return strategy.name, strategy.filled(scene)


_FACT = re.compile(
    r"\b(?:who|whose|whom|what|which|when|where|how (?:long|old|far|tall|large|big|fast)|how)\b"
)
_OF_ALL = re.compile(
    r"\b(?:summar\w+|overview|all|every|each|list|count|how (?:many|often)|compare|overall|themes?"
    r"|main points?|most common|average|trend\w*|describe|about)\b"
)


def _asks_for_fact(question: str) -> bool:
    words = question.lower()
    return bool(_FACT.search(words) or words.rstrip().endswith("?")) and not _OF_ALL.search(words)


def _items(task: Task, size: int | None) -> int:
    if size is not None:
        return max(1, -(-size // CHUNK))
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


def chosen(task: Task, scene: Scene) -> list[str]:
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
class StrategyTemplate:
    """A file of the strategies folder: three lines about it, then the program with its blanks."""

    name: str
    patterns: tuple[int, ...]
    why: str
    program: Template

    def filled(self, scene: Scene) -> str:
        """The program for a task."""
        sizes = {
            "cheap": scene.cheap,
            "middle": scene.middle,
            "good": scene.good,
            "branch": str(scene.branch),
        }
        parts = {part: Template(_file(f"parts-{part}")).substitute(sizes) for part in ("findings", "merge")}
        stand_in = "" if scene.loaded else STAND_IN
        head = f"(define task {_quoted(scene.task)})\n{stand_in}(define chunks {scene.chunks})\n"
        return self.program.substitute(sizes, head=head, **parts)


STAND_IN = "(define data-chunks #f)  ; your own list of texts, or load_context\n"


def _file(name: str) -> str:
    return files("rlm_wasm").joinpath("strategies", f"{name}.scm").read_text(encoding="utf-8")


@cache
def template(key: str) -> StrategyTemplate:
    """A strategy of the folder, by its file's name."""
    name, patterns, why, program = _file(key).split("\n", 3)
    return StrategyTemplate(
        name.removeprefix("; name: "),
        tuple(map(int, patterns.removeprefix("; patterns: ").split())),
        why.removeprefix("; why: "),
        Template(program),
    )

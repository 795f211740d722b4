"""Composes programs for a task: by rules, and with the configured model's advice where there is one.

The rules need no model: they look at the priority, the scale and the words of the task, choose
among strategies, and fill in the sizes. Every program is run dry before it is given out, on the
loaded context or on a stand-in of the stated scale; its estimate comes from there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import ProviderError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.planning.estimate import Estimate, estimate
from rlm_wasm.providers.aliases import ROLES, model_for
from rlm_wasm.providers.base import CompletionRequest
from rlm_wasm.providers.info import info_of
from rlm_wasm.strategies import STAND_IN, Scene, Task, chosen, scene_of, template

if TYPE_CHECKING:
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A program with the reasons for it."""

    name: str
    """What it is called."""
    patterns: tuple[int, ...]
    """Numbers of the patterns that it uses, 1 to 16."""
    why: str
    """Why it suits the task."""
    program: str
    """Complete."""
    estimate: Estimate
    """What a dry run of it found."""

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
    """The one to take."""
    alternatives: tuple[Strategy, ...]
    """Others that would do."""
    creative: tuple[Strategy, ...]
    """Unusual ones."""
    notes: tuple[str, ...] = ()
    """What to know of it."""

    def to_text(self) -> str:
        """For people."""
        parts = ["## Recommended", self.recommended.to_text(), "## Alternatives"]
        parts += [strategy.to_text() for strategy in self.alternatives]
        parts += ["## Creative", *(strategy.to_text() for strategy in self.creative)]
        return "\n\n".join([*parts, *self.notes])


async def plan(runtime: Runtime, task: Task, *, session: Session | None = None) -> Plan:
    """Plan for a task, over the session's data where it has some."""
    scene, notes = scene_of(task, {} if session is None else session.contexts, _models(runtime))
    strategies = [await _tried(runtime, session, scene, name) for name in chosen(task, scene)]
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


def _models(runtime: Runtime) -> dict[str, str | None]:
    """Which model each role stands for."""
    grants = runtime.grants
    info = info_of(grants.provider())
    return {role: model_for(role, grants.aliases, info) for role in ROLES}


async def _tried(runtime: Runtime, session: Session | None, scene: Scene, key: str) -> Strategy:
    strategy = template(key)
    program = strategy.filled(scene)
    tried = program if scene.loaded else _standing_in(program, scene)
    return Strategy(
        name=strategy.name,
        patterns=strategy.patterns,
        why=strategy.why,
        program=program,
        estimate=await estimate(runtime, tried, session=session),
    )


def _standing_in(program: str, scene: Scene) -> str:
    data = f"(define data-chunks (for/list ([i {scene.items}]) (make-string 2000 #\\a)))"
    return program.replace(STAND_IN, data + "\n")


# ---- a model's advice

_ADVICE = """\
You improve a Scheme program that orchestrates LLM calls (R7RS with Racket's common procedures and the \
combinators shown). Reply with one json object: {{"name": short name, "why": one sentence, "program": the \
whole improved program}}. Keep its shape where it is good already; adapt instructions, models, sizes and \
steps to the task. It must end with (finish value). The task: {task}
Data: {data}. Constraints: {constraints}. Priority: {priority}."""


async def _advised(
    runtime: Runtime, session: Session | None, task: Task, scene: Scene, first: Strategy
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

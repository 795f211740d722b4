"""An ask where the provider writes no programs: the planner's program for the task runs, and that is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from rlm_wasm.asking.answer import OnStep, Step
from rlm_wasm.asking.bounds import bounded
from rlm_wasm.asking.loop import Found
from rlm_wasm.results import ErrorInfo
from rlm_wasm.strategies import for_question

if TYPE_CHECKING:
    from rlm_wasm.asking.answer_type import AnswerType
    from rlm_wasm.asking.loop import Workplace


async def planned(
    question: str,
    contexts: Mapping[str | None, str],
    place: Workplace,
    kind: AnswerType,
    provider: str,
    model: str | None,
    on_step: OnStep | None,
) -> Found:
    """What the planner's program finds. ``provider`` is the one that writes none.

    ``model``: one that was asked for, and that nobody asks; None where there is none.
    """
    if not contexts:
        message = f"there is no context to answer from, and the {provider} provider knows nothing by itself"
        return Found(error=ErrorInfo(type="exn:fail:contract", message=message))
    # An empty part would be answered from the question itself.
    strategy, program = for_question(
        question, {name: text for name, text in contexts.items() if text.strip()}
    )
    result = await place.run(program)
    found = Found.planned(
        result,
        f"The {provider} provider writes no programs: this is what the planner's program "
        f'"{strategy}" found with it.',
    )
    if model:
        found.notes.append(
            f"It was not asked of {model}: the {provider} provider answers whatever the model."
        )
    if result.ok:
        found.fit(kind)
    used = place.used()
    step = Step(
        number=1,
        program=program,
        status=result.status,
        value=bounded(result.value),
        output=bounded(result.stdout),
        error=str(result.error or ""),
    )
    step = replace(step, calls=used.calls, tokens=used.tokens, cost_usd=used.cost_usd, elapsed=used.elapsed)
    found.steps.append(step)
    if on_step is not None:
        on_step(step)
    return found

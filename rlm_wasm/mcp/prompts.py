"""Prompts for the guide's common scenarios, and completion of their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import mcp_types as types

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.mcp import guide
from rlm_wasm.providers.aliases import ROLES
from rlm_wasm.providers.info import info_of

if TYPE_CHECKING:
    from rlm_wasm.mcp.session_queue import SessionQueue

MODELS = (
    *ROLES,
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o",
    "gpt-4o-mini",
    "o3-mini",
    "o4-mini",
)
"""Those that the guide speaks of; any other name is passed on to the provider."""

_ABOUT = {
    "task": "What is to be found out or made.",
    "context": "Name of the loaded context; the main one where left out.",
    "model": "Model for the many small calls (default cheap).",
    "budget": "Dollars that may be spent.",
    "labels": "The categories, separated by commas.",
    "pattern": "Number of the pattern, 1 to 16, or its name.",
}


@dataclass(frozen=True, slots=True)
class _Scenario:
    title: str
    about: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    patterns: tuple[int, ...]
    text: str


_SCENARIOS = {
    "analyze-documents": _Scenario(
        "Analyze many documents",
        "Hundreds of papers, reviews or reports, one synthesis.",
        ("task",),
        ("context", "model"),
        (1, 10),
        "Analyze the documents in {context} for this task: {task}\n"
        "Split them, read each with {model} by map-async, then merge the findings with tree-reduce "
        "(better models towards the root).",
    ),
    "find-in-text": _Scenario(
        "Find facts in a long text",
        "A needle in a text far too long for a prompt.",
        ("task",),
        ("context", "model"),
        (1,),
        "Find in {context}: {task}\n"
        "Try context-search first, which costs nothing. Otherwise let {model} read every chunk "
        "(context-chunks with an overlap longer than a line), answering NONE where there is nothing; then "
        "one "
        "better model judges the findings.",
    ),
    "classify-on-a-budget": _Scenario(
        "Classify items on a budget",
        "A cheap model on all items, a vote on the uncertain ones.",
        ("labels",),
        ("context", "model", "budget"),
        (9, 8),
        "Classify every item of {context} as one of: {labels}. Spend at most {budget} dollars.\n"
        "Let {model} label each item with a confidence (#:json #t); only items below 0.7 get a vote of "
        "several "
        "models. Call estimate_cost before running, and set a token-budget.",
    ),
    "refine-a-text": _Scenario(
        "Write and refine",
        "Draft, criticise, refine until it is good.",
        ("task",),
        ("context",),
        (4,),
        "Write: {task}\nMaterial: {context}. Draft it, let a second model criticise it against explicit "
        "criteria, "
        'refine, at most three rounds; stop at "approved".',
    ),
    "unknown-structure": _Scenario(
        "Explore data of unknown structure",
        "Let a model look at a sample and write the program.",
        ("task",),
        ("context",),
        (2, 6),
        "The structure of {context} is unknown. Task: {task}\n"
        "Look at (context-slice 0 2000) and a few samples first. Then either write the extraction yourself "
        "(regexps, JSON, Python) or let a model write it, and check its output on a sample before running "
        "it on "
        "everything.",
    ),
    "answer-repeated-questions": _Scenario(
        "Answer repeated questions",
        "Keep answers, ask only what is new.",
        ("task",),
        ("context", "model"),
        (14,),
        "Answer these questions about {context}: {task}\n"
        "Use cached-query (kept in the store across sessions) or memoized, with {model}.",
    ),
    "apply-pattern": _Scenario(
        "Apply a pattern",
        "One of the sixteen patterns, fitted to a task.",
        ("pattern", "task"),
        ("context",),
        (),
        "Apply pattern {pattern} to {context}. Task: {task}\nAdapt this program:",
    ),
}

_CLOSING = (
    "\n\nWork with the rlm-wasm tools: load_context unless the data is loaded, estimate_cost for the "
    "program, "
    "execute_scheme, and look at get_scope_log if the result is surprising."
)


def listed() -> list[types.Prompt]:
    """All of them."""
    return [
        types.Prompt(
            name=name,
            title=scenario.title,
            description=scenario.about,
            arguments=[
                types.PromptArgument(name=a, description=_ABOUT[a], required=a in scenario.required)
                for a in (*scenario.required, *scenario.optional)
            ],
        )
        for name, scenario in _SCENARIOS.items()
    ]


def filled(name: str, arguments: Mapping[str, str]) -> types.GetPromptResult:
    """A prompt with its arguments. Raises ValueError, which says what to send."""
    scenario = _SCENARIOS.get(name)
    if scenario is None:
        raise ValueError(f"there is no prompt {name}: there are {', '.join(_SCENARIOS)}")
    missing = [a for a in scenario.required if not arguments.get(a)]
    if missing:
        raise ValueError(f'the prompt {name} needs "{missing[0]}": {_ABOUT[missing[0]]}')
    unknown = [a for a in arguments if a not in (*scenario.required, *scenario.optional)]
    if unknown:
        known = ", ".join((*scenario.required, *scenario.optional))
        raise ValueError(f'the prompt {name} takes no "{unknown[0]}": it takes {known}')
    context = arguments.get("context")
    values = {
        "model": "cheap",
        "budget": "1",
        **arguments,
        "context": f'the context (get-context "{context}")' if context else "the loaded context",
    }
    text = scenario.text.format(**values)
    for number in scenario.patterns or (_pattern_number(arguments["pattern"]),):
        pattern = guide.pattern(number)
        text += f"\n\nPattern {pattern.id}, {pattern.name}:\n```scheme\n{pattern.program}```"
    return types.GetPromptResult(
        description=scenario.about,
        messages=[types.PromptMessage(role="user", content=types.TextContent(text=text + _CLOSING))],
    )


def _pattern_number(text: str) -> int:
    number = guide.pattern_of(text)
    if number is None:
        near = guide.pattern_like(text)
        meant = f": did you mean {near.id}, {near.name}?" if near else ""
        raise ValueError(f'"pattern" is a number from 1 to {guide.PATTERNS}, or a name, not {text!r}{meant}')
    return number


def completions(queue: SessionQueue, argument: str, begun: str) -> list[str]:
    """What an argument's value may be, given its beginning."""
    if argument == "pattern":
        known = [str(number) for number in guide.patterns()]
    elif argument == "section":
        known = [str(section) for section in guide.sections()]
    elif argument == "recipe":
        known = [str(number) for number in guide.recipes()]
    elif argument == "scenario":
        known = [str(number) for number in guide.scenarios()]
    elif argument == "model":
        own = info_of(queue.runtime.grants.provider()).default_model
        known = sorted({*MODELS, *([own] if own else [])})
    elif argument == "context":
        known = [name or "context" for name in queue.session.contexts]
    elif argument == "run":
        known = [str(number) for number in queue.runs]
    else:
        return []
    return [value for value in known if value.startswith(begun)]

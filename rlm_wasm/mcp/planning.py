"""Composes programs for a task: by rules, and with the configured model's advice where there is one.

The rules need no model: they look at the priority, the scale and the words of the task, choose
among strategies, and fill in the sizes. Every program is run dry before it is given out, on the
loaded context or on a stand-in of the stated scale; its estimate comes from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import ProviderError
from rlm_wasm.mcp.estimating import Estimate, estimate
from rlm_wasm.providers.base import CompletionRequest

if TYPE_CHECKING:
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.session import Session

CHEAP, GOOD, MIDDLE = "gpt-4.1-nano", "gpt-4o", "gpt-4o-mini"
CHUNK = 20_000
_SCALES = {"small": 10, "medium": 50, "large": 200, "massive": 1000}
_UNASKED = frozenset({"extractive", "echo", "scripted"})
"""Providers whose models cannot judge a plan."""


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

    def readable(self) -> str:
        """For people."""
        numbers = ", ".join(map(str, self.patterns))
        return (
            f"### {self.name} (pattern {numbers})\n{self.why}\n\n```scheme\n{self.program}```\n"
            f"{self.estimate.readable()}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The recommended strategy first."""

    recommended: Strategy
    alternatives: tuple[Strategy, ...]
    creative: tuple[Strategy, ...]
    notes: tuple[str, ...] = ()

    def readable(self) -> str:
        """For people."""
        parts = ["## Recommended", self.recommended.readable(), "## Alternatives"]
        parts += [strategy.readable() for strategy in self.alternatives]
        parts += ["## Creative", *(strategy.readable() for strategy in self.creative)]
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


def _ask(instruction: str, data: str, model: str, more: str = "") -> str:
    return f'(llm-query #:instruction {instruction} #:data {data} #:model "{model}"{more})'


def _head(scene: _Scene) -> str:
    stand_in = "" if scene.loaded else "(define data-chunks #f)  ; your own list of texts, or load_context\n"
    return f"(define task {_quoted(scene.task)})\n{stand_in}(define chunks {scene.chunks})\n"


def _map(scene: _Scene, instruction: str) -> str:
    return (
        "(define findings\n  (map-async\n   (lambda (chunk)\n     (llm-query-async\n"
        f"      #:instruction (string-append {_quoted(instruction)} task)\n"
        f'      #:data chunk #:model "{scene.cheap}" #:max-tokens 400))\n   chunks #:max-concurrent 20))\n'
    )


_NOTE = "Note what this part of the data contributes to the task. Be brief. Task: "
_MERGE = "Merge these partial results into one answer to the task, losing nothing that matters. Task: "


def _merge(model: str) -> str:
    inner = _ask(f"(string-append {_quoted(_MERGE)} task)", '(string-join parts "\\n---\\n")', model)
    return f"(define (merge . parts)\n  (syntax-e\n   {inner}))\n"


def _fan_out(s: _Scene) -> str:
    return f"{_head(s)}{_map(s, _NOTE)}{_merge(s.good)}(finish (apply merge findings))\n"


def _tree(s: _Scene) -> str:
    return (
        f"{_head(s)}{_map(s, _NOTE)}{_merge(s.middle)}"
        f"(define overview (tree-reduce merge findings #:branch-factor {s.branch}))\n"
        "(finish\n (syntax-e\n  "
        + _ask('(string-append "Answer the task from this overview. Task: " task)', "overview", s.good)
        + "))\n"
    )


def _triage(s: _Scene) -> str:
    ask = 'Do the task for this part. Answer as json: {"answer": text, "confidence": number from 0 to 1}. Task: '
    return (
        f"{_head(s)}(define (cheap chunk)\n  (syntax-e (llm-query #:instruction (string-append {_quoted(ask)} task)\n"
        f'                       #:data chunk #:model "{s.cheap}" #:json #t)))\n'
        f"(define (careful chunk)\n  (syntax-e (llm-query #:instruction (string-append {_quoted(ask)} task)\n"
        f'                       #:data chunk #:model "{s.good}" #:json #t)))\n'
        "(define (confidence answer)\n  (let ([c (hash-ref (string->jsexpr answer) 'confidence 0)]) (if (real? c) c 0)))\n"
        "(define answers (active-learning cheap careful confidence chunks #:threshold 0.7))\n"
        '(define (text-of answer) (format "~a" (hash-ref (string->jsexpr answer) \'answer answer)))\n'
        f"{_merge(s.middle)}(finish (tree-reduce merge (map text-of answers) #:branch-factor {s.branch}))\n"
    )


def _hedged(s: _Scene) -> str:
    one, two = (
        _ask('(string-append "Do the task for this part. Task: " task)', "chunk", m)
        for m in (s.cheap, s.middle)
    )
    return (
        f"{_head(s)};; two models race for each part: the slower one is cancelled\n(define findings\n  (map-async\n"
        f"   (lambda (chunk)\n     (race (list (lambda () {one})\n                 (lambda () {two}))))\n"
        f"   chunks #:max-concurrent 10))\n{_merge(s.middle)}(finish (apply merge findings))\n"
    )


def _refined(s: _Scene) -> str:
    critique = _quoted('Criticise this draft; say "approved" if nothing is left to improve. Task: ')
    return (
        f"{_head(s)}{_map(s, _NOTE)}{_merge(s.middle)}"
        f"(define notes (tree-reduce merge findings #:branch-factor {s.branch}))\n"
        f"(define (draft) (syntax-e {_ask('task', 'notes', s.good)}))\n"
        "(define (critique text)\n  (syntax-e "
        + _ask(f"(string-append {critique} task)", "text", s.middle)
        + "))\n"
        "(define (refine text said)\n  (syntax-e "
        + _ask(
            '(string-append "Improve the draft by the critique. Task: " task)',
            '(string-append text "\\n\\nCritique:\\n" said)',
            s.good,
        )
        + "))\n(finish (critique-refine draft critique refine #:max-iter 2 #:quality-threshold 0.9))\n"
    )


def _vote(s: _Scene) -> str:
    return (
        f'{_head(s)}(define models (list "{s.cheap}" "{s.middle}" "gpt-4.1-mini"))\n'
        '(define (decide chunk)\n  (ensemble-vote models (string-append "Reply with the label only. Task: " task) #:data chunk))\n'
        "(define labels (map-async decide chunks #:max-concurrent 10))\n"
        '(finish (string-join (for/list ([label labels] [i (in-naturals 1)]) (format "~a: ~a" i label)) "\\n"))\n'
    )


def _needle(s: _Scene) -> str:
    ask = "Quote the lines that answer the task, word for word. If there are none, reply NONE. Task: "
    return (
        f"{_head(s)}{_map(s, ask)}"
        '(define hits (remove-duplicates (filter (lambda (f) (not (string-prefix? (string-trim f) "NONE"))) findings)))\n'
        '(finish\n (if (null? hits)\n     "nothing was found"\n     (syntax-e '
        + _ask(
            '(string-append "Answer the task from these quotes. Task: " task)',
            '(string-join hits "\\n")',
            s.good,
        )
        + ")))\n"
    )


def _fold(s: _Scene) -> str:
    ask = "Continue the account with the next part; keep what later parts may need. Task: "
    return (
        f"{_head(s)}(define (next account chunk)\n  (syntax-e\n   "
        + _ask(
            f"(string-append {_quoted(ask)} task)",
            '(string-append "So far:\\n" account "\\n\\nNext part:\\n" chunk)',
            s.middle,
        )
        + '))\n(finish (fold-sequential next "" chunks))\n'
    )


def _delegated(s: _Scene) -> str:
    return (
        f"{_head(s)};; each part goes to a sub-model with a sandbox of its own, which writes its own program\n"
        "(define findings\n  (map-async\n   (lambda (chunk)\n     (llm-query-async #:instruction task #:data chunk "
        f'#:model "{s.middle}" #:recursive #t))\n   chunks #:max-concurrent 5))\n'
        f"{_merge(s.good)}(finish (tree-reduce merge findings #:branch-factor {s.branch}))\n"
    )


def _written(s: _Scene) -> str:
    return (
        f"{_head(s)};; a model looks at a sample and writes the instruction that the cheap one then follows\n"
        "(define sample (string-join (map (lambda (c) (substring c 0 (min 1500 (string-length c)))) "
        '(take chunks (min 3 (length chunks)))) "\\n---\\n"))\n'
        "(define instruction\n  (syntax-e "
        + _ask(
            '(string-append "Write the best instruction for a small model that will see one part at a time. Task: " task)',
            "sample",
            s.good,
        )
        + ")\n)\n(define findings\n  (map-async (lambda (chunk) (llm-query-async #:instruction instruction #:data chunk "
        f'#:model "{s.cheap}" #:max-tokens 400)) chunks #:max-concurrent 20))\n'
        f"{_merge(s.middle)}(finish (tree-reduce merge findings #:branch-factor {s.branch}))\n"
    )


_STRATEGIES: dict[str, tuple[str, tuple[int, ...], str, Callable[[_Scene], str]]] = {
    "fan-out": (
        "Parallel fan-out",
        (1,),
        "Every part at once by a cheap model, one synthesis by a better one: fast, and simple to check.",
        _fan_out,
    ),
    "tree": (
        "Fan-out with tree aggregation",
        (1, 10),
        "Many parts: merging them level by level keeps what one flat prompt would lose.",
        _tree,
    ),
    "triage": (
        "Cheap first, careful where unsure",
        (9, 10),
        "Only parts that the cheap model is unsure about cost real money.",
        _triage,
    ),
    "hedged": (
        "Hedged fan-out",
        (7, 1),
        "Two models race for every part, which cuts the slowest answers off.",
        _hedged,
    ),
    "refined": (
        "Draft, criticise, refine",
        (1, 4),
        "Notes from all parts, then a draft that a critic must approve.",
        _refined,
    ),
    "vote": (
        "Vote of several models",
        (8,),
        "Independent models rarely make the same mistake on a label.",
        _vote,
    ),
    "needle": (
        "Search every part",
        (1,),
        "Parts that hold nothing say NONE, so the last prompt stays small.",
        _needle,
    ),
    "fold": ("Cumulative fold", (5,), "Order matters: every part is read knowing the ones before it.", _fold),
    "delegated": (
        "Recursive delegation",
        (3, 10),
        "Sub-models program their own way through each part.",
        _delegated,
    ),
    "written": (
        "Let a model write the instruction",
        (6, 1),
        "A good model looks at samples and tells the cheap one what to do.",
        _written,
    ),
}


async def _tried(runtime: Runtime, session: Session | None, scene: _Scene, key: str) -> Strategy:
    name, patterns, why, compose = _STRATEGIES[key]
    program = compose(scene)
    tried = program if scene.loaded else _standing_in(program, scene)
    found = await estimate(runtime, tried, session=session)
    return Strategy(name=name, patterns=patterns, why=why, program=program, estimate=found)


def _standing_in(program: str, scene: _Scene) -> str:
    data = f"(define data-chunks (for/list ([i {scene.items}]) (make-string 2000 #\\a)))"
    return re.sub(r"^\(define data-chunks #f\).*$", lambda _: data, program, flags=re.M)


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
    provider: Any = runtime.provider()
    if getattr(provider, "name", "") in _UNASKED:
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
        model=runtime.model,
        json=True,
        max_tokens=3000,
        timeout_s=60,
    )
    try:
        answer = json.loads((await provider.complete(request)).text)
        program = str(answer["program"])
        tried = program if scene.loaded else _standing_in(program, scene)
        found = await estimate(runtime, tried, session=session)
    except ProviderError as error:
        return f"The model gave no advice ({error}): this plan is by rules alone."
    except (ValueError, KeyError, TypeError):
        return "The model's advice could not be read: this plan is by rules alone."
    if found.status not in ("ok", "finished"):
        return f"The model's program failed its dry run ({found.notes[0]}): this plan is by rules alone."
    return replace(
        first,
        name=str(answer.get("name") or f"{first.name}, refined"),
        why=str(answer.get("why") or first.why),
        program=program,
        estimate=found,
    )

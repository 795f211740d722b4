"""What the model sees of its programs: the latest as they were, those before in a few lines each.

Compacted by rule, when the whole passes a bound, and down to half of it: so the text's beginning stays the
same over several iterations, which is what a vendor's prompt cache wants.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from rlm_wasm.asking.bounds import bounded, in_line
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.results import Execution, summary

if TYPE_CHECKING:
    from rlm_wasm.asking.answer import Step

MAX_CHARS = 60_000
"""Characters of all steps together before the oldest are compacted."""
_DIGEST = 200
"""Characters of a compacted step's program, value and error, each."""


@dataclass(slots=True)
class Transcript:
    """The steps so far."""

    steps: list[Step] = field(default_factory=list)
    _whole: list[str] = field(default_factory=list)
    _compacted: int = 0
    """How many of the oldest are shown in a few lines."""

    def add(self, step: Step, so_far: str) -> None:
        """One step more. ``so_far`` says what all of them have used."""
        self.steps.append(step)
        self._whole.append(_written(step, so_far))
        if self._length() > MAX_CHARS:
            while self._compacted < len(self.steps) - 1 and self._length() > MAX_CHARS // 2:
                self._compacted += 1

    def _parts(self) -> list[str]:
        old = [_digest(step) for step in self.steps[: self._compacted]]
        return [*old, *self._whole[self._compacted :]]

    def _length(self) -> int:
        return sum(map(len, self._parts()))

    def text(self) -> str:
        """All of it, as the model is shown it."""
        return "\n\n".join(self._parts())

    def shortened(self, max_chars: int) -> str:
        """The same in so many characters at the most, the latest first to be kept."""
        if len(self.text()) <= max_chars:
            return self.text()
        parts: list[str] = []
        room = max_chars
        for number in range(len(self.steps) - 1, -1, -1):
            part = bounded(self._whole[number], room) if not parts else _digest(self.steps[number])
            if len(part) > room:
                break
            parts.insert(0, part)
            room -= len(part) + 2
        return "\n\n".join(parts)


def _written(step: Step, so_far: str) -> str:
    parts = [f"## Iteration {step.number}"]
    if step.program:
        parts.append(f"```scheme\n{step.program}\n```")
    else:
        parts.append(f"Your reply, which held no program, was:\n{bounded(step.reply, 2_000)}")
    if step.output:
        parts.append(f"It printed:\n{step.output}")
    if step.value:
        parts.append(f"Its value: {step.value}")
    if step.error:
        parts.append(step.error if not step.program else f"It failed: {step.error}")
    elif step.status == "ok":
        parts.append("It did not call finish: go on, and end with (finish value) when you have the answer.")
    used = Execution(calls=step.calls, tokens=step.tokens, cost_usd=step.cost_usd, elapsed=step.elapsed)
    parts.append(f"It used {summary(used)}; so far {so_far}.")
    return "\n".join(parts)


def _digest(step: Step) -> str:
    parts = []
    if step.program:
        parts.append(f"program: {in_line(step.program, _DIGEST)}")
    if step.value:
        parts.append(f"value: {in_line(step.value, _DIGEST)}")
    if step.output:
        parts.append(f"printed: {in_line(step.output, _DIGEST)}")
    if step.error:
        parts.append(f"error: {in_line(step.error, _DIGEST)}")
    return f"## Iteration {step.number}, shortened\n" + "\n".join(parts or ["no program"])

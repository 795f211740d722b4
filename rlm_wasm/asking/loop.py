"""The one loop: a model writes a program, it runs, the model sees what came of it, until one finishes.

It knows nothing of sessions: what it works with is a Workplace, of which ``Session.ask`` has one and a
``#:recursive`` call another. The model's reply counts only as a program: prose is never an answer, nor is an
empty value. When iterations, money or time are used, one last call answers from what there is, and that is
never passed off as computed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Protocol

from rlm_wasm.asking.answer import Answer, How, OnStep, Step
from rlm_wasm.asking.bounds import SHOWN, bounded
from rlm_wasm.asking.progress import KeptStep, Progress
from rlm_wasm.asking.transcript import Transcript
from rlm_wasm.errors import (
    CapabilityDenied,
    ExecutionCancelled,
    InternalError,
    LimitExceeded,
    NoAnswer,
    ProviderError,
    UnfitValue,
    UsageError,
)
from rlm_wasm.foreign import described, message_of
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.llm.programs import ASK_FOR, NoProgram, program_in, without_reasoning
from rlm_wasm.results import ErrorInfo, Execution, Result, Status, summary
from rlm_wasm.write_form import quoted

if TYPE_CHECKING:
    from rlm_wasm.asking.answer_type import AnswerType
    from rlm_wasm.asking.prompts import Task
    from rlm_wasm.limits import Limits
    from rlm_wasm.providers.base import Completion
    from rlm_wasm.results import Problem

MAX_REPLY = 1 << 20
"""Characters of a reply with a program: longer than any model's."""
NO_VALUE = "it ended without a value; end it with (finish value), the value being the answer"
LAST_TRIES = ((40_000, 2_048), (8_000, 1_024), (2_000, 256))
"""Characters of the transcript, and tokens of the answer, that the last call is tried with: what fits."""

_AT_ONCE = 4_096
"""Characters of a reply whose program is looked for on the event loop."""
_WRITTEN_AT_ONCE = 1 << 16
_ALL_USED = frozenset({"calls", "tokens", "cost_usd", "timeout_s", "fuel"})
"""Limits after which no further program can run."""


class Workplace(Protocol):
    """Where the loop's calls and programs run."""

    async def ask(
        self, instruction: str, data: str, *, last: bool = False, max_tokens: int | None = None
    ) -> Completion:
        """Ask the model. Raises LimitExceeded, ProviderError, UsageError."""
        ...

    async def check(self, program: str) -> Sequence[Problem]:
        """What is wrong with a program, without running it."""
        ...

    async def run(self, program: str) -> Result:
        """Run a program. Raises LimitExceeded where a limit is to end more than this program."""
        ...

    def used(self) -> Execution:
        """What was used so far."""
        ...

    def left(self) -> str:
        """What may still be used, in words."""
        ...


class Notes(Protocol):
    """Is told how far it has come."""

    def stepped(self, kept: KeptStep) -> None:
        """An iteration is over."""
        ...

    def limited(self, limit: ErrorInfo) -> None:
        """A limit has ended the iterations: a last word comes next."""
        ...


@dataclass(slots=True)
class Found:
    """What came of it."""

    status: Status = "error"
    value: str = ""
    data: Any = None
    parsed: Any = None
    how: How = "none"
    error: ErrorInfo | None = None
    result: Result | None = None
    """That of the program that finished, or of the last one."""
    steps: list[Step] = field(default_factory=list)
    asked_again: int = 0
    notes: list[str] = field(default_factory=list)

    @classmethod
    def planned(cls, result: Result, note: str) -> Found:
        """What the planner's program gave."""
        found = cls(status=result.status, error=result.error, result=result, notes=[note])
        if result.ok:
            found.value, found.data, found.how = result.value, result.data, "plan"
        return found

    def fit(self, kind: AnswerType) -> None:
        """Take the answer as its type has it; where it does not fit, that is noted."""
        try:
            self.data, self.parsed = kind.fitted(self.value, self.data)
        except UnfitValue as misfit:
            self.notes.append(f"It does not fit the answer's type: {misfit}")

    def to_answer(self, used: Execution) -> Answer:
        """As it is told. ``used`` is what the whole question used."""
        result = self.result or Result(status="ok")
        computed = self.how in ("program", "plan")
        return Answer(
            status=self.status,
            value=self.value,
            data=self.data,
            stdout=result.stdout,
            stderr=result.stderr,
            error=self.error,
            execution=used,
            truncated=result.truncated if computed else (),
            rolled_back=result.rolled_back,
            derived_from=result.derived_from if computed else (),
            warnings=result.warnings,
            steps=tuple(self.steps),
            how=self.how,
            parsed=self.parsed,
            asked_again=self.asked_again,
            notes=tuple(self.notes),
        )


def iterations_of(limits: Limits, wanted: int | None = None) -> int:
    """How many programs a question may try: as many as are wanted, within the limit."""
    return limits.iterations if wanted is None else min(wanted, limits.iterations)


class Loop:
    """One question, from the first program to the answer.

    ``below``: it is a recursive call's. A limit is then the parent's, and passes on as LimitExceeded; and
    where no program ran at all, there is no last word.
    """

    def __init__(
        self,
        task: Task,
        place: Workplace,
        *,
        iterations: int,
        below: bool = False,
        on_step: OnStep | None = None,
        notes: Notes | None = None,
    ) -> None:
        self._notes = notes
        self._task = task
        self._place = place
        self._iterations = iterations
        self._below = below
        self._on_step = on_step
        self._transcript = Transcript()
        self._found = Found(steps=self._transcript.steps)
        self._refused = ""
        """The program that was shown back unrun: sent again as it is, it runs."""

    def go_on_from(self, progress: Progress, last_result: Result | None) -> None:
        """It begins where another process has left it."""
        for kept in progress.steps:
            self._transcript.add(kept.step, kept.so_far)
            self._found.asked_again, self._refused = kept.asked_again, kept.refused
        self._found.result, self._found.error = last_result, progress.over

    async def run(self) -> Found:
        """The answer, or what became of it. Raises LimitExceeded where limits are the parent's."""
        found = self._found
        try:
            while found.error is None and len(found.steps) < self._iterations:
                if await self._iterate():
                    return found
        except LimitExceeded as limit:
            if self._below:
                raise
            found.error = ErrorInfo(
                type="limit", message=str(limit), kind=limit.kind, used=limit.used, limit=limit.limit
            )
        except ExecutionCancelled:
            found.status = "cancelled"
            return found
        except InternalError:
            raise
        except Exception as error:
            found.status, found.error = "error", _failure(error)
            return found
        if found.error is None:
            used = len(found.steps)
            found.error = ErrorInfo(
                type="limit",
                message=f"limit exceeded: iterations (used {used:,}, limit {self._iterations:,})",
                kind="iterations",
                used=used,
                limit=self._iterations,
            )
        found.status = "limit"
        if self._notes is not None:
            self._notes.limited(found.error)
        if not self._below or any(step.status in ("ok", "finished") for step in found.steps):
            await self._last_word(found.error)
        return found

    # ---- one iteration

    async def _iterate(self) -> bool:
        """One reply of the model and what comes of it; True where that ends the loop."""
        place, task, found = self._place, self._task, self._found
        before, began = place.used(), time.monotonic()
        left = f"{self._iterations - len(found.steps):,} of {self._iterations:,} iterations, {place.left()}"
        try:
            completion = await place.ask(task.instruction(), task.prompt(self._transcript.text(), left))
        except NoAnswer as nothing:
            reply, program = "", NoProgram(f"There was no answer: {nothing}. {ASK_FOR}")
        else:
            reply, program = completion.text, await _program_of(completion.text)
        step = Step(number=len(found.steps) + 1, reply=bounded(reply, SHOWN))
        ended = False
        if isinstance(program, NoProgram):
            found.asked_again += 1
            step = replace(step, status="unrun", error=f"{program.reason}")
        else:
            step = replace(step, reply="", program=bounded(program.source))
            try:
                step, ended = await self._tried(step, program.source)
            except LimitExceeded as limit:
                self._record(replace(step, status="limit", error=str(limit)), before, began)
                raise
        self._record(step, before, began)
        error = None if found.result is None else found.result.error
        if step.status == "limit" and error is not None and error.kind in _ALL_USED:
            raise LimitExceeded(error.kind or "?", error.used or 0, error.limit or 0, error.message)
        return ended

    def _record(self, step: Step, before: Execution, began: float) -> None:
        used = self._place.used()
        known = used.cost_usd is not None and before.cost_usd is not None
        step = replace(
            step,
            calls=used.calls - before.calls,
            tokens=used.tokens - before.tokens,
            cost_usd=round((used.cost_usd or 0.0) - (before.cost_usd or 0.0), 9) if known else None,
            elapsed=time.monotonic() - began,
        )
        so_far = summary(used)
        self._transcript.add(step, so_far)
        if self._notes is not None:
            self._notes.stepped(
                KeptStep(
                    step,
                    so_far,
                    asked_again=self._found.asked_again,
                    refused=self._refused,
                    elapsed=used.elapsed,
                    fuel=used.fuel,
                    memory_bytes=used.memory_bytes,
                )
            )
        if self._on_step is not None:
            self._on_step(step)

    async def _tried(self, step: Step, source: str) -> tuple[Step, bool]:
        """A program checked and run: the step with what came of it, and whether that ends the loop."""
        found = self._found
        if source != self._refused:
            wrong = [p for p in await self._place.check(source) if p.severity == "error"]
            if wrong:
                self._refused = source
                problems = "\n".join(str(problem) for problem in wrong[:10])
                return replace(
                    step, status="unrun", error=f"it was not run, since a check found:\n{problems}"
                ), False
        result = found.result = await self._place.run(source)
        step = replace(
            step,
            status=result.status,
            value=await _shown_value(result),
            output=_output(result),
            error="" if result.error is None else bounded(_told(result.error), SHOWN),
        )
        if result.warnings:
            warned = "\n".join(f"warning: {warning}" for warning in result.warnings[:10])
            step = replace(step, output=bounded(f"{step.output}\n{warned}".lstrip("\n")))
        if result.status == "cancelled":
            found.status, found.error = "cancelled", result.error
            return step, True
        if result.status != "finished":
            return step, False
        if not result.value.strip():
            return replace(step, error=NO_VALUE), False
        if "value" in result.truncated:
            return replace(step, error="its answer is longer than a value may be: finish with less"), False
        try:
            data, parsed = self._task.answer_type.fitted(result.value, result.data)
        except UnfitValue as error:
            return replace(step, error=f"its answer does not fit the schema: {error}"), False
        found.status, found.how = "finished", "program"
        found.value, found.data, found.parsed, found.error = result.value, data, parsed, None
        return step, True

    # ---- the last word

    async def _last_word(self, why: ErrorInfo) -> None:
        """One call that answers from what there is."""
        found, task = self._found, self._task
        reason = f"The limit {why.kind} was reached"
        text = ""
        for chars, tokens in LAST_TRIES:
            transcript = self._transcript.shortened(chars)
            prompt = task.last_prompt(transcript, with_data=chars == LAST_TRIES[0][0])
            try:
                for _ in range(2):
                    try:
                        completion = await self._place.ask(
                            task.last_instruction(reason), prompt, last=True, max_tokens=tokens
                        )
                        text = without_reasoning(completion.text[:MAX_REPLY]).strip()
                    except NoAnswer:
                        text = ""
                    if text:
                        break
                    found.asked_again += 1
                break
            except LimitExceeded:
                continue
            except ExecutionCancelled:
                found.status = "cancelled"
                return
            except InternalError:
                raise
            except Exception as error:
                found.notes.append(f"The last call failed: {_failure(error).message}")
                break
        if not text:
            found.notes.append(
                f"{reason} before a program finished, and nothing could be said at last: "
                "the steps show what was found."
            )
            return
        found.value, found.how = bounded(text, 100_000), "last word"
        found.data = found.value
        found.notes.append(
            f"{reason} before a program finished: the answer is the model's last word on what had been found "
            "so far. It was not computed."
        )
        found.fit(task.answer_type)


async def _program_of(text: str) -> Any:
    if len(text) > MAX_REPLY:
        return NoProgram(
            f"The answer has {len(text):,} characters; {MAX_REPLY:,} are the most of a program. {ASK_FOR}"
        )
    return program_in(text) if len(text) <= _AT_ONCE else await asyncio.to_thread(program_in, text)


async def _shown_value(result: Result) -> str:
    if result.status not in ("ok", "finished"):
        return ""
    data, value = result.data, result.value
    if type(data) is str:
        return bounded(quoted(bounded(data))) if "value" not in result.truncated else bounded(value)
    if not value or "value" in result.truncated:
        return bounded(value)
    if len(value) <= _WRITTEN_AT_ONCE:
        return bounded(result.in_write_form())
    return bounded(await asyncio.to_thread(result.in_write_form))


def _output(result: Result) -> str:
    parts = [result.stdout, f"(on stderr)\n{result.stderr}" if result.stderr else ""]
    return bounded("\n".join(part.rstrip("\n") for part in parts if part))


def _told(error: ErrorInfo) -> str:
    """The error with its place and hint, and where it was called from."""
    frames = "".join(f"\n  in {frame}" for frame in error.backtrace[:5])
    return f"{error}{frames}"


def _failure(error: Exception) -> ErrorInfo:
    if isinstance(error, ProviderError):
        kind = "exn:fail:llm"
    elif isinstance(error, CapabilityDenied):
        kind = "exn:fail:capability"
    elif isinstance(error, UsageError):
        kind = "exn:fail:contract"
    else:
        return ErrorInfo(type="exn:fail:llm", message=described(error)[:2_000])
    return ErrorInfo(type=kind, message=message_of(error)[:2_000])

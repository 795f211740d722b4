"""One question to a session, from its checks to its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rlm_wasm.asking.answer import Answer, OnStep, Step, no_answer
from rlm_wasm.asking.answer_type import AnswerType
from rlm_wasm.asking.bounds import in_line
from rlm_wasm.asking.describe import described
from rlm_wasm.asking.loop import Loop, iterations_of
from rlm_wasm.asking.own import CheckStep, OwnPlace
from rlm_wasm.asking.planned import planned
from rlm_wasm.asking.progress import Asked, Progress
from rlm_wasm.asking.prompts import Task
from rlm_wasm.asking.recursion import question_and_contexts
from rlm_wasm.data import whole_characters
from rlm_wasm.errors import ProviderError, UnfitValue, UsageError
from rlm_wasm.limits import Limits
from rlm_wasm.llm.calls import MAX_MODEL_NAME
from rlm_wasm.providers.aliases import ROLES
from rlm_wasm.session_parts.parts import Parts
from rlm_wasm.session_parts.run_log import log_chapter, log_without_program

if TYPE_CHECKING:
    from rlm_wasm.results import Result

RunUnder = Callable[[str, Limits], Awaitable["Result"]]
"""Runs a program under these limits."""


class Question:
    """The arguments are those of ``Session.ask``; what is wrong with them is a UsageError."""

    def __init__(
        self,
        parts: Parts,
        question: str,
        contexts: Collection[str | None] | None,
        answer_type: Any,
        model: str | None,
        max_iterations: int | None,
        timeout_s: float | None,
        request: str = "",
    ) -> None:
        self._parts = parts
        self._request = request
        self._kind = AnswerType.of(answer_type)
        if not isinstance(question, str) or not question.strip():
            raise UsageError("ask: the question must be a text that says something")
        if max_iterations is not None and (type(max_iterations) is not int or max_iterations < 1):
            raise UsageError(f"ask: max_iterations must be a positive integer, got {max_iterations!r}")
        if timeout_s is not None and not (isinstance(timeout_s, int | float) and timeout_s > 0):
            raise UsageError(f"ask: timeout_s must be a positive number of seconds, got {timeout_s!r}")
        if model is not None and not (
            isinstance(model, str) and model.isprintable() and len(model) <= MAX_MODEL_NAME
        ):
            raise UsageError(
                f"ask: model must be a name of {MAX_MODEL_NAME} printable characters, got {model!r:.60}"
            )
        self._question = question
        self._texts = _chosen(parts.contexts.texts, contexts)
        self._model = model
        self._max_iterations = max_iterations
        self._timeout_s = timeout_s
        self._place: OwnPlace | None = None
        self._writes_programs = True

    @classmethod
    def of(cls, parts: Parts, asked: Asked, timeout_s: float | None) -> Question:
        """One that another process has begun: its answer's type is the schema that was kept."""
        return cls(
            parts,
            asked.question,
            asked.contexts,
            None if asked.schema is None else json.loads(asked.schema),
            asked.model,
            asked.max_iterations,
            asked.timeout_s if timeout_s is None else timeout_s,
            asked.request,
        )

    @property
    def asked(self) -> Asked:
        """What is asked, to be kept."""
        schema = self._kind.schema
        return Asked(
            question=self._question,
            contexts=tuple(self._texts),
            schema=None if schema is None else json.dumps(schema),
            model=self._model,
            max_iterations=self._max_iterations,
            timeout_s=None if self._timeout_s is None else float(self._timeout_s),
            request=self._request,
        )

    def takes_up(self, progress: Progress) -> None:
        """It is gone on with: a long question is a context already."""
        self._question = progress.asked.question
        self._texts = _chosen(self._parts.contexts.texts, progress.asked.contexts)

    def given_again(self, answer: Answer) -> Answer:
        """An answer that was kept, as its type has it."""
        if answer.how == "none":
            return answer
        try:
            return replace(answer, parsed=self._kind.fitted(answer.value, answer.data)[1])
        except UnfitValue:
            return answer

    def refused(self) -> Answer | None:
        """Why there can be no answer: there is nothing to ask about, or nobody to ask."""
        if self._texts and not any(text.strip() for text in self._texts.values()):
            return no_answer("exn:fail:contract", "the context is empty: there is nothing to answer from")
        try:
            self._writes_programs = self._parts.calls.info.writes_programs
        except ProviderError as error:  # no key
            return no_answer("exn:fail:llm", str(error))
        return None

    async def load(self, load_context: Callable[[str, str | None], Awaitable[None]]) -> None:
        """Load a question that is too long for a prompt, as a context of its own."""
        self._question, self._texts = question_and_contexts(whole_characters(self._question), self._texts)
        loaded = self._parts.contexts.texts
        added = next((name for name in self._texts if name not in loaded), None)
        if added is not None:
            await load_context(self._texts[added], added)

    def cancel(self) -> None:
        """End it: the call that is under way, and whatever would come next."""
        if self._place is not None:
            self._place.cancel()

    async def answered(
        self,
        run: RunUnder,
        check: CheckStep,
        suspended: Callable[[], bool],
        on_step: OnStep | None,
    ) -> Answer:
        """The answer, by programs that ``run`` runs and ``check`` checks.

        It begins where the inquiry says that it was left; ``suspended``: in the middle of a program.
        """
        parts, question, inquiry = self._parts, self._question, self._parts.inquiry
        progress = inquiry.progress
        assert progress is not None

        def stepped(step: Step) -> None:
            if step.status == "unrun":
                log_without_program(parts, "unrun", program=step.program, error=step.error)
            if on_step is not None:
                on_step(step)

        async def run_step(program: str, seconds: float, fuel: int) -> Result:
            return await run(program, replace(parts.limits, timeout_s=seconds, fuel=fuel))

        place = self._place = OwnPlace(
            parts.calls,
            parts.limits,
            parts.log,
            model=self._model,
            timeout_s=self._timeout_s,
            run=run_step,
            check=check,
            chapter=lambda title: log_chapter(parts, f"{title}: {in_line(question, 120)}"),
            kept=inquiry,
            suspended=suspended,
            from_step=progress.steps[-1] if progress.steps else None,
        )
        try:
            if self._writes_programs:
                task = Task(
                    question=question,
                    data=await asyncio.to_thread(described, self._texts),
                    answer_type=self._kind,
                    sub_model=parts.grants.model,
                )
                iterations = iterations_of(parts.limits, self._max_iterations)
                loop = Loop(task, place, iterations=iterations, on_step=stepped, notes=inquiry)
                loop.go_on_from(progress, inquiry.last_result)
                found = await loop.run()
            else:
                info = parts.calls.info
                meant = (info.name, *ROLES, *(parts.grants.aliases or ()))
                unasked = self._model if info.ignores_model and self._model not in meant else None
                found = await planned(question, self._texts, place, self._kind, info.name, unasked, on_step)
        except BaseException:
            log_without_program(parts, "cancelled")
            raise
        finally:
            place.close()
        error = "" if found.error is None else str(found.error)
        log_without_program(parts, found.status, value=found.value, error=error)
        parts.log.add("answer", found.value, "root", status=found.status, how=found.how)
        answer = found.to_answer(place.used())
        inquiry.end(answer)
        return answer


def _chosen(texts: dict[str | None, str], names: Collection[str | None] | None) -> dict[str | None, str]:
    if names is None:
        return texts
    missing = [name for name in names if name not in texts]
    if missing:
        known = ", ".join(sorted(name for name in texts if name is not None)) or "none"
        raise UsageError(f"ask: there is no context named {missing[0]!r} (loaded: {known})")
    return {name: texts[name] for name in names}

"""The question that a session is at work on, and what of it is kept, so that another process can go on.

A question is the model's replies, the programs' results, and what was made of both, a step an iteration.
Replies stand in the journal like what recursive calls ask, programs like any execution; this keeps the rest:
what is asked, which calls were made since the last step, the last Result, the steps, the answer. All of it is
in a snapshot, too. A session that is not durable keeps the same in memory, for as long as the question is
under way.
"""

from __future__ import annotations

from typing import Any

from rlm_wasm.asking import answer as answers
from rlm_wasm.asking import progress as progresses
from rlm_wasm.errors import SnapshotCorrupt
from rlm_wasm.execution import journal as journals
from rlm_wasm.lazy_dataclass import replace
from rlm_wasm.llm.calls import LlmCalls
from rlm_wasm.records import structure, unstructure
from rlm_wasm.results import ErrorInfo, Result
from rlm_wasm.session_parts import kept_results

FAILED = ("error", "cancelled")
"""How a question ends that can be gone on with."""


def is_about_a_question(kind: journals.Kind) -> bool:
    """Whether such an entry of a journal is."""
    kinds = journals.Kind
    return kind in (
        kinds.ASK,
        kinds.ASK_CALL,
        kinds.ASK_RAN,
        kinds.ASK_STEP,
        kinds.ASK_OVER,
        kinds.ASK_END,
        kinds.ASK_AGAIN,
    )


class Inquiry:
    """Of one session. Each step of it is noted here when it is done."""

    def __init__(self, journal: journals.Journal | None, calls: LlmCalls) -> None:
        self._journal = journal
        self._calls = calls
        self.progress: progresses.Progress | None = None
        """The last question; None where none was asked, or nobody wants to know of it any more."""
        self._again = 0
        """Calls since the last step that were made before, and are made once more."""
        self._left: progresses.Progress | None = None
        """One that nobody waits for; a store has it in its middle until the session is used again."""

    @property
    def open(self) -> bool:
        """Whether a question is in its middle."""
        return self.progress is not None and not self.progress.is_over

    def _note(self, kind: journals.Kind, *fields: Any) -> None:
        if self._journal is not None:
            self._journal.add(kind, *fields)

    def _now(self) -> progresses.Progress:
        assert self.progress is not None
        return self.progress

    # ---- what is done with a question

    def was_asked(self, request: str) -> bool:
        """Whether the last question was asked by this id."""
        progress = self.progress or self._left
        return progress is not None and progress.asked.request == request

    def take_up(self) -> progresses.Progress:
        """That question, to be gone on with."""
        self.progress, self._left = self.progress or self._left, None
        return self._now()

    def begin(self, asked: progresses.Asked) -> None:
        """Another one is asked."""
        self._forget_calls()
        self.progress = progresses.Progress(asked=asked)
        self._note(journals.Kind.ASK, unstructure(asked))

    def go_on(self) -> None:
        """The same is gone on with; where it ended by a failure, from what it had found."""
        self._again = 0
        if self._now().is_over:
            self._again_from(self._now())
            self._note(journals.Kind.ASK_AGAIN)

    def call(self) -> int | None:
        """The number of the model's next call, where that was made before; None where it is a new one."""
        calls = self._now().calls
        if self._again >= len(calls):
            return None
        self._again += 1
        return calls[self._again - 1]

    def called(self, number: int) -> None:
        """The model is called; the call has this number."""
        self._note(journals.Kind.ASK_CALL, number)
        self._called(number)
        self._again = len(self._now().calls)

    def ran(self, result: Result) -> None:
        """A program is over, if a question is under way: to be told with the end of its execution."""
        if self.open:
            encoded = kept_results.encoded(result)
            self._note(journals.Kind.ASK_RAN, encoded)
            self._ran(encoded)

    def stepped(self, kept: progresses.KeptStep) -> None:
        """An iteration is over."""
        self._note(journals.Kind.ASK_STEP, unstructure(kept))
        self._stepped(kept)

    def limited(self, limit: ErrorInfo) -> None:
        """A limit has ended the iterations."""
        if self._now().over is None:
            self._note(journals.Kind.ASK_OVER, unstructure(limit))
            self._limited(limit)

    def end(self, answer: answers.Answer) -> None:
        """It is over. One that failed can be gone on with."""
        encoded, failed = kept_results.encoded(answer), answer.status in FAILED
        self._note(journals.Kind.ASK_END, encoded, failed)
        self._end(encoded, failed=failed)

    def leave(self) -> None:
        """Nobody waits for it any more; a store has it in its middle until the session is used again."""
        if self.open:
            self._left, self.progress = self.progress, None

    def used_again(self) -> None:
        """Something else is done with the session: what was left is given up."""
        if self._left is not None:
            self._forget_calls()
            self._left = None
            self._note(journals.Kind.ASK_END, None)

    def forget(self) -> None:
        """The session forgets everything, this too. A journal says that by itself."""
        self._forget_calls()
        self.progress = self._left = None

    # ---- what came of it

    @property
    def last_result(self) -> Result | None:
        """That of the last program that is over. Raises SnapshotCorrupt."""
        progress = self._now()
        what = "a program's result"
        return None if progress.ran is None else kept_results.decoded(Result, progress.ran, what)

    @property
    def result_of_step(self) -> Result | None:
        """That of the program of the iteration under way, where it is over. Raises SnapshotCorrupt."""
        progress = self._now()
        return self.last_result if progress.ran_at == len(progress.steps) + 1 else None

    @property
    def answer(self) -> answers.Answer | None:
        """What came of the question, without its ``parsed``; None while it is under way, or without one.

        Raises SnapshotCorrupt.
        """
        if self.progress is None or self.progress.answer is None:
            return None
        return kept_results.decoded(answers.Answer, self.progress.answer, "what came of a question")

    # ---- the way back

    def adopt(self, progress: progresses.Progress | None) -> None:
        """Take over what a snapshot has."""
        self.progress = progress

    def noted_before(self, kind: journals.Kind, fields: list[Any]) -> None:
        """A journal's entry. Raises SnapshotCorrupt."""
        if kind is journals.Kind.ASK:
            self._forget_calls()
            self.progress = progresses.Progress(
                asked=structure(progresses.Asked, fields[0], "a question", SnapshotCorrupt)
            )
            return
        if kind is journals.Kind.ASK_END and fields[0] is None:
            self.forget()
            return
        if self.progress is None:
            raise SnapshotCorrupt(f"a journal has an entry {kind.name} where no question was asked")
        if kind is journals.Kind.ASK_CALL:
            self._called(fields[0])
        elif kind is journals.Kind.ASK_RAN:
            self._ran(fields[0])
        elif kind is journals.Kind.ASK_STEP:
            self._stepped(structure(progresses.KeptStep, fields[0], "an iteration", SnapshotCorrupt))
        elif kind is journals.Kind.ASK_OVER:
            self._limited(structure(ErrorInfo, fields[0], "a limit", SnapshotCorrupt))
        elif kind is journals.Kind.ASK_AGAIN:
            self._again_from(self.progress)
        else:
            self._end(fields[0], failed=fields[1])

    # ---- both ways

    def _called(self, number: int) -> None:
        progress = self._now()
        self.progress = replace(progress, calls=(*progress.calls, number))

    def _ran(self, encoded: bytes) -> None:
        progress = self._now()
        self.progress = replace(progress, ran=encoded, ran_at=len(progress.steps) + 1)

    def _stepped(self, kept: progresses.KeptStep) -> None:
        self._forget_calls()
        progress = self._now()
        self.progress = replace(progress, steps=(*progress.steps, kept))

    def _limited(self, limit: ErrorInfo) -> None:
        self._forget_calls()
        self.progress = replace(self._now(), over=limit)

    def _end(self, encoded: bytes, *, failed: bool) -> None:
        self._forget_calls()
        progress = self._now()
        # The answer has the steps: they are kept beside it where they are gone on from.
        self.progress = replace(
            progress, answer=encoded, steps=progress.steps if failed else (), ran=None, ran_at=0
        )

    def _again_from(self, progress: progresses.Progress) -> None:
        self.progress = replace(progress, answer=None)

    def _forget_calls(self) -> None:
        """What the model said since the last step is part of a step now, or of nothing."""
        self._again = 0
        for progress in (self.progress, self._left):
            if progress is not None:
                self._calls.forget_asked(progress.calls)
        if self.progress is not None and self.progress.calls:
            self.progress = replace(self.progress, calls=())

"""What the child of a recursive call has done of the call's programs.

Where the call is taken up again, by a snapshot or a journal, its loop begins anew: what the model answered is
given to it again, and what came of its programs, too. So each of them runs once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.results import Problem, Result
from rlm_wasm.session_parts import kept_results


@dataclass(frozen=True, slots=True)
class StepState:
    """One of them, that is over."""

    program: str
    """By the SHA-256 of its text; "" where nobody knows."""
    result: bytes | None
    """What came of it; None: it did not run."""
    problems: tuple[Problem, ...] = ()
    """Why it did not."""


class Steps:
    """Of one child, oldest first."""

    __slots__ = ("_again", "_done", "under_way")

    def __init__(self) -> None:
        self._done: list[StepState] = []
        self._again: deque[StepState] = deque()
        """Those that are to be given again."""
        self.under_way = ""
        """The program that has begun last, as in StepState."""

    # ---- as it goes

    def begin(self, program: str) -> None:
        """A program runs."""
        self.under_way = _hash(program)

    def end(self, result: bytes) -> None:
        """It is over, with that Result."""
        self._done.append(StepState(self.under_way, result))
        self.under_way = ""

    def refuse(self, program: str, problems: Sequence[Problem]) -> StepState:
        """A program does not run: a check found errors."""
        step = StepState(_hash(program), None, tuple(problems))
        self._done.append(step)
        return step

    # ---- once more

    def adopt(self, steps: Iterable[StepState], under_way: str) -> None:
        """Those of a snapshot."""
        self._done = list(steps)
        self.under_way = under_way
        self.replay()

    def before(self, step: StepState) -> None:
        """A journal says that this came of a program."""
        self._done.append(step)

    def replay(self) -> None:
        """All that is known is to be given again."""
        self._again = deque(self._done)

    def is_next(self, program: str) -> bool:
        """Whether this program is the one that comes next of those that are to be given again."""
        return bool(self._again) and self._again[0].program in ("", _hash(program))

    def is_under_way(self, program: str) -> bool:
        """Whether it is the one that was in its middle."""
        return not self._again and self.under_way in ("", _hash(program))

    def problems_again(self, program: str) -> tuple[Problem, ...]:
        """Why it did not run; nothing where it did."""
        if self.is_next(program) and self._again[0].result is None:
            return self._again.popleft().problems
        return ()

    def result_again(self, program: str) -> Result | None:
        """What came of it, where that is known. Raises SnapshotCorrupt."""
        if not self.is_next(program):
            self._again.clear()
            return None
        result = self._again.popleft().result
        return (
            None
            if result is None
            else kept_results.decoded(Result, result, "the result of a recursive call's program")
        )

    def to_state(self) -> tuple[StepState, ...]:
        """For a snapshot."""
        return tuple(self._done)


def _hash(program: str) -> str:
    import hashlib

    return hashlib.sha256(program.encode("utf-8", "surrogatepass")).hexdigest()

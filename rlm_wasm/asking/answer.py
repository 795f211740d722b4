"""What an ask comes back with: the answer, how it was come by, and every step to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.results import ErrorInfo, Result

How = Literal["program", "plan", "last word", "none"]
"""``program``: one that the model wrote finished with it. ``plan``: the planner's program did, because the
provider writes none. ``last word``: the model said it when iterations, money or time were used; it was not
computed. ``none``: there is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One iteration of an ask. Texts are cut as the model saw them.

    ``program`` is "" where the model's ``reply`` held none; ``error`` says why, or what was wrong with the
    program or its answer. ``value`` is in write form. ``calls``, ``tokens``, ``cost_usd`` (US dollars, None
    where a price is unknown) and ``elapsed`` (seconds) are this iteration's, the model's own call included.
    """

    number: int
    """From 1."""
    program: str = ""
    reply: str = ""
    status: str = ""
    """The program's, as in Result; "unrun" where it did not run."""
    value: str = ""
    output: str = ""
    """What the program printed."""
    error: str = ""
    calls: int = 0
    tokens: int = 0
    cost_usd: float | None = 0.0
    elapsed: float = 0.0


OnStep = Callable[[Step], None]
"""Called with each step when it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Result):
    """The outcome of an ask: a Result that also says how it was come by.

    ``status`` is "finished" where a program finished with the answer; "limit" where iterations, money or
    time were used before (``error`` names which; ``value`` is then the model's last word, if there was one);
    else as in Result. ``parsed`` is the answer as ``answer_type`` has it: an instance of the pydantic model,
    or the data that fit the schema; None where there is no such answer. ``asked_again`` counts replies of
    the model without a program. ``notes`` are sentences about how the answer was made.
    """

    steps: tuple[Step, ...] = ()
    """Every iteration, in order."""
    how: How = "none"
    """"program", "plan", "last word" or "none"."""
    parsed: Any = None
    asked_again: int = 0
    notes: tuple[str, ...] = ()

    @property
    def computed(self) -> bool:
        """Whether a program gave the answer, not the model's own word."""
        return self.how in ("program", "plan")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data that ``json.dumps`` takes; what ``parsed`` holds stands in ``data``."""
        plain = Result.to_dict(self)
        del plain["parsed"]
        return {**plain, "computed": self.computed}


def no_answer(kind: str, message: str) -> Answer:
    """One that says why there is none: ``kind`` is the error's type."""
    return Answer(status="error", error=ErrorInfo(type=kind, message=message))

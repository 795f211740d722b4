"""How far a question has come: all that is needed to go on with it in another process."""

from __future__ import annotations

from rlm_wasm.asking.answer import Step
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.records import Natural, NonNegative
from rlm_wasm.results import ErrorInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked, and how."""

    question: str
    """One that fits a prompt."""
    contexts: tuple[str | None, ...]
    """The names of those that it is about."""
    schema: str | None = None
    """That of the answer, as JSON; None for text."""
    model: str | None = None
    max_iterations: Natural | None = None
    timeout_s: NonNegative | None = None
    """Seconds for the whole of it."""
    request: str = ""
    """The id by which it was asked; "" where by none."""


@dataclass(frozen=True, slots=True)
class KeptStep:
    """An iteration that is over, with what all of them had used until then."""

    step: Step
    so_far: str
    """The same in words, as the model is told."""
    asked_again: Natural = 0
    refused: str = ""
    """The program that was shown back unrun."""
    elapsed: NonNegative = 0.0
    fuel: Natural = 0
    memory_bytes: Natural = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A question, from where another process can go on with it."""

    asked: Asked
    steps: tuple[KeptStep, ...] = ()
    calls: tuple[int, ...] = ()
    """Numbers of the calls of the model that writes the programs, since the last step."""
    ran: bytes | None = None
    """The Result of the last program that is over."""
    ran_at: Natural = 0
    """The step that it was of; 0: of none."""
    over: ErrorInfo | None = None
    """The limit that has ended the iterations: only a last word is missing."""
    answer: bytes | None = None
    """What came of it, where it is over."""

    @property
    def is_over(self) -> bool:
        """Whether there is an answer."""
        return self.answer is not None

"""What a durable session's last execution asked and was answered, read from its journal: for looking back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import cbor2

from rlm_wasm.errors import Unencodable
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.sandbox import protocol

if TYPE_CHECKING:
    from rlm_wasm.execution.journal import Entry

SHOWN: Final = 200
"""Characters of what a request asks."""


@dataclass(frozen=True, slots=True)
class PastCall:
    """One LLM call: its number, what it asked, and its answer where there was one."""

    number: int
    instruction: str
    data: str
    model: str | None
    answer: str | None
    """None: it was in flight still, or failed."""
    failed: str | None
    """What the program was told where it failed."""
    arguments: bytes = b""
    """As the guest sent them."""
    reply: tuple[int, bytes] | None = None
    """The request's id, and its reply as the guest was given it."""


class History:
    """Filled while a journal is replayed."""

    def __init__(self) -> None:
        self.program = ""
        """Its text."""
        self._calls: dict[int, tuple[int, bytes]] = {}
        self._answers: dict[int, bytes] = {}
        self._replies: dict[tuple[str, bytes], deque[tuple[int, bytes]]] = {}

    def evaluated(self, message: bytes) -> None:
        """An execution began by this message: what came before it is forgotten."""
        self._calls.clear()
        self._replies.clear()
        try:
            _, options = protocol.decode(message)
            self.program = str(options["source"])
        except (Unencodable, cbor2.CBORError, TypeError, ValueError, KeyError):
            self.program = ""

    def called(self, request: int, number: int, arguments: bytes) -> None:
        """A request became the LLM call of that number."""
        self._calls[number] = request, arguments

    def replied(self, operation: str, arguments: bytes, request: int, encoded: bytes) -> None:
        """A request was answered."""
        self._replies.setdefault((operation, arguments), deque()).append((request, encoded))

    def reply(self, operation: str, arguments: bytes) -> tuple[int, bytes] | None:
        """The next reply that such a request was given, with its id; None where there is none."""
        replies = self._replies.get((operation, arguments))
        return replies.popleft() if replies else None

    def answered(self, entries: Iterable[Entry]) -> None:
        """The answers that the journal has."""
        self._answers.update({entry.fields[0]: entry.fields[1] for entry in entries})

    def calls(self) -> list[PastCall]:
        """In the order of their numbers."""
        return [self._past(number) for number in sorted(self._calls)]

    def _past(self, number: int) -> PastCall:
        request, packed = self._calls[number]
        _, instruction, data, model, *_ = [*protocol.arguments_of(packed), None, None, None]
        encoded = self._answers.get(request)
        answer = failed = None
        if encoded is not None:
            _, fine, value = protocol.decode(encoded)
            if fine and isinstance(value, list) and value:
                answer = str(value[0])
            else:
                failed = str(value)[:SHOWN]
        return PastCall(
            number,
            str(instruction),
            str(data),
            model if isinstance(model, str) else None,
            answer,
            failed,
            packed,
            None if encoded is None else (request, encoded),
        )


def asked_of(operation: str, packed: bytes) -> str:
    """The beginning of what a request asks, for people."""
    try:
        arguments: list[Any] = protocol.arguments_of(packed)
    except Unencodable:
        return ""
    if operation == "llm" and len(arguments) > 2:
        arguments = [arguments[1], arguments[2]] if arguments[2] else [arguments[1]]
    return " | ".join(str(argument) for argument in arguments)[:SHOWN]

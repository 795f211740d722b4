"""Record what a provider answered into a file, and replay it later without the provider.

The file holds one JSON object a line: the request's content hash, the request for a human to
read, and the answer or the error. Prompts stand in it in clear: treat it as you treat the data.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rlm_wasm.errors import ProviderError, ProviderTimeout, RateLimited, UsageError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.providers.wrappers.base import Wrapper, content_key
from rlm_wasm.records import structure, unstructure

log = logging.getLogger("rlm_wasm.recording")

_ERRORS: dict[str, type[ProviderError]] = {
    cls.__name__: cls for cls in (ProviderError, ProviderTimeout, RateLimited)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """A ProviderError, as it is written down."""

    type: Literal["ProviderError", "ProviderTimeout", "RateLimited"]
    message: str
    status: int | None = None
    retryable: bool = False

    def error(self) -> ProviderError:
        """The exception again."""
        return _ERRORS[self.type](self.message, status=self.status, retryable=self.retryable)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One line of the file: what was asked, and the answer or the error."""

    key: str
    request: Mapping[str, Any]
    completion: Completion | None = None
    error: _Failure | None = None

    def __post_init__(self) -> None:
        if (self.completion is None) == (self.error is None):
            raise UsageError("either an answer or an error")


class RecordingProvider(Wrapper):
    """Passes calls on and appends each, with its answer, to a file."""

    def __init__(self, inner: Provider, path: str | Path) -> None:
        super().__init__(inner)
        self._path = Path(path)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask and write down; a ProviderError is written down too, and raised."""
        try:
            completion = await self.ask(request)
        except ProviderError as error:
            kind = next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in _ERRORS)
            failure = {"message": str(error), "status": error.status, "retryable": error.retryable}
            self._write(request, "error", {"type": kind, **failure})
            raise
        self._write(request, "completion", unstructure(replace(completion, rate_limits={})))
        return completion

    def _write(self, request: CompletionRequest, kind: str, outcome: dict[str, Any]) -> None:
        key = content_key(request, self.default_model)
        entry = {"key": key, "request": unstructure(request), kind: outcome}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:  # the answer is paid: it is given all the same
            log.warning("the recording lacks what was answered to %.80r: %s", request.instruction, error)


class ReplayProvider:
    """Answers from a recording. Requests asked repeatedly get their answers in recorded order.

    What was not recorded is a ProviderError; a request asked more often than it was recorded gets
    its last answer again.
    """

    name = "replay"
    free = True
    language_model = False

    def __init__(self, path: str | Path, *, default_model: str | None = None) -> None:
        self.default_model = default_model
        self._answers: dict[str, deque[_Entry]] = defaultdict(deque)
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the recording {str(path)!r} cannot be read: {error}") from None
        for number, line in enumerate(lines, 1):
            try:
                entry = structure(_Entry, json.loads(line), "its record")
            except (ValueError, RecursionError) as error:
                raise UsageError(
                    f"the recording {str(path)!r} is damaged at line {number}: {error}"
                ) from None
            self._answers[entry.key].append(entry)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Give back what was recorded for a request of the same content."""
        answers = self._answers.get(content_key(request, self.default_model))
        if not answers:
            raise ProviderError(
                f"the recording holds no answer to call {request.id}: {request.instruction[:120]!r}"
            )
        entry = answers.popleft() if len(answers) > 1 else answers[0]
        if entry.error is not None:
            raise entry.error.error()
        assert entry.completion is not None
        return entry.completion

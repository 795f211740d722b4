"""Record what a provider answered into a file, and replay it later without the provider.

The file holds one JSON object a line: the request's content hash, the request for a human to
read, and the answer or the error. Prompts stand in it in clear: treat it as you treat the data.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from rlm_wasm.errors import ProviderError, ProviderTimeout, RateLimited, UsageError
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.providers.wrappers.base import Wrapper, content_key

_ERRORS: dict[str, type[ProviderError]] = {
    cls.__name__: cls for cls in (ProviderError, ProviderTimeout, RateLimited)
}


class RecordingProvider(Wrapper):
    """Passes calls on and appends each, with its answer, to a file."""

    def __init__(self, inner: Provider, path: str | Path) -> None:
        super().__init__(inner)
        self._path = Path(path)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask and write down; a ProviderError is written down too, and raised."""
        try:
            completion = await self.inner.complete(request)
        except ProviderError as error:
            kind = type(error).__name__
            failure = {
                "type": kind if kind in _ERRORS else "ProviderError",
                "message": str(error),
                "status": error.status,
                "retryable": error.retryable,
            }
            self._write(request, "error", failure)
            raise
        answer = dataclasses.asdict(dataclasses.replace(completion, rate_limits={}))
        self._write(request, "completion", answer)
        return completion

    def _write(self, request: CompletionRequest, kind: str, outcome: dict[str, Any]) -> None:
        entry = {
            "key": content_key(request, self.default_model),
            "request": dataclasses.asdict(request),
            kind: outcome,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


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
        self._answers: dict[str, deque[dict[str, Any]]] = defaultdict(deque)
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the recording {str(path)!r} cannot be read: {error}") from None
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                self._answers[entry["key"]].append(entry)
            except (ValueError, TypeError, KeyError):
                raise UsageError(f"the recording {str(path)!r} is damaged at line {number}") from None

    async def complete(self, request: CompletionRequest) -> Completion:
        """Give back what was recorded for a request of the same content."""
        answers = self._answers.get(content_key(request, self.default_model))
        if not answers:
            raise ProviderError(
                f"the recording holds no answer to call {request.id}: {request.instruction[:120]!r}"
            )
        entry = answers.popleft() if len(answers) > 1 else answers[0]
        if "error" in entry:
            failure = dict(entry["error"])
            raise _ERRORS[failure.pop("type")](failure.pop("message"), **failure)
        return Completion(**entry["completion"])

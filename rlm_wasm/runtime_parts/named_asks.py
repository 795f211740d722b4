"""A question under a name: one that a store keeps, and that goes on however often it is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlm_wasm.asking.answer_type import AnswerType
from rlm_wasm.asking.bounds import in_line
from rlm_wasm.errors import UsageError
from rlm_wasm.session import Session

if TYPE_CHECKING:
    from rlm_wasm.asking.answer import Answer


async def asked_in(
    session: Session,
    question: str,
    texts: Mapping[str | None, str],
    *,
    answer_type: Any,
    model: str | None,
    **more: Any,
) -> Answer:
    """The answer of a durable session about these texts, which it is given where it has not begun yet.

    ``more``: further arguments of ``Session.ask``. Raises UsageError where it is in the middle of something
    else.
    """
    request = _request(question, texts, answer_type, model)
    if not session.was_asked(request):
        if session.suspended:
            raise UsageError(
                f"session {session.name} is in the middle of something else than the question"
                f" {in_line(question, 60)!r} over these data: rlm-wasm sessions resume {session.name} goes on"
                f" with that, rlm-wasm sessions rm {session.name} forgets it"
            )
        for name, text in texts.items():
            await session.load_context(text, name)
    about = list(texts) if texts else None  # else what the session has loaded
    return await session.ask(
        question, contexts=about, answer_type=answer_type, model=model, request=request, **more
    )


def _request(question: str, texts: Mapping[str | None, str], answer_type: Any, model: str | None) -> str:
    """What tells the question from others: all that its answer depends on."""
    schema = AnswerType.of(answer_type).schema
    said = json.dumps([question, schema, model], sort_keys=True)
    digest = hashlib.sha256(said.encode("utf-8", "replace"))
    for name in sorted(texts, key=lambda name: name or ""):
        digest.update(f"\0{name!r}\0".encode("utf-8", "replace"))
        digest.update(hashlib.sha256(texts[name].encode("utf-8", "replace")).digest())
    return f"ask-{digest.hexdigest()[:40]}"

"""``run`` and ``ask`` without asyncio: for scripts. In a notebook a loop runs already: its cells await."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from rlm_wasm.asking import answer as answers
from rlm_wasm.errors import ProviderError, UsageError
from rlm_wasm.runtime import Runtime

if TYPE_CHECKING:
    from rlm_wasm.asking.answer import Answer, OnStep
    from rlm_wasm.context_files import ContextSource
    from rlm_wasm.results import Result

T = TypeVar("T")


def run(
    source: str,
    *,
    context: str | bytes | Mapping[str, str | bytes] | None = None,
    timeout_s: float | None = None,
    **runtime_options: Any,
) -> Result:
    """One program in a Runtime of its own, without asyncio: for scripts.

    ``runtime_options`` are those of Runtime. Its errors and limits are in the Result.

    Raises:
        UsageError: an option that cannot be granted, or an event loop runs here already.
        InternalError: a defect of rlm-wasm.
    """

    async def once() -> Result:
        async with Runtime(**runtime_options) as runtime:
            return await runtime.run(source, context=context, timeout_s=timeout_s)

    return _without_asyncio(once(), "run")


def ask(
    question: str,
    context: ContextSource = None,
    *,
    model: str | None = None,
    sub_model: str | None = None,
    max_iterations: int | None = None,
    answer_type: Any = None,
    timeout_s: float | None = None,
    name: str | None = None,
    on_step: OnStep | None = None,
    **runtime_options: Any,
) -> Answer:
    """A question over data of any size, without asyncio: as ``Runtime.ask``, in a Runtime of its own.

    ``runtime_options`` are those of Runtime.

    Raises:
        UsageError: an argument or option that is not what it must be, or an event loop runs here already.
        InternalError: a defect of rlm-wasm.
    """

    async def once() -> Answer:
        try:
            runtime = Runtime(**runtime_options)
        except ProviderError as error:  # no key
            return answers.no_answer("exn:fail:llm", str(error))
        async with runtime:
            return await runtime.ask(
                question,
                context,
                model=model,
                sub_model=sub_model,
                max_iterations=max_iterations,
                answer_type=answer_type,
                timeout_s=timeout_s,
                name=name,
                on_step=on_step,
            )

    return _without_asyncio(once(), "ask")


def _without_asyncio(work: Coroutine[Any, Any, T], name: str) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    work.close()
    raise UsageError(
        f"an event loop runs here already: await Runtime.{name}, or call {name} in another thread"
    )

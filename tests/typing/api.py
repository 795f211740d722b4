"""The public API as an embedder's type checker sees it. Never run: mypy --strict checks it."""

from __future__ import annotations

from typing import Any

from rlm_wasm import (
    Answer,
    Completion,
    CompletionRequest,
    ErrorInfo,
    Execution,
    Limits,
    Progress,
    Provider,
    Result,
    Runtime,
    Session,
    Snapshot,
    Step,
)


class Mine:
    """A provider needs no base class."""

    async def complete(self, request: CompletionRequest) -> Completion:
        return Completion(text=request.instruction.upper(), model=request.model or "mine")


provider: Provider = Mine()


async def embed() -> None:
    limits = Limits(fuel=1_000_000, memory_bytes=64 << 20, tokens=None)
    async with Runtime(provider=provider, limits=limits, python="off") as runtime:

        @runtime.host_function("lookup")
        async def lookup(key: str) -> dict[str, Any]:
            return {"key": key}

        @runtime.host_function("now")
        def now() -> float:
            return 0.0

        async with runtime.session(limits=Limits(calls=3), namespace="mine") as session:
            await use(session)
            snapshot: Snapshot = await session.snapshot()
            data: bytes = snapshot.dump()
            fork: Session = await session.fork()
            await fork.aclose()
        restored = await runtime.restore(Snapshot.load(data))
        again: Result = await restored.resume()
        once: Result = await runtime.run("(+ 1 2)", context={"name": "text"}, timeout_s=5)
        print(again.status, once.raise_for_status().value)
        answer: Answer = await runtime.ask("q", {"name": "text"}, answer_type=str, on_step=tell)
        steps: tuple[Step, ...] = answer.steps
        print(answer.computed, answer.how, answer.parsed, steps[0].program, answer.raise_for_status().notes)


def tell(step: Step) -> None:
    print(step.number, step.program, step.error)


async def use(session: Session) -> None:
    def show(progress: Progress) -> None:
        print(progress.done, progress.total, progress.models.get("m", 0))

    await session.load_context("text")
    result = await session.execute("(finish 1)", timeout_s=1.0, on_progress=show)
    if result.status == "limit":
        error: ErrorInfo | None = result.error
        assert error is not None
        kind: str | None = error.kind
        print(kind, error.used, error.limit)
    used: Execution = result.execution
    cost: float | None = used.cost_usd
    entries: list[dict[str, Any]] = session.scope_log()
    state: dict[str, Any] = session.state()
    print(cost, entries, state, result.to_dict()["status"])
    await session.reset()

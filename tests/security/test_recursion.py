"""Children of #:recursive calls: written by a model that has seen the data, and bounded as their parent is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.grants import ChildGrants
from rlm_wasm.session import Session
from rlm_wasm.testing import InlineProvider

MIB = 1 << 20


def writing(program: str) -> InlineProvider:
    """A sub-model that always writes this."""
    return InlineProvider(
        lambda request: f"```scheme\n{program}\n```" if request.purpose == "program" else "x"
    )


ONE = '(llm-query #:instruction "q" #:data "d" #:recursive #t)'
TWENTY = '(map-async (lambda (i) (llm-query-async #:instruction "q" #:recursive #t)) (range 20) #:max-concurrent 20)'


async def test_twenty_children_use_the_fuel_of_one_account() -> None:
    """And its limit ends all of them."""
    limits = Limits(fuel=300_000_000)
    async with Runtime(provider=writing("(let loop () (loop))"), limits=limits) as runtime:
        result = await runtime.run(TWENTY)
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == "fuel"
    assert result.execution.fuel < 2 * limits.fuel


async def test_twenty_children_share_the_memory_of_one() -> None:
    """Sixty megabytes each under sixty-four are one limit, not twenty."""
    child = "(define v (make-vector 2500000 1)) (sleep 0.01) (finish (vector-length v))"
    async with Runtime(provider=writing(child), limits=Limits(memory_bytes=64 * MIB)) as runtime:
        result = await runtime.run(TWENTY)
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == "memory_bytes"


async def test_no_more_sandboxes_are_alive_at_once_than_calls_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for its child has no place among the calls; its sandbox has one of its own."""
    alive = most = 0
    execute = Session.execute

    async def watched(self: Session, source: str, **options: Any) -> Any:
        nonlocal alive, most
        if options.get("name") != "sub-program":
            return await execute(self, source, **options)
        alive += 1
        most = max(most, alive)
        try:
            return await execute(self, source, **options)
        finally:
            alive -= 1

    monkeypatch.setattr(Session, "execute", watched)
    async with Runtime(provider=writing("(sleep 0.001) (finish 1)"), limits=Limits(concurrency=3)) as runtime:
        result = await runtime.run(TWENTY)
    assert result.ok, result.error
    assert most == 3


async def test_a_child_that_waits_for_its_own_child_holds_nobody_up() -> None:
    """Places are by depth: with one of them, three levels come to their end."""

    def answer(request: CompletionRequest) -> str:
        if request.purpose != "program":
            return "x"
        deeper = '(finish (syntax-e (llm-query #:instruction "q" #:data "d" #:recursive #t)))'
        return f"```scheme\n{deeper if request.depth < 2 else '(finish 42)'}\n```"

    async with Runtime(
        provider=InlineProvider(answer), limits=Limits(concurrency=1, timeout_s=20)
    ) as runtime:
        result = await runtime.run(f"(syntax-e {ONE})")
    assert result.value == "42", result.error


@pytest.mark.parametrize(
    ("limits", "child", "kind"),
    [
        (Limits(calls=5), '(let loop () (llm-query #:instruction "again") (loop))', "calls"),
        (Limits(fuel=200_000_000), "(let loop () (loop))", "fuel"),
        (Limits(timeout_s=0.3), "(sleep 1000)", "timeout_s"),
        (Limits(memory_bytes=16 * MIB), "(make-vector 100000000 1)", "memory_bytes"),
    ],
)
async def test_a_childs_limit_is_its_parents_limit(limits: Limits, child: str, kind: str) -> None:
    """No trouble that the sub-model is asked to mend, at the price of another call."""
    provider = writing(child)
    async with Runtime(provider=provider, limits=limits) as runtime:
        result = await runtime.run(f"(guard (e (#t 'caught)) {ONE})")
    assert result.status == "limit"
    assert result.error is not None
    assert result.error.kind == kind
    assert sum(request.purpose == "program" for request in provider.requests) == 1


EFFECTS = ['(pay "mallory")', '(checkpoint "k" "forged")', "(py-exec \"open('a.txt', 'w').write('x')\")"]


@pytest.mark.parametrize("effect", EFFECTS)
async def test_a_child_has_no_effects_unless_the_embedder_says_so(effect: str, tmp_path: Path) -> None:
    """Its program is what the data's author wanted, perhaps."""
    paid: list[str] = []
    child = f"(guard (e (#t (finish 'refused))) {effect} (finish 'done))"
    for grants, expected in (
        (None, "refused"),
        (ChildGrants(host_functions=("pay",), checkpoints=True, workspace_writable=True), "done"),
    ):
        runtime = Runtime(
            provider=writing(child),
            host_functions={"pay": paid.append},
            workspace=tmp_path,
            child_grants=grants,
        )
        async with runtime:
            assert (await runtime.run(f"(syntax-e {ONE})")).value == expected
            written = await runtime.store.keys("default")
        if grants is None:
            assert (paid, written, list(tmp_path.iterdir())) == ([], [], [])


def test_a_childs_files_count_to_its_parents_quota(tmp_path: Path) -> None:
    """Else a thousand children write a thousand times as much."""
    parent = Workspace(tmp_path, max_written_bytes=10_000)
    child = parent.narrowed(writable=True)
    child.write_bytes("a", b"x" * 6_000)
    assert parent.written_bytes == 6_000
    with pytest.raises(OSError, match="workspace_bytes"):
        parent.write_bytes("b", b"x" * 6_000)
    reader = parent.narrowed(writable=False)
    with pytest.raises(PermissionError):
        reader.narrowed(writable=True).write_bytes("c", b"x")


async def test_a_childs_bytes_in_the_host_are_its_familys() -> None:
    """Twenty children that queue large prompts are one limit."""

    class Never:
        free = True

        async def complete(self, request: CompletionRequest) -> Completion:
            if request.purpose == "program":
                return Completion(text=f"```scheme\n{child}\n```")
            await asyncio.sleep(1000)
            raise AssertionError

    child = '(llm-query #:instruction "q" #:data (make-string 2000000 #\\a))'
    limits = Limits(host_bytes=16 * MIB, memory_bytes=512 * MIB)
    async with Runtime(provider=Never(), limits=limits) as runtime:
        result = await runtime.run(TWENTY)
    assert result.error is not None
    assert result.error.kind == "host_bytes"


async def test_children_and_their_parent_share_the_memory_of_one_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One guest of Python is alive at a time; each has its variables again when it is next called."""
    from rlm_wasm.python import wasi

    alive: set[Any] = set()
    most = 0

    class Counted(wasi._Instance):
        def __init__(self, *arguments: Any) -> None:
            nonlocal most
            super().__init__(*arguments)
            alive.add(self)
            most = max(most, len(alive))

        def close(self) -> None:
            alive.discard(self)
            super().close()

    monkeypatch.setattr(wasi, "_Instance", Counted)
    child = '(py-exec "x = 1") (py-exec "x += 1") (finish (py-eval "x"))'
    program = """
    (py-exec "x = [40]")
    (define answers (map-async (lambda (i) (llm-query-async #:instruction "q" #:recursive #t)) (range 3)))
    (py-exec "x.append(2)")
    (list (map (lambda (a) (syntax-e a)) answers) (py-eval "sum(x)"))"""
    async with Runtime(provider=InlineProvider(lambda _request: f"```scheme\n{child}\n```")) as runtime:
        result = await runtime.run(program)
    assert result.ok, result.error
    assert result.value == "((2 2 2) 42)"
    assert most == 1
    assert not alive

"""Nothing that runs in Python goes without account: code that is given up, and what the host asks of Python for a call."""

from __future__ import annotations

import pytest

from rlm_wasm import Limits, Runtime, Session
from rlm_wasm.testing import InlineProvider

SPIN = "while True: pass"
SPINS_WHEN_KEPT = f"""class Kept:
    def __reduce__(self):
        {SPIN}
kept = Kept()"""
SPINS_WHEN_BROUGHT_BACK = f"""class Kept:
    def __reduce__(self):
        return exec, ({SPIN!r},)
kept = Kept()"""
LOST = """import sys
sys.setrecursionlimit(10**9)
def f(n): return [f(n)]
f(1)"""


def code(text: str) -> str:
    """A py-exec of it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'(py-exec "{escaped}")'


async def end_of(session: Session, program: str) -> tuple[str | None, bool]:
    """Which limit ended it, and whether what it says was used is as much as the limit."""
    result = await session.execute(program)
    assert result.status == "limit", result
    assert result.error is not None
    assert result.error.used is not None
    assert result.error.limit is not None
    return result.error.kind, result.error.used >= result.error.limit


@pytest.mark.parametrize(
    "program",
    [
        f"(let loop () (with-timeout 0.05 (lambda () {code(SPIN)}) (lambda () 1)) (loop))",
        f"(let loop () (race (list (lambda () {code(SPIN)}) (lambda () (sleep 0.05)))) (loop))",
        code(SPIN),
        code(SPINS_WHEN_KEPT),
        f'{code(SPINS_WHEN_BROUGHT_BACK)} (guard (e (#t 1)) {code(LOST)}) (py-eval "1")',
    ],
)
async def test_code_that_spins_ends_by_its_fuel_however_it_is_hidden(program: str) -> None:
    """Given up by a timeout it cost nothing; nor did what its variables do when they are kept or brought back."""
    limits = Limits(fuel=2_000_000_000, timeout_s=120)
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime, runtime.session() as session:
        assert await end_of(session, program) == ("fuel", True)
        assert (await session.execute("(+ 1 2)")).value == "3"


async def test_variables_that_spin_when_they_are_kept_do_so_no_longer_than_the_execution() -> None:
    """The host gave them ten seconds more."""
    async with Runtime(provider=InlineProvider()) as runtime:
        for program in (code(SPINS_WHEN_KEPT), code(SPIN)):
            limits = Limits(timeout_s=0.3, fuel=10**15)
            async with runtime.session(limits=limits) as session:
                kind, enough = await end_of(session, program)
                assert kind in ("timeout_s", "fuel")
                assert enough

"""The fixtures for tests of programs, in suites of their own."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rlm_wasm
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import Sandbox

HEAD = "import asyncio, pytest\n"
WITHOUT_FAULTHANDLER = ("-p", "no:faulthandler")
"""When that is disabled, what wasmtime does when a guest traps is disabled with it, in the whole process."""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> object:
    """Runs a test file with the plug-in, wherever this package is installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(HEAD + text)
        return pytester.runpytest_inprocess(*WITHOUT_FAULTHANDLER, "-p", "rlm_wasm.pytest_plugin", *options)

    return run


@pytest.mark.skipif(sys.platform != "linux", reason="how a handler is asked for differs elsewhere")
def test_a_suite_leaves_what_is_done_when_a_guest_traps(suite) -> None:  # type: ignore[no-untyped-def]
    """Without that handler the next guest that reads outside its memory would end the process."""

    def handler() -> int:
        action = (ctypes.c_void_p * 32)()  # struct sigaction begins with the handler's address
        assert ctypes.CDLL(None).sigaction(signal.SIGSEGV, None, action) == 0
        return action[0] or 0

    Sandbox(Engine.shared(), 1 << 30).close()
    before = handler()
    suite("def test_it(): pass").assert_outcomes(passed=1)
    assert handler() == before != signal.SIG_DFL


def test_a_plain_test_runs_programs_and_bounds_them(suite) -> None:  # type: ignore[no-untyped-def]
    """With asyncio.run, without any other plug-in."""
    result = suite("""
def test_it(rlm_session, rlm_provider, rlm_limits):
    result = asyncio.run(rlm_session.execute('(finish (llm-query #:instruction "hello"))'))
    assert result.value == "scripted answer 1"
    assert rlm_provider.requests[0].instruction == "hello"
    rlm_limits.assert_within(calls=1, fuel=1_000_000, output_bytes=20, memory_bytes=1 << 20)
""")
    result.assert_outcomes(passed=1)


def test_an_asynchronous_test_has_the_same_fixtures(suite) -> None:  # type: ignore[no-untyped-def]
    """And awaits them."""
    result = suite(
        """
@pytest.mark.asyncio
async def test_it(rlm_runtime, rlm_session, rlm_limits):
    await rlm_session.load_context("three words here")
    await rlm_session.execute('(length (string-split (get-context)))')
    rlm_limits.assert_within(calls=0)
    other = await rlm_runtime.run("(+ 1 2)")
    rlm_limits.assert_within(other, fuel=other.execution.fuel)
""",
        "-p",
        "pytest_asyncio.plugin",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    )
    result.assert_outcomes(passed=1)


def test_the_session_is_one_in_every_way_that_executes(suite) -> None:  # type: ignore[no-untyped-def]
    """As a block that closes it, as a stream, and going on after a snapshot: results has them all."""
    result = suite("""
from rlm_wasm import Result, Runtime, SessionClosed
from rlm_wasm.pytest_plugin import UsedLimits, WatchedSession
from rlm_wasm.testing import GatedProvider, ScriptedProvider

def test_block_and_stream(rlm_session, rlm_limits):
    async def run():
        async with rlm_session as session:
            assert session is rlm_session
            await session.execute('(llm-query #:instruction "q")')
            rlm_limits.assert_within(calls=1)
            events = [event async for event in session.stream('(display "out") 5')]
            assert isinstance(events[-1], Result)
            assert [each.value for each in session.results][1:] == ["5"]
            rlm_limits.assert_within(calls=0)
        with pytest.raises(SessionClosed):
            await rlm_session.execute("1")
    asyncio.run(run())

def test_resume():
    async def run():
        gate, other = GatedProvider(), ScriptedProvider()
        async with Runtime(provider=gate) as runtime, Runtime(provider=other) as second:
            session = runtime.session()
            running = asyncio.ensure_future(session.execute('(finish (llm-query #:instruction "q"))'))
            await gate.arrived(1)
            restored = WatchedSession(await second.restore(await session.snapshot()))
            gate.release()
            await running
            assert (await restored.resume()).value == "scripted answer 1"
            assert [each.status for each in restored.results] == ["finished"]
            UsedLimits(restored).assert_within(calls=1)
    asyncio.run(run())
""")
    result.assert_outcomes(passed=2)


def test_a_bound_that_does_not_hold_fails_with_the_figures(suite) -> None:  # type: ignore[no-untyped-def]
    """All that are over."""
    result = suite("""
def test_it(rlm_session, rlm_limits):
    asyncio.run(rlm_session.execute('(display "12345") (llm-query #:instruction "q")'))
    rlm_limits.assert_within(fuel=1, calls=0, output_bytes=100)
""")
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [r"E +AssertionError: over its bounds: fuel: used [\d,]+, bound 1; calls: used 1, bound 0"]
    )


def test_a_program_that_fails_is_within_no_bounds(suite) -> None:  # type: ignore[no-untyped-def]
    """It used little, and that says nothing."""
    result = suite("""
def test_it(rlm_session, rlm_limits):
    asyncio.run(rlm_session.execute('(car 1)'))
    rlm_limits.assert_within(fuel=10**9)
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*did not come to its end: error: car: contract violation*"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("assert_within(feul=1)", "unknown bounds feul. There are: calls, *fuel*"),
        ("assert_within()", "no bounds"),
        ("assert_within(fuel=1)", "nothing was executed in rlm_session"),
        (
            "assert_within(provider=1)",
            "unknown bounds provider. There are: calls, *fuel, memory_bytes, output_bytes",
        ),
        ("assert_within(fuel='many')", "the bound of fuel must be a number, not 'many'"),
        ("assert_within(calls=0, fuel=None)", "the bound of fuel must be a number, not None"),
        ("assert_within(fuel=float('nan'))", "the bound of fuel must be a number, not nan"),
        ("assert_within(1000)", "int is no Result; bounds are given by name, as in fuel=*"),
    ],
)
def test_mistakes_name_what_was_wrong(suite, call: str, words: str) -> None:  # type: ignore[no-untyped-def]
    """They are no failures of the program."""
    execute = "" if "nothing" in words else "asyncio.run(rlm_session.execute('1')); "
    result = suite(f"""
def test_it(rlm_session, rlm_limits):
    {execute}rlm_limits.{call}
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*UsageError: assert_within: {words}*"])


def test_a_suite_gives_its_own_provider(suite) -> None:  # type: ignore[no-untyped-def]
    """A fixture of the same name is taken instead."""
    result = suite("""
from rlm_wasm.testing import ScriptedProvider
@pytest.fixture
def rlm_provider():
    return ScriptedProvider({"capital": "Paris"})
def test_it(rlm_session):
    assert asyncio.run(rlm_session.execute('(finish (llm-query #:instruction "the capital?"))')).value == "Paris"
""")
    result.assert_outcomes(passed=1)


def test_nothing_is_imported_for_tests_that_ask_for_nothing() -> None:
    """A suite beside does not become slower."""
    code = "import sys, rlm_wasm.pytest_plugin; print('wasmtime' in sys.modules)"
    here = Path(rlm_wasm.__file__).parent.parent
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=here)
    assert ended.stdout == "False\n"


def test_the_example_of_the_page_passes(suite) -> None:  # type: ignore[no-untyped-def]
    """As a file of its own."""
    page = Path(__file__).parent.parent / "docs" / "testing.md"
    block = next(
        b for b in page.read_text(encoding="utf-8").split("```python\n")[1:] if "test_summary.py" in b
    )
    suite(block.split("```")[0]).assert_outcomes(passed=1)

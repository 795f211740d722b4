"""Python as a program sees it: py-exec, py-eval, py-set!, py-call in a session."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path

import pytest

from rlm_wasm import Limits, Runtime, Snapshot


@pytest.fixture
async def runtime():
    async with Runtime(provider="echo") as made:
        yield made


async def test_state_lives_across_executions_until_reset(runtime: Runtime) -> None:
    async with runtime.session() as session:
        await session.execute('(py-exec "data = [1, 2, 3]")')
        assert (await session.execute('(py-eval "sum(data)")')).data == 6
        await session.reset()
        result = await session.execute('(py-eval "data")')
        assert result.status == "error"
        assert result.error is not None
        assert "NameError" in result.error.message


async def test_py_exec_gives_what_was_printed(runtime: Runtime) -> None:
    result = await runtime.run("(finish (string-upcase (py-exec \"print('hello')\")))")
    assert result.value == "HELLO\n"


async def test_values_go_in_and_out_as_data(runtime: Runtime) -> None:
    result = await runtime.run(
        """
        (py-set! "x" (list 1 2.5 1/3 "é" #t (hash 'a (list))))
        (finish (list (py-eval "x") (hash-ref (last (py-eval "x")) 'a)))"""
    )
    assert result.data == [[1, 2.5, Fraction(1, 3), "é", True, {"a": []}], []]


async def test_the_context_is_a_variable(runtime: Runtime) -> None:
    result = await runtime.run('(finish (py-eval "len(context.split())"))', context="three words here")
    assert result.data == 3


async def test_an_exception_is_a_condition_that_can_be_caught(runtime: Runtime) -> None:
    result = await runtime.run('(finish (with-handlers ([exn:fail? exn-message]) (py-eval "1/0")))')
    assert "ZeroDivisionError" in result.value


async def test_objects_are_used_by_py_call(runtime: Runtime) -> None:
    program = "(define m (py-eval \"import re\\nre.search('b+', 'abbc')\")) (finish (py-call m \"group\"))"
    assert (await runtime.run(program)).value == "bb"


async def test_fibers_share_one_python_in_turn(runtime: Runtime) -> None:
    result = await runtime.run(
        """
        (py-exec "log = []")
        (map-async (lambda (i) (py-exec (format "log.append(~a)" i)) "done") (range 20) #:max-concurrent 5)
        (finish (sort (py-eval "log") <))"""
    )
    assert result.data == list(range(20))


async def test_another_session_runs_while_python_computes(runtime: Runtime) -> None:
    async with runtime.session() as busy, runtime.session() as quick:
        await busy.execute('(py-eval "1")')
        computing = asyncio.ensure_future(busy.execute('(py-exec "while True: pass")', timeout_s=30))
        await asyncio.sleep(0)
        assert (await quick.execute("(+ 1 2)")).data == 3
        assert not computing.done()
        computing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await computing
        assert (await busy.execute('(py-eval "2")')).data == 2


async def test_python_that_is_off_is_a_capability_error() -> None:
    async with Runtime(provider="echo", python="off") as runtime:
        result = await runtime.run('(py-eval "1")')
    assert result.status == "error"
    assert result.error is not None
    assert result.error.type == "exn:fail:capability"


async def test_fuel_is_counted_for_scheme_and_python_together(runtime: Runtime) -> None:
    async with runtime.session(limits=Limits(fuel=2_000_000_000)) as session:
        result = await session.execute('(py-exec "while True: pass")')
        assert (result.status, result.error and result.error.kind) == ("limit", "fuel")
        assert (await session.execute("(+ 1 1)")).data == 2


async def test_a_workspace_file_is_read_as_the_usage_guide_says(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"papers": 500}')
    async with Runtime(provider="echo", workspace=tmp_path) as runtime:
        result = await runtime.run(
            """(py-exec "import json; data = json.load(open('input.json'))")
               (finish (py-eval "data['papers']"))"""
        )
    assert result.data == 500


async def test_a_read_only_workspace_can_be_read_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("as it was")
    async with (
        Runtime(provider="echo", workspace=tmp_path, workspace_writable=False) as runtime,
        runtime.session() as session,
    ):
        assert (await session.execute("(py-eval \"open('input.txt').read()\")")).data == "as it was"
        for code in (
            "open('input.txt', 'w').write('x')",
            "open('new.txt', 'a').close()",
            "import os\\nos.remove('input.txt')",
        ):
            result = await session.execute(f'(py-exec "{code}")')
            assert result.status == "error"
            assert result.error is not None
            assert "PermissionError" in result.error.message
    assert [path.name for path in tmp_path.iterdir()] == ["input.txt"]
    assert (tmp_path / "input.txt").read_text() == "as it was"


async def test_a_snapshot_carries_python_variables(runtime: Runtime) -> None:
    async with runtime.session() as session:
        await session.execute('(py-exec "kept = 41")')
        kept = Snapshot.load((await session.snapshot()).dump())
    restored = await runtime.restore(kept)
    async with restored:
        assert (await restored.execute('(py-eval "kept + 1")')).data == 42


@pytest.mark.parametrize(
    ("program", "backtrace"),
    [
        ('(py-exec "def f(x):\n    return 1/x\nf(0)")', ("f (line 2)", "<module> (line 3)")),
        ('(define (g) (+ 1 (py-eval "1/0")))\n(list (g))', ("<module> (line 1)", "g (line 1, column 18)")),
        ('(define h (spawn (lambda () (list (py-exec "1/0")))))\n(list (await h))', ("<module> (line 1)",)),
        ('(map-async (lambda (x) (py-eval "1/0")) (list 1))', ("<module> (line 1)",)),
        ('(with-handlers ([exn:fail:python? raise]) (py-exec "1/0"))', ("<module> (line 1)",)),
    ],
)
async def test_an_uncaught_exception_says_where_in_python(
    runtime: Runtime, program: str, backtrace: tuple[str, ...]
) -> None:
    """The innermost first, and then where the program called."""
    error = (await runtime.run(program)).error
    assert error is not None
    assert error.type == "exn:fail:python"
    assert error.backtrace == backtrace
    assert error.line is not None

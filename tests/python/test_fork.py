"""After ``os.fork()`` a child goes on: its deadlines are met and its Python runs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, os, sys, threading
from rlm_wasm import Runtime

async def work(runtime):
    async with runtime.session() as session:
        assert (await session.execute("(+ 1 2)")).data == 3
        assert (await session.execute('(py-eval "6 * 7")')).data == 42
        # both ends of the epoch: a spinning Scheme program and a spinning Python program are stopped
        for spinning in ("(let loop () (loop))", '(py-exec "while True: pass")'):
            result = await session.execute(spinning, timeout_s=0.2)
            assert result.status == "limit", result

async def main(kept):
    async with Runtime(provider="echo") as runtime:
        await work(runtime)
    for backend in kept:
        assert (await backend.run("eval", ["x + 1"], fuel=10**10, timeout_s=60)).value == 42

async def parent():
    from rlm_wasm import Limits
    from rlm_wasm.capabilities.workspace import Workspace
    from rlm_wasm.python import python_backend
    kept = [python_backend(kind, limits=Limits(), workspace=Workspace(None)) for kind in ("wasi", "host")]
    for backend in kept:
        await backend.run("exec", ["x = 41"], fuel=10**10, timeout_s=60)
    async with Runtime(provider="echo") as runtime:
        await work(runtime)
    return kept

kept = asyncio.run(parent())
child = os.fork()
if child == 0:
    status = 1
    try:
        asyncio.run(main(kept))
        status = 0
    finally:
        os._exit(status)
_, status = os.waitpid(child, 0)
asyncio.run(main(kept))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_runs_scheme_and_python() -> None:
    """With a runtime of its own and with the back ends of its parent; and the parent goes on, too."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr


FORK_WHILE_LOADING = """
import os, sys, threading
from rlm_wasm.lazy import lazily

begun, go_on = threading.Event(), threading.Event()
sys.begun, sys.go_on = begun, go_on
later = lazily("later")
other = threading.Thread(target=lambda: later.last)
other.start()
begun.wait()
os.register_at_fork(before=go_on.set)  # before the ones that were registered before it
child = os.fork()
if child == 0:
    os._exit(later.last)
_, status = os.waitpid(child, 0)
other.join()
assert later.last == 7
sys.exit(os.waitstatus_to_exitcode(status))
"""
LATER = """
import sys
sys.begun.set()
sys.go_on.wait()
import wave  # takes a lock of Python's imports
last = 7
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_fork_waits_for_what_another_thread_loads(tmp_path: Path) -> None:
    """In the child the module was half loaded, and whoever used it waited for ever."""
    (tmp_path / "later.py").write_text(LATER)
    done = subprocess.run(
        [sys.executable, "-c", FORK_WHILE_LOADING],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert done.returncode == 7, done.stderr

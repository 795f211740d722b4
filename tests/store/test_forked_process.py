"""After ``os.fork()`` a child goes on with the store that its parent had opened; its threads are renewed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, os, sys, threading
from rlm_wasm import Runtime

runtime = Runtime(provider="echo", store=sys.argv[1])
session = runtime.session()

async def work(key):
    for place in (session, runtime.session()):
        result = await place.execute(f'(checkpoint "{key}" 1) (list (restore "{key}") (restore "first" 0))')
        assert result.ok, result.error
        return result.value

def in_child():
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if asyncio.run(work("child")) == "(1 1)" else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0

assert asyncio.run(work("first")) == "(1 1)"
in_child()
assert asyncio.run(work("parent")) == "(1 1)"

async def write():
    async with Runtime(provider="echo", store=sys.argv[1]) as other, other.session() as writing:
        while not done:
            assert (await writing.execute('(for ([i 50]) (checkpoint (number->string i) i))')).ok

done = []
writer = threading.Thread(target=lambda: asyncio.run(write()))
writer.start()
for _ in range(5):  # in the middle of what another thread's store does
    in_child()
done.append(True)
writer.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.parametrize("store", ["sqlite:///{}/store.db", "sqlite:///:memory:"])
def test_a_child_uses_the_store_that_its_parent_opened(store: str, tmp_path: Path) -> None:
    """Its first checkpoint waited for ever for a thread that had not come along."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, store.format(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr

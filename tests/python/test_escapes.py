"""Programs that try to get out, to exhaust the host, or to deceive it. Each ends contained:

a failure in the guest or a limit, a host that is as it was, and a back end that goes on.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rlm_wasm import Limits
from rlm_wasm.capabilities.python import PythonBackend
from rlm_wasm.errors import LimitExceeded, PythonFailure

from .conftest import Make, run

ATTACKS = {
    "reads /etc/passwd": "open('/etc/passwd').read()",
    "reads through pathlib": "from pathlib import Path\nPath('/etc/passwd').read_text()",
    "opens a descriptor by os.open": "import os\nos.open('/etc/passwd', os.O_RDONLY)",
    "reads descriptor 3": "import os\nos.read(3, 10)",
    "runs a command": "import os\nos.system('touch /tmp/escaped')",
    "starts a process": "import subprocess\nsubprocess.run(['true'])",
    "forks": "import os\nos.fork()",
    "connects a socket": "import socket\nsocket.create_connection(('127.0.0.1', 80), 1)",
    "resolves a name": "import socket\nsocket.getaddrinfo('localhost', 80)",
    "exits the process": "import os\nos._exit(0)",
    "aborts": "import os\nos.abort()",
    "raises SystemExit": "raise SystemExit(3)",
    "raises KeyboardInterrupt": "raise KeyboardInterrupt",
    "kills itself by a signal": "import signal, os\nsignal.raise_signal(signal.SIGABRT)",
    "loads ctypes": "import ctypes\nctypes.string_at(0)",
    "starts a thread": "import threading\nthreading.Thread(target=print).start()",
    "writes crafted bytecode": "def f(): pass\nf.__code__ = f.__code__.replace(co_code=b'\\xff' * 64)\nf()",
    "recurses without end": "def f(n): return f(n + 1)\nf(0)",
    "recurses in C": "x = ()\nfor _ in range(10**6): x = (x,)\nrepr(x)",
    "nests parentheses": "eval('(' * 5000 + ')' * 5000)",
    "fills the memory by a string": "'a' * 10**10",
    "fills the memory by a list": "x = []\nwhile True: x.append(bytearray(10**6))",
    "returns an endless repr": "class R:\n    def __repr__(self): raise SystemExit\nR().no_such_attribute",
    "deletes its builtins": "__builtins__.__dict__.clear()\nprint(1)",
    "breaks its own output": "import sys\nsys.stdout = None\nsys.stderr = None\nprint('x')\n1/0",
    "installs an audit hook that raises": "import sys\ndef hook(*a): raise RuntimeError('no')\nsys.addaudithook(hook)\nopen('x')",
    "installs an import hook": "import sys\nclass F:\n    @staticmethod\n    def find_spec(*a): raise RuntimeError('hooked')\nsys.meta_path.insert(0, F)\nimport tarfile",
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_contained(python: PythonBackend, attack: str) -> None:
    before = threading.active_count()
    with pytest.raises((PythonFailure, LimitExceeded)):
        await run(python, "exec", ATTACKS[attack], fuel=5_000_000_000)
    await python.reset()
    assert (await run(python, "eval", "6 * 7")).value == 42
    assert not Path("/tmp/escaped").exists()
    assert threading.active_count() <= before + 12


HARMLESS = {
    "looks at its environment": ("import os\nlen(os.environ)", 0),
    "looks at its arguments": ("import sys\nlen(sys.argv) <= 1", True),
    "finds the process's number": (f"import os\nos.getpid() != {os.getpid()}", True),
    "sees no files in its root": ("import os\nos.path.exists('/etc')", False),
}


@pytest.mark.parametrize("attempt", HARMLESS)
async def test_finds_nothing(python: PythonBackend, attempt: str) -> None:
    code, expected = HARMLESS[attempt]
    assert (await run(python, "eval", code)).value == expected


FORGERIES = {
    "no text at all": "wit_world_answer = lambda request: ''",
    "no JSON": "lambda request: 'not json'",
    "a list for an answer": "lambda request: 'null\\n[]'",
    "numbers for texts": 'lambda request: \'null\\n{"stdout": 5, "stderr": 6}\'',
    "a kind that does not exist": 'lambda request: \'{"$": ["os.system", "x"]}\\n{"stdout": "", "stderr": ""}\'',
    "an object nested for ever": 'lambda request: \'[\' * 100000 + \'\\n{"stdout": "", "stderr": ""}\'',
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_answer_is_a_failure_of_the_code(python: PythonBackend, forgery: str) -> None:
    body = FORGERIES[forgery].removeprefix("wit_world_answer = ")
    await run(python, "exec", f"import app\napp.run = {body}")
    with pytest.raises(PythonFailure, match="broke its driver"):
        await run(python, "eval", "1")
    await python.reset()
    assert (await run(python, "eval", "1")).value == 1


async def test_an_answer_larger_than_a_message_is_refused(make: Make) -> None:
    python = make("wasi", limits=Limits(message_bytes=100_000))
    with pytest.raises(PythonFailure, match="message_bytes"):
        await run(python, "eval", "'a' * 200000")
    assert (await run(python, "eval", "'a' * 10")).value == "a" * 10


async def test_endless_output_is_cut(python: PythonBackend) -> None:
    reply = await run(python, "exec", "for _ in range(3000): print('x' * 1000)")
    assert len(reply.stdout) < 1_100_000
    assert "dropped" in reply.stdout


async def test_fuel_stops_a_loop_and_the_variables_stay(python: PythonBackend) -> None:
    await run(python, "exec", "kept = 7")
    with pytest.raises(LimitExceeded) as caught:
        await run(
            python,
            "exec",
            "while True:\n    try:\n        pass\n    except BaseException:\n        pass",
            fuel=200_000_000,
        )
    assert caught.value.kind == "fuel"
    assert (await run(python, "eval", "kept")).value == 7


async def test_a_catastrophic_regexp_is_stopped(python: PythonBackend) -> None:
    with pytest.raises(LimitExceeded):
        await run(python, "exec", "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", fuel=500_000_000)


async def test_a_timeout_stops_a_sleep(python: PythonBackend) -> None:
    with pytest.raises(LimitExceeded) as caught:
        await run(python, "exec", "import time\nwhile True: time.sleep(0.01)", timeout_s=0.2)
    assert caught.value.kind == "timeout_s"


async def test_a_memory_bomb_is_a_memory_error_and_state_survives(make: Make) -> None:
    python = make("wasi", limits=Limits(python_memory_bytes=64 << 20))
    await run(python, "exec", "kept = 1")
    with pytest.raises(PythonFailure, match="MemoryError"):
        await run(python, "exec", "x = bytearray(10**9)")
    assert (await run(python, "eval", "kept")).value == 1


async def test_what_a_lost_instance_takes_with_it_is_said(python: PythonBackend) -> None:
    await run(python, "exec", "kept = 1")
    with pytest.raises(PythonFailure, match="last checkpoint"):
        await run(python, "exec", "lost = 2\nimport os\nos._exit(1)")
    assert (await run(python, "eval", "kept")).value == 1


class TestWorkspace:
    async def test_files_inside_can_be_read_and_written(self, make: Make, tmp_path: Path) -> None:
        (tmp_path / "input.json").write_text('{"a": [1, 2]}')
        python = make("wasi", workspace=tmp_path)
        assert (await run(python, "eval", "import json\njson.load(open('input.json'))")).value == {
            "a": [1, 2]
        }
        await run(python, "exec", "with open('out.txt', 'w') as f:\n    f.write('done')")
        assert (tmp_path / "out.txt").read_text() == "done"
        assert (await run(python, "eval", "import os\nos.listdir('.')")).value == ["input.json", "out.txt"]

    @pytest.mark.parametrize(
        "path", ["../secret", "/etc/passwd", "link/secret", "link", "a/../../secret", "\\0"]
    )
    async def test_no_path_leads_outside(self, make: Make, tmp_path: Path, path: str) -> None:
        inside = tmp_path / "inside"
        inside.mkdir()
        (tmp_path / "secret").write_text("secret")
        (inside / "link").symlink_to(tmp_path)
        (inside / "secret").symlink_to(tmp_path / "secret")
        python = make("wasi", workspace=inside)
        for name in (path, "secret"):
            with pytest.raises(PythonFailure):
                await run(python, "exec", f"open('{name}').read()")
            with pytest.raises(PythonFailure):
                await run(python, "exec", f"open('{name}', 'w').write('x')")
        assert (tmp_path / "secret").read_text() == "secret"

"""Modules that most processes never need are loaded when something of them is first used."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, sys, rlm_wasm
assert asyncio.run(rlm_wasm.Runtime("echo", python="off").run({source!r})).ok
print(*(name for name, module in sys.modules.items() if type(module).__name__ == "_LazyModule"))
"""


def not_loaded_by(source: str) -> set[str]:
    """The modules of the package that a process which runs this program did not load."""
    command = [sys.executable, "-c", PROGRAM.format(source=source)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return set(done.stdout.split())


def test_an_expression_does_without_records_of_the_run_log_questions_and_snapshots() -> None:
    """They are a third of what importing the package took."""
    assert not_loaded_by("(+ 1 2)") >= {
        "rlm_wasm.runlog.events",
        "rlm_wasm.asking.recursion",
        "rlm_wasm.session_parts.question",
        "rlm_wasm.execution.state",
        "rlm_wasm.session_parts.state",
    }


def test_what_is_used_is_loaded_then() -> None:
    """A recursive call brings the loop that answers it, and nothing of what it does not use."""
    left = not_loaded_by('(llm-query #:instruction "q" #:data "d" #:recursive #t)')
    assert "rlm_wasm.asking.recursion" not in left
    assert "rlm_wasm.runlog.events" in left


COMMAND = """
import sys
from rlm_wasm.cli.main import main
try:
    main(["run", "-q", "-p", "echo", *{arguments!r}, "-e", "(+ 1 2)"])
finally:
    print(*(name for name in ("sqlalchemy", "aiohttp", "openai", "cattrs") if name in sys.modules))
"""


@pytest.mark.parametrize(("arguments", "loaded"), [([], ""), (["--log", "sqlite:///{}/x.db"], "sqlalchemy")])
def test_a_command_loads_no_library_that_it_does_not_need(
    tmp_path: Path, arguments: list[str], loaded: str
) -> None:
    """A database's was most of what ``run`` took."""
    code = COMMAND.format(arguments=[argument.format(tmp_path) for argument in arguments])
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["3", loaded]

"""Modules that most processes never need are loaded when something of them is first used."""

import importlib
import importlib.machinery
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from rlm_wasm.lazy import NotLoaded, lazily

PROGRAM = """
import asyncio, sys, rlm_wasm
assert asyncio.run(rlm_wasm.Runtime("echo", python="off").run({source!r})).ok
print(*(name for name, module in sys.modules.items() if type(module).__name__ == "NotLoaded"))
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
        "rlm_wasm.session_parts.capture",
        "rlm_wasm.sandbox.snapshot",
        "rlm_wasm.sandbox.memories",
        "rlm_wasm.execution.journal",
    }


def test_what_is_used_is_loaded_then() -> None:
    """A recursive call brings the loop that answers it, and nothing of what it does not use."""
    left = not_loaded_by('(llm-query #:instruction "q" #:data "d" #:recursive #t)')
    assert "rlm_wasm.asking.recursion" not in left
    assert "rlm_wasm.runlog.events" in left


EXPRESSION = """
import asyncio, sys
began = set(sys.modules)
import rlm_wasm
async def main():
    async with rlm_wasm.Runtime("echo") as runtime:
        assert (await runtime.run("(+ 1 2)")).value == "3"
        print(*(set({dear!r}) & (set(sys.modules) - began)))
        third = (await runtime.run("(/ 1 3)")).data
        from fractions import Fraction
        assert type(third) is Fraction and third == Fraction(1, 3)
    async with rlm_wasm.Runtime("echo", args={{"third": third}}) as runtime:
        assert (await runtime.run('(/ (hash-ref (args) "third") 2)')).data == Fraction(1, 6)
asyncio.run(main())
"""


def test_an_expression_imports_nothing_that_takes_milliseconds() -> None:
    """It begins in a process that imports what it runs; numbers of other kinds are there when they are used."""
    dear = [
        "dataclasses",
        "decimal",
        "fractions",
        "glob",
        "hashlib",
        "json",
        "mmap",
        "pathlib",
        "wasmtime",
        "zlib",
    ]
    # The first process may compile the guest, which takes other modules.
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", EXPRESSION.format(dear=dear)],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stdout.split() == []


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


LATER = """
import threading

first = 1
ran = []

def others():
    import later
    ran.append(later.last)

def failed(what):
    ran.append(what.exc_type.__name__)

threading.excepthook = failed
other = threading.Thread(target=others)
other.start()
other.join(0.05)
last = 2
"""


def test_a_thread_that_uses_a_module_which_another_loads_waits_for_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions of several threads begin side by side: one found a module without what it was to give."""
    (tmp_path / "later.py").write_text(LATER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("threading.excepthook", threading.excepthook)
    later = lazily("later")
    try:
        assert isinstance(later, NotLoaded)
        assert later.first == 1
        later.other.join(60)
        assert later.ran == [2]
        assert type(later) is ModuleType
    finally:
        del sys.modules["later"]


def test_a_module_that_could_not_be_loaded_is_loaded_when_it_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says is the error of each use, and not that something is missing in it."""
    (tmp_path / "broken.py").write_text("begun = True\nfrom math import nothing_of_that_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    broken = lazily("broken")
    try:
        for _ in range(2):
            with pytest.raises(ImportError, match="nothing_of_that_name"):
                _ = broken.begun
        (tmp_path / "broken.py").write_text("begun = 'whole'\n")
        assert broken.begun == "whole"
    finally:
        del sys.modules["broken"]


def test_what_is_set_or_deleted_in_a_module_is_not_undone_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that replaces something of it finds it replaced."""
    (tmp_path / "changed.py").write_text("kept = replaced = deleted = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    for change in ("set", "delete"):
        changed = lazily("changed")
        try:
            if change == "set":
                changed.replaced = 2  # type: ignore[attr-defined]
                assert (changed.kept, changed.replaced) == (1, 2)
            else:
                del changed.deleted
                assert changed.kept == 1
                assert not hasattr(changed, "deleted")
        finally:
            del sys.modules["changed"]


def test_a_module_that_is_loaded_later_says_of_itself_what_an_imported_one_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it comes from, and what it belongs to."""
    (tmp_path / "told.py").write_text('"""Some words."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    names = ("__name__", "__file__", "__package__", "__cached__", "__doc__", "__spec__")
    told = lazily("told")
    try:
        later = [getattr(told, name) for name in names]
        assert type(told.__loader__) is type(importlib.machinery.SourceFileLoader("told", later[1]))
        del sys.modules["told"]
        imported = importlib.import_module("told")
        assert [getattr(imported, name) for name in names] == later
    finally:
        del sys.modules["told"]


def test_a_module_that_is_not_there_is_missed_when_it_is_used() -> None:
    """As ``import`` says it."""
    missing = lazily("missing_for_a_test")
    del sys.modules["missing_for_a_test"]
    with pytest.raises(ModuleNotFoundError, match="No module named 'missing_for_a_test'"):
        _ = missing.something

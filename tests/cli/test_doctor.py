"""``rlm-wasm doctor``, ``compile``, and the command group itself."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from rlm_wasm.cli import main
from rlm_wasm.testing import OpenAIServer

if TYPE_CHECKING:
    from pathlib import Path


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_doctor_says_that_a_run_would_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By running one; without a key there is a word about the way without."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert _run("doctor") == 0
    out = capsys.readouterr().out
    assert "A run would work." in out
    assert "OPENAI_API_KEY is not set; extractive needs no key" in out


def test_doctor_tries_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    """One that answers, and one that is down; neither keeps a run from working."""
    with OpenAIServer() as server:
        assert _run("doctor", "--json", "--base-url", server.base_url) == 0
        findings = json.loads(capsys.readouterr().out)["findings"]
    assert any("answers (200)" in finding["text"] for finding in findings)
    assert _run("doctor", "--json", "--base-url", "http://127.0.0.1:9/v1") == 0
    assert "cannot be reached" in capsys.readouterr().out


def test_doctor_fails_where_the_guest_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And says how to get it."""
    monkeypatch.setattr("rlm_wasm.sandbox.engine._GUEST", tmp_path)
    assert _run("doctor", "--offline") == 1
    out = capsys.readouterr().out
    assert "A run would not work." in out
    assert "pip install" in out


def test_compile_fills_the_cache(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where RLM_WASM_CACHE says."""
    monkeypatch.setenv("RLM_WASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("rlm_wasm.sandbox.engine.Engine._shared", None)
    assert _run("compile", "--no-python") == 0
    assert "Scheme guest: ready" in capsys.readouterr().out
    assert list((tmp_path / "cache").glob("*.cwasm"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], "Did you mean run?"),
        (["program.scm"], "To run a program: rlm-wasm run program.scm"),
        (["nonsense"], "No such command"),
        (["run", "--contxt", "x"], "--context"),
    ],
)
def test_mistakes_at_the_command_line_get_a_hint(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """And exit status 2."""
    assert _run(*arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["repl", "-h"]])
def test_help_is_no_error(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """It goes to standard output."""
    assert _run(*arguments) == 0
    assert capsys.readouterr().out


def test_doctor_says_which_sessions_stand_on_another_guest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the default store; without one there is nothing to say, and none is made."""
    store = tmp_path / "state.db"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("RLM_WASM_STORE", raising=False)
    assert _run("doctor", "--offline") == 0
    assert "none are kept" in capsys.readouterr().out
    assert not (tmp_path / "rlm-wasm").exists()
    monkeypatch.setenv("RLM_WASM_STORE", f"sqlite:///{store}")
    for name in ("old", "new"):
        assert _run("run", "--session", name, "-p", "echo", "-e", "1") == 0
    database = sqlite3.connect(store, isolation_level=None)
    database.execute("UPDATE rlm_sessions SET guest = 'abcdef0123456789' WHERE name = 'old'")
    database.close()
    assert _run("doctor", "--offline") == 0
    out = capsys.readouterr().out
    assert "2 in sqlite:///" in out
    assert "on another guest, abcdef012345: old" in out

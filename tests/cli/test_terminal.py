"""Attacks on the terminal of whoever reads what a program says: shown, not obeyed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlm_wasm.cli import main
from rlm_wasm.cli import progress as progress_module
from rlm_wasm.cli.terminal import echo, echo_json, in_line, visible
from rlm_wasm.results import Progress

Run = Callable[..., tuple[int, str, str]]

ATTACKS = {
    "a colour": "\x1b[31mred",
    "a window title": "\x1b]0;pwned\x07",
    "a line that hides itself": "rm -rf\rls     ",
    "a backspace": "no\b\byes",
    "an eight-bit control sequence": "\x9b31m",
    "a delete": "ab\x7f",
    "a bidirectional override": "access \u202elevel\u202c",
    "a bidirectional isolate": "a\u2066b\u2069",
    "a right-to-left mark": "a\u200fb",
}
OBEYED = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u061c\u200e\u200f\u202a\u202b\u202c"}
OBEYED |= {*"\u202d\u202e\u2066\u2067\u2068\u2069"}
OBEYED -= {"\n", "\t"}


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output and standard error, as they are captured, say that they are a terminal."""
    del capsys
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _stream: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process, with a store of its own."""
    monkeypatch.setenv("RLM_WASM_STORE", f"sqlite:///{tmp_path / 'state.db'}")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return run


def ours(text: str) -> str:
    """A text without the colours that are the command's own."""
    for code in ("\x1b[31m\x1b[1m", "\x1b[0m", "\x1b[2m"):
        text = text.replace(code, "")
    return text


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_a_terminal_would_obey_is_shown(attack: str) -> None:
    """By a picture or an escape; everything else stays as it is."""
    shown = visible(attack)
    assert not OBEYED & set(shown)
    rest = re.sub(r"\\u[0-9a-f]{4}|[\u2400-\u2421]", "", shown)
    assert rest == "".join(c for c in attack if c not in OBEYED)
    assert visible("tabs\tand\nlines, é, 漢字, 🙂") == "tabs\tand\nlines, é, 漢字, 🙂"
    assert visible("a\r\nb") == "a\nb"


def test_a_name_stays_within_its_line() -> None:
    """So that no name forges a second row of a list."""
    assert in_line("one\ntwo\tthree") == "one␊two␉three"


def test_on_a_pipe_every_character_goes_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads it is a program."""
    for attack in ATTACKS.values():
        echo(attack)
        echo_json({"text": attack})
        assert capsys.readouterr().out == f"{attack}\n{json.dumps({'text': attack}, ensure_ascii=False)}\n"


@pytest.mark.usefixtures("terminal")
def test_colours_are_ours_and_can_be_turned_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By NO_COLOR, as everywhere."""
    echo("error", fg="red")
    assert capsys.readouterr().out == "error\n"
    monkeypatch.delenv("NO_COLOR")
    echo("\x1b[2J", fg="red")
    assert capsys.readouterr().out == "\x1b[31m␛[2J\x1b[0m\n"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_json_on_a_terminal_says_the_same_by_escapes(attack: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is copied from the screen is read back as it was."""
    echo_json({"text": attack})
    printed = capsys.readouterr().out
    assert not OBEYED & set(printed)
    assert json.loads(printed) == {"text": attack}


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_stdout_stderr_value_and_error_of_a_program_are_shown(attack: str, run: Run, tmp_path: Path) -> None:
    """Each by itself."""
    (tmp_path / "attack.txt").write_text(attack, encoding="utf-8", newline="")
    for expression in ("(display context)", '(eprintf "~a" context)', "(finish context)", "(error context)"):
        _, out, err = run("run", "-p", "echo", "-c", str(tmp_path / "attack.txt"), "-e", expression)
        assert not OBEYED & set(out)
        assert not OBEYED & set(ours(err))
        assert visible(attack) in out + err


@pytest.mark.usefixtures("terminal")
def test_names_and_notes_of_kept_sessions_are_shown(run: Run) -> None:
    """Both in the list and where one of them is not there."""
    name = "n\x1b[2J\u202ex\nforged"
    assert run("run", "--session", name, "-p", "echo", "-e", r'(finish "v\x1b;]0;t\a")')[0] == 0
    listed = run("sessions", "list")[1]
    assert not OBEYED & set(listed)
    assert listed.count("\n") == 1
    for command in (("sessions", "show", name), ("sessions", "rm", name), ("sessions", "rm", name)):
        _, out, err = run(*command)
        assert not OBEYED & set(out + ours(err))


@pytest.mark.usefixtures("terminal")
def test_a_model_s_name_in_the_progress_line_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program chooses it."""
    lines: list[str] = []

    class Live:
        def update(self, text: object, *, refresh: bool) -> None:
            assert refresh
            lines.append(str(text))

        def stop(self) -> None:
            pass

    display = progress_module.Display(quiet=False)
    monkeypatch.setattr(display, "_live", Live())
    display._show(progress_module.progress_line(Progress(running=1, total=1, models={"m\x1b[2J\n": 1})))
    assert lines == ["0/1 done — 1 active: m␛[2J␊×1 (longest: 0s)"]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("terminal")
def test_the_repl_shows_what_a_program_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its log, too."""
    (tmp_path / "in.scm").write_text('(display "a\\x1b;[2J") "v\\x9b;1m"\n')
    monkeypatch.setattr(type(sys.stdin), "isatty", lambda _stream: False, raising=False)
    with (tmp_path / "in.scm").open(encoding="utf-8") as given:
        monkeypatch.setattr(sys, "stdin", given)
        _, out, err = run("repl", "-p", "echo")
    assert "a␛[2J" in out
    assert "v\\u009b1m" in out
    assert not OBEYED & set(out + ours(err))

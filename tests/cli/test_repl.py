"""``rlm-wasm repl``: when input is complete, and conversations with and without a terminal."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlm_wasm.cli import main
from rlm_wasm.cli.reading import indentation, read_state
from rlm_wasm.lexer import word_before


@pytest.mark.parametrize(
    "text",
    [
        "42",
        "(+ 1 2)",
        "[let ({x 1}) x]",
        '"a (string"',
        r'"with \" a quote ("',
        "|a symbol (|",
        r"(list #\( #\) #\space #\;)",
        "; only ( a comment",
        "(a) ; (",
        "#| block ( #| nested |# |# 1",
        "#<<END\n( not code\nEND\n",
        "(display #<<END\n)\nEND\n)",
        "a)",  # too many: the reader shall say so
        '#rx"[(]"',
        "'(quote . (dotted))",
    ],
)
def test_complete_input(text: str) -> None:
    """Enter runs it."""
    assert read_state(text).complete


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("(+ 1", None),
        ("(let ([x 1)", None),
        ('(display "a', "string"),
        ('"a\\"', "string"),
        ("#| comment", "comment"),
        ("#| #| |#", "comment"),
        ("#<<END\ntext\n", "here string"),
        ("#<<END", "here string"),
        ("|symbol", "symbol"),
    ],
)
def test_input_that_goes_on(text: str, inside: str | None) -> None:
    """Enter goes to the next line."""
    state = read_state(text)
    assert not state.complete
    assert state.inside == inside


def test_the_next_line_is_set_in_by_the_innermost_open_bracket() -> None:
    """And not inside of a string."""
    assert indentation("(define (f x)") == 2
    assert indentation("(define (f x)\n  (let ([y 1])") == 4
    assert indentation('(display "a') == 0
    assert indentation("(done)") == 0


def test_the_word_before_the_cursor() -> None:
    """What completion completes."""
    assert word_before("(map string-up") == "string-up"
    assert word_before("(") == ""
    assert word_before("'(a-b") == "a-b"


def _piped(text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with pytest.raises(SystemExit) as ended:
        main(["repl", "--provider", "echo"])
    assert ended.value.code == 0
    said = capsys.readouterr()
    return said.out, said.err


def test_piped_input_is_run_form_by_form(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """State stays, an error ends nothing, and there are no prompts."""
    program = '(define x 20)\n(+ x\n   1)\n(car x)\n(display "a") "b"\n(finish 7)\n(+ x 2)'
    out, err = _piped(program, capsys, monkeypatch)
    assert out == "21\na\nb\n7\n22\n"
    assert "car" in err


def test_input_that_is_never_closed_is_an_error_of_the_reader(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not lost in silence."""
    out, err = _piped("(+ 1 2)\n(+ 1", capsys, monkeypatch)
    assert out == "3\n"
    assert "error:" in err


def test_places_are_those_of_the_whole_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever piece is at fault; a form feed in a text ends no line."""
    program = '(define a "x\f\u2028y")\n\n(define (f x)\n  (list (* x a)))\n,names nothing\n(f 4)\n(+ 1\n   (car 7))\n'
    _, err = _piped(program, capsys, monkeypatch)
    assert "--> input:4:9\n    4 |   (list (* x a)))\n" in err
    assert "--> input:8:4\n    8 |    (car 7))\n" in err


READY = "\x1b[?2004h"
"""Bracketed paste is on: the prompt listens."""


class _Terminal:
    """The REPL on a pseudo-terminal."""

    def __init__(self, home: Path, *, colours: bool = False) -> None:
        root = str(Path(__file__).parents[2])
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
        environment |= {
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "NO_COLOR": "" if colours else "1",
        }
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rlm_wasm", "repl", "--provider", "echo"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.shown = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def at_prompt(self, text: str) -> None:
        """Press keys once the prompt listens: before that they would go to the terminal itself."""
        self.wait_for(READY)
        self.type(text)

    def wait_for(self, text: str) -> None:
        """Read until the text is shown; what came before is forgotten."""
        deadline = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            try:
                self.shown += os.read(self._ours, 65536).decode("utf-8", "replace")
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break
        assert text in self.shown
        self.shown = self.shown.partition(text)[2]


def test_what_is_typed_is_in_colour_unless_no_color_is_set(tmp_path: Path) -> None:
    """A special form in the terminal's magenta."""
    terminal = _Terminal(tmp_path, colours=True)
    terminal.at_prompt("(define x 5)")
    terminal.wait_for("\x1b[0;35mdefine")
    terminal.type("\r")
    terminal.at_prompt("\x04")
    assert terminal.process.wait(30) == 0


def test_a_conversation_in_a_terminal(tmp_path: Path) -> None:
    """Several lines, completion, an interrupt, history, and the way out."""
    terminal = _Terminal(tmp_path)
    terminal.wait_for("Ctrl-D to leave")
    terminal.at_prompt("(define (quadrate-of x)\r(* x x))\r")
    terminal.at_prompt("(quadrate-\t")
    terminal.wait_for("(quadrate-")
    terminal.wait_for("of")
    terminal.type(" 12)\r")
    terminal.wait_for("144")
    terminal.at_prompt('(begin (eprintf "going") (let loop () (loop)))\r')
    terminal.wait_for("\x1b[?2004lgoing")
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for("interrupted")
    terminal.at_prompt(",names quadrate\r")
    terminal.wait_for("quadrate-of\r\n")
    terminal.at_prompt(",nonsense\r")
    terminal.wait_for("unknown command")
    terminal.at_prompt(",reset\r")
    terminal.wait_for("forgotten")
    terminal.at_prompt("(quadrate-of 2)\r")
    terminal.wait_for("error")
    terminal.at_prompt("\x04")
    assert terminal.process.wait(30) == 0
    assert "(define (quadrate-of x)" in (tmp_path / "state" / "rlm-wasm" / "history").read_text()

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
from rlm_wasm.cli.reading import forms, indentation, read_state, uses
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
    terminal.wait_for("there is no command ,nonsense")
    terminal.at_prompt(",reset\r")
    terminal.wait_for("forgotten")
    terminal.at_prompt("(quadrate-of 2)\r")
    terminal.wait_for("error")
    terminal.at_prompt("\x04")
    assert terminal.process.wait(30) == 0
    assert "(define (quadrate-of x)" in (tmp_path / "state" / "rlm-wasm" / "history").read_text()


def test_an_earlier_entry_s_error_is_shown_in_that_entry_s_text(tmp_path: Path) -> None:
    """Whatever was typed since: a line of the newest entry would be somebody else's."""
    terminal = _Terminal(tmp_path)
    terminal.at_prompt("(define (first-of x)\r(car x))\r")
    terminal.at_prompt('(string-append "somewhere"\r"else")\r')
    terminal.wait_for("somewhereelse")
    terminal.at_prompt("(list 1\r(first-of 5))\r")
    terminal.wait_for("--> entry 1:2:3\r\n    2 |   (car x))\r\n          ^")
    terminal.at_prompt(",backtrace\r")
    terminal.wait_for("--> entry 1:2:3\r\n    2 |   (car x))")
    terminal.at_prompt("(car 7)\r")
    terminal.wait_for("--> entry 4:1:1\r\n    1 | (car 7)\r\n")
    terminal.at_prompt("_\r")
    terminal.wait_for("somewhereelse")  # what failed has no value
    terminal.at_prompt("exit\r")
    assert terminal.process.wait(30) == 0


def test_the_last_value_is_in_an_underscore(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error and a definition leave it as it is; patterns mean by it what they always do."""
    program = (
        "(+ 1 2)\n(* _ 10)\n(define y 1)\n(car 5)\n_\n(match (list 1 2) [(list _ b) b])\n(finish 9)\n_\n"
        "(list car)\n(procedure? (car _))\n,reset\n(+ 4 4)\n_\n"
    )
    out, _ = _piped(program, capsys, monkeypatch)
    assert out == "3\n30\n30\n2\n9\n9\n(#<procedure:car>)\n#t\n8\n8\n"


@pytest.mark.parametrize("way_out", ["exit", "(exit)", "quit", "(quit)", ",quit", ",exit"])
def test_there_is_more_than_one_way_out(
    way_out: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever habit one has; a program's own name of that kind is its own."""
    assert _piped(f"1\n{way_out}\n2\n", capsys, monkeypatch) == ("1\n", "")
    if not way_out.startswith(","):
        out, _ = _piped("(define (quit) 5) (define (exit) 5)\n(exit)\n(quit)\n", capsys, monkeypatch)
        assert out == "5\n5\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store where named sessions are kept."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    monkeypatch.setenv("RLM_WASM_STORE", url)
    return url


def _repl(
    text: str,
    *options: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[str, str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with pytest.raises(SystemExit) as ended:
        main(["repl", "--provider", "echo", *options])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    assert "Traceback" not in said.err
    return said.out, said.err


@pytest.mark.usefixtures("store")
def test_a_conversation_with_a_named_session_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one goes on: definitions, the last value; an error of then shows no line of now."""
    talk = {"capsys": capsys, "monkeypatch": monkeypatch}
    _repl("(define (f x)\n  (car x))\n(list 1 2)\n", "--session", "demo", **talk)  # type: ignore[arg-type]
    out, err = _repl("(f _)\n(f 5)\n", "--session", "demo", **talk)  # type: ignore[arg-type]
    assert out == "1\n"
    assert "--> input:2:3\n" in err
    assert "(f 5)" not in err
    with pytest.raises(SystemExit):
        main(["run", "-p", "echo", "--session", "demo", "-e", "(f (list 7))"])
    assert capsys.readouterr().out == "7\n"


@pytest.mark.usefixtures("store")
def test_save_and_load_copy_a_session(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its checkpoints; neither what follows here nor what follows there is seen by the other one."""
    talk = {"capsys": capsys, "monkeypatch": monkeypatch}
    program = (
        '(define x 1)\n(checkpoint "k" 10)\n,save work\n(set! x 2)\n(checkpoint "k" 20)\n'
        ',load work\n(list x (restore "k"))\n(set! x 3)\n,save work\n'
    )
    out, err = _repl(program, **talk)  # type: ignore[arg-type]
    assert out == "10\n20\n(1 10)\n"
    assert "kept: ,load work" in err
    out, err = _repl(',load work\n(list x (restore "k"))\n(set! x 4)\n', **talk)  # type: ignore[arg-type]
    assert out == "(3 10)\n"
    assert "copy of session work" in err
    assert _repl("x\n", "--session", "work", **talk)[0] == "3\n"  # type: ignore[arg-type]


@pytest.mark.usefixtures("store")
def test_what_cannot_be_saved_or_loaded_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of somebody else's is overwritten, and the conversation goes on."""
    talk = {"capsys": capsys, "monkeypatch": monkeypatch}
    _repl("(define x 1)\n,save mine\n", **talk)  # type: ignore[arg-type]
    theirs = tmp_path / "theirs.scm"
    theirs.write_text("7")
    program = f",save mine\n,load nowhere\n,load no.scm\n,save {theirs}\n,save /no/such/folder/x.scm\n,load\n(+ 1 2)\n"
    out, err = _repl(program, **talk)  # type: ignore[arg-type]
    assert out.endswith("3\n")
    for message in (
        "there is a session mine already",
        "there is no file nowhere, and no kept session of that name; kept are mine",
        "cannot read no.scm",
        "there is a file",
        "cannot write /no/such/folder/x.scm",
        ",load NAME or FILE: say which",
    ):
        assert message in err
    assert theirs.read_text() == "7"
    _, err = _repl(",load mine\n", "--session", "other", **talk)  # type: ignore[arg-type]
    assert "this conversation is the session other" in err


def test_what_was_typed_can_be_written_as_a_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what failed; ,load runs it, and so does rlm-wasm run."""
    path = tmp_path / "typed.scm"
    program = f"(define (f x)\n  (* 2 x))\n(car 5)\n(f 21)\n,save {path}\n(f 1)\n,save {path}\n"
    out, _ = _piped(program, capsys, monkeypatch)
    assert out == "42\n2\n"
    assert path.read_text() == "(define (f x)\n  (* 2 x))\n(f 21)\n(f 1)\n"
    assert _piped(f",load {path}\n(f 5)\n", capsys, monkeypatch)[0] == "2\n10\n"


def test_a_program_that_was_typed_defines_the_last_value_where_it_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program has no last value: without the definition it would not run, or run on another one."""
    path = tmp_path / "typed.scm"
    typed = '(define (f x) x) (f "a (_ b")\n(define y 1) ; _\n(list _ y)\n(list "_" \'c)\n'
    _piped(f"{typed},save {path}\n", capsys, monkeypatch)
    assert path.read_text() == (
        '(define (f x) x) (define _ (f "a (_ b"))\n(define y 1) ; _\n(list _ y)\n(list "_" \'c)\n'
    )
    assert _piped(f",load {path}\ny\n", capsys, monkeypatch)[0] == "(_ c)\n1\n"
    with pytest.raises(SystemExit) as ended:
        main(["run", "-p", "echo", str(path)])
    assert (ended.value.code, capsys.readouterr().out) == (0, "(_ c)\n")


def test_a_last_value_that_nothing_gave_is_defined_as_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is in a conversation before the first value."""
    path = tmp_path / "typed.scm"
    _piped(f"(define x 1)\n(void? _)\n,save {path}\n", capsys, monkeypatch)
    assert path.read_text() == "(define _ (void))\n(define x 1)\n(void? _)\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (",save", ",save NAME or FILE.scm: say which"),
        (",load ", ",load NAME or FILE: say which"),
        (",context", ",context [NAME=]FILE: say which"),
        (",sav x", "there is no command ,sav: did you mean ,save?"),
        (",nonsense", "there is no command ,nonsense; ,help lists them"),
    ],
)
def test_a_command_that_is_wrong_is_told_what_is_right(
    command: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a line; the conversation goes on."""
    out, err = _piped(f"{command}\n(+ 1 1)\n", capsys, monkeypatch)
    assert out == "2\n"
    assert said in err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('(a (b)) "x (y" z', ["(a (b))", '"x (y"', "z"]),
        ("'(a) `b #'c #&d ' e", ["'(a)", "`b", "#'c", "#&d", "' e"]),
        ('#(1 2) #hash((a . 1)) #px"a b" #:k', ["#(1 2)", "#hash((a . 1))", '#px"a b"', "#:k"]),
        ("#;(a b) c #;d ; e\n #| f |# g #;", ["c", "g"]),
        ("(a #\\) |(| #;) ) #\\space", ["(a #\\) |(| #;) )", "#\\space"]),
        ("#<<END\n(x\nEND\n y", ["#<<END\n(x\nEND", "y"]),
    ],
)
def test_the_forms_of_an_entry(text: str, found: list[str]) -> None:
    """Each by itself, without comments and space."""
    assert [text[start:end] for start, end in forms(text)] == found


@pytest.mark.parametrize(
    ("text", "used"),
    [("(f _ 1)", True), ("'_", True), ('"_"', False), ("; _", False), ("x_", False), ("#;_ 1 #\\_", False)],
)
def test_a_name_that_is_used(text: str, used: bool) -> None:
    """As a word, not within a text, a comment or another name."""
    assert uses(text, "_") is used


def test_an_error_in_a_loaded_file_is_shown_in_that_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a later entry runs into it."""
    path = tmp_path / "lib.scm"
    path.write_text("(define (g x)\n  (vector-ref x 9))\n")
    _, err = _piped(f",load {path}\n1\n(g (vector))\n", capsys, monkeypatch)
    assert f"--> {path}:2:3\n    2 |   (vector-ref x 9))" in err

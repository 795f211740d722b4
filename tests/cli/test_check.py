"""``rlm-wasm check``: what is wrong with a program, on standard output, by exit status and as JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlm_wasm.cli import main

Check = Callable[..., tuple[int, str, str]]

WRONG = '(define (ask x)\n  (llm-qeury #:instruction x))\n(ask "one")\n'


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the command in this process: status, standard output, standard error."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def check(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main(["check", *arguments, "--provider", "echo"])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return check


def test_a_right_program_has_no_problem(check: Check, tmp_path: Path) -> None:
    """Status 0, and nothing on standard output; none of it runs."""
    program = tmp_path / "right.scm"
    program.write_text('(display "ran") (llm-query #:instruction "q")')
    assert check(str(program)) == (0, "", "rlm-wasm: no problems found\n")


def test_a_problem_is_shown_with_its_place_in_the_file(check: Check, tmp_path: Path) -> None:
    """Status 1."""
    program = tmp_path / "wrong.scm"
    program.write_text(WRONG)
    status, out, err = check(str(program))
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "error: unbound variable: llm-qeury (line 2, column 3). Did you mean llm-query?",
        f"  --> {program}:2:3",
        "    2 |   (llm-qeury #:instruction x))",
        "          ^",
    ]


@pytest.mark.parametrize("arguments", [("-e", WRONG), ("-",)])
def test_a_program_comes_from_the_command_line_or_standard_input(
    check: Check, arguments: tuple[str, ...]
) -> None:
    """As for run."""
    status, out, _ = check(*arguments, stdin=WRONG.encode())
    assert status == 1
    assert "llm-query?" in out


def test_what_only_may_be_wrong_is_no_failure(check: Check) -> None:
    """A warning, and status 0."""
    status, out, _ = check("-e", "(eval '(define zz 1)) (+ zz 1)")
    assert status == 0
    assert out.startswith("warning: unbound variable: zz (line 1, column 26)")


def test_as_json_it_is_one_object(check: Check) -> None:
    """With every problem, in the order of their places."""
    status, out, err = check("--json", "-e", WRONG + "(hash-ref)")
    said = json.loads(out)
    assert (status, err, said["ok"]) == (1, "", False)
    assert [(p["severity"], p["line"], p["column"]) for p in said["problems"]] == [
        ("error", 2, 3),
        ("error", 4, 1),
    ]
    assert set(said["problems"][0]) == {"severity", "message", "line", "column", "hint"}
    status, out, _ = check("--json", "-e", "(+ 1 2)")
    assert (status, json.loads(out)) == (0, {"ok": True, "problems": []})


def test_what_cannot_be_read_is_a_problem(check: Check) -> None:
    """A missing bracket has a place, too."""
    status, out, _ = check("-e", "(list 1\n  (car '(2))")
    assert status == 1
    assert "error: " in out
    assert "line " in out


def test_no_program_or_two_are_a_usage_error(check: Check, tmp_path: Path) -> None:
    """And an empty one, and a file that is not there."""
    for arguments in ((), ("-e", "1", "x.scm"), ("-e", " "), (str(tmp_path / "none.scm"),)):
        status, out, err = check(*arguments)
        assert (status, out) == (2, "")
        assert err


def test_a_macro_without_end_meets_the_limit(check: Check) -> None:
    """Status 3; with --json the object says so."""
    loop = "(define-syntax m (er-macro-transformer (lambda (f r c) (let loop () (loop))))) (m)"
    assert check("--fuel", "200M", "-e", loop)[0] == 3
    status, out, _ = check("--json", "--fuel", "200M", "-e", loop)
    assert (status, json.loads(out)["status"]) == (3, "error")

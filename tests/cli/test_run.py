"""``rlm-wasm run``, as a user meets it: output, exit status, bad input, Ctrl-C, progress."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import Ran, Run, runner

from rlm_wasm.cli.inputs import Quantity
from rlm_wasm.testing import Fault, OpenAIServer


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process: as the shell would, without its start."""
    return runner(capsys, monkeypatch, "run")


def test_the_value_is_on_standard_output_and_nothing_else_is(run: Run) -> None:
    """For what finishes and for what just ends."""
    assert run("-e", "(finish (+ 1 2))") == Ran(0, "3\n", "")
    assert run("-e", '(define x 1) (string-append "a" "b")') == Ran(0, "ab\n", "")
    assert run("-e", "(define x 1)") == Ran(0, "", "")


def test_what_a_racket_program_has_printed_is_not_shown_again(run: Run) -> None:
    """Its top-level values are its output, the last one among them."""
    assert run("-e", '#lang racket\n1 (list "a")') == Ran(0, '1\n\'("a")\n', "")
    assert run("-e", "#lang racket\n1 (finish 2)") == Ran(0, "1\n2\n", "")


def test_output_comes_before_the_value_and_errors_of_the_program_go_to_standard_error(run: Run) -> None:
    """Each ends with a line break."""
    ran = run("-e", '(display "out") (eprintf "err\n") (finish 1)')
    assert (ran.status, ran.out, ran.err) == (0, "out\n1\n", "err\n")


def test_a_program_comes_from_a_file_or_from_standard_input(run: Run, tmp_path: Path) -> None:
    """With or without a byte order mark."""
    path = tmp_path / "p.scm"
    path.write_bytes('\ufeff(finish "é")'.encode())
    assert run(str(path)).out == "é\n"
    assert run("-", stdin=b"(+ 1 1)").out == "2\n"


def test_contexts_have_names_or_not(run: Run, tmp_path: Path) -> None:
    """NAME=FILE, FILE, and standard input."""
    (tmp_path / "a.txt").write_text("alpha")
    (tmp_path / "b.txt").write_text("beta")
    ran = run(
        "-e",
        '(list context (get-context "b"))',
        "-c",
        str(tmp_path / "a.txt"),
        "-c",
        f"b={tmp_path / 'b.txt'}",
    )
    assert ran.out == "(alpha beta)\n"
    assert run("-e", "context", "-c", "-", stdin=b"piped").out == "piped\n"


def test_json_is_one_object_with_the_fields_of_the_result(run: Run) -> None:
    """Whatever the outcome."""
    ran = run("--json", "-e", '(display "x") (finish (list 1 "b"))')
    result = json.loads(ran.out)
    assert (result["status"], result["value"], result["data"], result["stdout"]) == (
        "finished",
        "(1 b)",
        [1, "b"],
        "x",
    )
    assert result["error"] is None
    assert {"calls", "elapsed", "tokens", "fuel", "cost_usd"} <= set(result["execution"])
    ran = run("--json", "-e", "(car 1)")
    assert ran.status == 1
    assert json.loads(ran.out)["error"]["line"] == 1
    ran = run("--json", "-e", "1", "--provider", "openai")
    assert ran.status == 4
    assert json.loads(ran.out)["error"]["type"] == "MissingKey"


def test_a_guest_error_shows_the_place(run: Run, tmp_path: Path) -> None:
    """Message, file, line, and a caret under the column."""
    path = tmp_path / "p.scm"
    path.write_text("(define x 1)\n(define y\n  (vector-ref x 0))\n")
    ran = run(str(path))
    assert (ran.status, ran.out) == (1, "")
    assert f"--> {path}:3:3" in ran.err
    assert "    3 |   (vector-ref x 0))\n          ^\n" in ran.err


def test_a_limit_names_itself(run: Run) -> None:
    """Exit status 3."""
    ran = run("-e", "(let loop () (loop))", "--fuel", "10M")
    assert (ran.status, ran.out) == (3, "")
    assert "fuel" in ran.err
    ran = run(
        "-e", '(llm-query #:instruction "a") (llm-query #:instruction "b")', "--max-calls", "1", "-p", "echo"
    )
    assert ran.status == 3
    assert "calls" in ran.err


def test_an_unknown_provider_gets_a_near_miss(run: Run) -> None:
    """Usage."""
    ran = run("-e", "1", "--provider", "extractiv")
    assert ran.status == 2
    assert "Did you mean extractive?" in ran.err


def test_a_missing_key_names_the_variable_and_the_keyless_way(run: Run) -> None:
    """Before anything runs."""
    ran = run("-e", '(display "ran")', "--provider", "openai")
    assert (ran.status, ran.out) == (4, "")
    assert "OPENAI_API_KEY" in ran.err
    assert "--provider extractive" in ran.err


def test_a_server_that_is_down_is_a_provider_error(run: Run) -> None:
    """Named by its address."""
    ran = run(
        "-e",
        '(syntax-e (llm-query #:instruction "hi"))',
        "-p",
        "openai",
        "--base-url",
        "http://127.0.0.1:9/v1",
    )
    assert (ran.status, ran.out) == (4, "")
    assert "http://127.0.0.1:9/v1 cannot be reached" in ran.err


def test_a_program_talks_to_a_real_server(run: Run) -> None:
    """Retries and all."""
    with OpenAIServer(lambda request: request.user.upper()) as server:
        server.next(Fault.rate_limit(retry_after_s=0.01))
        program = '(finish (syntax-e (llm-query #:instruction "Shout" #:data "hello" #:model "m")))'
        ran = run("-e", program, "-p", "openai", "--base-url", server.base_url)
        assert ran == Ran(0, "HELLO\n", "")
        assert [request.model for request in server.requests] == ["m", "m"]


def test_a_failed_call_that_the_program_handles_is_no_error(run: Run) -> None:
    """It is the program's business then."""
    with OpenAIServer() as server:
        server.next(*[Fault.error(400, "no")] * 3)
        ran = run(
            "-e",
            '(with-handlers ([exn:fail? (lambda (e) "handled")]) (syntax-e (llm-query #:instruction "a")))',
            "--base-url",
            server.base_url,
            "-p",
            "openai",
        )
        assert (ran.status, ran.out) == (0, "handled\n")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read {path}: No such file or directory"),
        (b"", "{path} is empty"),
        (b" \n\t ", "{path} is empty"),
        (b'(display "caf\xe9")', "{path} is not UTF-8 text: byte 13 (0xe9, line 1)"),
        (b"\xef\xbb\xbf(a)\n\n\xff", "{path} is not UTF-8 text: byte 8 (0xff, line 3)"),
    ],
)
def test_a_program_that_cannot_be_read_is_a_usage_error(
    run: Run, tmp_path: Path, content: bytes | None, words: str
) -> None:
    """Which says why, and where."""
    path = tmp_path / "p.scm"
    if content is not None:
        path.write_bytes(content)
    ran = run(str(path))
    assert (ran.status, ran.out) == (2, "")
    assert words.format(path=path) in ran.err


def test_a_folder_an_unreadable_file_and_a_strange_name_are_usage_errors(run: Run, tmp_path: Path) -> None:
    """As any path may be."""
    assert run(str(tmp_path)).status == 2
    assert run("a\0b").status == 2
    assert run("-e", "1", "-c", str(tmp_path / "gone.txt")).status == 2
    (tmp_path / "binary").write_bytes(b"\x80\x81")
    assert "byte 0 (0x80, line 1)" in run("-e", "1", "-c", str(tmp_path / "binary")).err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["p.scm", "-e", "1"],
        ["-e", " "],
        ["-e", "1", "--fuel", "lots"],
        ["-e", "1", "--fuel", "-1"],
        ["-e", "1", "--memory", "256XB"],
        ["-e", "1", "--timeout", "0"],
        ["-e", "1", "--timeout", "nan"],
        ["-e", "1", "--concurrency", "0"],
        ["-e", "1", "--workspace", "/no/such/folder"],
        ["-e", "1", "--python", "maybe"],
        ["-e", "1", "-c", "-", "-c", "x=-"],
        ["-e", "1", "--base-url", "nonsense", "-p", "extractive"],
    ],
)
def test_bad_options_are_usage_errors(run: Run, arguments: list[str]) -> None:
    """With a line that says what was wrong."""
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err


def test_two_contexts_of_one_name_are_refused(run: Run, tmp_path: Path) -> None:
    """And told how to be two."""
    (tmp_path / "a").write_text("a")
    ran = run("-e", "1", "-c", str(tmp_path / "a"), "-c", str(tmp_path / "a"))
    assert ran.status == 2
    assert "--context NAME=" in ran.err


def test_a_reader_error_is_a_guest_error_with_a_place(run: Run) -> None:
    """The bracket that was never closed."""
    ran = run("-e", "(display 1)\n(let ([x 1)\n  x")
    assert ran.status == 1
    assert "--> -e:2:" in ran.err


def test_a_program_of_50_megabytes_runs(run: Run, tmp_path: Path) -> None:
    """What fits a message and the memory is no more than a long program."""
    path = tmp_path / "big.scm"
    path.write_text('(define big "' + "x" * 50_000_000 + '")\n(string-length big)\n')
    ran = run(str(path))
    assert ran.status == 0, ran.err
    assert ran.out == "50000000\n"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5),
        ("100_000", 100_000),
        ("1e9", 10**9),
        ("5M", 5_000_000),
        ("256MiB", 256 << 20),
        ("1.5GiB", 3 << 29),
    ],
)
def test_quantities_have_units(text: str, number: int) -> None:
    """Decimal and binary ones."""
    assert Quantity("n").convert(text, None, None) == number


def _process(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    root = str(Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "rlm_wasm", *arguments]
    return subprocess.Popen(command, env=environment, **options)  # type: ignore[call-overload,no-any-return]


def test_ctrl_c_cancels_cleanly_and_shows_what_was_written() -> None:
    """The calls are aborted too: the server sees it."""
    with OpenAIServer() as server:
        server.next(Fault.hang())
        program = '(display "before") (llm-query #:instruction "a")'
        arguments = ("run", "--json", "-e", program, "-p", "openai", "--base-url", server.base_url)
        process = _process(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _wait_for(lambda: len(server.requests) == 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        result = json.loads(out)
        assert (result["status"], result["stdout"]) == ("cancelled", "before")
        assert b"Traceback" not in err
        _wait_for(lambda: server.disconnects == 1)


def test_ctrl_c_stops_a_program_that_computes() -> None:
    """Slices keep the loop alive."""
    process = _process("run", "-e", '(eprintf "go\n") (let loop () (loop))', stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline() == b"go\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"interrupted" in err


def test_a_run_leaves_no_word_behind_when_the_process_ends() -> None:
    """What is given back at exit is given back in order."""
    process = _process(
        "run", "-q", "-p", "echo", "-e", "(+ 1 2)", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.communicate(timeout=60) == (b"3\n", b"")


def test_output_that_nobody_reads_is_no_traceback() -> None:
    """As with | head."""
    process = _process(
        "run", "-e", '(for ([i 100000]) (displayln "line"))', stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert b"Traceback" not in process.stderr.read()
    process.wait(30)


def test_progress_is_live_where_standard_error_is_a_terminal() -> None:
    """Calls done and running, by model."""
    with OpenAIServer(latency_s=0.8) as server:
        program = """(map-async (lambda (x) (llm-query-async #:instruction "a" #:data x #:model "m"))
                                (list "1" "2" "3") #:max-concurrent 3)"""
        ours, theirs = pty.openpty()
        process = _process("run", "-e", program, "-p", "openai", "--base-url", server.base_url, stderr=theirs)
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        assert process.wait(30) == 0
        assert "0/3 done — 3 active: m×3".encode() in shown
        assert b"3 calls" in shown


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_warnings_are_on_standard_error(run: Run) -> None:
    """What looks like a slip is not among what the program printed."""
    ran = run("-e", '(displayln "out") (string-split "a" "\\\\d")')
    assert (ran.status, ran.out) == (0, "out\n(a)\n")
    assert "warning: string-split: found nothing" in ran.err


def test_integers_of_any_size_are_printed_as_json(run: Run) -> None:
    """The value in decimal; as data, beyond 4,300 digits, in hexadecimal."""
    ran = run("-e", "(list (expt 7 6000))", "--json")
    result = json.loads(ran.out)
    assert result["data"] == [hex(7**6000)]
    assert len(result["value"]) == len("()") + 5071

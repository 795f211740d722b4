"""``rlm-wasm log``, and what ``run`` keeps and shows of a run beside its result."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from rlm_wasm.cli import cli
from rlm_wasm.errors import UsageError
from rlm_wasm.testing import Fault, OpenAIServer

ASK = '(define (ask x)\n  (llm-query-async #:instruction "Summarize" #:data x))\n(finish (string-join (map-async ask (list "apples" "pears")) ","))'


def run(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False, **more)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a run that finished and one that failed."""
    path = tmp_path / "run.jsonl"
    assert run("run", "-p", "extractive", "--log", str(path), "-e", ASK).exit_code == 0
    assert run("run", "-p", "extractive", "--log", str(path), "-e", '(error "no luck" 7)').exit_code == 1
    return path


def test_the_runs_of_a_file_are_listed_the_newest_first(log: Path) -> None:
    lines = run("log", "list", str(log)).stdout.splitlines()
    assert ["error" in lines[0], "finished" in lines[1]] == [True, True]
    assert "2 calls" in lines[1]
    [only] = json.loads(run("log", "list", str(log), "--failed", "--json").stdout)
    assert only["status"] == "error"
    [other] = json.loads(run("log", "list", str(log), "--search", "PEARS summarize", "--json").stdout)
    assert (other["status"], other["models"]) == ("finished", ["extractive"])
    assert json.loads(run("log", "list", str(log), "--search", "quinces", "--json").stdout) == []
    assert json.loads(run("log", "list", str(log), "--slower-than", "1000", "--json").stdout) == []
    assert len(json.loads(run("log", "list", str(log), "--model", "extractive", "--json").stdout)) == 1
    assert len(json.loads(run("log", "list", str(log), "--limit", "1", "--json").stdout)) == 1


def test_a_run_is_shown_as_a_tree_of_fibers_and_calls(log: Path) -> None:
    text = run("log", "show", str(log)).stdout
    assert "fiber 1 (map-async, line 3)" in text
    assert "    call 1  llm-query-async  line 2  extractive  done" in text
    assert "data    apples" in text
    assert "derived from calls 1, 2" in text
    assert "error exn:fail (line 1, column 1)\n  no luck 7" in text
    pears = run("log", "show", str(log), "--search", "pears").stdout
    assert "data    pears" in pears
    assert "data    apples" not in pears
    full = run("log", "show", str(log), "--full").stdout
    assert "program\n  (define (ask x)" in full


def test_a_run_is_exported_as_its_lines_and_as_spans(log: Path, tmp_path: Path) -> None:
    assert [json.loads(line) for line in run("log", "export", str(log)).stdout.splitlines()] == [
        json.loads(line) for line in log.read_text().splitlines()
    ]
    out = tmp_path / "spans.json"
    assert run("log", "export", str(log), "--format", "otel", "--texts", "-o", str(out)).exit_code == 0
    first, second = map(json.loads, out.read_text().splitlines())
    spans = first["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans] == [
        "execute_tool execute_scheme",
        "chat extractive",
        "chat extractive",
    ]
    assert spans[1]["parentSpanId"] == spans[0]["spanId"]
    assert len({span["traceId"] for span in spans}) == 1
    assert "apples" in str(spans[1]["attributes"])
    assert second["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["status"] == {"code": 2}
    assert "apples" not in run("log", "export", str(log), "--format", "otel").stdout


async def test_spans_are_sent_to_a_collector(log: Path) -> None:
    import asyncio

    heard: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        heard.append(await request.json())
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    export = ("log", "export", str(log), "--format", "otel", "--endpoint")
    result = await asyncio.to_thread(run, *export, address)
    await runner.cleanup()
    assert result.exit_code == 0
    assert len(heard) == 2
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "rlm_wasm", *export, address], capture_output=True, text=True
    )
    assert process.returncode == 2
    assert "cannot be reached" in process.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "this is no run log: it is empty"),
        (b"\x89PNG\r\n\x00", "this is no run log"),
        (b'{"type":"run_started","run":"aa","at":1,"version":7}\n', "of a later version (7"),
        (b'{"type":"run_started","run":"aa","at":1}\n{"type":"call_que', "line 2: it is cut off"),
    ],
)
def test_a_log_that_is_none_or_damaged_is_said_to_be(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    result = run("log", "show", str(path))
    assert result.exit_code == (0 if b"run_started" in content else 2)
    assert said in result.stderr


@pytest.mark.parametrize(
    "command", [("show",), ("list",), ("export",), ("export", "--format", "otel", "--endpoint", "http://x")]
)
def test_a_file_that_is_no_log_is_a_wrong_argument(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "x.scm"
    path.write_text("(+ 1 2)\n" * 50)
    result = run("log", *command, str(path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "this is no run log: it holds no record of a run in 50 lines" in result.stderr
    assert result.stderr.endswith("and 40 more lines like these\n")


@pytest.mark.parametrize("option", ["--slower-than=nan", "--slower-than=-1", "--slower-than=x"])
def test_a_time_that_is_no_number_is_refused(log: Path, option: str) -> None:
    result = run("log", "list", str(log), option)
    assert result.exit_code == 2
    assert "--slower-than" in result.stderr


def test_a_filter_that_takes_no_run_of_a_file_says_so(log: Path) -> None:
    assert run("log", "list", str(log), "--search", "quinces").stderr.endswith("run.jsonl has no such run\n")


def test_a_log_whose_file_has_no_name_is_refused() -> None:
    result = CliRunner().invoke(cli, ["run", "--log", "", "-e", "1"])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == "cannot write the log: the name of its file is empty"


def test_a_log_that_ends_early_is_told_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rlm_wasm", "run", "--log", "/dev/full", "-p", "echo", "-e", "(+ 1 2)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("3\n", 0)
    assert done.stderr == "rlm-wasm: the log /dev/full ends early: No space left on device\n"


def test_bad_arguments_are_told_in_a_sentence(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'x.db'}"
    for arguments, said in (
        (("log", "show", "zz", "--store", store), "is no run's id"),
        (("log", "show", "abc", "--store", store), "there is no run abc"),
        (("log", "show", "nowhere.jsonl"), "cannot read the log nowhere.jsonl"),
        (("log", "rm", "--store", store), "say which"),
        (("log", "export", "abc", "--endpoint", "http://x"), "--endpoint belongs to"),
        (("view", "zz", "--store", store), "is no run's id"),
        (("view", "nowhere.jsonl"), "cannot read the log nowhere.jsonl"),
        (("run", "--report", str(tmp_path), "-e", "1"), "cannot write"),
        (("run", "--log", str(tmp_path / "no" / "x"), "-e", "1"), "cannot write the log"),
        (("run", "--log", str(tmp_path / "x"), "--report", str(tmp_path / "x"), "-e", "1"), "name two"),
    ):
        process = subprocess.run(
            [sys.executable, "-m", "rlm_wasm", *arguments], capture_output=True, text=True
        )
        assert process.returncode == 2, arguments
        assert said in process.stderr
        assert "Traceback" not in process.stderr


def test_runs_are_kept_in_the_store_and_forgotten(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'state.db'}"
    for program in (ASK, "(+ 1 2)"):
        assert (
            run("run", "-p", "extractive", "--store", store, "--log", "store", "-e", program).exit_code == 0
        )
    listed = json.loads(run("log", "list", "--store", store, "--json").stdout)
    assert [row["calls"] for row in listed] == [0, 2]
    run_id = listed[1]["run"]
    assert "data    pears" in run("log", "show", run_id[:6], "--store", store).stdout
    assert len(run("log", "export", run_id, "--store", store).stdout.splitlines()) > 8
    assert run("log", "rm", run_id, "--store", store).exit_code == 0
    assert run("log", "rm", "--older-than", "0", "--store", store).exit_code == 0
    assert json.loads(run("log", "list", "--store", store, "--json").stdout) == []


# ---- run


def test_the_report_is_written_also_of_a_run_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    assert run("run", "--report", str(path), "-e", '(error "no luck")').exit_code == 1
    assert "no luck" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_of_a_run_that_is_too_large_for_a_page_the_rest_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlm_wasm.cli import accounts

    monkeypatch.setattr(accounts, "MAX_BYTES", 3_000)
    path = tmp_path / "run.html"
    program = '(for ([i 20]) (llm-query #:instruction "x"))'
    assert run("run", "-p", "extractive", "--report", str(path), "-e", program).exit_code == 0
    page = path.read_text()
    assert "more records are left out" in page
    assert "run_ended" in page


def test_an_export_never_overwrites_the_log_that_it_reads(log: Path, tmp_path: Path) -> None:
    before = log.read_bytes()
    process = subprocess.run(
        [sys.executable, "-m", "rlm_wasm", "log", "export", str(log), "-o", str(log)],
        capture_output=True,
        text=True,
    )
    assert (process.returncode, log.read_bytes()) == (2, before)
    assert "is the log itself" in process.stderr
    copy = tmp_path / "copy.jsonl"
    assert run("log", "export", str(log), "-o", str(copy)).exit_code == 0
    assert len(copy.read_text().splitlines()) == len(before.splitlines())


def test_a_trace_says_what_calls_and_fibers_do_as_they_go() -> None:
    result = run("run", "-p", "extractive", "--trace", "-e", ASK)
    assert result.stdout == "apples,pears\n"
    assert "fiber 1 begins (map-async) (line 3)" in result.stderr
    assert "call 1 → extractive (fiber 1, line 2)  Summarize apples" in result.stderr
    assert "call 2 ← " in result.stderr


def test_a_trace_shows_the_tries_of_a_call() -> None:
    with OpenAIServer() as server:
        server.next(Fault.rate_limit())
        process = subprocess.run(
            [
                *(sys.executable, "-m", "rlm_wasm", "run", "-p", "openai", "--base-url", server.base_url),
                *("--trace", "-e", '(llm-query #:instruction "x" #:model "m")'),
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "OPENAI_API_KEY": "k"},
        )
    assert process.returncode == 0, process.stderr
    assert "call 1 try 1: 429" in process.stderr


def test_what_a_program_prints_comes_before_it_has_ended() -> None:
    with OpenAIServer(latency_s=60) as server:
        process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "rlm_wasm",
                    "run",
                    "-p",
                    "openai",
                    "--base-url",
                    server.base_url,
                    "-e",
                ),
                '(displayln "first") (eprintf "second\\n") (llm-query #:instruction "x" #:model "m")',
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OPENAI_API_KEY": "k"},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == b"first\n"
            assert process.stderr.readline() == b"second\n"
            assert process.poll() is None
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        ('(display "no end")', "no end\n"),
        ('(display "a") (newline) (+ 1 2)', "a\n3\n"),
        ('(display "a") 5', "a\n5\n"),
        ("(void)", ""),
    ],
)
def test_output_ends_with_a_whole_line_and_the_value_follows(program: str, printed: str) -> None:
    assert run("run", "-e", program).stdout == printed


def test_json_stays_one_object_and_holds_the_output() -> None:
    assert json.loads(run("run", "--json", "-e", '(display "a") 5').stdout)["stdout"] == "a"


def test_output_beyond_the_limit_is_not_streamed_either() -> None:
    result = run("run", "--output-bytes", "2000", "-e", '(for ([i 1000]) (display "0123456789"))')
    assert len(result.stdout) == 2_001
    assert "cut at the output limit: stdout" in result.stderr


def test_progress_comes_as_lines_where_there_is_no_terminal() -> None:
    with OpenAIServer(latency_s=1.3) as server:
        process = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "rlm_wasm",
                    "run",
                    "-p",
                    "openai",
                    "--base-url",
                    server.base_url,
                    "-e",
                ),
                '(map-async (lambda (x) (llm-query-async #:instruction "a" #:model "m")) (range 3) #:max-concurrent 1)',
            ],
            capture_output=True,
            env={**os.environ, "OPENAI_API_KEY": "k"},
        )
    lines = process.stderr.decode().splitlines()
    assert lines[0].startswith("0/3 done — 1 active: m×1")
    assert 2 <= len(lines) <= 4
    assert b"\x1b" not in process.stderr


def test_plain_progress_obeys_no_cursor_on_a_terminal() -> None:
    with OpenAIServer(latency_s=1.3) as server:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "rlm_wasm",
                    "run",
                    "--plain",
                    "-p",
                    "openai",
                    "--base-url",
                    server.base_url,
                ),
                *("-e", '(llm-query #:instruction "a" #:model "m")'),
            ],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            env={**os.environ, "OPENAI_API_KEY": "k"},
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        process.wait(30)
    assert b"0/1 done" in shown
    assert b"\x1b[2K" not in shown
    assert b"\x1b[?25l" not in shown


def test_a_place_stands_on_a_line_of_its_own() -> None:
    error = run("run", "-e", "(define (f x)\n  (vector-ref x 1))\n(f 5)").stderr
    assert "given: 5\n  --> -e:2:3\n    2 |   (vector-ref x 1))\n" in error
    assert "given: 5 (line" not in error


def test_the_repl_shows_a_trace_and_the_last_backtrace() -> None:
    lines = '(define (f x) (+ 1 (car x)))\n,backtrace\n,trace\n(list (f (llm-query #:instruction "k")))\n,backtrace\n,trace\n,quit\n'
    result = run("repl", "-p", "extractive", input=lines)
    assert "there was no error so far" in result.stderr
    assert "trace on" in result.stderr
    assert "call 1 → extractive" in result.stderr
    assert result.stderr.count("in f (line 1, column") == 2
    assert "trace off" in result.stderr

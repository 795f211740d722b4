"""Kept sessions: ``run --session``, and ``rlm-wasm sessions``."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Runtime, Session
from rlm_wasm.cli import main
from rlm_wasm.named_sessions import open_named
from rlm_wasm.testing import Fault, OpenAIServer

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process, with a store of its own."""
    monkeypatch.setenv("RLM_WASM_STORE", f"sqlite:///{tmp_path / 'state.db'}")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return run


def test_definitions_and_contexts_are_there_in_the_next_run(run: Run, tmp_path: Path) -> None:
    """Under the same name only."""
    (tmp_path / "a.txt").write_text("alpha")
    program = "(define (twice x) (* 2 x))"
    assert run("run", "--session", "one", "-p", "echo", "-e", program, "-c", str(tmp_path / "a.txt"))[0] == 0
    assert (
        run("run", "--session", "one", "-p", "echo", "-e", "(list (twice 21) context)")[1] == "(42 alpha)\n"
    )
    assert run("run", "--session", "two", "-p", "echo", "-e", "(twice 21)")[0] == 1


def test_sessions_are_listed_shown_forked_and_removed(run: Run) -> None:
    """With near misses for names that are not there, and a word where there are none."""
    code, out, err = run("sessions", "list")
    assert (code, out) == (0, "")
    assert "no session is kept" in err
    run("run", "--session", "first", "-p", "echo", "-e", "(define x 1) (finish x)")
    assert run("sessions", "fork", "first", "second")[0] == 0
    run("run", "--session", "second", "-p", "echo", "-e", "(set! x 2)")
    assert run("run", "--session", "first", "-p", "echo", "-e", "x")[1] == "1\n"
    names = [session["name"] for session in json.loads(run("sessions", "list", "--json")[1])]
    assert names == ["first", "second"]
    assert "finished" not in run("sessions", "list")[1]
    shown = json.loads(run("sessions", "show", "first", "--json")[1])
    assert (shown["name"], shown["suspended"]) == ("first", False)
    assert "suspended:    False" in run("sessions", "show", "first")[1]
    status, _, err = run("sessions", "show", "frist")
    assert status == 2
    assert "Did you mean first?" in err
    assert run("sessions", "fork", "first", "second")[0] == 2
    assert run("sessions", "resume", "first", "-p", "echo")[0] == 2
    assert run("sessions", "rm", "first", "nobody")[0] == 2
    assert run("sessions", "rm", "first", "second")[0] == 0
    assert json.loads(run("sessions", "list", "--json")[1]) == []


PROGRAM = """
    (define first (syntax-e (llm-query #:instruction "Repeat" #:data "one")))
    (eprintf "waiting\\n")
    (define second (syntax-e (llm-query #:instruction "Repeat" #:data "two")))
    (finish (string-append first "+" second))
"""


def test_an_interrupted_execution_goes_on_where_it_was(run: Run) -> None:
    """In another process: what was computed stays computed, the call in flight is sent again."""
    with OpenAIServer() as server:
        options = ("-p", "openai", "--base-url", server.base_url)
        process = _ended_by(signal.SIGINT, server)
        assert process.returncode == 130
        assert "kept in the middle: rlm-wasm sessions resume long goes on" in process.stderr
        assert [request.user for request in server.requests] == ["one", "two"]
        assert json.loads(run("sessions", "list", "--json")[1])[0]["status"] == "suspended"
        status, _, err = run("run", "--session", "long", "-e", "1", *options)
        assert status == 2
        assert "rlm-wasm sessions resume long" in err
        assert run("sessions", "resume", "long", *options)[:2] == (0, "one+two\n")
        assert [request.user for request in server.requests] == ["one", "two", "two"]
        assert run("sessions", "resume", "long", *options)[0] == 2


def _ended_by(number: signal.Signals, server: OpenAIServer) -> subprocess.CompletedProcess[str]:
    """A run in a process of its own, whose second call hangs; then the signal is sent to it."""
    served = server._respond

    async def respond(request: object, chat: object, fault: Fault | None) -> object:
        second = len(server.requests) == 2
        return await served(request, chat, Fault.hang() if second else fault)  # type: ignore[arg-type]

    server._respond = respond  # type: ignore[method-assign,assignment]
    root = str(Path(__file__).parents[2])
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    options = ["-p", "openai", "--base-url", server.base_url]
    command = [sys.executable, "-m", "rlm_wasm", "run", "--session", "long", "-e", PROGRAM, *options]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(server.requests) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, stderr=err)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Make the store's writes fail, or succeed again; the lease is had all the same."""
    from rlm_wasm.errors import StoreError
    from rlm_wasm.execution import journal
    from rlm_wasm.store.durable import DurableSessions

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "PATIENCE_S", 0.2)

        def set_to(fails: bool) -> None:
            for name in ("write", "save"):
                if fails:
                    patched.setattr(DurableSessions, name, fail)
                else:
                    patched.undo()

        yield set_to


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_result_is_printed_whatever_the_store_does(
    run: Run, failing: Callable[[bool], None], nth: int
) -> None:
    """The run that cannot be kept says so, by its exit status, too; those before and after it are kept."""
    for number in (1, 2, 3):
        failing(number == nth)
        program = f"(define v{number} {number}) v{number}"
        status, out, err = run("run", "--session", "s", "-p", "echo", "-e", program)
        assert (status, out) == (6 if number == nth else 0, f"{number}\n")
        said = "session s cannot be kept at present: the disk is full" in err
        assert said == (number == nth)
    failing(False)
    for number in (1, 2, 3):
        status = run("run", "--session", "s", "-p", "echo", "-e", f"v{number}")[0]
        assert status == (1 if number == nth else 0)


def test_a_damaged_snapshot_is_refused(run: Run, tmp_path: Path) -> None:
    """By name, and without harm."""
    import sqlite3

    run("run", "--session", "s", "-p", "echo", "-e", "(define x 1)")
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE rlm_sessions SET snapshot = x'00'")
    status, _, err = run("run", "--session", "s", "-p", "echo", "-e", "x")
    assert status == 2
    assert "snapshot" in err


def test_a_failing_program_s_own_status_goes_before_what_could_not_be_kept(
    run: Run, failing: Callable[[bool], None]
) -> None:
    """Standard error says both."""
    failing(True)
    status, _, err = run("run", "--session", "s", "-p", "echo", "-e", '(error "no")')
    assert status == 1
    assert "session s cannot be kept at present: the disk is full" in err


def test_a_snapshot_that_claims_another_namespace_gets_that_of_its_name(run: Run, tmp_path: Path) -> None:
    """Whoever wrote it, and whatever it says: checkpoints are found by the session's name."""
    assert run("run", "--session", "mine", "-p", "echo", "-e", '(checkpoint "k" "secret")')[0] == 0
    assert run("run", "--session", "thief", "-p", "echo", "-e", "(define x 1)")[0] == 0
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute(
            "UPDATE rlm_sessions SET snapshot = (SELECT snapshot FROM rlm_sessions WHERE name = 'mine')"
            " WHERE name = 'thief'"
        )
    database.close()
    assert run("run", "--session", "thief", "-p", "echo", "-e", '(restore "k")')[1] == "#f\n"
    assert run("run", "--session", "mine", "-p", "echo", "-e", '(restore "k")')[1] == "secret\n"


def test_a_fork_has_copies_of_its_checkpoints(run: Run) -> None:
    """What one of them writes afterwards the other does not see."""
    run("run", "--session", "one", "-p", "echo", "-e", '(checkpoint "k" "first")')
    assert run("sessions", "fork", "one", "two")[0] == 0
    run("run", "--session", "two", "-p", "echo", "-e", '(checkpoint "k" "second")')
    assert run("run", "--session", "one", "-p", "echo", "-e", '(restore "k")')[1] == "first\n"
    assert run("run", "--session", "two", "-p", "echo", "-e", '(restore "k")')[1] == "second\n"


def test_a_session_s_limits_are_its_own_unless_others_are_given(run: Run) -> None:
    """Also those above the defaults; what was used of them counts on."""
    ask = '(define (ask n) (for-each (lambda (_) (llm-query #:instruction "q")) (range n)))'
    options = ("--session", "s", "-p", "echo")
    assert run("run", *options, "--max-calls", "3", "-e", ask)[0] == 0
    assert run("run", *options, "-e", "(ask 3) 1")[:2] == (0, "1\n")
    assert run("run", *options, "-e", "(ask 4) 1")[0] == 3
    assert run("run", *options, "--max-calls", "5", "-e", "(ask 4) 1")[:2] == (0, "1\n")
    assert run("run", *options, "-e", "(ask 5) 1")[:2] == (0, "1\n")
    assert json.loads(run("sessions", "show", "s", "--json")[1])["limits"]["calls"] == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_a_signal_ends_goes_on_where_it_was(run: Run, number: signal.Signals) -> None:
    """SIGTERM leaves it in its middle and says so; after kill -9 it is found there."""
    with OpenAIServer() as server:
        process = _ended_by(number, server)
        terminated = number is signal.SIGTERM
        assert process.returncode == (130 if terminated else -number)
        assert ("rlm-wasm sessions resume long goes on" in process.stderr) == terminated
        options = ("-p", "openai", "--base-url", server.base_url)
        assert run("sessions", "resume", "long", *options)[:2] == (0, "one+two\n")
        assert [request.user for request in server.requests] == ["one", "two", "two"]
        keys = [request.headers["Idempotency-Key"] for request in server.requests]
        assert keys[0] != keys[1] == keys[2]


@pytest.mark.parametrize("moment", ["before it is opened", "once it is opened", "while it is closed"])
def test_sigterm_at_any_moment_gives_the_session_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """It ended the process on the spot: for as long as its lease lasted, nobody else could go on."""
    start = ("run", "--session", "s", "-p", "echo", "-e", "(define x 1) (finish x)")
    assert run(*start)[0] == 0

    async def opened(runtime: Runtime, name: str, **more: Any) -> Session:
        if moment == "before it is opened":
            os.kill(os.getpid(), signal.SIGTERM)
        session = await open_named(runtime, name, **more)
        if moment == "once it is opened":
            os.kill(os.getpid(), signal.SIGTERM)
        return session

    async def closed(session: Session) -> None:
        if session.name is not None:
            os.kill(os.getpid(), signal.SIGTERM)
        await close(session)

    close = Session.aclose
    with monkeypatch.context() as patched:
        patched.setattr("rlm_wasm.cli.run.open_named", opened)
        if moment == "while it is closed":
            patched.setattr(Session, "aclose", closed)
        status, out, err = run(*start)
    assert (status, "interrupted" in err) == (130, True)
    assert out == ("1\n" if moment == "while it is closed" else "")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    [kept] = json.loads(run("sessions", "list", "--json")[1])
    assert kept["held_by"] is None
    assert run("run", "--session", "s", "-p", "echo", "-e", "x")[:2] == (0, "1\n")


VOTES = """
    (define (ask i) (syntax-e (llm-query #:instruction "Repeat" #:data (number->string i))))
    (define one (ask 1))
    (define both (list one (ask 2)))
    (finish (apply string-append both))
"""


def test_a_session_is_shown_as_it_was_at_a_call(run: Run) -> None:
    """Its variables then, and what it waited for; also in the midst of an execution that is over."""
    assert run("run", "--session", "s", "-p", "echo", "-e", VOTES)[0] == 0
    shown = json.loads(run("sessions", "show", "s", "--at", "2", "--json")[1])
    assert (shown["suspended"], shown["variables"]) == (True, None)
    assert shown["values"]["one"].strip() == "1"
    assert "both" not in shown["values"]
    [waiting] = shown["waiting"]
    assert (waiting["operation"], waiting["call_id"], waiting["asks"]) == ("llm", 2, "Repeat | 2")
    text = run("sessions", "show", "s", "--at", "2")[1]
    assert "llm call 2: Repeat | 2" in text
    assert json.loads(run("sessions", "show", "s", "--json")[1])["suspended"] is False
    status, _, err = run("sessions", "show", "s", "--at", "3")
    assert (status, "made no call 3" in err) == (2, True)


def test_what_was_used_at_a_call_is_what_was_answered_until_then(run: Run) -> None:
    """The newest account is of the end, and the snapshot's of the beginning; a second execution counts on."""
    with OpenAIServer(lambda request: "1") as server:
        options = ("--session", "s", "-p", "openai", "--base-url", server.base_url, "--model", "gpt-4o-mini")
        for _ in range(2):
            assert run("run", *options, "-e", VOTES)[0] == 0
        requests = len(server.requests)

        def used(*at: str) -> dict[str, Any]:
            found: dict[str, Any] = json.loads(run("sessions", "show", "s", *at, "--json")[1])["used"]
            return found

        end = used()
        assert (end["calls"], end["tokens"] > 0, end["cost_usd"] > 0) == (4, True, True)
        for call in (3, 4):
            then = used("--at", str(call))
            assert then["calls"] == call
            assert then["tokens"] == end["tokens"] * (call - 1) // 4
            assert then["cost_usd"] == pytest.approx(end["cost_usd"] * (call - 1) / 4)
        assert used("--at", "4")["completion_tokens"] == end["completion_tokens"] * 3 // 4
        assert len(server.requests) == requests


def test_a_session_is_replayed_and_the_first_difference_is_shown(run: Run, tmp_path: Path) -> None:
    """Of its own journal, and of another program that is given the answers of then."""
    assert run("run", "--session", "s", "-p", "echo", "-e", "(define before 1)")[0] == 0
    assert run("run", "--session", "s", "-p", "echo", "-e", VOTES)[0] == 0
    assert run("sessions", "replay", "s")[:2] == (0, "2 LLM calls, 2 answered\nas it was then\n")
    assert run("sessions", "replay", "s", "--until", "1")[1].startswith("1 LLM calls")
    program = tmp_path / "program.scm"
    for text, status, difference in (
        (VOTES, 0, None),
        ("before " + VOTES, 0, None),
        (VOTES.replace("ask 2", "ask 7"), 1, "call 2 asked by the data '2', and now by '7'"),
        (VOTES.replace("Repeat", "Say"), 1, "call 1 asked by the instruction 'Repeat', and now by 'Say'"),
        ("(finish 1)", 1, "2 calls were made, and now 0"),
        (VOTES.replace("(finish", "(ask 3) (finish"), 1, "one call more, after the 2 of then: 'Repeat'"),
    ):
        program.write_text(text)
        code, out, _ = run("sessions", "replay", "s", "--program", str(program), "--json")
        assert (code, json.loads(out)["difference"]) == (status, difference)
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("DELETE FROM rlm_journal WHERE seq = (SELECT min(seq) FROM rlm_journal)")
    database.close()
    code, out, _ = run("sessions", "replay", "s")
    assert code == 1
    assert "the session cannot be replayed" in out


def test_ctrl_c_while_modules_are_loaded_is_an_interruption() -> None:
    """Whichever is half loaded then: no traceback, and nobody is told of a defect."""
    program = """
import runpy, sys
module = sys.argv.pop()
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
sys.argv += ["run", "-p", "echo", "-e", "1"]
runpy.run_module("rlm_wasm", run_name="__main__")
"""
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    for module in ("click", "rlm_wasm.cli.run", "rlm_wasm.sandbox.engine"):
        ran = subprocess.run(
            [sys.executable, "-c", program, module],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stdout, ran.stderr.strip()) == (130, "", "interrupted"), module


def test_an_error_on_the_way_out_from_ctrl_c_is_an_interruption(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as of a module that was half loaded when it came."""

    def interrupted(*_arguments: object, **_options: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise ImportError("cannot import name 'x'")

    monkeypatch.setattr("rlm_wasm.cli.run.read_contexts", interrupted)
    assert run("run", "-p", "echo", "-e", "1") == (130, "", "interrupted\n")


WITH_EVERYTHING = """
    (define a (py-eval "1+2"))
    (checkpoint "k" (number->string a))
    (define forks (fork-map (lambda (x) (syntax-e (llm-query #:instruction "fork" #:data x))) (list "x" "y")))
    (define deep (syntax-e (llm-query #:instruction "Count" #:data "a b" #:recursive 1)))
    (define last (syntax-e (llm-query #:instruction "last" #:data (restore "k"))))
    (finish (list a forks last))
"""


def test_another_program_is_given_what_everything_gave_then_and_does_nothing(
    run: Run, tmp_path: Path
) -> None:
    """Forks, children, Python and checkpoints: the same program differs in nothing, and nothing is written."""
    assert run("run", "--session", "s", "-p", "echo", "-e", WITH_EVERYTHING)[:2] == (0, "(3 (x y) 3)\n")
    program = tmp_path / "program.scm"
    for text, difference in (
        (WITH_EVERYTHING, None),
        (WITH_EVERYTHING.replace("1+2", "1+1"), "py-eval '1+1', which was not asked then"),
        (WITH_EVERYTHING.replace('"x" "y"', '"x"'), "fork '1', which was not asked then"),
        (WITH_EVERYTHING.replace('checkpoint "k"', 'checkpoint "other"'), "which was not asked then"),
        (WITH_EVERYTHING.replace('"last"', '"end"'), "asked by the instruction 'last', and now by 'end'"),
    ):
        program.write_text(text)
        code, out, _ = run("sessions", "replay", "s", "--program", str(program), "--json")
        said = json.loads(out)["difference"]
        assert (said is None) if difference is None else (difference in said), said
        assert code == (difference is not None)
    kept = '(list (restore "k") (restore "other"))'
    assert run("run", "--session", "s", "-p", "echo", "-e", kept)[1] == "(3 #f)\n"

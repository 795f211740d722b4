"""``rlm-wasm ask``, as a user meets it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from cli_runs import Run, runner

from rlm_wasm import Completion, CompletionRequest
from rlm_wasm.providers import registry
from rlm_wasm.testing import InlineProvider

TEXT = "The ship left Hull in March.\nThe captain of the ship was Ada Smith.\nIt carried coal.\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process."""
    return runner(capsys, monkeypatch)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A file to ask about."""
    path = tmp_path / "ship.txt"
    path.write_text(TEXT)
    return path


OFFLINE = ("--provider", "extractive")


def test_the_answer_is_on_standard_output_and_how_it_was_found_on_standard_error(
    run: Run, text: Path
) -> None:
    """Offline it says what it did instead of asking a model."""
    ran = run("ask", "Who was the captain of the ship?", "-c", str(text), *OFFLINE)
    assert (ran.status, ran.out) == (0, "The captain of the ship was Ada Smith.\n")
    assert "writes no programs" in ran.err
    quiet = run("ask", "Who was the captain of the ship?", "-c", str(text), "--quiet", *OFFLINE)
    assert (quiet.out, quiet.err) == (ran.out, "")


def test_files_folders_and_globs_are_contexts(run: Run, text: Path, tmp_path: Path) -> None:
    """Several at once, by name."""
    more = tmp_path / "more"
    more.mkdir()
    (more / "a.md").write_text("# A\n\nNothing.\n")
    (more / "b.bin").write_bytes(b"\0")
    ran = run("ask", "Who was the captain?", "-c", str(text), "-c", str(more), *OFFLINE)
    assert "Ada Smith" in ran.out
    assert "1 file is no text and left out: b.bin" in ran.err
    program = "(finish (sort (context-names) string<?))"
    assert run("run", "-e", program, "-c", str(more)).out == "(more/a.md)\n"
    assert run("run", "-e", program, "-c", f"{tmp_path}/*.txt").out == f"({tmp_path.name}/ship.txt)\n"
    assert run("run", "-e", program, "-c", f"x={more}").out == "(x/a.md)\n"


def test_the_question_or_the_data_comes_from_standard_input(run: Run, text: Path) -> None:
    """Not both."""
    asked = run("ask", "-", "-c", str(text), *OFFLINE, stdin=b"Who was the captain of the ship?")
    assert "Ada Smith" in asked.out
    piped = run("ask", "Who was the captain of the ship?", "-c", "-", *OFFLINE, stdin=TEXT.encode())
    assert piped.out == asked.out
    assert run("ask", "-", "-c", "-", *OFFLINE, stdin=b"q").status == 2


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("", "-c", "{text}"), 2, "the question is empty"),
        (("q", "-c", "no-such-file"), 2, "cannot read no-such-file"),
        (("q", "-c", "{empty}"), 2, "holds no file with text"),
        (("q", "-c", "{empty}/*.txt"), 2, "no file matches"),
        (("q", "-c", "{blank}"), 1, "the context is empty"),
        (("q",), 1, "no context"),
        (("q", "-c", "{text}", "--schema", "{text}"), 2, "is no JSON"),
        (("q", "-c", "{text}", "--provider", "openai"), 4, "OPENAI_API_KEY"),
        (("q", "-c", "{text}", "--provider", "nosuch"), 2, "unknown provider"),
    ],
)
def test_bad_input_is_told(
    run: Run, text: Path, tmp_path: Path, arguments: tuple[str, ...], status: int, words: str
) -> None:
    """With what was wrong and the exit status of its kind."""
    empty, blank = tmp_path / "empty", tmp_path / "blank.txt"
    empty.mkdir()
    blank.write_text("")
    filled = [argument.format(text=text, empty=empty, blank=blank) for argument in arguments]
    if "--provider" not in filled:
        filled += OFFLINE
    ran = run("ask", *filled)
    assert ran.status == status, ran
    assert words in ran.err
    assert ran.out == ""


def test_a_schema_that_is_none_is_told(run: Run, text: Path, tmp_path: Path) -> None:
    """A list, or a type that there is not."""
    schema = tmp_path / "s.json"
    for bad, words in (("[1]", "must be an object"), ('{"type": "nonsense"}', "no JSON Schema")):
        schema.write_text(bad)
        ran = run("ask", "q", "-c", str(text), "--schema", str(schema), *OFFLINE)
        assert (ran.status, words in ran.err) == (2, True), ran


def test_json_has_the_answer_with_its_steps(run: Run, text: Path) -> None:
    """One object, nothing else."""
    ran = run("ask", "Who was the captain of the ship?", "-c", str(text), "--json", *OFFLINE)
    answer = json.loads(ran.out)
    assert (answer["status"], answer["how"], answer["computed"]) == ("finished", "plan", True)
    assert "parsed" not in answer
    assert answer["steps"][0]["program"]
    assert ran.err == ""


def test_a_limit_is_exit_status_3_with_what_was_said(
    run: Run, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that never writes a program."""
    monkeypatch.setattr(
        registry, "_installed", lambda name, **_: InlineProvider(lambda request: "It is prose.")
    )
    ran = run("ask", "q", "-c", str(text), "--max-iterations", "2", "--provider", "nothing-but-prose")
    assert (ran.status, ran.out) == (3, "It is prose.\n")
    assert "iterations (used 2, limit 2)" in ran.err
    assert "not computed" in ran.err
    assert (
        json.loads(
            run(
                "ask",
                "q",
                "-c",
                str(text),
                "--max-iterations",
                "2",
                "--provider",
                "nothing-but-prose",
                "--json",
            ).out
        )["computed"]
        is False
    )


def test_a_log_and_a_report_show_the_iterations(run: Run, text: Path, tmp_path: Path) -> None:
    """As chapters."""
    log, page = tmp_path / "log.jsonl", tmp_path / "page.html"
    arguments = ("ask", "Who was the captain of the ship?", "-c", str(text), *OFFLINE)
    assert run(*arguments, "--log", str(log), "--report", str(page)).status == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    titles = [record["title"] for record in records if record["type"] == "chapter_started"]
    assert titles == ["The planner's program: Who was the captain of the ship?"]
    assert "Who was the captain of the ship?" in page.read_text()
    assert "The planner's program: Who wa" in run("log", "list", str(log)).out


class Interrupted:
    """Answers two iterations; at the so-manieth call somebody types Ctrl-C."""

    replies = ("```scheme\n(define length (string-length context))\n```", "```scheme\n(finish length)\n```")

    def __init__(self) -> None:
        self.sent: Counter[str | None] = Counter()
        self.interrupt_at = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider."""
        self.sent[request.idempotency_key] += 1
        if sum(self.sent.values()) == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        return Completion(text=self.replies[min(request.data.count("## Iteration"), 1)])


@pytest.mark.parametrize("again", ["ask", "sessions resume"])
def test_ctrl_c_leaves_a_named_question_in_its_middle(
    run: Run, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """The same command goes on, and so does ``sessions resume``: the first iteration is not paid again."""
    monkeypatch.setenv("RLM_WASM_STORE", f"sqlite:///{tmp_path / 'state.db'}")
    model = Interrupted()
    monkeypatch.setattr(registry, "_installed", lambda name, **_: model)
    ask = ("ask", "Which ship?", "-c", str(text), "--session", "ship", "--provider", "interrupted")
    model.interrupt_at = 2
    ran = run(*ask)
    assert (ran.status, ran.out) == (130, "")
    assert "rlm-wasm sessions resume ship goes on" in ran.err
    assert run("ask", "Another?", *ask[2:]).status == 2
    ran = run(*ask) if again == "ask" else run("sessions", "resume", "ship", "--provider", "interrupted")
    assert (ran.status, ran.out) == (0, f"{len(TEXT)}\n"), ran
    assert sorted(model.sent.values()) == [1, 2]
    assert run(*ask).out == f"{len(TEXT)}\n", "it is over: its answer is given again"
    assert sorted(model.sent.values()) == [1, 2]

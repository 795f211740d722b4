"""kill -9, in a process of its own: no call that was answered is asked again.

benchmarks/durability.py does the same at every suspension of 200 calls.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "fan_out.py"
QUESTION = Path(__file__).parent / "asking.py"
CALLS = 40


def run(
    folder: Path, kill_at: int, sleep_s: float = 0.02, program: Path = PROGRAM
) -> subprocess.CompletedProcess[str]:
    """Begin, or go on with, the one session."""
    root = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
    }
    command = [sys.executable, str(program), f"sqlite:///{folder / 'state.db'}", str(folder / "calls.log")]
    how = [str(CALLS), str(kill_at), str(sleep_s)] if program is PROGRAM else [str(kill_at)]
    return subprocess.run(
        [*command, *how],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def calls(folder: Path, what: str) -> Counter[str]:
    """How often each call, by its idempotency key, was sent, or answered."""
    lines = (folder / "calls.log").read_text().splitlines()
    return Counter(key for said, key, _purpose in map(str.split, lines) if said == what)


@pytest.mark.parametrize("points", [(1,), (4, 3), (7, 2, 5, 9)], ids=str)
def test_a_killed_session_goes_on_and_pays_for_no_answer_twice(
    tmp_path: Path, points: tuple[int, ...]
) -> None:
    """Whenever it dies, and however often; children of recursive calls, too. What was in flight has its key."""
    for kill_at in points:
        assert run(tmp_path, kill_at).returncode == -signal.SIGKILL
    ended = run(tmp_path, 0)
    assert ended.returncode == 0, ended.stderr
    said, spent = ended.stdout.splitlines()
    answers = ",".join(f"[{number}]" for number in range(CALLS))
    assert said == f"finished {answers};[a]+[b]+[c]"
    answered, sent = calls(tmp_path, "answered"), calls(tmp_path, "sent")
    assert set(answered.values()) == {1}
    assert set(sent) == set(answered)
    assert len(answered) == CALLS + 4
    # Every answer is in the account, and so is what each sending into the unknown may have cost.
    made, tokens = map(int, spent.split())
    assert made == len(answered)
    unknown = sum(sent.values()) - len(answered)
    assert (tokens == 10 * len(answered)) if not unknown else (tokens > 10 * len(answered))
    assert run(tmp_path, 0).stdout == "over\n"


@pytest.mark.parametrize("points", [(1,), (-1, -2, 2), (2, 1, -1)], ids=str)
def test_a_killed_question_goes_on_and_pays_for_no_answer_twice(
    tmp_path: Path, points: tuple[int, ...]
) -> None:
    """In a call of the root model, between its iterations, and in a program; however often it dies."""
    for kill_at in points:
        assert run(tmp_path, kill_at, program=QUESTION).returncode == -signal.SIGKILL
    ended = run(tmp_path, 0, program=QUESTION)
    assert ended.stdout == "finished [alpha]+[beta]+[gamma]+[delta][] 1 4 9\n", ended.stderr
    answered, sent = calls(tmp_path, "answered"), calls(tmp_path, "sent")
    assert set(answered.values()) == {1}
    assert set(sent) == set(answered)
    assert len(answered) == 9
    assert run(tmp_path, 0, program=QUESTION).stdout == ended.stdout, "its Answer is given again"
    assert calls(tmp_path, "sent") == sent

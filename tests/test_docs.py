"""Every code block of the README and of docs/ is run.

Scheme blocks are programs for a session with the extractive provider; Python blocks are executed,
``await`` included; of console blocks the lines after ``$`` are run by a shell and what they print is
compared, ``…`` standing for anything. A comment before a block changes that:

    <!-- test: skip (reason) -->          not run; without a reason the test fails
    <!-- test: error -->                  a Scheme block that must end with an error
    <!-- test: provider=scripted -->      another provider
    <!-- test: needs=dspy -->             only where that module is installed

Blocks in other languages (text, json …) are no code.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Runtime

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
BLOCK = re.compile(
    r"(?:^<!-- test: (?P<marker>[^\n]*?) -->\n+)?^```(?P<language>[\w-]+)\n(?P<code>.*?)^```$", re.M | re.S
)
CODE = ("scheme", "racket", "python", "console", "bash", "sh", "shell")
CONTEXT = "The first line.\nBy the way, the magic number is 42.\nThe last line.\n" * 3


@dataclass(frozen=True)
class Block:
    """One code block, and where it stands."""

    page: str
    line: int
    language: str
    marker: str
    code: str


def _blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("code")) + 1
            language = match["language"]
            if language in CODE:
                name = page.relative_to(ROOT).as_posix()
                found.append(Block(name, line, language, match["marker"] or "", match["code"]))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the examples in it, where blocks may write."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


@pytest.mark.parametrize("block", _blocks(), ids=lambda block: f"{block.page}:{block.line}")
async def test_block(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block does what the page says."""
    if block.marker.startswith("skip"):
        assert re.fullmatch(r"skip \(.{10,}\)", block.marker), "a skip needs a reason"
        pytest.skip(block.marker)
    needed = re.search(r"needs=(\w+)", block.marker)
    if needed and importlib.util.find_spec(needed[1]) is None:
        pytest.skip(f"{needed[1]} is not installed")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if block.language in ("scheme", "racket"):
        await _run_scheme(block)
    elif block.language == "python":
        await _run_python(block)
    else:
        _run_console(block, folder)


async def _run_scheme(block: Block) -> None:
    provider = re.search(r"provider=(\w+)", block.marker)
    async with Runtime(provider=provider[1] if provider else "extractive") as runtime:
        # The first block that calls Python may have to compile it, on a busy machine.
        result = await runtime.run(block.code, context=CONTEXT, timeout_s=140)
    if "error" in block.marker.split():
        assert result.status == "error"
    else:
        assert result.ok, f"{result.status}: {result.error}"
    expected = re.search(r";;? ?(?:=>|⇒) (.*)\s*\Z", block.code)
    if expected:
        assert result.value == expected[1].strip()


async def _run_python(block: Block) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile("\n" * (block.line - 1) + block.code, block.page, "exec", flags=flags)
    names: dict[str, Any] = {"__name__": "block"}
    if any(starts in block.code for starts in ("asyncio.run(", "simulate(", "import ask\n")):
        # The block starts an event loop of its own: not inside of ours.
        subprocess.run([sys.executable, "-c", block.code], check=True, timeout=120, env=_environment(ROOT))
        return
    try:
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result
    except AssertionError as error:  # nobody rewrote the page's own assertions, so they say nothing
        error.add_note(f"result: {names.get('result')!r}"[:2000])
        raise


def _run_console(block: Block, folder: Path) -> None:
    commands = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.code, re.M)
    assert commands, "a console block has lines that begin with $"
    for command, expected in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=_environment(folder),
            text=True,
            timeout=300,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        # What takes longer than a second on a busy machine says how far it is, where there is no terminal.
        printed = re.sub(r"^[\d,]+/[\d,]+ done.*\n", "", done.stdout, flags=re.M).replace(
            "rlm-wasm: using the extractive provider (no OPENAI_API_KEY; no network)\n", ""
        )
        assert done.returncode == 0, printed
        if expected.strip():
            wanted = ".*".join(re.escape(part) for part in expected.rstrip().split("…"))
            assert re.fullmatch(wanted, printed.rstrip(), re.S), printed


def _environment(folder: Path) -> dict[str, str]:
    """The environment of a user: ``rlm-wasm`` and ``python`` on the path, no key."""
    commands = folder / ".bin" if folder != ROOT else None
    path = os.environ["PATH"]
    if commands is not None:
        commands.mkdir(exist_ok=True)
        for name, module in (("rlm-wasm", "-m rlm_wasm"), ("python", "")):
            script = commands / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            script.chmod(0o755)
        path = f"{commands}{os.pathsep}{path}"
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
    return {**kept, "PATH": path, "PYTHONPATH": python_path}


def test_the_readmes_first_command_says_what_it_shows(folder: Path) -> None:
    """Without the install: an answer over docs/, offline. A page that is added may change it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^\$ pip install \. && (rlm-wasm ask .*)\n(.*)\n", readme, re.M)
    assert shown is not None
    done = subprocess.run(
        ["bash", "-c", shown[1].replace("-c docs", f"-c '{ROOT / 'docs'}'")],
        cwd=folder,
        env=_environment(folder),
        text=True,
        timeout=120,
        capture_output=True,
    )
    assert (done.returncode, done.stdout) == (0, f"{shown[2]}\n"), done.stderr


def _anchors(page: Path) -> set[str]:
    """Of its headings, as the usual renderers make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", h).lower()).replace(" ", "-")
        for h in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading where they name one."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file), target

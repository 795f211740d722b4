"""What a shell completes, asked as its script asks, and what every command's help says of the environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import click
import pytest

from rlm_wasm.cli import cli, main
from rlm_wasm.cli.environment import VARIABLES

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Complete:
    """What is offered for the last word of a line; "file" where the shell is to look for files."""
    monkeypatch.setenv("_RLM_WASM_COMPLETE", "bash_complete")
    monkeypatch.setenv("RLM_WASM_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("RLM_WASM_STORE", f"sqlite:///{tmp_path / 'state.db'}")
    monkeypatch.chdir(tmp_path)

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        with pytest.raises(SystemExit) as ended:
            main([])
        said = capsys.readouterr()
        assert (ended.value.code, said.err) == (0, "")
        kinds = [offered.partition(",") for offered in said.out.splitlines() if offered]
        return ["file" if kind == "file" else value for kind, _, value in kinds]

    return complete


def test_commands_and_options_are_completed(complete: Complete) -> None:
    """From the commands themselves."""
    assert complete("rlm-wasm r") == ["run", "repl"]
    assert complete("rlm-wasm sessions re") == ["replay", "resume"]
    assert complete("rlm-wasm run --ret") == ["--retries"]
    assert complete("rlm-wasm run --python o") == ["off"]


def test_files_are_left_to_the_shell(complete: Complete) -> None:
    """Programs and contexts."""
    assert complete("rlm-wasm run need") == ["file"]
    assert complete("rlm-wasm run -c ") == ["file"]


def test_providers_and_models_are_completed(complete: Complete, tmp_path: Path) -> None:
    """Roles, and the aliases that the user has; a file that is none hides them, and says nothing."""
    assert complete("rlm-wasm run -p ext") == ["extractive"]
    (tmp_path / "config.toml").write_text('[aliases]\nreader = "llama3.2"\n')
    assert complete("rlm-wasm run -m ") == ["cheap", "middle", "good", "reader"]
    (tmp_path / "config.toml").write_text("[aliases\n")
    assert complete("rlm-wasm run -m ") == ["cheap", "middle", "good"]


def test_kept_sessions_are_completed(
    complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is a store: Tab makes none, and a file that is none is left alone."""
    assert complete("rlm-wasm run --session ") == []
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "other.db"
    with monkeypatch.context() as plain:
        plain.delenv("_RLM_WASM_COMPLETE")
        for name, url in (("alpha", None), ("beta", None), ("gamma", f"sqlite:///{other}")):
            with pytest.raises(SystemExit):
                main(["run", "-p", "echo", "--session", name, "-e", "1", *(["--store", url] if url else [])])
        capsys.readouterr()
    assert sorted(complete("rlm-wasm run --session ")) == ["alpha", "beta"]
    assert complete("rlm-wasm repl --session a") == ["alpha"]
    assert complete("rlm-wasm sessions show b") == ["beta"]
    assert complete(f"rlm-wasm sessions rm --store sqlite:///{other} ") == ["gamma"]
    other.write_text("no database")
    assert complete(f"rlm-wasm sessions rm --store sqlite:///{other} ") == []
    assert complete("rlm-wasm sessions rm --store nonsense ") == []
    assert complete("rlm-wasm sessions rm --store postgresql://no.such.host/x ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For each shell, of which it is made to be read."""
    with pytest.raises(SystemExit) as ended:
        main(["completion", shell])
    script = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"_RLM_WASM_COMPLETE={shell}_complete" in script
    found = which(shell)
    if found:
        assert subprocess.run([found, "-n"], input=script, text=True, check=False).returncode == 0


def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    """The whole way: a line, the key, what stands there then."""
    command = tmp_path / "rlm-wasm"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m rlm_wasm "$@"\n')
    command.chmod(0o755)
    lines = f"""
    PATH={tmp_path}:$PATH
    eval "$(rlm-wasm completion bash)"
    COMP_WORDS=(rlm-wasm sessions res) COMP_CWORD=2
    _rlm_wasm_completion rlm-wasm
    echo "${{COMPREPLY[@]}}"
    """
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        ["bash", "-c", lines],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": root},
    )
    assert done.stdout == "resume\n", done.stderr


# ---- help


def _commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(_commands(cli))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_s_help_names_the_variables_that_count_for_it(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """And no others: what it cannot be told by an option, no variable tells it."""
    with pytest.raises(SystemExit):
        main([*path, "--help"])
    _, head, named = capsys.readouterr().out.partition("Environment variables:\n")
    assert head
    names = {line.split()[0] for line in named.splitlines() if line.strip()}
    taken = {param.name for param in COMMANDS[path].params}
    assert names <= set(VARIABLES)
    assert {"RLM_WASM_DEBUG", "NO_COLOR"} <= names
    assert ("RLM_WASM_STORE" in names) == ("store" in taken)
    assert ("OPENAI_BASE_URL" in names) == ("base_url" in taken)
    assert ("RLM_WASM_CONFIG" in names) == ("aliases" in taken)
    if "provider" in taken:
        assert "OPENAI_API_KEY" in names


NOTHING_BY_DEFAULT = {
    "alias", "arg", "at", "cache", "context", "keep", "endpoint", "expression", "http", "install", "library", "log", "model_filter",
    "program", "report", "run", "schema", "search", "session", "token-file", "until", "workspace", "base-url", "model",
    "slower-than", "older-than", "larger-than",
}  # fmt: skip
"""Options that do something only where they are given."""


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_s_help_says_what_holds_without_an_option(path: tuple[str, ...]) -> None:
    """A value that an option has all the same stands in its help."""
    for option in COMMANDS[path].params:
        if not isinstance(option, click.Option) or option.is_flag or option.hidden:
            continue
        name = max(option.opts, key=len).removeprefix("--")
        if name not in NOTHING_BY_DEFAULT:
            assert option.show_default or "default:" in (option.help or ""), (path, name)

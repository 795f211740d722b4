"""``rlm-wasm mcp --install CLIENT``: the server in a client's own configuration."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from rlm_wasm.cli import main
from rlm_wasm.cli.mcp_clients import CLIENTS


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any configuration, in a project."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def run(*arguments: str) -> int:
    """The exit status."""
    with pytest.raises(SystemExit) as ended:
        main(["mcp", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("client", CLIENTS)
def test_the_server_is_written_with_its_options(
    client: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into the file that the client reads; paths are made absolute."""
    assert run("--provider", "echo", "--install", client, "--workspace", ".", "--max-calls=5") == 0
    path = CLIENTS[client].file()
    assert str(path) in capsys.readouterr().out
    text = path.read_text()
    config = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    entry = config[CLIENTS[client].key]["rlm-wasm"]
    assert Path(entry["command"]).is_absolute()
    after = entry["args"][entry["args"].index("mcp") :]
    assert after == ["mcp", "--provider", "echo", "--workspace", str(home / "project"), "--max-calls=5"]


def test_what_else_a_file_holds_stays(home: Path) -> None:
    """Other servers, other settings, and what the user has set for this one."""
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(
        '{"x": 1, "mcpServers": {"other": {"command": "y"}, "rlm-wasm": {"command": "old", "env": {"K": "v"}}}}'
    )
    assert run("--install", "cursor") == 0
    config = json.loads(path.read_text())
    assert config["x"] == 1
    assert config["mcpServers"]["other"] == {"command": "y"}
    assert config["mcpServers"]["rlm-wasm"]["env"] == {"K": "v"}
    assert config["mcpServers"]["rlm-wasm"]["command"] != "old"


@pytest.mark.parametrize("text", ["{broken", "[]", '{"mcpServers": []}'])
def test_a_file_that_is_no_configuration_is_left_alone(
    text: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And named."""
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(text)
    assert run("--install", "cursor") == 2
    assert "left as it is" in capsys.readouterr().err
    assert path.read_text() == text
    assert [file.name for file in path.parent.iterdir()] == ["mcp.json"]


def test_a_table_of_toml_is_added_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time it is the user's to change."""
    path = home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('model = "x"\n# a comment\n')
    assert run("--install", "codex") == 0
    assert path.read_text().startswith('model = "x"\n# a comment\n')
    assert run("--install", "codex") == 2
    assert "already" in capsys.readouterr().err


def test_an_unknown_client_is_told_and_no_key_is_written(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is the user's own."""
    assert run("--install", "nosuch") == 2
    assert "claude-desktop" in capsys.readouterr().err
    assert run("--install", "cursor", "--http", "127.0.0.1:1") == 2
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert run("--install=cursor") == 0
    assert "OPENAI_API_KEY" in capsys.readouterr().err
    assert "sk-secret" not in (home / ".cursor" / "mcp.json").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_file_that_cannot_be_written_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder stands where it should be."""
    (home / ".cursor" / "mcp.json").mkdir(parents=True)
    assert run("--install", "cursor") == 2
    assert "cannot read" in capsys.readouterr().err

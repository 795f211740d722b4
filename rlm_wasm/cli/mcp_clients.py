"""Sets the MCP server up in a client's own configuration: ``rlm-wasm mcp --install CLIENT``."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass

SERVER: Final = "rlm-wasm"
_PATHS: Final = ("--workspace", "--library", "--token-file")
"""Options whose value is a path: a client starts the server in another folder."""


@dataclass(frozen=True, slots=True)
class McpClient:
    """Where a client keeps its servers, and under which key."""

    title: str
    file: Callable[[], Path]
    key: str = "mcpServers"


def _desktop() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Claude" / "claude_desktop_config.json"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home())) / "Claude" / "claude_desktop_config.json"
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "Claude" / "claude_desktop_config.json"


CLIENTS: Final[dict[str, McpClient]] = {
    "claude-desktop": McpClient("Claude Desktop", _desktop),
    "claude-code": McpClient("Claude Code, in this folder", lambda: Path.cwd() / ".mcp.json"),
    "cursor": McpClient("Cursor", lambda: Path.home() / ".cursor" / "mcp.json"),
    "vscode": McpClient("VS Code, in this folder", lambda: Path.cwd() / ".vscode" / "mcp.json", "servers"),
    "codex": McpClient("Codex", lambda: Path.home() / ".codex" / "config.toml", "mcp_servers"),
}


def install(client: str, options: Sequence[str]) -> tuple[Path, bool]:
    """Write the server into a client's configuration: its file, and whether an entry was replaced.

    ``options`` are those of ``rlm-wasm mcp``. What else the file holds stays. Raises UsageError where it
    cannot be read, is not what it should be, or cannot be written.
    """
    known = CLIENTS[client]
    path = known.file()
    command, *arguments = _command()
    entry = {"command": command, "args": [*arguments, "mcp", *_absolute(options)]}
    text = _read(path)
    if path.suffix == ".toml":
        written, replaced = _in_toml(path, text, known.key, entry)
    else:
        written, replaced = _in_json(path, text, known.key, entry)
    _write(path, written)
    return path, replaced


def _command() -> list[str]:
    found = shutil.which("rlm-wasm")
    return [str(Path(found).absolute())] if found else [sys.executable, "-m", "rlm_wasm"]


def _absolute(options: Sequence[str]) -> list[str]:
    out: list[str] = []
    path_follows = False
    for option in options:
        name, equals, value = option.partition("=")
        if path_follows:
            option = str(Path(option).absolute())
        elif equals and name in _PATHS:
            option = f"{name}={Path(value).absolute()}"
        path_follows = option in _PATHS
        out.append(option)
    return out


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None


def _in_json(path: Path, text: str, key: str, entry: dict[str, Any]) -> tuple[str, bool]:
    try:
        config = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON ({error}): it is left as it is; mend it first") from None
    servers = config.setdefault(key, {}) if isinstance(config, dict) else None
    if not isinstance(servers, dict):
        raise UsageError(f"{path} is no configuration with {key}: it is left as it is")
    replaced = SERVER in servers
    # What the user has set beside the command, such as env, stays.
    previous = servers.get(SERVER)
    servers[SERVER] = {**(previous if isinstance(previous, dict) else {}), **entry}
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n", replaced


def _in_toml(path: Path, text: str, key: str, entry: dict[str, Any]) -> tuple[str, bool]:
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML ({error}): it is left as it is; mend it first") from None
    if SERVER in config.get(key, {}):
        raise UsageError(f"{path} has [{key}.{SERVER}] already: change it there")
    # JSON's texts and lists of texts are TOML's as well.
    table = (
        f"[{key}.{SERVER}]\ncommand = {json.dumps(entry['command'])}\nargs = {json.dumps(entry['args'])}\n"
    )
    return f"{text.rstrip()}\n\n{table}" if text.strip() else table, False


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=target.parent, prefix=f".{target.name}.", delete=False, encoding="utf-8"
        ) as stream:
            stream.write(text)
        if target.exists():
            shutil.copymode(target, stream.name)
        Path(stream.name).replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None

"""What the user's files say: aliases for models, in a configuration file and in a project's pyproject.toml.

    # config.toml in the folder for configuration   # pyproject.toml
    [aliases]                                        [tool.rlm-wasm.aliases]
    cheap = "llama3.2"                               good = "qwen3:32b"

A project's file may come from anybody, so it says nothing about where calls go: aliases are all there is.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Final

import click

from rlm_wasm.errors import UsageError
from rlm_wasm.providers.aliases import checked_aliases

_MAX_BYTES: Final = 1 << 20


def config_file() -> Path:
    """The user's own: RLM_WASM_CONFIG, or config.toml in the folder that the system has for that."""
    given = os.environ.get("RLM_WASM_CONFIG")
    if given:
        return Path(given)
    import platformdirs

    return platformdirs.user_config_path("rlm-wasm", appauthor=False) / "config.toml"


def aliases_given(options: tuple[str, ...]) -> dict[str, str]:
    """All aliases: an option before the project's file, that before the user's own.

    Raises UsageError for what is no alias, naming where it stands.
    """
    found: dict[str, str] = {}
    user = config_file()
    found.update(_from_user(user))
    found.update(_from_project(Path.cwd()))
    for option in options:
        name, equals, model = option.partition("=")
        if not equals or not name.strip() or not model.strip():
            raise click.UsageError(f"--alias takes NAME=MODEL, not {option!r}")
        found[name.strip()] = model.strip()
    return checked_aliases(found)


def _from_user(path: Path) -> dict[str, str]:
    text = _text(path)
    if text is None:
        return {}
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}") from None
    return _aliases(table, path)


def _from_project(folder: Path) -> dict[str, str]:
    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        text = _text(path)
        if text is None:
            continue
        try:
            table = tomllib.loads(text).get("tool", {}).get("rlm-wasm", {})
        except (tomllib.TOMLDecodeError, AttributeError) as error:
            if "tool.rlm-wasm" in text:
                raise UsageError(f"{path}: {error}") from None
            return {}  # somebody else's trouble
        return _aliases(table, path)
    return {}


def _aliases(table: Any, path: Path) -> dict[str, str]:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: [tool.rlm-wasm] must be a table")
    unknown = sorted(set(table) - {"aliases"})
    if unknown:
        raise UsageError(f"{path}: rlm-wasm knows no {unknown[0]}: there is the table aliases")
    aliases = table.get("aliases", {})
    if not isinstance(aliases, dict):
        raise UsageError(f'{path}: aliases must be a table of names, such as cheap = "llama3.2"')
    return checked_aliases(aliases, str(path))


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None

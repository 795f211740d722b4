"""The command line's pages, asked of the commands themselves.

``command: NAME`` is a command's usage, what it does, and its own options; ``options: runtime`` the
options that all commands share that run programs; ``environment`` the variables.
"""

from __future__ import annotations

import re
import textwrap

import click

from rlm_wasm.cli import cli
from rlm_wasm.cli.environment import VARIABLES
from rlm_wasm.cli.options import RuntimeOptions, runtime_options

HEAD = "| option | meaning | default |\n|---|---|---|"
NOTE = re.compile(r"\s+\[(?:per (?P<scope>\w+); )?default: (?P<default>[^\]]+)\]$")


def command(name: str) -> str:
    """One command's part; of a command in a group both names are given."""
    # With the group's own settings: click keeps the help option that the first context asks for.
    context, found = click.Context(cli, info_name="rlm-wasm", **cli.context_settings), _command(name)
    context = click.Context(found, info_name=name, parent=context)
    usage = " ".join(["rlm-wasm", name, *found.collect_usage_pieces(context)])
    parts = [f"```text\n{usage}\n```", _code(_prose(found))]
    if isinstance(found, click.Group):
        lines = ["| command | |", "|---|---|"]
        for each in found.list_commands(context):
            inner = found.get_command(context, each)
            assert inner is not None
            used = inner.collect_usage_pieces(click.Context(inner, info_name=each, parent=context))
            pieces = " ".join([each, *used])
            lines.append(f"| `{name} {pieces}` | {_cell(_code(_prose(inner)))} |")
        parts.append("\n".join(lines))
    own = {option.name: option for option in _options(found)}
    takes_shared = own.keys() >= _shared().keys()
    if takes_shared:
        own = {key: option for key, option in own.items() if key not in _shared()}
    if own:
        parts.append(_table(list(own.values())))
    if takes_shared:
        parts.append("It takes the [runtime options](#runtime-options), too.")
    return "\n\n".join(parts)


def options(name: str) -> str:
    """The shared options."""
    assert name == "runtime"
    return _table(list(_shared().values()))


def environment(_: str) -> str:
    """The variables."""
    rows = [f"| `{name}` | {_code(meaning)} |" for name, meaning in VARIABLES.items()]
    return "\n".join(["| variable | |", "|---|---|", *rows])


def _command(name: str) -> click.Command:
    found: click.Command = cli
    for word in name.split():
        assert isinstance(found, click.Group), name
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, f"there is no command {name}"
        found = inner
    return found


def _shared() -> dict[str, click.Option]:
    @click.command()
    @runtime_options
    def bare(*, options: RuntimeOptions) -> None:
        """Nothing but the shared options."""

    return {option.name: option for option in _options(bare) if option.name}


def _options(found: click.Command) -> list[click.Option]:
    return [p for p in found.params if isinstance(p, click.Option) and not p.hidden]


def _prose(found: click.Command) -> str:
    paragraphs = textwrap.dedent(found.help or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _table(rows: list[click.Option]) -> str:
    return "\n".join([HEAD, *map(_row, rows)])


def _row(option: click.Option) -> str:
    names = sorted(option.opts, key=len)
    value = "" if option.is_flag else f" {_metavar(option)}"
    shown = ", ".join([*(f"`{name}`" for name in names[:-1]), f"`{names[-1]}{value}`"])
    meaning, default = option.help or "", ""
    note = NOTE.search(meaning)
    if note:
        default = note["default"]
        scope = f" (per {note['scope']})" if note["scope"] else ""
        meaning = f"{meaning[: note.start()].removesuffix('.')}{scope}."
    elif option.show_default and option.default is not None:
        default = str(option.default)
    return f"| {_cell(shown)} | {_cell(_code(meaning))} | {_cell(_code(default))} |"


def _metavar(option: click.Option) -> str:
    return option.make_metavar(click.Context(cli)).strip("[]") if not option.metavar else option.metavar


def _code(text: str) -> str:
    """Options and names of variables in the type of code."""
    return re.sub(rf"(?<![\w`/-])(--?[a-z][\w-]*|{'|'.join(VARIABLES)})", r"`\1`", text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

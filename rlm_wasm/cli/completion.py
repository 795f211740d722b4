"""``rlm-wasm completion``: what a shell completes after Tab, and the script that teaches it to.

What is offered is asked of the commands themselves; a name that cannot be looked up (a store that is not
there, a configuration file that is none) is not offered, and nothing is said of it: the line is still being
typed.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from rlm_wasm.cli.environment import Command
from rlm_wasm.errors import RlmError

if TYPE_CHECKING:
    from collections.abc import Iterable

VARIABLE = "_RLM_WASM_COMPLETE"
"""By which the script asks: click's own way."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script by which a shell completes rlm-wasm.

    Commands, options, files, and names: of providers, models and kept sessions. Put it where the shell reads
    it when it starts, such as: rlm-wasm completion bash >> ~/.bashrc
    """
    from rlm_wasm.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "rlm-wasm", VARIABLE).source())


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files and folders, by the shell itself; those behind NAME= too."""
    return [CompletionItem(incomplete, type="file")]


def providers(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Those that come along, and plug-ins'."""
    from rlm_wasm.providers import provider_names

    return _beginning(incomplete, provider_names())


def models(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Roles, and the aliases of the configuration files."""
    from rlm_wasm.cli.config import aliases_given
    from rlm_wasm.providers.aliases import ROLES

    try:
        aliases = aliases_given(())
    except (RlmError, click.UsageError):
        aliases = {}
    return _beginning(incomplete, [*ROLES, *aliases])


def sessions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of kept sessions: in the store that the line names, else in the default one."""
    from rlm_wasm.named_sessions import store_that_is_there

    url = ctx.params.get("store") or store_that_is_there()
    return _beginning(incomplete, _kept_in(url) if url else [])


def _kept_in(url: str) -> list[str]:
    """Read as it is: a key that is pressed makes no store, changes none, and reaches for no server."""
    import sqlite3

    import sqlalchemy as sa

    from rlm_wasm.store.tables import sessions as kept

    try:
        parts = sa.make_url(url)
        if parts.get_backend_name() != "sqlite" or not parts.database or not Path(parts.database).is_file():
            return []
        newest_first = sa.select(kept.c.name).order_by(kept.c.written_at.desc()).limit(1_000)
        with closing(sqlite3.connect(f"{Path(parts.database).resolve().as_uri()}?mode=ro", uri=True)) as base:
            text = str(newest_first.compile(compile_kwargs={"literal_binds": True}))
            return [str(name) for (name,) in base.execute(text)]
    except (sa.exc.ArgumentError, sqlite3.Error):
        return []


def _beginning(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    unique = dict.fromkeys(names)
    return [CompletionItem(name) for name in unique if name.startswith(incomplete)]

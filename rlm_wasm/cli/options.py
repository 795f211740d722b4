"""The options that all commands share that run programs, and the Runtime that they describe."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from rlm_wasm.cli import completion
from rlm_wasm.cli.config import aliases_given
from rlm_wasm.cli.inputs import Measure, Quantity, read_arguments
from rlm_wasm.limits import Limits, LimitSpec, specs
from rlm_wasm.python import KINDS

if TYPE_CHECKING:
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.store.database import DatabaseStore

F = TypeVar("F", bound=Callable[..., Any])

_LIMIT: Final = "limit_"
"""What the parameters of limits begin with, so that they are told from the others."""


def _limit_option(spec: LimitSpec) -> Callable[[F], F]:
    """The option of one limit, all from what Limits says about it."""
    minimum = max(spec.minimum, spec.option_minimum)
    kind: click.ParamType[Any]
    if spec.unit == "seconds":
        kind, metavar = Measure(min=0, min_open=True), "S"
    elif spec.unit == "dollars":
        kind, metavar = Measure(min=0), "USD"
    else:
        kind, metavar = Quantity("size", minimum=minimum), "SIZE" if spec.unit == "bytes" else "N"
    assert spec.option is not None
    return click.option(
        spec.option,
        f"{_LIMIT}{spec.name}",
        type=kind,
        metavar=metavar,
        help=f"{spec.meaning}  [per {spec.scope}; default: {spec.shown_default}]",
        hidden=not spec.enforced_by,
    )


_OPTIONS = [
    click.option(
        "--provider",
        "-p",
        metavar="P",
        shell_complete=completion.providers,
        help="LLM back end: openai, extractive, scripted, echo or a plug-in's.  "
        "[default: openai where OPENAI_API_KEY is set, else extractive]",
    ),
    click.option(
        "--model",
        "-m",
        metavar="M",
        shell_complete=completion.models,
        help="Model where the program names none.  [default: the provider's own]",
    ),
    click.option(
        "--base-url", metavar="U", help="Address of an OpenAI-compatible server.  [default: OPENAI_BASE_URL]"
    ),
    click.option(
        "--alias",
        "aliases",
        multiple=True,
        metavar="NAME=MODEL",
        help="A model by another name, such as cheap, middle or good. May be repeated; the configuration "
        "file and [tool.rlm-wasm.aliases] of a pyproject.toml have more.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(min=0),
        metavar="N",
        help="How often a call is sent again that failed in a way that may pass: 429, 5xx, a broken"
        " connection.  [default: the provider's own; openai: 2]",
    ),
    click.option(
        "--cache",
        metavar="URL",
        help="Keep answers there, and don't ask the same call twice: a store's URL, the word store for that"
        " of --store, or memory. Calls with a temperature above 0 are always sent.",
    ),
    click.option(
        "--arg",
        "arguments",
        multiple=True,
        metavar="NAME=VALUE",
        help='What the program is given by name: (hash-ref (args) "NAME"). May be repeated.',
    ),
    *(_limit_option(spec) for spec in specs() if spec.option is not None),
    click.option(
        "--python",
        type=click.Choice(KINDS),
        default="wasi",
        show_default=True,
        help="Where py-eval runs; host is in this process, unisolated: trusted programs only.",
    ),
    click.option(
        "--workspace",
        type=click.Path(exists=True, file_okay=False),
        help="The one folder that Python and images may see.",
    ),
    click.option(
        "--library",
        "libraries",
        multiple=True,
        type=click.Path(exists=True, file_okay=False),
        help="A folder of Scheme libraries that import may read. May be repeated.",
    ),
    click.option(
        "--store",
        metavar="URL",
        help="Where checkpoints and named sessions live, such as sqlite:///state.db.  [default: in memory]",
    ),
]


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """The shared options, as given."""

    provider: str | None
    model: str | None
    base_url: str | None
    aliases: tuple[str, ...]
    retries: int | None
    cache: str | None
    arguments: tuple[str, ...]
    python: str
    workspace: str | None
    libraries: tuple[str, ...]
    store: str | None
    limits: Limits
    chosen: Mapping[str, Any]
    """The limits that were given, by their fields."""

    @cached_property
    def _opened(self) -> DatabaseStore:
        from rlm_wasm.store import open_store

        assert self.store is not None
        return open_store(self.store)

    def opened_store(self) -> DatabaseStore:
        """The store, opened once: the Runtime's own."""
        return self._opened

    def for_session(self, name: str) -> RuntimeOptions:
        """The same under the limits that a named session has, but for those that are given now."""
        from rlm_wasm.named_sessions import default_store_url, kept_limits

        here = self if self.store is not None else replace(self, store=default_store_url())
        own = kept_limits(here.opened_store(), name)
        return here if own is None else here.with_limits(replace(own, **self.chosen))

    def with_limits(self, limits: Limits) -> RuntimeOptions:
        """The same under other limits, with the same store."""
        same = replace(self, limits=limits)
        same.__dict__["_opened"] = self._opened
        return same

    def _cache(self) -> Any:
        if self.cache != "store":
            return self.cache
        from rlm_wasm.named_sessions import default_store_url

        return self.opened_store().completions() if self.store is not None else default_store_url()

    def runtime(self, log: tuple[Any, ...] = ()) -> Runtime:
        """The Runtime, whose run log goes to each of ``log``.

        A missing key or an unknown provider is raised here, before anything runs.
        """
        from rlm_wasm.runtime import Runtime

        return Runtime(
            provider=self.provider,
            model=self.model,
            base_url=self.base_url,
            aliases=aliases_given(self.aliases),
            retries=self.retries,
            cache=self._cache(),
            args=read_arguments(self.arguments),
            python=self.python,
            store=None if self.store is None else self.opened_store(),
            durable=self.store is not None,
            workspace=self.workspace,
            libraries=self.libraries,
            limits=self.limits,
            log=log,
        )


def contexts_option(text: str) -> Callable[[F], F]:
    """The texts that a command is given, each with a name or without one; ``text`` is its help."""
    return click.option(
        "--context",
        "-c",
        "contexts",
        multiple=True,
        metavar="[NAME=]FILE|DIR|GLOB",
        shell_complete=completion.files,
        help=text,
    )


def program_options(context_help: str) -> Callable[[F], F]:
    """Give a command a program, as a file or an expression, and its contexts."""
    given = (
        click.argument("program", required=False, shell_complete=completion.files),
        click.option("--expression", "-e", "expression", metavar="EXPR", help="The program's text itself."),
        contexts_option(context_help),
    )

    def with_program(command: F) -> F:
        for option in reversed(given):
            command = option(command)
        return command

    return with_program


def runtime_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the shared options; it takes them as one RuntimeOptions, its ``options``."""

    @functools.wraps(command)
    def with_options(*arguments: Any, **given: Any) -> None:
        shared = {name: given.pop(name) for name in _shared_names() if name in given}
        chosen = {
            name.removeprefix(_LIMIT): given.pop(name) for name in list(given) if name.startswith(_LIMIT)
        }
        chosen = {name: value for name, value in chosen.items() if value is not None}
        limits = Limits(**chosen)
        command(*arguments, options=RuntimeOptions(**shared, limits=limits, chosen=chosen), **given)

    decorated: Callable[..., None] = with_options
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _shared_names() -> list[str]:
    return [f.name for f in fields(RuntimeOptions) if f.name not in ("limits", "chosen")]

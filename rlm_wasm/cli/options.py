"""The options that ``run`` and ``repl`` share, and the Runtime that they describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rlm_wasm.cli.inputs import Quantity
from rlm_wasm.limits import Limits

if TYPE_CHECKING:
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.store.database import DatabaseStore

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        "--provider",
        "-p",
        metavar="P",
        help="LLM back end: openai, extractive, scripted, echo or a plug-in's.",
    ),
    click.option("--model", "-m", metavar="M", help="Model where the program names none."),
    click.option("--base-url", metavar="U", help="Address of an OpenAI-compatible server."),
    click.option("--fuel", type=Quantity("n", least=1), help="Instructions that the program may execute."),
    click.option(
        "--memory", type=Quantity("size", least=1 << 20), help="Memory of the guest, such as 256MiB."
    ),
    click.option(
        "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Seconds in all."
    ),
    click.option("--max-calls", type=Quantity("n"), help="LLM calls."),
    click.option("--max-tokens", type=Quantity("n"), help="Tokens of all calls together."),
    click.option(
        "--max-cost", type=click.FloatRange(min=0), metavar="USD", help="Dollars of all calls together."
    ),
    click.option("--concurrency", type=Quantity("n", least=1), help="LLM calls in flight at once."),
    click.option(
        "--python",
        type=click.Choice(["wasi", "host", "off"]),
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
    click.option("--store", metavar="URL", help="Where checkpoints live, such as sqlite:///state.db."),
]


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """The shared options, as given."""

    provider: str | None
    model: str | None
    base_url: str | None
    fuel: int | None
    memory: int | None
    timeout: float | None
    max_calls: int | None
    max_tokens: int | None
    max_cost: float | None
    concurrency: int | None
    python: str
    workspace: str | None
    libraries: tuple[str, ...]
    store: str | None

    def limits(self) -> Limits:
        """The defaults, with what was given instead."""
        given = {
            "fuel": self.fuel,
            "memory_bytes": self.memory,
            "timeout_s": self.timeout,
            "calls": self.max_calls,
            "tokens": self.max_tokens,
            "cost_usd": self.max_cost,
            "concurrency": self.concurrency,
        }
        return Limits(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    @cached_property
    def _opened(self) -> DatabaseStore:
        from rlm_wasm.store import open_store

        assert self.store is not None
        return open_store(self.store)

    def opened_store(self) -> DatabaseStore:
        """The store, opened once: the Runtime's own."""
        return self._opened

    def runtime(self) -> Runtime:
        """The Runtime. A missing key or an unknown provider is raised here, before anything runs."""
        from rlm_wasm.runtime import Runtime

        return Runtime(
            provider=self.provider,
            model=self.model,
            base_url=self.base_url,
            python=self.python,
            store=None if self.store is None else self.opened_store(),
            workspace=self.workspace,
            libraries=self.libraries,
            limits=self.limits(),
        )


def runtime_options(command: F) -> F:
    """Give a command the shared options; it takes them as keywords, for RuntimeOptions."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command

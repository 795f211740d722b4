"""``rlm-wasm limits``: what a program needs, and the smallest limits under which it finishes."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import click

from rlm_wasm.cli.config import aliases_given
from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.inputs import Measure, chosen_program, read_arguments, read_contexts
from rlm_wasm.cli.options import RuntimeOptions, program_options, runtime_options
from rlm_wasm.cli.report import note, print_json
from rlm_wasm.cli.terminal import echo, is_terminal

if TYPE_CHECKING:
    from rlm_wasm.limit_finder import Needs


@click.command(cls=Command)
@program_options("A text for the program's context; - is standard input. May be repeated with names.")
@click.option(
    "--margin",
    type=Measure(min=0),
    default=0.0,
    metavar="PERCENT",
    help="Room above the smallest limits, for inputs that differ.  [default: 0]",
)
@click.option(
    "--growth/--no-growth",
    default=None,
    help="Run with twice and four times the contexts, too.  [default: where the provider is free]",
)
@runtime_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def limits(
    program: str | None,
    expression: str | None,
    contexts: tuple[str, ...],
    *,
    margin: float,
    growth: bool | None,
    as_json: bool,
    options: RuntimeOptions,
) -> None:
    """Find the smallest limits under which a program gives the same result.

    The program runs once with the provider, then again and again with the answers that it got, under
    tighter limits: the search pays for no call. Its host functions, its Python and its files do run again.

    Limits that are given as options are the ceiling. Exit status 2 where the program does not finish
    under it, or gives another result each time.
    """
    if options.store is not None or options.cache is not None:
        raise click.UsageError(
            "limits keeps nothing and reads no store and no cache: every run begins with empty ones"
        )
    source, _ = chosen_program(program, expression)
    texts = read_contexts(contexts, stdin_taken=program == "-")
    needs = asyncio.run(_find(source, texts, options, growth=growth))
    if as_json:
        print_json(_object(needs, margin / 100))
    else:
        _print(needs, margin / 100)


async def _find(
    source: str, texts: dict[str | None, str], options: RuntimeOptions, *, growth: bool | None
) -> Needs:
    from rlm_wasm.limit_finder import find_limits

    def show(number: int) -> None:
        echo(f"\rrun {number} …", err=True, nl=False, dim=True)

    live = is_terminal(err=True)
    try:
        return await find_limits(
            source,
            context=texts,
            limits=options.limits,
            provider=options.provider,
            model=options.model,
            base_url=options.base_url,
            retries=options.retries,
            aliases=aliases_given(options.aliases),
            args=read_arguments(options.arguments),
            growth=growth,
            on_try=show if live else None,
            python=options.python,
            workspace=options.workspace,
            libraries=options.libraries,
        )
    finally:
        if live:
            click.echo("\r\x1b[K", err=True, nl=False)


def _object(needs: Needs, margin: float) -> dict[str, Any]:
    found = needs.found(margin)
    return {
        "status": needs.result.status,
        "value": needs.result.value,
        "limits": {f.name: getattr(found, f.name) for f in fields(found)},
        "code": needs.text(margin),
        "phases": [asdict(phase) for phase in needs.phases],
        "growth": [{**asdict(row), "suspicious": row.suspicious} for row in needs.growth],
        "notes": list(needs.notes),
        "runs": needs.runs,
    }


def _print(needs: Needs, margin: float) -> None:
    from rlm_wasm.limit_finder import shown

    echo(needs.text(margin))
    echo("")
    heads = ["phase", "fuel", "heap", "calls", "tokens", "output", "time"]
    rows = [
        [
            phase.name,
            f"{phase.fuel:,}",
            f"{phase.memory_bytes:,}",
            f"{phase.calls:,}",
            f"{phase.tokens:,}",
            f"{phase.output_bytes:,}",
            shown("seconds", phase.elapsed),
        ]
        for phase in needs.phases
    ]
    _table(heads, rows)
    if needs.growth:
        echo("")
        growth = [
            [row.name, *(shown(row.unit, value) for value in row.values), row.kind] for row in needs.growth
        ]
        _table(["need, with contexts", "× 1", "× 2", "× 4", "grows"], growth)
        for row in needs.growth:
            if row.suspicious:
                note(f"warning: {row.name} is {row.kind} in the size of the contexts")
    for text in needs.notes:
        note(text)


def _table(heads: list[str], rows: list[list[str]]) -> None:
    """Columns: the first and a word at the end to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for line in [heads, *rows]:
        cells = [
            cell.ljust(width) if i == 0 or heads[i] == "grows" else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        echo("  ".join(cells).rstrip())

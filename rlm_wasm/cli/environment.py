"""The environment variables that rlm-wasm reads, and commands whose help names those that count for them."""

from __future__ import annotations

from typing import Final

import click

VARIABLES: Final = {
    "OPENAI_API_KEY": "The key of the openai provider, which is the default where this is set.",
    "OPENAI_BASE_URL": "Address of an OpenAI-compatible server, where --base-url is not given.",
    "RLM_WASM_STORE": "Where named sessions are kept, where --store is not given.",
    "RLM_WASM_CONFIG": "The configuration file, instead of config.toml in your folder for configuration.",
    "RLM_WASM_CACHE": "The folder for compiled guests, instead of one in your cache folder.",
    "RLM_WASM_TRACE_TEXT": "Set to 1, OpenTelemetry spans carry the messages of errors.",
    "RLM_WASM_DEBUG": "Set to anything, an error of rlm-wasm itself shows its traceback.",
    "NO_COLOR": "Set to anything, nothing is in colour.",
}

_COUNT_WITH: Final = {
    "OPENAI_API_KEY": ("provider", "base_url"),
    "OPENAI_BASE_URL": ("base_url",),
    "RLM_WASM_STORE": ("store",),
    "RLM_WASM_CONFIG": ("aliases",),
    "RLM_WASM_CACHE": ("limit_fuel",),
    "RLM_WASM_TRACE_TEXT": ("limit_fuel",),
}
"""By variable, the parameters of commands for which it counts; one that is not here counts for all."""


def epilog(names: tuple[str, ...] = tuple(VARIABLES)) -> str:
    """Variables as the end of a help page."""
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {VARIABLES[name]}" for name in names]
    # The backspace keeps click from filling the lines.
    return "\n".join(["\b", "Environment variables:", *lines])


class Command(click.Command):
    """A command whose help ends with the variables that count for it: by the options that it has."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The variables; and what a command has said itself."""
        super().format_epilog(ctx, formatter)
        taken = {param.name for param in self.params} | ({"limit_fuel"} if self.name == "compile" else set())
        names = tuple(
            name for name in VARIABLES if name not in _COUNT_WITH or taken.intersection(_COUNT_WITH[name])
        )
        formatter.write_paragraph()
        formatter.write_text(epilog(names))


class Group(click.Group):
    """A group of such commands."""

    command_class = Command

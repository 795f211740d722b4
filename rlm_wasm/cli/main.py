"""The command group, and the one place where exceptions become messages and exit statuses."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Any

import click

import rlm_wasm
from rlm_wasm.cli import exits
from rlm_wasm.cli.environment import epilog
from rlm_wasm.cli.report import note
from rlm_wasm.cli.terminal import echo

_COMMANDS = {
    "ask": ("rlm_wasm.cli.ask", "ask"),
    "run": ("rlm_wasm.cli.run", "run"),
    "check": ("rlm_wasm.cli.check", "check"),
    "repl": ("rlm_wasm.cli.repl", "repl"),
    "mcp": ("rlm_wasm.cli.mcp", "mcp"),
    "doctor": ("rlm_wasm.cli.doctor", "doctor"),
    "sessions": ("rlm_wasm.cli.sessions", "sessions"),
    "limits": ("rlm_wasm.cli.limits", "limits"),
    "log": ("rlm_wasm.cli.log", "log"),
    "view": ("rlm_wasm.cli.view", "view"),
    "compile": ("rlm_wasm.cli.compile", "compile_command"),
    "completion": ("rlm_wasm.cli.completion", "completion"),
}


class _LazyGroup(click.Group):
    """Imports a command's module when it is used, or when its help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        import importlib

        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """An unknown command is told the near ones; a program's path is told about ``run``."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            if near:
                ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]}?")
            if args[0].endswith((".scm", ".rkt", ".ss")) or os.path.exists(args[0]):  # noqa: PTH110
                ctx.fail(f"No such command {args[0]!r}. To run a program: rlm-wasm run {args[0]}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=epilog(),
)
@click.version_option(rlm_wasm.__version__, prog_name="rlm-wasm")
def cli() -> None:
    """Run Scheme programs that orchestrate LLM calls, inside WebAssembly."""


class _Warnings(logging.Handler):
    """Shows what the library warns of, such as a log that ends early, where no command has it elsewhere."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one."""
        note(record.getMessage())


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit. The only place that turns exceptions into exit statuses."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        # A program's text may hold what the terminal's encoding does not: show it, don't fail.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    logging.lastResort = _Warnings(logging.WARNING)
    try:
        # Without standalone mode, ctx.exit(status) makes this call return the status.
        status = cli.main(arguments, prog_name="rlm-wasm", standalone_mode=False) or exits.OK
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        echo(shown.getvalue(), err=True, nl=False)
        status = exits.USAGE
    except (click.Abort, KeyboardInterrupt):
        echo("interrupted", err=True)
        status = exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone: there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = exits.GUEST_ERROR
    except Exception as error:
        if os.environ.get("RLM_WASM_DEBUG"):
            raise
        if _interrupted(error):
            echo("interrupted", err=True)
            status = exits.INTERRUPTED
        else:
            echo("error: ", fg="red", bold=True, err=True, nl=False)
            echo(exits.message_of_error(error), err=True)
            status = exits.status_of_error(error)
    sys.exit(status)


def _interrupted(error: BaseException | None) -> bool:
    """Whether it was raised on the way out from Ctrl-C, such as by a module that is half loaded since."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


__all__ = ["cli", "main"]

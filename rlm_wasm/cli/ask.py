"""``rlm-wasm ask``: a question over files of any size."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from rlm_wasm.asking.bounds import in_line
from rlm_wasm.cli import completion, exits
from rlm_wasm.cli.accounts import Accounts
from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.inputs import decoded, read_bytes, read_contexts, read_program
from rlm_wasm.cli.options import RuntimeOptions, contexts_option, runtime_options
from rlm_wasm.cli.progress import Display
from rlm_wasm.cli.report import error_object, note, print_error, print_json
from rlm_wasm.cli.run import interruptibly, run_to_its_end
from rlm_wasm.cli.terminal import echo, is_terminal
from rlm_wasm.errors import RlmError
from rlm_wasm.named_sessions import default_store_url
from rlm_wasm.results import used_line
from rlm_wasm.runtime_parts.named_asks import asked_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_wasm.asking.answer import Answer, Step


@click.command(cls=Command)
@click.argument("question")
@contexts_option(
    "What the question is about; - is standard input; a folder or a quoted glob gives every file as a "
    "named context. May be repeated."
)
@click.option(
    "--sub-model", metavar="M", help="Model that reads the data for the programs.  [default: --model]"
)
@click.option(
    "--schema",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="A JSON Schema that the answer must fit.",
)
@click.option(
    "--session",
    "kept",
    metavar="NAME",
    shell_complete=completion.sessions,
    help="Keep the question under this name: the same command goes on where it was interrupted.",
)
@runtime_options
@click.option(
    "--log",
    metavar="FILE.jsonl|URL",
    help="Where to write all that happens, iterations as chapters: a file, a store's URL, or the word store "
    "for that of --store.",
)
@click.option("--report", metavar="FILE.html", help="Write a page that shows the iterations, offline.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer with its steps as JSON.")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no notes on stderr.")
@click.pass_context
def ask(
    ctx: click.Context,
    /,
    question: str,
    contexts: tuple[str, ...],
    sub_model: str | None,
    schema: str | None,
    kept: str | None,
    *,
    log: str | None,
    report: str | None,
    as_json: bool,
    quiet: bool,
    options: RuntimeOptions,
) -> None:
    """Answer a question over files of any size.

    The model writes programs that work through the data, looks at what they find, and goes on until one
    has the answer. QUESTION is the question itself; "-" reads it from standard input.

    The answer is printed on standard output, how it was come by on standard error. Exit status: 0
    answered by a program, 1 no answer, 2 usage, 3 a limit ended the work (what is printed then was not
    computed), 4 LLM provider, 5 internal error, 6 answered, but the session could not be kept, 130
    interrupted.
    """
    asked = read_program(question) if question == "-" else question
    if not asked.strip():
        raise click.UsageError("the question is empty")
    answer_type = None if schema is None else _schema(schema)
    texts = read_contexts(contexts, stdin_taken=question == "-", name_all=True)
    if kept is not None:
        options = options.for_session(kept)
    if log == "store":
        options = replace(options, store=options.store or default_store_url())
    accounts = Accounts(log, report, options, trace=False)
    try:
        work = _answer(asked, texts, answer_type, sub_model, kept, options, accounts, quiet=quiet or as_json)
        answer, is_kept = run_to_its_end(work)
    except RlmError as error:
        if not as_json:
            raise
        print_json(error_object(error))
        note(exits.message_of_error(error))
        ctx.exit(exits.status_of_error(error))
    if as_json:
        print_json(answer.to_dict())
    else:
        _print(answer, quiet=quiet)
    ctx.exit(exits.status_of_result(answer, kept=is_kept))


def _schema(path: str) -> dict[str, Any]:
    text = decoded(read_bytes(path), path)
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise click.UsageError(f"{path} is no JSON Schema: it must be an object")
    return schema


async def _answer(
    question: str,
    texts: Mapping[str | None, str],
    answer_type: dict[str, Any] | None,
    sub_model: str | None,
    kept: str | None,
    options: RuntimeOptions,
    accounts: Accounts,
    *,
    quiet: bool,
) -> tuple[Answer, bool]:
    """The answer, and whether the session is kept as it was to be."""
    async with accounts, options.runtime(accounts.readers) as runtime:
        if kept is None:
            opened = runtime.session(model=sub_model)
        else:
            opened = await runtime.resume(
                kept, limits=options.limits, model=sub_model or options.model, make=True, notify=note
            )
        async with opened as session:
            with Display(quiet=quiet) as display:
                asked: dict[str, Any] = {
                    "answer_type": answer_type,
                    "model": options.model,
                    "on_progress": display,
                    "on_step": None if quiet or not is_terminal(err=True) else _told,
                }
                if kept is None:
                    for name, text in texts.items():
                        await session.load_context(text, name)
                    work = session.ask(question, **asked)
                else:
                    work = asked_in(session, question, texts, **asked)
                answer = await interruptibly(session, work)
        return answer, session.kept


def _told(step: Step) -> None:
    """One iteration, in a line."""
    outcome = step.error or step.value or step.output or "no value"
    first = in_line(step.program or step.reply, 60)
    note(f"{step.number}. {first} → {in_line(outcome, 60)}")


def _print(answer: Answer, *, quiet: bool) -> None:
    if answer.value:
        echo(answer.value)
    if answer.status == "cancelled":
        note("interrupted")
    elif answer.error is not None:
        print_error(answer.error, source="", name="ask")
    if not quiet:
        for text in answer.notes:
            note(text)
        for text in answer.warnings:
            note(f"warning: {text}")
        if answer.execution.calls and is_terminal(err=True):
            note(f"{len(answer.steps)} iterations, {used_line(answer.execution)}")

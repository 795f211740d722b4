"""The way back of a durable session: its newest snapshot, and what the journal says came after it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from rlm_wasm.errors import SnapshotCorrupt, UsageError
from rlm_wasm.execution.history import History
from rlm_wasm.execution.journal import Entry, Kind, before_last_execution
from rlm_wasm.execution.replay import Replayer, replay
from rlm_wasm.llm.budget import Usage
from rlm_wasm.providers.base import Completion
from rlm_wasm.providers.prices import PriceTable
from rlm_wasm.records import structure
from rlm_wasm.results import Problem
from rlm_wasm.sandbox import protocol
from rlm_wasm.session_parts import inquiry
from rlm_wasm.session_parts.parts import Parts
from rlm_wasm.session_parts.resending import Resending
from rlm_wasm.session_parts.stay import Stay
from rlm_wasm.session_parts.steps import StepState


class _Counted:
    """What a session had used at a moment that is looked at: the newest account is of the end.

    A call costs what the table of published prices says, and nothing where the model's calls cost nothing
    in the end. What the children of recursive calls used is in it only as far as a snapshot has it.
    """

    def __init__(self, used: Usage, in_the_end: Usage | None) -> None:
        self._used = used
        self._in_the_end = in_the_end

    def called(self) -> None:
        """A call was made."""
        self._used.asked()

    def answered(self, encoded: bytes, entry: Mapping[str, Any]) -> None:
        """Its reply came; ``entry`` of the scope log says whether a cache gave it."""
        reply = protocol.decode(encoded)
        if type(reply) is not list or len(reply) != 3 or reply[1] is not True:
            return  # it failed: what that cost, the account says in the end
        answer = reply[2]
        if type(answer) is not list or len(answer) < 5:
            return
        _, _, model, prompt, completion = answer[:5]
        if type(model) is not str or not (type(prompt) is type(completion) is int):
            return
        paid = Completion(
            text="", prompt_tokens=prompt, completion_tokens=completion, cached=entry.get("cached") is True
        )
        free = self._in_the_end is not None and self._in_the_end.paid_nothing(model)
        self._used.add(paid, 0.0 if free else PriceTable().cost_usd(model, prompt, completion), model)


def replayed(
    parts: Parts,
    stay: Stay,
    resending: Resending,
    history: History,
    until: int | None = None,
) -> Generator[None, None, None]:
    """Do again what the store's journal says.

    ``until``: as far as the moment at which the LLM call of this number was made; 0: to where its last
    execution began.

    Raises:
        SnapshotError: the journal is damaged, or the guest does something else than then.
        UsageError: there was no such call.
    """
    durable, journal, calls = stay.durable, stay.journal, parts.calls
    scheduler, requests, writer = parts.scheduler, parts.scheduler.requests, stay.durable.writer
    again = Replayer(scheduler, journal)
    frozen, entries = writer.frozen, durable.entries(journal.stream)
    account = durable.account if parts.owns_budget and until is None else None
    if until == 0:
        entries = before_last_execution(entries)
    by_call = parts.log.by_call() if parts.owns_budget else {}
    counted = None
    if until and parts.owns_budget:
        counted = _Counted(calls.budget.session, durable.account.budget.session if durable.account else None)
    texts = durable.texts([entry.fields[1] for entry in entries if entry.kind is Kind.CONTEXT])
    parts.options.replay_begins()

    def apply(entry: Entry) -> None:
        kind, fields = entry.kind, entry.fields
        if kind is Kind.EVALUATE:
            parts.options.told_again()
            history.evaluated(fields[0])
            if parts.owns_budget:
                parts.programs.given(history.program, durable.keep_text)
            else:
                parts.steps.begin(history.program)
        elif kind is Kind.END:
            again.end(fields[0])
            if len(fields) > 1:
                parts.steps.end(fields[1])
        elif kind is Kind.REFUSED:
            problems = structure(tuple[Problem, ...], fields[1], "a program's problems", SnapshotCorrupt)
            parts.steps.before(StepState(fields[0], None, problems))
        elif kind is Kind.CALL:
            request = requests.made_before(fields[0])
            request.was_called(fields[1])
            if counted is not None:
                counted.called()
            if not durable.writes:
                history.called(request.id, fields[1], request.to_state().arguments)
        elif kind is Kind.ANSWER:
            request = requests.made_before(fields[0])
            if counted is not None and request.operation == "llm":
                counted.answered(fields[1], by_call.get(request.call_number, {}))
            if not durable.writes:
                history.replied(request.operation, request.to_state().arguments, request.id, fields[1])
        elif kind in (Kind.SENT, Kind.SETTLED):
            request = requests.made_before(fields[0])
            request.was_sent(unsettled=kind is Kind.SENT and request.operation == "llm")
        elif kind is Kind.CONTEXT:
            if parts.contexts.load(texts[fields[1]], fields[0]) is None:
                parts.options.context_replaced()
        elif kind is Kind.PYTHON:
            parts.python.restore(fields[0])
            stay.python_replayed(fields[0])
        elif kind is Kind.RESET:
            parts.forget()
            if parts.python_made is not None:
                parts.python_made.restore(None)
        elif kind is Kind.LOGGED:
            kept = parts.log.again(fields[0])
            if type(kept.get("call_id")) is int:
                by_call[kept["call_id"]] = kept
        elif kind is Kind.LOG_CHANGED:
            if fields[0] in by_call:
                by_call[fields[0]].update(fields[1])
        elif inquiry.is_about_a_question(kind):
            parts.inquiry.noted_before(kind, fields)
        else:
            calls.asked_before(kind, fields)

    writer.freeze()
    try:
        reached = yield from replay(
            again,
            journal,
            entries,
            apply,
            lambda entry: until is not None and entry.kind is Kind.CALL and entry.fields[1] == until,
        )
    finally:
        if not frozen:
            writer.thaw()
    if until and not reached:
        raise UsageError(f"session {durable.name} made no call {until} in its last execution")
    if not durable.writes:
        history.answered(entry for entry in entries if entry.kind is Kind.ANSWER)
    parts.options.replay_ends()
    parts.steps.replay()
    if account is not None:
        calls.budget.from_state(account.budget)
    requests.hold_back()
    if scheduler.execution is None:
        requests.send_again(resending.refusal)

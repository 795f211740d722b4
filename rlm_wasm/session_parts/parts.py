"""What a session is put together from: its grants, its guest, and what serves what that asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rlm_wasm.capabilities.contexts import Contexts
from rlm_wasm.capabilities.host_functions import HostFunctions
from rlm_wasm.capabilities.table import Handler, now
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.execution.meter import FuelAccount, Meter
from rlm_wasm.execution.requests import HostRequest
from rlm_wasm.execution.scheduler import Idle, Scheduler
from rlm_wasm.grants import Grants
from rlm_wasm.lazy_dataclass import dataclass, replace
from rlm_wasm.limits import Limits
from rlm_wasm.llm import programs
from rlm_wasm.llm.budget import Budget
from rlm_wasm.llm.calls import LlmCalls, Recurse
from rlm_wasm.python import opened_backend, session_python
from rlm_wasm.results import Execution
from rlm_wasm.runlog.stream import EventStream, Recorder
from rlm_wasm.scope_log import ScopeLog
from rlm_wasm.session_parts.guest_options import GuestOptions
from rlm_wasm.session_parts.inquiry import Inquiry
from rlm_wasm.session_parts.observer import Observer
from rlm_wasm.session_parts.resending import EFFECTS

if TYPE_CHECKING:
    from rlm_wasm.capabilities.checkpoints import Checkpoints
    from rlm_wasm.execution.journal import Journal
    from rlm_wasm.python.place import FamilyPlace
    from rlm_wasm.python.session_python import SessionPython
    from rlm_wasm.sandbox.snapshot import Image, PackedImage
    from rlm_wasm.session_parts.kept_programs import KeptPrograms
    from rlm_wasm.session_parts.steps import Steps


@dataclass(frozen=True, slots=True)
class Parent:
    """What a child takes from the session whose #:recursive call, or whose program's fork, began it."""

    calls: LlmCalls
    deepest: int
    meter: Meter
    account: FuelAccount
    workspace: Workspace
    python_place: FamilyPlace
    call: int
    nested: int = 0
    """Forks above it that a program made."""


class Parts:
    """Made once, with all of them; which they are does not change afterwards.

    ``recurse``, ``fork_map`` and ``child_over`` serve what needs sessions below this one;
    ``python_changed`` is told the captured variables of Python, where somebody keeps them. ``depth``: of a
    session that stands in for another one elsewhere, and is as deep as that.
    """

    def __init__(
        self,
        grants: Grants,
        limits: Limits,
        namespace: str,
        *,
        parent: Parent | None,
        memory: Image | PackedImage | None,
        budget: Budget | None,
        journal: Journal | None,
        recurse: Recurse,
        fork_map: Callable[[HostRequest], Any],
        child_over: Callable[[int], None],
        python_changed: Callable[[bytes | None], None] | None,
        idle: Idle | None,
        depth: int = 0,
    ) -> None:
        self.grants = grants
        self.limits = limits
        self.namespace = namespace
        self.parent = parent
        self.closed = False
        self.owns_budget = parent is None
        self.shares_budget = budget is not None
        """With the session that it is a fork of."""
        self.journal = journal
        self._python_changed = python_changed
        self.functions = HostFunctions(grants.host_functions)
        self.options = GuestOptions(self.functions, limits)
        if parent is None:
            self.recorder = Recorder(EventStream(grants.log_readers), None)
            self.log = ScopeLog(limits.log_bytes)
            self.meter = Meter(limits, parent=None)
            self.workspace = Workspace(
                grants.workspace, writable=grants.workspace_writable, max_written_bytes=limits.workspace_bytes
            )
        else:
            self.recorder = Recorder(parent.calls.recorder.stream, parent.calls.recorder)
            self.log = parent.calls.log
            self.meter = Meter(limits, parent=parent.meter)
            self.workspace = parent.workspace.narrowed(writable=grants.workspace_writable)
        self.observer = Observer(self.recorder, self.log)
        self.calls = LlmCalls(
            grants.provider,
            budget=parent.calls.budget if parent is not None else budget or Budget(limits),
            log=self.log,
            model=grants.model,
            aliases=grants.aliases,
            depth=depth if parent is None else parent.calls.depth + 1,
            deepest=None if parent is None else parent.deepest,
            workspace=self.workspace,
            recurse=recurse,
            changed=self.observer.changed,
            warn=self.warn,
            journal=journal,
            child_over=child_over,
            recorder=self.recorder,
            parent=None if parent is None else parent.call,
        )
        self.inquiry = Inquiry(journal, self.calls)
        self._chapter: tuple[Execution, float] | None = None
        self.contexts = Contexts(limits.message_bytes, self._charge)
        self.scheduler = Scheduler(
            grants.engine,
            limits,
            self.meter,
            table=self.table,
            services={"llm": self.calls.start, "fork": fork_map},
            observe=self.observer.observe,
            recorder=self.recorder,
            account=None if parent is None else parent.account,
            memory=memory,
            journal=journal,
            effects=EFFECTS,
            idle=idle,
        )

    # What most sessions never want is made when it is first wanted.

    @cached_property
    def programs(self) -> KeptPrograms:
        """Of a durable session, the texts that may have defined something."""
        from rlm_wasm.session_parts.kept_programs import KeptPrograms

        return KeptPrograms()

    @cached_property
    def steps(self) -> Steps:
        """Of a recursive call's child, what it has done of the call's programs."""
        from rlm_wasm.session_parts.steps import Steps

        return Steps()

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """The session's part of the store."""
        from rlm_wasm.capabilities.checkpoints import Checkpoints

        return Checkpoints(
            self.grants.store,
            self.namespace,
            self.log,
            max_bytes=self.limits.checkpoint_bytes,
            writable=self.grants.checkpoints_writable,
        )

    @cached_property
    def python_place(self) -> FamilyPlace:
        """Which place of the Python workers the session has, together with its children."""
        from rlm_wasm.python.place import FamilyPlace

        return FamilyPlace() if self.parent is None else self.parent.python_place

    @cached_property
    def python(self) -> SessionPython:
        """The session's Python."""
        grants = self.grants
        return session_python.SessionPython(
            lambda: opened_backend(
                grants.python,
                limits=self.limits,
                workspace=self.workspace,
                folder=grants.workspace,
                place=self.python_place,
            ),
            self.log,
            contexts=lambda: self.contexts.texts,
            fuel_left=self.scheduler.fuel_left,
            time_left=self.scheduler.time_left,
            charge=self._charge,
            # What the "host" back end holds is not restored anywhere.
            changed=self._python_changed if grants.python == "wasi" else None,
        )

    @property
    def python_made(self) -> SessionPython | None:
        """The session's Python, where it was wanted already."""
        made: SessionPython | None = self.__dict__.get("python")
        return made

    def table(self) -> dict[str, Handler]:
        """What the guest may ask for, beside LLM calls and forks."""
        return {
            "now": now,
            "host": self.functions.call,
            "library": self.grants.libraries.read,
            "usage": lambda _arguments: self.calls.report(),
            "model-for": self.calls.model_named,
            "check-calls": self.calls.judged,
            "estimate-tokens": self.calls.estimated_tokens,
            "program-in": programs.program_operation(self._charge),
            **self.contexts.table(),
            **self.checkpoints.table(),
            **self.python.table(),
        }

    def _charge(self, fuel: int) -> None:
        self.scheduler.charge(fuel)

    def warn(self, text: str) -> None:
        """Add to what the Result warns of."""
        if self.scheduler.execution is not None:
            self.scheduler.execution.warn(text)

    # ---- chapters of a question, for the run log

    def begin_chapter(self) -> None:
        """What is used from now on is this chapter's."""
        self._chapter = (self.calls.budget.execution.to_execution(), time.monotonic())

    def end_chapter(self) -> None:
        """What is used from now on is no chapter's."""
        self._chapter = None

    def used_in_chapter(self, used: Execution) -> Execution:
        """Of what a question has used, the part of this chapter; outside of one all of it."""
        if self._chapter is None:
            return used
        before, began = self._chapter
        known = used.cost_usd is not None and before.cost_usd is not None
        return replace(
            used,
            calls=used.calls - before.calls,
            tokens=used.tokens - before.tokens,
            prompt_tokens=used.prompt_tokens - before.prompt_tokens,
            completion_tokens=used.completion_tokens - before.completion_tokens,
            cached=used.cached - before.cached,
            cost_usd=max((used.cost_usd or 0.0) - (before.cost_usd or 0.0), 0.0) if known else None,
            elapsed=time.monotonic() - began,
        )

    def close(self) -> None:
        """The session ends: nothing new is begun."""
        self.closed = True

    def let_go(self) -> None:
        """Nothing is under way any more: what is left goes with the session, and waits for no collector.

        Each part knows what it serves. A process that makes thousands of sessions a second would spend a
        seventh of its time on finding out that nobody else knows them.
        """
        self.scheduler.let_go()
        self.calls.let_go()
        self.contexts.let_go()
        if self.python_made is not None:
            del self.python

    def forget(self) -> None:
        """Everything but the checkpoints, and Python's variables."""
        self.scheduler.reset()
        self.contexts.clear()
        self.log.clear()
        self.inquiry.forget()
        self.options.fresh()
        self.programs.clear()

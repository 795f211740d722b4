"""An idle session of an earlier release, carried over to this release's guest.

What a guest's memory holds means something to that guest only. So what the session is, is made again: its
procedures, types and macros from the texts of its programs, which the store keeps, and the values of its
variables by their data form, as checkpoints have it. Contexts, scope log, accounts, limits and Python's
variables are the host's, and go as they are. What has neither a text nor a data form stays behind, and is
named.

    upgrade = await upgraded(database, opener, …)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from typing import Any, ClassVar, Final

from rlm_wasm.capabilities.checkpoints import MemoryStore
from rlm_wasm.capabilities.libraries import LibraryFolders
from rlm_wasm.errors import CapabilityDenied, UsageError
from rlm_wasm.grants import Grants
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.limits import Limits
from rlm_wasm.llm.budget import Budget
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.results import Result
from rlm_wasm.runtime_parts.forms import READER, Form, forms_of
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.scope_log import ScopeLog
from rlm_wasm.session import Registry, Session
from rlm_wasm.session_parts import state as states
from rlm_wasm.session_parts.durable import Durable
from rlm_wasm.session_parts.kept_log import KeptLog

_STEP_S: Final = 20.0
"""Seconds for one variable, or one text."""
_NAMESPACE: Final = "carried"
_TRIES: Final = 4
_REASON: Final = 300
"""Characters of a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What came of carrying a session over to another guest."""

    name: str
    """The session's."""
    guest_before: str
    """The guest that it stood on, by its SHA-256."""
    guest: str
    """The one that it stands on now, or would."""
    release_before: str
    """The release that saved it last."""
    saved: bool
    """Whether it stands on the new guest now; False where it was only looked at, or did so already."""
    carried: tuple[str, ...] = ()
    """Variables that have on the new guest what they had."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Those that could not go, and why not: they are unbound now."""
    notes: tuple[str, ...] = ()
    """What else people should know."""


@dataclass(frozen=True, slots=True)
class Made:
    """The session on the new guest, and what is told of it."""

    snapshot: Snapshot
    upgrade: Upgrade


@dataclass(slots=True)
class _Variable:
    """A variable as its own guest has it."""

    name: str
    kind: str = "other"
    """"data", "packed" (data with scoped values or handles in it), "procedure", "other"."""
    shown: tuple[str | None, ...] = ()
    """Of a procedure its name, arity and signature, None where its guest cannot say it: another one is told
    from it by these."""
    same_as: str | None = None
    """Another variable that has the very same object."""
    why: str = ""
    """Why it has no data form."""


async def upgraded(
    session: Session,
    durable: Durable,
    grants: Grants,
    old_grants: Grants,
    *,
    key: bytes | None,
    drop_pending: bool,
) -> Made:
    """Carry over a session that was opened on its own guest; nothing in it changes.

    Raises:
        UsageError: it is not idle.
        SnapshotCorrupt: a text of its programs is missing or damaged.
        SessionClosed: it was closed meanwhile.
        InternalError: a defect of rlm-wasm.
    """
    name = durable.name
    if session.suspended:
        raise UsageError(
            f"session {name} is in the middle of an execution, which ends on the guest that it began on:"
            f" rlm-wasm sessions resume {name} goes on with it; then it can be carried over"
        )
    pending = session.pending()
    if pending and not drop_pending:
        waits = ", ".join(
            f"LLM call {each['call_id']}" if each["call_id"] else str(each["operation"])
            for each in pending[:5]
        )
        more = f" and {len(pending) - 5:,} more" if len(pending) > 5 else ""
        raise UsageError(
            f"session {name} waits for what it asked for ({waits}{more}): await the handles in a program, or"
            " give that up by --drop-pending (drop_pending=True)"
        )
    return await _Upgrading(session, durable, grants, old_grants, key).made()


def stands_already(durable: Durable, engine: Engine) -> Upgrade:
    """What is told of a session that stands on that guest as it is."""
    return Upgrade(
        name=durable.name,
        guest_before=engine.image_hash,
        guest=engine.image_hash,
        release_before=durable.release,
        saved=False,
    )


class _Upgrading:
    """Of one session."""

    def __init__(
        self, old: Session, durable: Durable, grants: Grants, old_grants: Grants, key: bytes | None
    ) -> None:
        self._old = old
        self._durable = durable
        self._key = key
        self._limits = old.limits
        # The variables' values are on their way in one step, and no call is paid.
        wide = replace(
            old.limits, calls=1 << 30, tokens=None, cost_usd=None, checkpoint_bytes=1 << 40, timeout_s=_STEP_S
        )
        self._wide = wide
        self._store = MemoryStore()
        self._numbers: deque[int] = deque()
        self._answers: deque[Completion] = deque()
        bare = replace(
            grants,
            provider=lambda: _Again(self._answers, self._numbers),
            store=lambda: self._store,
            host_functions=dict.fromkeys(grants.host_functions, _refused),
            workspace=None,
            python="off",
            log_readers=(),
            model=None,
            aliases={},
            checkpoints_writable=True,
        )
        self._new_grants = bare
        self._old_grants = replace(
            bare, engine=old_grants.engine, libraries=LibraryFolders(()), host_functions={}
        )

    async def made(self) -> Made:
        """Make it again. The session itself stays as it is.

        Raises SessionClosed, SnapshotError where it cannot be looked at.
        """
        snapshot = await self._old.snapshot()
        state = states.state_of(snapshot)
        models = {
            entry["call_id"]: entry.get("model")
            for entry in state.log.entries
            if type(entry.get("call_id")) is int
        }
        before = await self._read(snapshot, state)
        forms, unread = await self._forms(state.programs)
        changed = frozenset(name for form in forms for name in form.changes)
        excluded = {name for name, variable in before.items() if variable.kind != "procedure"}
        left: dict[str, str] = {}
        for _ in range(_TRIES):
            attempt = await self._attempt(state, before, forms, excluded | left.keys(), models)
            wrong = self._differ(before, attempt, forms, changed, left)
            if not wrong:
                break
            left |= wrong
        notes = [*unread, *attempt.notes]
        if not state.programs_whole:
            notes.append(
                "not all of its programs are kept: what the others defined could go as data only, and macros"
                " of theirs are gone"
            )
        left |= attempt.failed
        carried = tuple(name for name in before if name not in left)
        upgrade = Upgrade(
            name=self._durable.name,
            guest_before=snapshot.image_hash,
            guest=self._new_grants.engine.image_hash,
            release_before=str(snapshot.header.get("release", "an earlier release")),
            saved=False,
            carried=carried,
            left={name: left[name] for name in sorted(left)},
            notes=tuple(dict.fromkeys(notes)),
        )
        return Made(self._assembled(attempt.snapshot, snapshot, state, upgrade), upgrade)

    # ---- the session on its own guest

    async def _read(self, snapshot: Snapshot, state: states.SessionState) -> dict[str, _Variable]:
        """Its variables, and their values in the store of this work. Of a copy, which is thrown away."""
        requests = replace(state.scheduler.requests, requests=())
        alone = replace(state, scheduler=replace(state.scheduler, requests=requests), python=None)
        copy = self._session(self._old_grants, replace(snapshot, body=alone), Budget(self._wide))
        async with copy:
            # Replies that are there are taken: the handles that wait for them are done then.
            await copy.execute("#t", timeout_s=_STEP_S)
            found = {name: _Variable(name) for name in await copy.definitions()}
            tools = await self._tools(copy)
            for variable in found.values():
                await self._examine(copy, variable, tools)
            await self._share(copy, found)
        return found

    async def _tools(self, session: Session) -> str:
        """What the procedures below are given, as far as an earlier release's guest has it."""
        tools = []
        for tool in _TOOLS:
            there = await self._value(session, tool)
            tools.append(tool if there.ok else _ABSENT.get(tool, f'(lambda a (error "there is no {tool}"))'))
        return " ".join(tools)

    async def _examine(self, session: Session, variable: _Variable, tools: str) -> None:
        name = _symbol(variable.name)
        kind = await self._value(session, f"(if (procedure? {name}) 1 (if (handle? {name}) 2 0))")
        if kind.data == 1:
            variable.kind = "procedure"
            variable.shown = await self._shown_procedure(session, variable.name)
            return
        if kind.data == 0:
            kept = await self._value(session, f"(checkpoint {_text(variable.name)} {name})")
            if kept.ok:
                special = await self._value(session, f"({_FIND} {name} {tools})")
                if special.ok and special.data is False:
                    variable.kind = "data"
                    return
            else:
                variable.why = _why(kept)
                if "handle" not in variable.why and "scoped value" not in variable.why:
                    return
        packed = await self._value(session, f"(checkpoint {_text(variable.name)} ({_PACK} {name} {tools}))")
        if packed.ok:
            variable.kind = "packed"
        else:
            variable.why = _why(packed)

    async def _shown_procedure(self, session: Session, name: str) -> tuple[str | None, ...]:
        symbol = _symbol(name)
        asked = [
            await self._value(session, f'(format "~s" ({what} {symbol}))')
            for what in ("object-name", "procedure-arity")
        ]
        helped = await self._value(session, f"(help {symbol})")
        return *(each.value if each.ok else None for each in asked), helped.stdout[:_REASON] or None

    async def _share(self, session: Session, found: Mapping[str, _Variable]) -> None:
        """Find which variables have the same object: one that changes changes in both."""
        names = [name for name, variable in found.items() if variable.kind in ("data", "packed")]
        if len(names) < 2:
            return
        values = " ".join(f",{_symbol(name)}" for name in names)
        same = await self._value(session, f"({_SAME} `({values}))")
        if same.ok and isinstance(same.data, list):
            for name, first in zip(names, same.data, strict=True):
                if type(first) is int and first >= 0:
                    found[name].same_as = names[first]

    # ---- the texts

    async def _forms(self, hashes: Collection[str]) -> tuple[list[Form], list[str]]:
        """The top-level forms of its programs, in their order, and what could not be read."""
        texts = await asyncio.to_thread(self._durable.texts, list(hashes))
        forms: list[Form] = []
        notes: list[str] = []
        async with self._session(self._new_grants, None, Budget(self._wide)) as reader:
            for key in hashes:
                text = texts[key]
                await reader.load_context(text, "program")
                read = await self._value(reader, READER)
                if not read.ok or not isinstance(read.data, list):
                    notes.append(f"one of its programs cannot be read: {_why(read)}")
                    continue
                forms += forms_of(text, read.data)
        return forms, notes

    # ---- the session on the new guest

    async def _attempt(
        self,
        state: states.SessionState,
        before: Mapping[str, _Variable],
        forms: Iterable[Form],
        excluded: Collection[str],
        models: Mapping[int, Any],
    ) -> _Attempt:
        """Make it without the procedures ``excluded``, and look what came of it."""
        failed: dict[str, str] = {}
        notes: list[str] = []
        after: dict[str, _Variable] = {}
        session = self._session(self._new_grants, None, _Numbered(self._wide, self._numbers))
        async with session:
            for name, text in state.contexts:
                await session.load_context(text, name)
            for form in forms:
                if not form.is_made_again or (form.names and all(name in excluded for name in form.names)):
                    continue
                if form.names and not all(name in before for name in form.names):
                    continue  # undone, or taken back
                source = "\n" * (form.line - 1) + form.text.lstrip("\n")
                result = await session.execute(source, timeout_s=_STEP_S, check=False)
                if not result.ok:
                    failed |= dict.fromkeys(form.names, _why(result))
                    if not form.names:
                        notes.append(f"{' '.join(form.text.split())[:60]}: {_why(result)}")
            for variable in before.values():
                if variable.kind in ("data", "packed"):
                    failed |= await self._restored(session, variable, models)
            there = set(await session.definitions())
            for name, variable in before.items():
                if variable.kind == "procedure" and name in there:
                    again = after[name] = _Variable(name, "procedure")
                    again.shown = await self._shown_procedure(session, name)
                elif variable.kind == "other" and name in there:
                    after[name] = _Variable(name)
            return _Attempt(await session.snapshot(), after, failed, notes)

    async def _restored(
        self, session: Session, variable: _Variable, models: Mapping[int, Any]
    ) -> dict[str, str]:
        name, key = _symbol(variable.name), _text(variable.name)
        if variable.same_as is not None:
            source = f"(define {name} {_symbol(variable.same_as)})"
        elif variable.kind == "data":
            source = f"(define {name} (restore {key}))"
        else:
            scoped = await self._value(session, f"({_LIST} (restore {key}))")
            if not scoped.ok or not isinstance(scoped.data, list):
                return {variable.name: _why(scoped)}
            for number, text, truncated in scoped.data:
                if number:
                    model = models.get(number)
                    answer = Completion(
                        text=text,
                        model=model if isinstance(model, str) else "",
                        finish_reason="length" if truncated else "stop",
                    )
                    self._numbers.append(number)
                    self._answers.append(answer)
            source = f"(define {name} ({_UNPACK} (restore {key}) {' '.join(_TOOLS)}))"
        result = await session.execute(source, timeout_s=_STEP_S, check=False)
        self._numbers.clear()
        self._answers.clear()
        return {} if result.ok else {variable.name: _why(result)}

    def _differ(
        self,
        before: Mapping[str, _Variable],
        attempt: _Attempt,
        forms: Iterable[Form],
        changed: Collection[str],
        left: Mapping[str, str],
    ) -> dict[str, str]:
        """Variables that are not on the new guest what they were, or nobody knows that, and why."""
        wrong: dict[str, str] = {}
        defined = {name: form.kind for form in forms for name in form.names}
        for name, variable in before.items():
            if name in left or variable.kind in ("data", "packed"):
                continue
            there = attempt.after.get(name)
            if variable.kind == "other":
                if there is None:
                    wrong[name] = variable.why
            elif name in attempt.failed:
                wrong[name] = attempt.failed[name]
            elif name in changed:
                wrong[name] = "a procedure that set! may have changed: its text is not certain"
            elif there is None and defined.get(name) == "value":
                wrong[name] = "a procedure that was computed: it has no text of its own, and no data form"
            elif there is None:
                wrong[name] = "a procedure whose text is not kept"
            elif _others(there.shown, variable.shown):
                wrong[name] = "a procedure that is another one than its text defines"
        return wrong

    def _assembled(
        self, made: Snapshot, old: Snapshot, state: states.SessionState, upgrade: Upgrade
    ) -> Snapshot:
        """The new guest's memory with the host's side of the session."""
        log = ScopeLog(self._limits.log_bytes)
        log.share(state.log)
        left = f"; left behind: {', '.join(upgrade.left)}" if upgrade.left else ""
        log.add("upgrade", f"from guest {old.image_hash[:12]} of {upgrade.release_before}{left}", "host")
        new = states.state_of(made)
        body = replace(
            new,
            budget=state.budget,
            limits=state.limits,
            log=KeptLog(log.entries()),
            python=state.python,
            runs=0,
            checksum=0,
            programs=state.programs,
            programs_whole=state.programs_whole,
        )
        header = {**made.header, "namespace": old.header["namespace"], "used": old.header["used"]}
        return replace(made, header=header, body=body, key=self._key)

    # ---- sessions for that

    def _session(self, grants: Grants, snapshot: Snapshot | None, budget: Budget) -> Session:
        return Session(
            grants,
            limits=self._wide,
            namespace=_NAMESPACE,
            registry=Registry(),
            snapshot=snapshot,
            budget=budget,
        )

    async def _value(self, session: Session, source: str) -> Result:
        return await session.execute(source, timeout_s=_STEP_S, check=False)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of one."""

    snapshot: Snapshot
    after: dict[str, _Variable]
    failed: dict[str, str]
    notes: list[str]


class _Numbered(Budget):
    """Calls have the numbers that stand in a queue: values say which call they came from."""

    def __init__(self, limits: Limits, numbers: deque[int]) -> None:
        super().__init__(limits)
        self._numbers = numbers

    @property
    def next_number(self) -> int:
        """What the next call will be called."""
        return self._numbers[0] if self._numbers else Budget.next_number.fget(self)  # type: ignore[attr-defined]


class _Again:
    """A provider that gives answers once more which were paid long ago."""

    name = "again"
    free = True
    inline = True
    roles: ClassVar[dict[str, str]] = {}

    def __init__(self, answers: deque[Completion], numbers: deque[int]) -> None:
        self._answers = answers
        self._numbers = numbers

    async def complete(self, request: CompletionRequest) -> Completion:
        """See Provider. Raises CapabilityDenied for whatever else a definition would ask."""
        if not self._answers:
            raise CapabilityDenied("no model is asked while a session is carried over")
        self._numbers.popleft()
        return self._answers.popleft()


def _refused(*_arguments: Any) -> Any:
    raise CapabilityDenied("no host function is called while a session is carried over")


def _others(one: tuple[str | None, ...], other: tuple[str | None, ...]) -> bool:
    """Whether two procedures are not the same, by what either guest could say of them."""
    return any(
        mine != theirs and mine is not None and theirs is not None
        for mine, theirs in zip(one, other, strict=True)
    )


def _why(result: Result) -> str:
    return " ".join(str(result.error or result.status).split())[:_REASON]


def _symbol(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("|", "\\|")
    return f"|{escaped}|"


def _text(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# What follows runs in the session's own scope, where a program may have given list or map another meaning:
# so it is closed over the standard's meaning of them. What the standard does not have comes as an argument.

_TOOLS: Final = (
    *("syntax?", "syntax-e", "provenance", "truncated?", "handle?", "handle-done?", "await"),
    *("hash?", "hash->list", "box?", "unbox", "immutable?", "hash-clear", "hash-copy", "hash-clear!"),
    *("hash-set", "hash-set!", "box", "spawn"),
    "(lambda (text) (datum->syntax #f text))",
    '(lambda () (llm-query #:instruction "again"))',
    "error",
)
_ABSENT: Final = {"truncated?": "(lambda (v) #f)"}
"""What stands for one that an earlier release's guest did not have."""
_TAKES: Final = " ".join((*_TOOLS[:-3], "made-here", "answered-again", "error"))


def _closed(body: str, takes: str) -> str:
    return f"(eval '(lambda ({takes}) {body}) (scheme-report-environment 5))"


_FIND: Final = _closed(
    """
    (letrec ((special? (lambda (v)
       (cond ((or (syntax? v) (handle? v)) #t)
             ((pair? v) (let loop ((v v))
                          (cond ((pair? v) (or (special? (car v)) (loop (cdr v))))
                                (else (special? v)))))
             ((vector? v) (special? (vector->list v)))
             ((hash? v) (special? (hash->list v)))
             ((box? v) (special? (unbox v)))
             (else #f)))))
      (special? v))
    """,
    f"v {_TAKES}",
)
"""Whether a value has scoped values or handles in it."""

_PACK: Final = _closed(
    """
    (letrec ((pack (lambda (v)
       (cond ((syntax? v)
              (list "scoped" (apply max 0 (provenance v)) (syntax-e v) (truncated? v)))
             ((handle? v)
              (if (handle-done? v)
                  (list "handle" (pack (await v)))
                  (error "a handle whose answer is not there")))
             ((pair? v)
              (let loop ((rest v) (done '()))
                (cond ((pair? rest) (loop (cdr rest) (cons (pack (car rest)) done)))
                      ((null? rest) (cons "list" (cons (list "plain" '()) (reverse done))))
                      (else (cons "list" (cons (pack rest) (reverse done)))))))
             ((vector? v) (cons "vector" (map pack (vector->list v))))
             ((box? v) (list "box" (pack (unbox v))))
             ((hash? v)
              (cons "hash"
                    (cons (if (immutable? v) (hash-clear v) (let ((c (hash-copy v))) (hash-clear! c) c))
                          (map (lambda (entry) (cons (pack (car entry)) (pack (cdr entry))))
                               (hash->list v)))))
             (else (list "plain" v))))))
      (pack v))
    """,
    f"v {_TAKES}",
)
"""A value with scoped values and handles in it as data that says what they were."""

_LIST: Final = _closed(
    """
    (letrec ((all (lambda (p found)
       (cond ((string=? (car p) "scoped") (cons (list (cadr p) (caddr p) (cadddr p)) found))
             ((or (string=? (car p) "handle") (string=? (car p) "box")) (all (cadr p) found))
             ((or (string=? (car p) "list") (string=? (car p) "vector")) (each (cdr p) found))
             ((string=? (car p) "hash") (entries (cddr p) found))
             (else found))))
             (each (lambda (items found)
               (if (null? items) found (each (cdr items) (all (car items) found)))))
             (entries (lambda (items found)
               (if (null? items) found
                   (entries (cdr items) (all (cdar items) (all (caar items) found)))))))
      (reverse (all p '())))
    """,
    "p",
)
"""The scoped values in such data, in the order in which ``_UNPACK`` makes them."""

_UNPACK: Final = _closed(
    """
    (letrec ((unpack (lambda (p)
       (cond ((string=? (car p) "plain") (cadr p))
             ((string=? (car p) "scoped") (if (= (cadr p) 0) (made-here (caddr p)) (answered-again)))
             ((string=? (car p) "handle") (let ((v (unpack (cadr p)))) (spawn (lambda () v))))
             ((string=? (car p) "box") (box (unpack (cadr p))))
             ((string=? (car p) "vector") (list->vector (each (cdr p) '())))
             ((string=? (car p) "list")
              (let ((tail (unpack (cadr p))))
                (append (each (cddr p) '()) tail)))
             (else
              (let loop ((entries (cddr p)) (table (cadr p)))
                (if (null? entries)
                    table
                    (let* ((k (unpack (caar entries))) (v (unpack (cdar entries))))
                      (loop (cdr entries)
                            (if (immutable? table)
                                (hash-set table k v)
                                (begin (hash-set! table k v) table))))))))))
             (each (lambda (items done)
               (if (null? items) (reverse done) (each (cdr items) (cons (unpack (car items)) done))))))
      (unpack p))
    """,
    f"p {_TAKES}",
)

_SAME: Final = _closed(
    """
    (let next ((rest values) (seen '()) (number 0) (same '()))
      (if (null? rest)
          (reverse same)
          (let* ((v (car rest))
                 (known (if (or (pair? v) (vector? v) (not (or (number? v) (symbol? v) (string? v) (char? v)
                                                               (boolean? v) (null? v))))
                            (assq v seen)
                            #f)))
            (next (cdr rest)
                  (if known seen (cons (cons v number) seen))
                  (+ number 1)
                  (cons (if known (cdr known) -1) same)))))
    """,
    "values",
)
"""Of each value the place of the first one that is the same object; -1: it is the first, or no object."""

"""An idle session of an earlier release is carried over to this one's guest, and told is what could not go."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import sqlite3
from typing import Any

import pytest
from durable.test_durable_sessions import crash

import wasm_image
from rlm_wasm import Limits, Runtime, SessionHeld, Upgrade, UsageError
from rlm_wasm.cli import main
from rlm_wasm.errors import SnapshotCorrupt, StoreError
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.pages import PAGE, at_once, pristine_memory
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.store.durable import DurableSessions
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed


@pytest.fixture(scope="module")
def other() -> Engine:
    """Another release's guest: what it knows lies elsewhere in its memory than in this one's."""
    engine = Engine.shared()
    sandbox = Sandbox(engine, engine.image_size + (64 << 20))
    program = '(begin (string->symbol "of another release") (make-vector 20000 (list "older")) (void))'
    assert sandbox.run(protocol.evaluate(program, "program", {}), 1 << 20, 1 << 40) == 0
    written = at_once(sandbox.capture().whole())
    start, size = pristine_memory(engine)
    memory = bytearray(ctypes.string_at(start, size).ljust(written.size, b"\0"))
    for page, count, offset in written.runs():
        memory[page * PAGE : (page + count) * PAGE] = written.content[offset : offset + count * PAGE]
    sandbox.close()
    return Engine.of(wasm_image.rewrite(engine.image(), bytes(memory)))


async def kept(
    url: str, engine: Engine, *programs: str, contexts: dict[str | None, str] | None = None
) -> None:
    """A session of the name work on that guest, after these programs."""
    async with (
        Runtime(InlineProvider(), store=url, durable=True, engine=engine) as runtime,
        runtime.session(name="work") as session,
    ):
        for name, text in (contexts or {}).items():
            await session.load_context(text, name)
        for program in programs:
            await session.execute(program)


async def upgraded(url: str, **more: Any) -> Upgrade:
    """Carried over to this release's guest."""
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        return await runtime.upgrade("work", **more)


async def value(url: str, source: str) -> str:
    """What a program gives in the session, on whichever guest it stands."""
    async with (
        Runtime(InlineProvider(), store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        result = await session.execute(source)
        return result.value if result.ok else str(result.error)


async def test_definitions_data_contexts_log_and_accounts_go(url: str, other: Engine) -> None:
    """To a session that stands on the new guest, and says so."""
    await kept(
        url,
        other,
        "(define-syntax-rule (twice e) (list e e))\n(define (f x [y 2] #:by [z 3]) (twice (+ x y z)))",
        "(struct point (x y) #:transparent) (define p (point 1 2)) (define table (make-hash))",
        "(import (srfi 1)) (define g (lambda (x) (f (fold + 0 x)))) (hash-set! table 'a #\\b)",
        '(define q (llm-query #:instruction "one"))',
        contexts={None: "a text", "more": "another"},
    )
    async with Runtime(InlineProvider(), store=url) as runtime, await runtime.look("work") as before:
        log, used = before.scope_log(), before.state()["used"]
    upgrade = await upgraded(url)
    assert upgrade.saved
    assert not upgrade.left
    assert not upgrade.notes
    assert (upgrade.guest_before, upgrade.guest) == (other.image_hash, Engine.shared().image_hash)
    assert {"f", "g", "p", "point-x", "table", "q"} <= set(upgrade.carried)
    async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
        [listed] = await runtime.store.sessions.list()  # type: ignore[attr-defined]
        assert listed.guest == Engine.shared().image_hash
        async with await runtime.resume("work") as session:
            entries = session.scope_log()
            assert entries[:-1] == log
            assert entries[-1]["op"] == "upgrade"
            assert session.state()["used"] | {"memory_bytes": 0, "host_bytes": 0} == used | {
                "memory_bytes": 0,
                "host_bytes": 0,
            }
            result = await session.execute(
                "(list (g '(1 2)) (f 1 #:by 5) (point-x p) (equal? p (point 1 2)) (hash-ref table 'a)"
                ' context (get-context "more") (syntax-e q))'
            )
            assert result.value == "((8 8) (8 8) 1 #t b a text another [one])"
            again = await session.execute('(define r (llm-query #:instruction "two")) (provenance r)')
            assert again.value == "(2)"


async def test_text_that_a_model_wrote_stays_scoped_and_says_which_call_it_came_from(
    url: str, other: Engine
) -> None:
    """In lists, tables and boxes, too; and what a program had made scoped itself is that."""
    await kept(
        url,
        other,
        '(define q (llm-query #:instruction "one")) (define own (datum->syntax #f "mine"))',
        '(define all (list 1 (vector q (llm-query #:instruction "two")) (box own) (cons q 3)))',
        '(define table (make-hash)) (hash-set! table "k" q) (define frozen (hash "k" q))',
    )
    upgrade = await upgraded(url)
    assert not upgrade.left
    assert (
        await value(
            url,
            "(list (map syntax? (list q own)) (provenance q) (provenance own) (provenance (vector-ref (cadr all) 1))"
            " (syntax-e (unbox (caddr all))) (provenance (car (cadddr all))) (cdr (cadddr all))"
            ' (syntax-e (hash-ref table "k")) (syntax-e (hash-ref frozen "k")) (immutable? frozen) (immutable? table))',
        )
        == "((#t #t) (1) () (2) mine (1) 3 [one] [one] #t #f)"
    )


async def test_an_answer_that_is_paid_and_not_awaited_yet_is_not_lost(url: str, other: Engine) -> None:
    """A handle that is done gives on the new guest what it would have given on the old one."""
    await kept(
        url,
        other,
        '(define h (llm-query-async #:instruction "one")) (define all (list (spawn (lambda () 7)) h)) (sleep 0)',
    )
    upgrade = await upgraded(url)
    assert {"h", "all"} <= set(upgrade.carried)
    assert await value(
        url, "(list (provenance (await h)) (await (car all)) (syntax-e (await (cadr all))))"
    ) == ("((1) 7 [one])")


@pytest.mark.parametrize(
    ("program", "name", "why"),
    [
        ("(define f (let ((n 0)) (lambda () (set! n (+ n 1)) n)))", "f", "computed"),
        ("(define (f x) x) (set! f (lambda (x) (* x x)))", "f", "set!"),
        ("(define k #f) (+ 1 (call/cc (lambda (c) (set! k c) 1)))", "k", "procedure"),
        ('(define p (open-input-string "abc"))', "p", "no data form"),
        ("(struct s (x)) (define v (s 1))", "v", "not #:transparent"),
        (
            "(define table (make-hash)) (hash-set! table 'f (lambda () 1))",
            "table",
            "procedure has no data form",
        ),
        ("(define p (make-parameter 1))", "p", "computed"),
        ("(define v (vector 1)) (vector-set! v 0 v)", "v", "cyclic"),
        ("(define ch (make-channel))", "ch", "no data form"),
        ("(define-values (f x) (values (lambda () 1) 2))", "f", "computed"),
        ("(define h (spawn (lambda () (channel-get (make-channel)))))", "h", "not there"),
    ],
)
async def test_what_has_neither_a_text_nor_a_data_form_is_named_and_unbound(
    url: str, other: Engine, program: str, name: str, why: str
) -> None:
    """With the reason; all the rest goes."""
    await kept(url, other, program, "(define rest 41)")
    upgrade = await upgraded(url)
    assert why in upgrade.left[name], upgrade.left
    assert name not in upgrade.carried
    assert "rest" in upgrade.carried
    assert await value(url, "(add1 rest)") == "42"
    assert "unbound variable" in await value(url, name)


async def test_of_several_definitions_the_last_one_counts(url: str, other: Engine) -> None:
    """A variable that became a procedure, a procedure that became data, one that was defined twice."""
    await kept(
        url,
        other,
        "(define (f) 1) (define v 2) (define (g) 3)",
        "(define (f) 10) (define (v) 20) (define g 30)",
        '(define (f) (error \'f "undone")) (f)',
        "(define (f) 11)",
    )
    upgrade = await upgraded(url)
    assert not upgrade.left
    assert await value(url, "(list (f) (v) g)") == "(11 20 30)"


async def test_a_program_that_gives_list_or_map_another_meaning_changes_nothing_of_that(
    url: str, other: Engine
) -> None:
    """Values are taken and made by the standard's meaning of them."""
    await kept(
        url,
        other,
        '(define q (vector (llm-query #:instruction "one") 2))',
        "(define (list . x) 'mine) (define (map . x) 'mine) (define (cons a b) 'mine) (define (vector . x) 'mine)",
    )
    upgrade = await upgraded(url)
    assert not upgrade.left
    assert await value(url, "(syntax-e (vector-ref q 0))") == "[one]"
    assert await value(url, "(list 1)") == "mine"


async def test_two_variables_of_one_object_have_one_object_afterwards(url: str, other: Engine) -> None:
    """What is changed through one is seen through the other."""
    await kept(url, other, "(define a (make-hash)) (define b a) (define c (make-hash))")
    await upgraded(url)
    assert await value(url, "(hash-set! a 1 2) (list (hash-count b) (hash-count c))") == "(1 0)"


async def test_a_dry_run_says_it_and_changes_nothing(url: str, other: Engine) -> None:
    """Nor does it take the session from whoever is at work in it."""
    await kept(url, other, "(define x 1) (define f (let ((n 0)) (lambda () n)))")
    async with (
        Runtime(InlineProvider(), store=url, durable=True, engine=other) as runtime,
        runtime.session(name="work"),
    ):
        with pytest.raises(SessionHeld):
            await upgraded(url)
        upgrade = await upgraded(url, dry_run=True)
    assert not upgrade.saved
    assert set(upgrade.left) == {"f"}
    assert "x" in upgrade.carried
    assert await value(url, "(f)") == "0"


async def test_the_session_is_kept_as_it_was_where_that_is_wanted(url: str, other: Engine) -> None:
    """Under a second name, on its own guest."""
    await kept(url, other, "(define f (let ((n 41)) (lambda () n)))")
    with pytest.raises(UsageError, match="work"):
        await upgraded(url, keep="work")
    upgrade = await upgraded(url, keep="work before")
    assert set(upgrade.left) == {"f"}
    async with (
        Runtime(InlineProvider(), store=url, durable=True) as runtime,
        await runtime.resume("work before") as session,
    ):
        assert (await session.execute("(f)")).value == "41"


async def test_one_in_the_middle_of_an_execution_is_not_carried_over(url: str, other: Engine) -> None:
    """It goes on, to its end, where it began."""
    gate = GatedProvider(bracketed)
    async with Runtime(gate, store=url, durable=True, engine=other) as runtime:
        running = asyncio.create_task(
            runtime.session(name="work").execute('(finish (syntax-e (llm-query #:instruction "one")))')
        )
        await gate.arrived(1)
    await running
    with pytest.raises(UsageError, match=r"middle of an execution.*sessions resume work"):
        await upgraded(url)
    async with (
        Runtime(InlineProvider(), store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        assert (await session.resume()).value == "[one]"
    assert (await upgraded(url)).saved


async def test_one_that_waits_for_an_answer_is_carried_over_only_where_that_is_given_up(
    url: str, other: Engine
) -> None:
    """The call is named, and so is its handle."""
    gate = GatedProvider(bracketed)
    async with (
        Runtime(gate, store=url, durable=True, engine=other) as runtime,
        runtime.session(name="work") as session,
    ):
        await session.execute('(define h (llm-query-async #:instruction "one")) (define x 1)')
        await gate.arrived(1)
    with pytest.raises(UsageError, match=r"waits for what it asked for \(LLM call 1\).*--drop-pending"):
        await upgraded(url)
    upgrade = await upgraded(url, drop_pending=True)
    assert upgrade.saved
    assert "not there" in upgrade.left["h"]
    assert "x" in upgrade.carried
    async with (
        Runtime(InlineProvider(), store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        assert session.pending() == []
        assert session.calls_made == 1


async def test_one_that_stands_on_this_guest_stays_as_it_is(url: str) -> None:
    """And is free again."""
    await kept(url, Engine.shared(), "(define f (let ((n 0)) (lambda () n)))")
    upgrade = await upgraded(url)
    assert not upgrade.saved
    assert upgrade.guest_before == upgrade.guest
    assert not upgrade.left
    assert await value(url, "(f)") == "0"
    with pytest.raises(UsageError, match="there is no session other"):
        async with Runtime(InlineProvider(), store=url, durable=True) as runtime:
            await runtime.upgrade("other")


async def test_host_functions_are_no_part_of_what_is_carried(url: str, other: Engine) -> None:
    """They are the runtime's, before and after; none is called."""
    called: list[int] = []

    def look_up(number: int) -> int:
        called.append(number)
        return number + 1

    given = {"look-up": look_up}
    async with Runtime(
        InlineProvider(), store=url, durable=True, engine=other, host_functions=given
    ) as runtime:
        await runtime.session(name="work").execute("(define (f n) (look-up n)) (define x (f 1))")
    async with Runtime(InlineProvider(), store=url, durable=True, host_functions=given) as runtime:
        upgrade = await runtime.upgrade("work")
        assert not upgrade.left
        assert called == [1]
        async with await runtime.resume("work") as session:
            assert (await session.execute("(list x (f 41))")).value == "(2 42)"


async def test_its_own_limits_stay(url: str, other: Engine) -> None:
    """Those that were spent of, too."""
    async with (
        Runtime(InlineProvider(), store=url, durable=True, engine=other) as runtime,
        runtime.session(name="work", limits=Limits(tokens=100_000, calls=3)) as session,
    ):
        await session.execute('(define x (llm-query #:instruction "one"))')
    await upgraded(url)
    async with (
        Runtime(InlineProvider(), store=url, durable=True) as runtime,
        await runtime.resume("work") as session,
    ):
        assert (session.limits.tokens, session.limits.calls, session.calls_made) == (100_000, 3, 1)


async def test_python_variables_go(url: str, other: Engine) -> None:
    """As they were captured."""
    await kept(url, other, '(py-exec "n = 41") (define x (py-eval "n + 1"))')
    upgrade = await upgraded(url)
    assert upgrade.saved
    assert not upgrade.left
    assert await value(url, '(list x (py-eval "n + 2"))') == "(42 43)"


async def test_of_a_session_without_its_texts_the_data_goes_and_that_is_said(url: str, other: Engine) -> None:
    """As an earlier release left it, which kept none."""
    await kept(url, other, "(define (f) 1) (define x 41)")
    async with (
        Runtime(InlineProvider(), store=url, durable=True, engine=other) as runtime,
        await runtime.resume("work") as session,
    ):
        assert session._stay is not None
        session._parts.programs.adopt((), whole=False)
        await session.execute("(define-syntax-rule (m a) a) (define (g) (m 2))")
        await session._stay.save()
    upgrade = await upgraded(url)
    assert upgrade.left == {"f": "a procedure whose text is not kept"}
    assert [note for note in upgrade.notes if "not all of its programs are kept" in note]
    assert await value(url, "(list (m (g)) x)") == "(2 41)"


async def test_a_store_that_fails_leaves_everything_as_it_was(
    url: str, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its own guest, and free."""
    await kept(url, other, "(define f (let ((n 41)) (lambda () n)))")
    save = DurableSessions.save

    def failing(self: DurableSessions, *arguments: Any) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(DurableSessions, "save", failing)
    with pytest.raises(StoreError, match="the disk is full"):
        await upgraded(url)
    monkeypatch.setattr(DurableSessions, "save", save)
    assert await value(url, "(f)") == "41"


async def test_a_text_that_is_missing_is_named_and_nothing_is_changed(url: str, other: Engine) -> None:
    """The session goes on where it is."""
    await kept(url, other, "(define (f) 41)")
    path = url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DELETE FROM rlm_blobs WHERE length(content) < 1000")
    with pytest.raises(SnapshotCorrupt, match="a text of session work is missing"):
        await upgraded(url)
    assert await value(url, "(f)") == "41"


async def test_signed_sessions_stay_signed(url: str, other: Engine) -> None:
    """By the same key."""
    key = b"sixteen bytes or more"
    async with Runtime(InlineProvider(), store=url, durable=True, engine=other, snapshot_key=key) as runtime:
        await runtime.session(name="work").execute("(define (f) 41)")
    async with Runtime(InlineProvider(), store=url, durable=True, snapshot_key=key) as runtime:
        assert (await runtime.upgrade("work")).saved
        async with await runtime.resume("work") as session:
            assert (await session.execute("(f)")).value == "41"


async def test_what_came_after_the_last_snapshot_goes_too(url: str, other: Engine) -> None:
    """Texts that only the journal has, after a crash."""
    runtime = Runtime(InlineProvider(), store=url, durable=True, engine=other)
    session = runtime.session(name="work")
    await session.execute("(define (f) 41)")
    await session.execute("(define (g) (add1 (f)))")
    await session.flush()
    await crash(runtime, url)
    assert not (await upgraded(url)).left
    assert await value(url, "(g)") == "42"


def test_the_command_carries_a_session_over_and_says_what_could_not_go(
    url: str, other: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text and as JSON, first dry."""
    asyncio.run(kept(url, other, "(define x 1) (define f (let ((n 0)) (lambda () n)))"))

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["sessions", *arguments, "--store", url])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert f"on guest {other.image_hash[:12]}" in run("list")
    dry = run("upgrade", "work", "--dry-run")
    assert "session work could go from guest" in dry
    assert "left behind: f: a procedure that was computed" in dry
    done = json.loads(run("upgrade", "work", "--keep", "before", "--json"))
    assert (done["saved"], done["carried"], list(done["left"])) == (True, ["x"], ["f"])
    assert "stands on this release's guest already" in run("upgrade", "work")
    listed = {session["name"]: session["guest"] for session in json.loads(run("list", "--json"))}
    assert listed == {"work": Engine.shared().image_hash, "before": other.image_hash}

"""The expander: hygiene, syntax-rules, core forms, and who sees which definition."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from rlm_wasm import Result, Runtime, Session

SCHEME = Path(__file__).parent / "scheme"
CHECK = SCHEME / "r7rs" / "check.scm"
SUITES = sorted((SCHEME / "expander").glob("*.scm"))

COUNTERS = """(define-library (my counters)
  (export counter next! (rename secret public) my-when)
  (import (scheme base))
  (begin (define counter 0)
         (define (next!) (set! counter (+ counter 1)) counter)
         (define secret 'secret)
         (define-syntax my-when (syntax-rules () ((_ c e) (if c (list e secret) #f))))))"""


@pytest_asyncio.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    """A session whose library folder holds (disk lib), a circle of two, and one that fails."""
    files = {
        "disk/lib.sld": '(define-library (disk lib) (export d e) (import (scheme base)) (include "body.scm")'
        ' (include-library-declarations "more.sld"))',
        "disk/body.scm": "(define d 'from-file)",
        "disk/more.sld": "(begin (define e (list d 1)))",
        "circle/a.sld": "(define-library (circle a) (import (circle b)))",
        "circle/b.sld": "(define-library (circle b) (import (circle a)))",
        "disk/deep/up.sld": '(define-library (disk deep up) (export d) (import (scheme base)) (include "../body.scm"))',
        "disk/deep/out.sld": '(define-library (disk deep out) (import (scheme base)) (include "../../../body.scm"))',
        "wanting.sld": '(define-library (wanting) (cond-expand (threads (export)) (else (error "no threads here"))))',
        "broken.sld": "(define-library (broken) (import (scheme base)) (begin (no-such-thing)))",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    async with (
        Runtime(provider="echo", python="off", libraries=[tmp_path]) as runtime,
        runtime.session() as session,
    ):
        yield session


async def failure(session: Session, source: str) -> str:
    """The message of the error that the program ends with."""
    result = await session.execute(source)
    assert result.status == "error", result
    assert result.error is not None
    return result.error.message


async def value(session: Session, source: str) -> str:
    """What the program's last expression gives."""
    result: Result = await session.execute(source)
    assert result.status == "ok", result.error
    return result.value


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
async def test_the_suite_passes(suite: Path) -> None:
    """Every check of it; a failure names the expression, what it gave and what it should give."""
    async with Runtime(provider="echo", python="off") as runtime:
        result = await runtime.run(CHECK.read_text(encoding="utf-8") + suite.read_text(encoding="utf-8"))
    assert result.status == "ok", result.error
    assert result.value.startswith("(passed "), result.value


async def test_a_program_may_redefine_a_name_of_a_library(session: Session) -> None:
    """Its own procedures see the new meaning, those of the library never do."""
    assert await value(session, "(define (total l) (fold + 0 l)) (total '(1 2 3))") == "6"
    assert await value(session, "(define (fold . x) 'mine) (total '(1 2 3))") == "mine"
    assert await value(session, "(delete-duplicates '(1 2 1))") == "(1 2)"


async def test_a_name_may_be_used_before_the_program_defines_it(session: Session) -> None:
    """Even one that a library has, too, as a procedure or as a macro."""
    assert (
        await value(session, "(define (f) (vector-length 1)) (define (vector-length x) (+ x 1)) (f)") == "2"
    )
    assert await value(session, "(define (use x) (when x)) (define (when x) (list x 'w)) (use 1)") == "(1 w)"


async def test_until_then_it_has_the_librarys_value(session: Session) -> None:
    """A definition may be made of what it replaces."""
    assert (
        await value(session, "(define old (abs -3)) (define (abs x) 'mine) (cons old (abs -3))")
        == "(3 . mine)"
    )
    assert await value(session, "(define car car) (car '(1))") == "1"


async def test_assigning_a_name_of_a_library_changes_the_programs_only(session: Session) -> None:
    """The library's own uses go on as before."""
    assert await value(session, "(set! cdr (lambda (x) 'cdr)) (cdr '(1))") == "cdr"
    assert await value(session, "(map (lambda (x) x) '(1 2))") == "(1 2)"


async def test_internal_names_are_not_seen(session: Session) -> None:
    """What begins with % is the prelude's."""
    assert "unbound variable: %core-environment" in await failure(session, "(%core-environment)")


@pytest.mark.parametrize(
    "source",
    [
        "(define (finish) 1)",
        "(define finish 1)",
        "(set! finish 1)",
        "(define-syntax finish (syntax-rules () ((_) 1)))",
        "(define-values (a finish) (values 1 2))",
    ],
)
async def test_a_scaffold_binding_cannot_be_redefined(session: Session, source: str) -> None:
    """Whatever form the attempt takes."""
    assert await failure(session, source) == "cannot redefine scaffold binding 'finish'"


async def test_a_local_binding_of_a_scaffold_name_is_fine(session: Session) -> None:
    """Parameters, let and internal definitions may be called so."""
    assert await value(session, "(let ((finish 5)) (set! finish 6) finish)") == "6"
    assert await value(session, "(define (h) (define finish 7) finish) (h)") == "7"


async def test_what_a_macro_defines_for_itself_changes_no_other_variable(session: Session) -> None:
    """Each use has a variable of its own, and the program's variable of that name is another one."""
    source = """(define n 1)
        (define-syntax define-counter
          (syntax-rules () ((_ name) (begin (define n 0) (define (name) (set! n (+ n 1)) n)))))
        (define-counter tick) (define-counter tock)
        (tick) (tick) (tock) (list n (tick) (tock))"""
    assert await value(session, source) == "(1 3 2)"


async def test_a_library_of_the_program(session: Session) -> None:
    """Exports are shared with the library; its macros mean its own names."""
    await value(session, COUNTERS)
    assert (
        await value(session, "(import (my counters)) (next!) (next!) (list counter public)") == "(2 secret)"
    )
    assert await value(session, "(let ((secret 1) (if list)) (my-when #t 5))") == "(5 secret)"
    assert "unbound variable: secret" in await failure(session, "secret")
    assert "counter is imported" in await failure(session, "(set! counter 10)")
    assert await value(session, "(define public 'own) public") == "own"


async def test_import_sets(session: Session) -> None:
    """only, except, prefix and rename, nested."""
    await value(session, COUNTERS)
    source = """(import (only (my counters) next!) (prefix (only (my counters) public) p:)
                        (rename (my counters) (next! step) (counter c)))
                (next!) (list (step) p:public)"""
    assert await value(session, source) == "(2 secret)"
    assert "nothing is not exported" in await failure(session, "(import (only (my counters) nothing))")
    assert "there is no library (no such)" in await failure(session, "(import (no such))")


async def test_a_library_cannot_change_what_it_imports(session: Session) -> None:
    """And it sees nothing that it did not import."""
    assert "list is imported" in await failure(
        session, "(define-library (bad one) (import (scheme base)) (begin (set! list 1)))"
    )
    body = "(define-library (bad two) (export x) (import (only (scheme base) define)) (begin (define x (vector 1))))"
    assert "unbound variable: vector" in await failure(session, body)
    assert "there is no library (bad two)" in await failure(session, "(import (bad two))")


async def test_libraries_of_a_folder(session: Session) -> None:
    """With included files; a circle and a failing body are errors, every time."""
    assert await value(session, "(import (disk lib)) (list d e)") == "(from-file (from-file 1))"
    for _ in range(2):
        assert "circular import" in await failure(session, "(import (circle a))")
        assert "unbound variable: no-such-thing" in await failure(session, "(import (broken))")


async def test_a_library_that_says_what_it_misses_is_heard(session: Session) -> None:
    """In an `error` among its declarations."""
    message = await failure(session, "(import (wanting))")
    assert message == 'the library (wanting) cannot be loaded here, it says: "no threads here"'


async def test_a_library_includes_a_file_from_above_its_own_but_not_from_outside_of_the_folder(
    session: Session,
) -> None:
    """../ leads up to the folder and no further."""
    assert await value(session, "(import (disk deep up)) d") == "from-file"
    assert "outside of the workspace" in await failure(session, "(import (disk deep out))")


async def test_a_reference_from_before_the_import(session: Session) -> None:
    """A procedure that used an unbound name works once the name has been imported."""
    await value(
        session,
        "(define-library (late) (export late-name) (import (scheme base)) (begin (define (late-name) 'late)))",
    )
    assert "unbound variable: late-name" in await failure(session, "(define (call) (late-name)) (call)")
    assert await value(session, "(import (late)) (call)") == "late"


async def test_cond_expand_asks_for_libraries(session: Session) -> None:
    """Of the core, of the program, and of the library folder."""
    source = """(define-library (here) (import (scheme base)))
                (define-syntax have (syntax-rules () ((_ l) (cond-expand ((library l) 'yes) (else 'no)))))
                (list (have (scheme base)) (have (here)) (have (disk lib)) (have (no such)))"""
    assert await value(session, source) == "(yes yes yes no)"

"""The reference: its examples give what they say, its names are bound, the page is up to date."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rlm_wasm import Runtime
from rlm_wasm.testing import EchoProvider

ROOT = Path(__file__).resolve().parents[3]

EXAMPLES = """
(define wrong
  (for*/list ([section (reference)] [entry (cdr section)] #:when (pair? (cdddr entry))
              [got (in-value (with-handlers ([void (lambda (e) (if (exn? e) (exn-message e) (~s e)))])
                               (~s (eval (fourth entry)))))]
              #:unless (equal? got (~s (fifth entry))))
    (list (~a (car entry)) got (~s (fifth entry)))))
(finish (jsexpr->string wrong))
"""

UNBOUND = """
(finish (jsexpr->string (for*/list ([section (reference)] [entry (cdr section)] #:unless (memq (car entry) (apropos (~a (car entry)))))
  (~a (car entry)))))
"""


@pytest.fixture
async def quiet() -> Runtime:
    """A runtime whose models only repeat."""
    async with Runtime(provider=EchoProvider(), python="off") as runtime:
        yield runtime


async def test_every_example_gives_what_it_says(quiet: Runtime) -> None:
    """Over five hundred of them."""
    assert json.loads((await quiet.run(EXAMPLES)).value) == []


async def test_every_name_is_bound(quiet: Runtime) -> None:
    """As a variable or a macro."""
    unbound = set(json.loads((await quiet.run(UNBOUND)).value))
    core_forms = {
        "define",
        "define-values",
        "lambda",
        "λ",
        "let",
        "let*",
        "letrec",
        "letrec*",
        "let-values",
        "let*-values",
        "receive",
        "set!",
    }
    core_forms |= {
        "define-syntax-rule",
        "define-syntax",
        "let-syntax",
        "letrec-syntax",
        "syntax-rules",
        "er-macro-transformer",
    }
    core_forms |= {
        "sc-macro-transformer",
        "rsc-macro-transformer",
        "if",
        "cond",
        "case",
        "and",
        "or",
        "when",
        "unless",
        "begin",
        "begin0",
        "do",
        "case-lambda",
    }
    assert unbound <= core_forms | {"context"}  # read when it is first asked for


async def test_help_explains_a_name_and_apropos_finds_it(quiet: Runtime) -> None:
    """Inside a program."""
    result = await quiet.run("(help 'string-join) (displayln (memq 'string-join (apropos \"string-j\")))")
    assert result.stdout.startswith("(string-join strings [separator])\n")
    assert result.stdout.endswith("(string-join)\n")


async def test_what_is_absent_is_listed_in_the_words_of_its_errors(quiet: Runtime) -> None:
    """Every name of the page's table, used, says what stands beside it."""
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    table = page.split("| names | what the error says |\n|---|---|\n")[1].split("\n\n")[0]
    assert table.count("\n") > 10
    for row in table.split("\n"):
        names, words = row.strip("| ").split(" | ")
        for name in names.replace("`", "").split(", "):
            result = await quiet.run(f"({name} x)")
            assert result.error is not None
            assert result.error.message == f"{name}: {words}, got ({name} x)"


async def test_what_libraries_refuse_is_listed_in_the_words_of_their_errors(quiet: Runtime) -> None:
    """Every name of the page's table of libraries, imported and called."""
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    table = page.split("| library | such as | what the error says |\n|---|---|---|\n")[1].split("\n\n")[0]
    assert table.count("\n") > 7
    for row in table.split("\n"):
        library, names, words = row.strip("| ").split(" | ")
        for name in names.replace("`", "").split(", "):
            result = await quiet.run(f"(import (prefix {library.strip('`')} there:))\n(there:{name} 1)")
            assert result.error is not None
            assert result.error.message == f"{name}: {words}"


async def test_the_srfis_that_the_page_lists_are_there(quiet: Runtime) -> None:
    """Without a library folder: by number, or the parts that it names."""
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    row = page.split("| SRFIs | ")[1].split("; from a library folder")[0]
    row = re.sub(r"\([^)]*\)", "", row.replace("26 to 28", "26, 27, 28"))
    numbers = [int(number) for number in row.split(", ")]
    assert len(numbers) > 30
    parts = {160: "base", 211: "identifier-syntax"}
    for number in numbers:
        result = await quiet.run(f"(import (prefix (srfi {number} {parts.get(number, '')}) its:))")
        assert result.status == "ok", (number, result.error)

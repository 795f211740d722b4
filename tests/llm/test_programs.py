"""Which part of a model's answer is the program: answers as models write them, and hostile ones."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm.llm.programs import NoProgram, Program, program_in

FINISH = "(finish 42)"
HELPER = "(define (double x)\n  (* 2 x))"
MAIN = "(finish (double 21))"
PROMPTING = '(finish (llm-query #:instruction "Reply as\n```json\n{}\n```\nand no more" #:data context))'


def fenced(code: str, language: str = "scheme", fence: str = "```") -> str:
    """A block."""
    return f"{fence}{language}\n{code}\n{fence}"


FOUND = {
    "a block alone": (fenced(FINISH), FINISH),
    "prose around a block": (f"Sure, here it is:\n\n{fenced(FINISH)}\n\nIt finishes with 42.", FINISH),
    "the tag scm": (fenced(FINISH, "scm"), FINISH),
    "the tag rkt": (fenced(FINISH, "rkt"), FINISH),
    "the tag racket": (fenced(FINISH, "racket"), FINISH),
    "the tag lisp": (fenced(FINISH, "lisp"), FINISH),
    "the tag r7rs": (fenced(FINISH, "r7rs"), FINISH),
    "the tag in capitals": (fenced(FINISH, "Scheme"), FINISH),
    "an info string of several words": (fenced(FINISH, 'scheme title="main.scm"'), FINISH),
    "an info string of attributes": (fenced(FINISH, "{.scheme .numberLines}"), FINISH),
    "a blank before the tag": (fenced(FINISH, " scheme"), FINISH),
    "no tag": (fenced(FINISH, ""), FINISH),
    "the tag text": (fenced(FINISH, "text"), FINISH),
    "tildes": (fenced(FINISH, "scheme", "~~~"), FINISH),
    "a longer fence": (fenced(FINISH, "scheme", "`````"), FINISH),
    "a fence that closes longer": (f"```scheme\n{FINISH}\n`````", FINISH),
    "an indented block": (f"   ```scheme\n   {FINISH}\n   ```", FINISH),
    "a block in a list": (f"1. The program:\n\n     ```scheme\n     {FINISH}\n     ```", FINISH),
    "an unclosed block": (f"```scheme\n{FINISH}", FINISH),
    "an unclosed block and prose": (f"```scheme\n{FINISH}\n\nThis finishes with 42.", FINISH),
    "prose on the closing line": (f"```scheme\n{FINISH}\n``` I hope that this helps!", FINISH),
    "a closing fence that is too short": (f"````scheme\n{FINISH}\n```\n\nDone.", FINISH),
    "Windows line ends": (fenced(f"{HELPER}\n{MAIN}").replace("\n", "\r\n"), f"{HELPER}\n{MAIN}"),
    "a fence on one line": ("```scheme (finish 42)```", FINISH),
    "inline code alone": ("`(finish 42)`", FINISH),
    "bare": (FINISH, FINISH),
    "bare with a comment after it": (f"{FINISH} ; done", f"{FINISH} ; done"),
    "bare with comments before it": (f";; the answer\n#| really |#\n{FINISH}", f";; the answer\n#| really |#\n{FINISH}"),
    "bare with a definition": (f"{HELPER}\n\n{MAIN}", f"{HELPER}\n\n{MAIN}"),
    "bare within prose": (f"Here you go:\n\n{HELPER}\n{MAIN}\n\nThat is all (I think).", f"{HELPER}\n{MAIN}"),
    "bare within prose with parentheses": (f"(Note that this is easy.)\n(see above)\n{FINISH}\n(end of program)", FINISH),
    "bare with a comment, within prose": (f"So:\n; double it\n{FINISH} ; yes\nDone.", f"; double it\n{FINISH} ; yes"),
    "bare, two forms on a line": ("So:\n(define x 42) (finish x)\nDone.", "(define x 42) (finish x)"),
    "bare calls of what it defines": ("First:\n(define (go) (finish 1))\nthen:\n(go)\nDone.", "(define (go) (finish 1))\n\n(go)"),
    "a draft in reasoning": (f"<think>\n{fenced('(finish 1)')}\n</think>\n{fenced(FINISH)}", FINISH),
    "a draft in <thinking>": (f"<thinking>maybe {fenced('(finish 1)')}</thinking>\n\n{FINISH}", FINISH),
    "a draft in <reasoning>": (f"<reasoning>(finish 1)</reasoning>{FINISH}", FINISH),
    "reasoning with an unclosed fence": (f"<think>```scheme\n(finish 1)\n</think>\n{fenced(FINISH)}", FINISH),
    "reasoning whose begin was in the prompt": (f"Let me see.\n{fenced('(finish 1)')}\n</think>\n{fenced(FINISH)}", FINISH),
    "… with an unclosed fence": (f"Hm.\n```scheme\n(finish 1)\n</think>\n{fenced(FINISH)}", FINISH),
    "reasoning after the program": (f"{fenced(FINISH)}\n<think>was that right?", FINISH),
    "tags within a program's string": (fenced('(finish "<think>no</think>")'), '(finish "<think>no</think>")'),
    "tags within a bare program's string": ('(finish "<think>no</think>")', '(finish "<think>no</think>")'),
    "helpers in a block before it": (f"{fenced(HELPER)}\nand then\n{fenced(MAIN)}", f"{HELPER}\n\n{MAIN}"),
    "helpers in a block after it": (f"{fenced(MAIN)}\nwhere\n{fenced(HELPER)}", f"{HELPER}\n\n{MAIN}"),
    "an import in a block before it": (
        f"{fenced('(import (srfi 1))')}\n{fenced(MAIN)}",
        f"(import (srfi 1))\n\n{MAIN}",
    ),
    "a draft with a finish of its own": (f"{fenced('(finish 1)')}\nBetter:\n{fenced(FINISH)}", FINISH),
    "a draft that defines the same": (
        f"{fenced('(define (double x) (+ x x))')}\nOr rather:\n{fenced(HELPER + MAIN)}",
        HELPER + MAIN,
    ),
    "a draft whose parenthesis is missing": (f"{fenced('(finish (+ 1 2)')}\nOops:\n{fenced(FINISH)}", FINISH),
    "an example of use after it": (f"{fenced(f'{HELPER}{MAIN}')}\nUse:\n{fenced('(double 4)')}", HELPER + MAIN),
    "its expected output after it": (f"{fenced(FINISH)}\nOutput:\n{fenced('(result 42)', '')}", FINISH),
    "the same values named by both": (
        f"{fenced('(define-values (a b) (values 1 2))')}\n{fenced('(define-values (c d) (values 3 4)) (finish (+ a c))')}",
        "(define-values (a b) (values 1 2))\n\n(define-values (c d) (values 3 4)) (finish (+ a c))",
    ),
    "a Python block before it": (f"In Python:\n{fenced('print(42)', 'python')}\nIn Scheme:\n{fenced(FINISH)}", FINISH),
    "a JSON block after it": (f"{fenced(FINISH)}\n{fenced('{}', 'json')}", FINISH),
    "a fence within its string": (fenced(PROMPTING), PROMPTING),
    "a fence within its string, two blocks": (f"{fenced(HELPER)}\n{fenced(PROMPTING)}", f"{HELPER}\n\n{PROMPTING}"),
    "backticks in a line of its string": (fenced('(finish "use ```python blocks```")'), '(finish "use ```python blocks```")'),
    "a fence in a block comment": (fenced(f"#|\n```\n|#\n{FINISH}"), f"#|\n```\n|#\n{FINISH}"),
    "characters that look like parentheses": (fenced(r"(finish (list #\( #\" #\;))"), r"(finish (list #\( #\" #\;))"),
    "regexps, symbols in bars, quasiquotes": (
        fenced('(finish `(,(regexp-match #px"\\\\(" "(") |a ( b| #;(skipped "(")))'),
        '(finish `(,(regexp-match #px"\\\\(" "(") |a ( b| #;(skipped "(")))',
    ),
    "square brackets": (fenced("(finish (let ([x 42]) x))"), "(finish (let ([x 42]) x))"),
    "an expression without finish": (fenced("(+ 40 2)"), "(+ 40 2)"),
    "definitions alone": (fenced(HELPER), HELPER),
}  # fmt: skip


@pytest.mark.parametrize("answer", FOUND)
def test_the_program_is_found(answer: str) -> None:
    """In an answer as a model writes it."""
    text, source = FOUND[answer]
    assert program_in(text) == Program(source)


NOT_FOUND = {
    "nothing": ("", "empty"),
    "blanks": (" \n\t\n", "empty"),
    "prose": ("The answer is 42.", "no Scheme program"),
    "prose in parentheses": ("(I am sorry, I cannot do that.)", "no Scheme program"),
    "prose that mentions code": ("I would call `finish` (see the docs) with (list 1 2", "no Scheme program"),
    "Python": (fenced("print(42)", "python"), "python, not Scheme"),
    "JavaScript": (fenced("console.log(42)", "js"), "js, not Scheme"),
    "JSON": (fenced('{"answer": 42}', "json"), "json, not Scheme"),
    "Python without a tag": (fenced("def f(x):\n    return x"), None),
    "a Python tuple without a tag": (fenced("(1, 2)", ""), "no Scheme program"),
    "JSON without a tag": (fenced('{"answer": [42]}', ""), "no Scheme program"),
    "an empty block": ("```scheme\n```", "block is empty"),
    "comments alone": (fenced("; nothing to do"), "block is empty"),
    "a fence alone": ("```", "no Scheme program"),
    "reasoning alone": ("<think>\n(finish 1)\n</think>\n", "reasoning alone"),
    "unclosed reasoning": (f"<think>\nmaybe {fenced(FINISH)}", "ended within its reasoning"),
    "a block that was cut": ("```scheme\n(define (f x)\n  (+ x", "2 parentheses are open at its end, the first on line 1 (the answer may have been cut"),
    "a block that was cut after its helpers": (f"{fenced(HELPER)}\n```scheme\n(finish (double", "not complete"),
    "a bare program that was cut": ("So:\n(define (f x)\n  (+ x", "not complete"),
    "a parenthesis too many": (fenced("(define x 1))\n(finish x)"), "closing parenthesis on line 1 closes nothing"),
    "an open string": (fenced('(finish\n "42)'), "string that begins on line 2 is not closed"),
    "an open comment": (fenced("#| (finish 42)"), "comment"),
}  # fmt: skip


@pytest.mark.parametrize("answer", [name for name, (_, reason) in NOT_FOUND.items() if reason])
def test_there_is_no_program_and_the_model_is_told_why(answer: str) -> None:
    """With what to send instead."""
    text, reason = NOT_FOUND[answer]
    found = program_in(text)
    assert isinstance(found, NoProgram)
    assert reason is not None
    assert reason in found.reason
    assert "```scheme" in found.reason


# ---- properties

names = st.sampled_from(["x", "go", "a->b", "list", "string-append", "λ"])
strings = st.text(st.sampled_from('ab ()[]"\\`;#|~\n<>'), max_size=12).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
atoms = (
    names | strings | st.integers().map(str) | st.sampled_from(["#t", r"#\(", r"#\"", r"#\space", "#:data"])
)
forms = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"({' '.join(items)})")
        | st.tuples(inner, inner).map(lambda pair: f"[{pair[0]}\n  {pair[1]}]")
        | inner.map(lambda item: f"'{item}")
        | inner.map(lambda item: f"#;{item} {item}")
    ),
    max_leaves=15,
)
programs = st.lists(forms, max_size=3).map(lambda items: "\n".join([*(f"(list {i})" for i in items), FINISH]))


def _inside_fences(program: str, fence: str) -> bool:
    return any(line.strip().startswith(fence[:3]) for line in program.split("\n"))


@given(
    programs,
    st.sampled_from(["scheme", "scm", "racket", "r7rs", " Scheme x=1", ""]),
    st.sampled_from(["```", "````", "~~~", "~~~~~~"]),
    st.integers(0, 3),
    st.sampled_from(["", "Here:\n", "<think>\nHm (\n```\n</think>\n", "```python\nprint(1)\n```\n"]),
    st.sampled_from(["", "\nDone (at last).", "\n<think>so", "\n```json\n{}\n```"]),
)
@settings(max_examples=300, deadline=None)
def test_a_wrapped_program_comes_back_unchanged(
    program: str, language: str, fence: str, indent: int, before: str, after: str
) -> None:
    """In every wrapping that is supported."""
    while _inside_fences(program, fence) and len(fence) < 40:
        fence = fence[0] * 40  # what a writer does whose text has fences itself
    block = f"{fence}{language}\n{program}\n{fence}"
    block = "\n".join(" " * indent + line for line in block.split("\n"))
    assert program_in(f"{before}{block}{after}") == Program(program)


@given(programs, st.sampled_from(["", " ; done"]))
@settings(max_examples=200, deadline=None)
def test_a_bare_program_comes_back_unchanged(program: str, after: str) -> None:
    """With nothing around it. (Lines that are fences can stand in its strings only where it is fenced.)"""
    if not any(mark in program for mark in ("```", "~~~", "<")):
        assert program_in(program + after) == Program(program + after)


@given(st.text(st.sampled_from('`~()[]"\\;#|<>/thinkscmfe \n')) | st.text())
@settings(max_examples=500, deadline=None)
def test_any_text_has_an_answer(text: str) -> None:
    """A program that reads as complete, or a reason."""
    found = program_in(text)
    assert (found.source if isinstance(found, Program) else found.reason).strip()


def _work(text: str) -> int:
    """Calls that the parser makes, those into C included: each regular expression is linear by itself."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        program_in(text)
    finally:
        sys.setprofile(None)
    return calls


HOSTILE = [
    "`", "```\n", "```scheme\n", "~~~\n", "(", ")", "()", '"', "\\", '"\\', "#|", "|#", "#;", ";", "|", "'", "\n",
    "<think>", "</think>", "<think></think>", "x\n(list)", "(define ", "(define (", "(list)(list)", "x\n(define x \n",
    "```scheme\n(\n```\n", '```scheme\n"\n```\n', "```scheme\n(list)\n```\n", "`a` ", "   ```", "#\\", " ", "x (list) ",
    "```scheme\n(define x 1)\n```\n", "; comment\n", "(finish 1)\nprose\n", "x\n(list) (list) y ", "</think>\n", "`(a)`\n",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("before", ["", "prose\n", "```scheme\n", '```scheme\n"', "<think>"])
def test_the_work_is_linear(unit: str, before: str) -> None:
    """Four times the text is four times the work."""
    small = before + unit * (1_000 // len(unit))
    large = before + unit * (4_000 // len(unit))
    assert _work(large) <= 5 * _work(small) + 200

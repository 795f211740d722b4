"""Programs in colour: the Pygments lexer, and the TextMate grammar that is made beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import make_grammar
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexer import Lexer
from pygments.token import Comment, Keyword, Name, Number, String, Token

from rlm_wasm.lexer import CALLS, FORMS, RlmSchemeLexer

ROOT = Path(__file__).parent.parent
LEXER: Lexer = RlmSchemeLexer(ensurenl=False, stripnl=False)


def kinds(program: str) -> list[tuple[object, str]]:
    return [(kind, text) for kind, text in LEXER.get_tokens(program) if text.strip()]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("define", Keyword),
        ("for/list", Keyword),
        ("llm-query", Name.Builtin),
        ("defined", Name.Variable),
        ("llm-query-x", Name.Variable),
        ("#:instruction", Name.Attribute),
        ('"a \\" b"', String),
        ('#px"\\\\d+"', String.Regex),
        ("#\\space", String.Char),
        ("#\\(", String.Char),
        ("-1.5e3", Number),
        ("1/2", Number),
        ("+inf.0", Number),
        ("+", Name.Variable),
        ("#t", Keyword.Constant),
        ("; words", Comment.Single),
        ("#<<END\nany (thing\nEND", String.Heredoc),
        ('"never closed', String),
    ],
)
def test_words_are_told_apart(text: str, kind: object) -> None:
    assert kinds(text) == [(kind, text)]


def test_block_comments_nest() -> None:
    assert {kind for kind, _ in kinds("#| a #| b |# c |#")} == {Comment.Multiline}
    assert kinds("#| a #| b |# c |# d")[-1] == (Name.Variable, "d")


@given(st.text())
def test_whatever_is_lexed_comes_out_whole_and_without_an_error(program: str) -> None:
    tokens = list(LEXER.get_tokens_unprocessed(program))
    assert "".join(text for _, _, text in tokens) == program
    assert Token.Error not in {kind for _, kind, _ in tokens}


def test_every_example_is_lexed_without_an_error() -> None:
    for path in sorted((ROOT / "examples").rglob("*.scm")):
        assert Token.Error not in {kind for kind, _ in LEXER.get_tokens(path.read_text(encoding="utf-8"))}


def test_the_api_s_names_are_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert [name for name in CALLS if f"({name}" not in page and f"`{name}`" not in page] == []


def test_the_package_declares_the_lexer() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points."pygments.lexers"]\nrlm-scheme = "rlm_wasm.lexer:RlmSchemeLexer"' in project


def test_the_grammar_is_current_and_its_patterns_compile() -> None:
    """``python build/make_grammar.py`` writes it."""
    assert make_grammar.PAGE.read_text(encoding="utf-8") == make_grammar.text()
    grammar = json.loads(make_grammar.text())
    rules = grammar["repository"]["anything"]["patterns"]
    for rule in rules:
        for key in ("match", "begin"):
            if key in rule:
                re.compile(rule[key].replace("(?<=[\\s()\\[\\]{}'`,]|^)", ""))  # Oniguruma's lookbehind
    [forms] = [rule["match"] for rule in rules if rule.get("name") == "keyword.control.rlm-scheme"]
    assert all(re.escape(name) in forms for name in FORMS)

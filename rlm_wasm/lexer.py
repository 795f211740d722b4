"""A Pygments lexer for programs: ``pygmentize -l rlm-scheme``, and whatever else highlights by Pygments.

The guest's reader decides what is valid; this tells the kinds of words apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from pygments.lexer import RegexLexer
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
)

# fmt: off
FORMS = (
    "and", "begin", "case", "case-lambda", "cond", "cond-expand", "define", "define-library",
    "define-record-type", "define-syntax", "define-values", "delay", "delay-force", "do", "else",
    "export", "for", "for*", "for/and", "for/first", "for/fold", "for/hash", "for/last", "for/list",
    "for/or", "for/sum", "for/vector", "guard", "if", "import", "include", "lambda", "let", "let*",
    "let*-values", "let-syntax", "let-values", "letrec", "letrec*", "letrec-syntax", "match",
    "match-define", "match-lambda", "match-let", "named-lambda", "or", "parameterize", "quasiquote",
    "quote", "receive", "require", "rest", "set!", "struct", "syntax-rules", "try", "unless",
    "unquote", "unquote-splicing", "when", "with-handlers", "λ", "=>",
)
# fmt: on
"""Special forms and what looks like one."""

# fmt: off
CALLS = (
    "llm-query", "llm-query-async", "await", "await-all", "await-all-syntax", "await-any", "map-async",
    "parallel", "race", "spawn", "cancel", "sequence", "fold-sequential", "tree-reduce",
    "fan-out-aggregate", "recursive-spawn", "iterate-until", "critique-refine", "with-validation",
    "vote", "ensemble", "ensemble-vote", "tiered", "active-learning", "memoized", "choose",
    "try-fallback", "cached-query", "with-timeout", "token-budget", "checkpoint", "restore",
    "heartbeat", "py-exec", "py-eval", "py-set!", "py-call", "syntax-e", "datum->syntax", "finish",
    "finish-var", "context", "get-context", "context-length", "context-slice", "context-lines",
    "context-search", "context-chunks", "context-names", "tokens-used", "cost-used", "usage",
    "budget-remaining", "rate-limits", "provenance", "unsafe-raw-query", "unsafe-interpolate",
    "unsafe-overwrite", "unsafe-exec-sub-output",
)
# fmt: on
"""The LLM API."""

_END = r"(?=[\s()\[\]{}\"';`,|]|\Z)"


_KINDS = dict.fromkeys(FORMS, Keyword) | dict.fromkeys(CALLS, Name.Builtin)


def _word(_lexer: RegexLexer, match: re.Match[str]) -> Iterator[tuple[int, object, str]]:
    """A name, in a colour of its own where it is one of the dialect's."""
    text = match.group()
    yield match.start(), _KINDS.get(text, Name.Variable), text


class RlmSchemeLexer(RegexLexer):  # type: ignore[misc]  # Pygments has no types
    """The dialect: R7RS-small, Racket's common procedures, the LLM API."""

    name = "rlm-wasm Scheme"
    aliases: ClassVar[list[str]] = ["rlm-scheme", "rlm"]
    filenames: ClassVar[list[str]] = ["*.rlm.scm"]
    mimetypes: ClassVar[list[str]] = ["text/x-rlm-scheme"]

    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"\s+", Text),
            (r";[^\n]*", Comment.Single),
            (r"#\|", Comment.Multiline, "comment"),
            (r"#;", Comment.Special),
            # One that does not end is all of the rest: to look for the end of each would be quadratic.
            (r"#<<([^\n]*)\n(?:[\s\S]*?^\1$|[\s\S]*)", String.Heredoc),
            (r"#(?:px|rx)#?\"(?:[^\"\\]|\\[\s\S])*\"?", String.Regex),
            (r"#?\"(?:[^\"\\]|\\[\s\S])*\"?", String),
            (r"#\\(?:[A-Za-z][\w-]*|[\s\S])", String.Char),
            (r"#:[^\s()\[\]{}\"';`,]+", Name.Attribute),
            (r"#(?:true|false|t|f)" + _END, Keyword.Constant),
            (r"#![a-z]+", Comment.Preproc),
            (
                r"(?:#[bodxei])*[+-]?(?:\d[\d.]*(?:[eE][+-]?\d+)?(?:/\d+)?|\.\d+(?:[eE][+-]?\d+)?)i?" + _END,
                Number,
            ),
            (r"(?:#x[+-]?[0-9a-fA-F/]+|#b[+-]?[01/]+|#o[+-]?[0-7/]+|[+-](?:inf|nan)\.0)" + _END, Number),
            (r"#(?:u8|vu8|s|fl)?(?=\()", Punctuation),
            (r"[()\[\]{}]+", Punctuation),
            (r"(?:'|`|,@|,|#'|#`|#,@|#,|#&)+", Operator),
            (r"\|[^|]*\|", Name.Variable),
            (r"[^\s()\[\]{}\"';`,|]+", _word),
            (r"[\s\S]", Text),
        ],
        "comment": [
            (r"#\|", Comment.Multiline, "#push"),
            (r"\|#", Comment.Multiline, "#pop"),
            (r"[^|#]+", Comment.Multiline),
            (r"[|#]", Comment.Multiline),
        ],
    }


def word_before(text: str) -> str:
    """The name that is being typed at the end of the text."""
    match = re.search(r"[^\s()\[\]{}\"';`,|]*\Z", text)
    return match.group() if match else ""

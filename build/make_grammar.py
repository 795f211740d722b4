"""Write the TextMate grammar for editors, from the lexer: python build/make_grammar.py [--check]."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rlm_wasm.lexer import CALLS, FORMS  # noqa: E402 - needs the path

PAGE = ROOT / "editors" / "textmate" / "rlm-scheme.tmLanguage.json"
_END = r"(?=[\s()\[\]{}\"';`,|]|$)"
_BEFORE = r"(?<=[\s()\[\]{}'`,]|^)"


def grammar() -> dict[str, Any]:
    """The grammar: what the lexer tells apart, in TextMate's scopes."""

    def word(names: tuple[str, ...]) -> str:
        longest_first = sorted(names, key=lambda name: (-len(name), name))
        return f"{_BEFORE}(?:{'|'.join(map(re.escape, longest_first))}){_END}"

    string = [{"name": "constant.character.escape.rlm-scheme", "match": r"\\."}]
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "rlm-wasm Scheme",
        "scopeName": "source.rlm-scheme",
        "fileTypes": ["rlm.scm"],
        "patterns": [{"include": "#anything"}],
        "repository": {
            "anything": {
                "patterns": [
                    {"include": "#block-comment"},
                    {"name": "comment.line.semicolon.rlm-scheme", "match": ";.*$"},
                    {"name": "comment.block.datum.rlm-scheme", "match": "#;"},
                    {
                        "name": "string.unquoted.heredoc.rlm-scheme",
                        "begin": "#<<(.*)$",
                        "end": r"^\1$",
                    },
                    {
                        "name": "string.regexp.rlm-scheme",
                        "begin": '#(?:px|rx)#?"',
                        "end": '"',
                        "patterns": string,
                    },
                    {
                        "name": "string.quoted.double.rlm-scheme",
                        "begin": '#?"',
                        "end": '"',
                        "patterns": string,
                    },
                    {"name": "constant.character.rlm-scheme", "match": r"#\\(?:[A-Za-z][\w-]*|.)"},
                    {"name": "entity.other.attribute-name.rlm-scheme", "match": r"#:[^\s()\[\]{}\"';`,]+"},
                    {"name": "constant.language.rlm-scheme", "match": f"#(?:true|false|t|f){_END}"},
                    {
                        "name": "constant.numeric.rlm-scheme",
                        "match": f"{_BEFORE}[+-]?(?:\\d[\\d.]*(?:[eE][+-]?\\d+)?(?:/\\d+)?|\\.\\d+){_END}",
                    },
                    {"name": "keyword.control.rlm-scheme", "match": word(FORMS)},
                    {"name": "support.function.rlm-scheme", "match": word(CALLS)},
                    {"name": "keyword.operator.quote.rlm-scheme", "match": "'|`|,@|,"},
                    {"name": "punctuation.section.parens.rlm-scheme", "match": r"[()\[\]{}]"},
                ]
            },
            "block-comment": {
                "name": "comment.block.rlm-scheme",
                "begin": r"#\|",
                "end": r"\|#",
                "patterns": [{"include": "#block-comment"}],
            },
        },
    }


def text() -> str:
    """The file as it should be."""
    return json.dumps(grammar(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write, or check."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != text())
    PAGE.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""docs/reference.md, from the guest's own reference (prelude/reference/).

The table is asked of the guest itself, so what the page says is what ``(help 'name)`` says.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"

ASK = """
(define (text e) (let ([s (~v e)]) (if (string-prefix? s "'") (substring s 1) s)))
(define told (for*/set ([section (reference)] [entry (cdr section)]) (car entry)))
(define (first-line name)
  (car (string-split (with-output-to-string (lambda () (help (symbol->string name)))) "\n")))
(finish
 (jsexpr->string
  (append
   (for/list ([section (reference)])
     (list (car section)
           (for/list ([entry (cdr section)])
             (match entry
               [(list name signature sentence) (list signature sentence)]
               [(list name signature sentence example result)
                (list signature sentence (text example) (~s result))]))))
   (list (list "More names of R7RS, the SRFIs and Racket"
               (for/list ([name (apropos "")]
                          #:unless (set-member? told name)
                          #:unless (regexp-match? #px"^srfi-|^chibi:" (symbol->string name)))
                 (list (~a name) (first-line name))))))))
"""

HEAD = """# Reference

Every name that a program reaches for, with its signature, what it does, and an example and what it
gives. The same is at hand in a program: `(help 'name)` and `(apropos "text")`. This page is
generated from `prelude/reference/` by `python build/make_docs.py`; a test runs the examples.

[The language](language.md) explains the forms.
"""


def page(sections: list[tuple[str, list[list[str]]]]) -> str:
    """The page's text."""
    lines = [HEAD]
    for title, entries in sections:
        lines += [f"## {title}", ""]
        for signature, sentence, *example in entries:
            if title.startswith("More names"):
                shapes = [
                    re.sub(r"^\(\S+?(?=[ )])", f"({signature}", shape) for shape in sentence.split(" or ")
                ]
                shown = " or ".join(shapes) if sentence.startswith("(") else signature
                lines.append(f"- `{shown}`")
                continue
            lines.append(f"- `{signature}`  ")
            lines.append(f"  {sentence}" + ("  " if example else ""))
            if example:
                expression, result = (part.replace("\n", "\\n") for part in example)
                lines.append(f"  `{expression}` → `{result}`")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


async def ask() -> list[tuple[str, list[list[str]]]]:
    """The guest's table."""
    from rlm_wasm import Runtime

    async with Runtime(provider="echo", python="off") as runtime:
        result = await runtime.run(ASK)
    if result.value is None or result.error:
        raise SystemExit(f"the guest did not answer: {result.error}")
    return [(title, entries) for title, entries in json.loads(result.value)]


def text() -> str:
    """The page as it should be."""
    return page(asyncio.run(ask()))

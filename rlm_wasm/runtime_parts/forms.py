"""What the top-level forms of a program define: for definitions that are made again on another guest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from rlm_wasm.data import ImproperList, Symbol
from rlm_wasm.lazy_dataclass import dataclass

Kind = Literal["procedure", "type", "syntax", "import", "value", "other"]

READER: Final = """
(let ((port (open-input-string (get-context "program"))))
  (define (shape datum)
    (cond ((pair? datum) (cons (shape (car datum)) (shape (cdr datum))))
          ((or (symbol? datum) (null? datum)) datum)
          (else #f)))
  (define (parts form)
    (if (and (pair? form) (eq? (car form) 'begin) (list? form))
        (apply append (map (lambda (part) (if (and (pair? part) (eq? (car part) 'begin))
                                              (parts part)
                                              (list (list (shape part) (format "~s" part)))))
                           (cdr form)))
        '()))
  (define (here) (let-values (((line column position) (port-next-location port))) position))
  (port-count-lines! port)
  (let loop ((forms '()))
    (let* ((start (here)) (form (with-handlers ((void (lambda (condition) eof))) (read port))))
      (if (eof-object? form)
          (reverse forms)
          (loop (cons (list start (here) (shape form) (parts form)) forms))))))
"""
"""Run by a guest over the context "program": of each form its start and end, from 1, its symbols in their
places, and the parts of a ``begin`` with their texts. It ends where the text cannot be read further."""

_LAMBDAS: Final = frozenset(
    ("lambda", "λ", "case-lambda", "opt-lambda", "lambda*", "match-lambda", "match-lambda*", "match-lambda**")
)
_SYNTAX: Final = frozenset(
    (
        "define-syntax",
        "define-syntax-rule",
        "define-syntaxes",
        "define-for-syntax",
        "begin-for-syntax",
        "define-match-expander",
    )
)
_TYPES: Final = frozenset(("struct", "define-struct", "define-record-type"))
_IMPORTS: Final = frozenset(("import", "require", "define-library", "module"))
_PROCEDURES: Final = frozenset(("define", "define/contract", "define*"))


@dataclass(frozen=True, slots=True)
class Form:
    """One top-level form."""

    kind: Kind
    """Whether it is a procedure's text, a type, a macro, an import; a "value" has to be computed."""
    names: tuple[str, ...]
    """What it defines, as far as its text says that."""
    changes: frozenset[str]
    """Names that a ``set!`` in it has."""
    text: str
    line: int
    """Of its program, from 1."""

    @property
    def is_made_again(self) -> bool:
        """Whether running it again only defines."""
        return self.kind not in ("value", "other")


def forms_of(text: str, read: Any) -> Iterator[Form]:
    """The forms of a program, from what READER gave for its text."""
    for start, end, shape, parts in read:
        line = text.count("\n", 0, start - 1) + 1
        if not parts:
            yield _form(shape, text[start - 1 : end - 1], line)
        for part, written in parts:
            yield _form(part, written, line)


def _form(shape: Any, text: str, line: int) -> Form:
    kind, names = _defined(shape)
    return Form(kind, names, frozenset(_changes(shape)), text, line)


def _defined(shape: Any) -> tuple[Kind, tuple[str, ...]]:
    parts = _parts(shape)
    head = _name(parts[0]) if parts else None
    if head is None or len(parts) < 2:
        return "other", ()
    if head in _SYNTAX:
        return "syntax", ()
    if head in _TYPES:
        return "type", ()
    if head in _IMPORTS:
        return "import", ()
    if head in _PROCEDURES:
        target = parts[1]
        curried = not isinstance(target, Symbol)
        while not isinstance(target, Symbol):
            inner = _parts(target)
            if not inner:
                return "other", ()
            target = inner[0]
        value = _parts(parts[2]) if len(parts) > 2 else []
        made = curried or (bool(value) and _name(value[0]) in _LAMBDAS)
        return ("procedure" if made else "value"), (str(target),)
    if head == "define-values":
        return "value", tuple(str(name) for name in _parts(parts[1]) if isinstance(name, Symbol))
    return "other", ()


def _parts(shape: Any) -> list[Any]:
    if isinstance(shape, list | tuple):
        return list(shape)
    if isinstance(shape, ImproperList):
        return [*shape.items, shape.tail]
    return []


def _name(shape: Any) -> str | None:
    return str(shape) if isinstance(shape, Symbol) else None


def _changes(shape: Any) -> Iterator[str]:
    rest = [shape]
    while rest:
        parts = _parts(rest.pop())
        if len(parts) > 1 and _name(parts[0]) == "set!" and isinstance(parts[1], Symbol):
            yield str(parts[1])
        rest += parts

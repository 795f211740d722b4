"""The longest slice that each procedure can make: how long one entry into the guest keeps the event loop.

Run: python benchmarks/loop_gap.py [--scale 1.0] [--match TEXT] [--all] [--steps 100000]

The list is made, not written: every procedure of the reference (prelude/reference/) and every public
primitive of the core (wasm/), called with large arguments chosen by the names in its signature, and
some programs whose text is what is large. Nobody adds a procedure here, and none is forgotten.

What is measured exactly is fuel: what one slice of 100,000 steps burns, collections included. Ordinary code uses 10 to
50 million, and the bound leaves it twice that. Milliseconds are printed beside it, and hang on the machine.

With --steps 2000 what a procedure does without a look at the clock stands out: ordinary code uses less than a million
then, and what is over the bound of 20 million is one piece of work. With --scale 4 the arguments are near what a
memory of 256 MiB holds.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.protocol import Call, Done, GuestStatus
from rlm_wasm.sandbox.sandbox import Sandbox
from rlm_wasm.sandbox.snapshot import MemoryImage

ROOT = Path(__file__).parents[1]
STEPS = 100_000
ATOM_BOUND = 20_000_000
"""Fuel that one piece of work may use that does not look at the clock: some 2 ms."""
BOUND = 100_000_000
"""Fuel that a slice may use: two or three times what ordinary code does, some 8 ms."""
_FAR = 1 << 40
_MEMORY = 1 << 30

# ---- large values: name -> definition, with {n} characters, items, or (numbers) {bits} bits

DATA = {
    "ascii": "(define ascii (make-string {chars} #\\a))",
    "text": '(define text (string-append* (make-list (quotient {chars} 8) "Ab c1,d\\n")))',
    "accents": '(define accents (string-append* (make-list (quotient {chars} 4) "\\xe9;\\xdf;\\x1c4; ")))',
    "marks": '(define marks (string-append* (make-list (quotient {chars} 8) "a\\x315;\\x300;\\x323;\\x1d15e;")))',
    "sigmas": '(define sigmas (string-append "a" (make-string (quotient {chars} 2) #\\x3a3) (make-string (quotient {chars} 2) #\\x301)))',
    "numbers": "(define numbers (iota {items}))",
    "floats": "(define floats (iota {items} 0.5 1.25))",
    "strings": "(define strings (map number->string (iota (quotient {items} 4))))",
    "lists": "(define lists (map list (iota (quotient {items} 2)) (iota (quotient {items} 2))))",
    "chars": "(define chars (string->list (make-string {items} #\\a)))",
    "bits": "(define bits (let loop ((i {items}) (l '())) (if (= i 0) l (loop (- i 1) (cons (remainder i 256) l)))))",
    "nested": "(define nested (let loop ((i {items}) (l '())) (if (= i 0) l (loop (- i 1) (list l)))))",
    "vector": "(define vector* (make-vector {items} 7))",
    "charvector": "(define charvector (make-vector {items} #\\a))",
    "bytes": "(define bytes* (make-bytevector {chars} 97))",
    "big": "(define big (- (expt 2 {bits}) 1))",
    "bigger": "(define bigger (+ (expt 2 (* 2 {bits})) 12345))",
    "digits": "(define digits (make-string (quotient {bits} 4) #\\7))",
    "ratio": "(define ratio (/ (expt 3 (quotient {bits} 2)) (expt 2 (quotient {bits} 2))))",
    "table": "(define table* (let ((t (make-hash))) (let loop ((i {entries})) (if (= i 0) t (begin (hash-set! t i i) (loop (- i 1)))))))",
    "frozen": "(define frozen (make-immutable-hash (map (lambda (i) (cons i i)) (iota {entries}))))",
    "set": "(define set* (list->set (iota {entries})))",
    "alist": "(define alist (map (lambda (i) (cons i i)) (iota {items})))",
    "json": '(define json (string-append "[" (string-append* (make-list (quotient {chars} 8) "{\\"a\\":1},")) "1]"))',
    "sexp": '(define sexp (string-append "(" (string-append* (make-list (quotient {chars} 8) "(ab 12) ")) ")"))',
    "symbol": "(define symbol (string->symbol (make-string {chars} #\\a)))",
}

# ---- which values an argument of that name is tried with. The first column makes a call of its own each.

CHOICES = {
    "list": ["numbers", "lists"],
    "lists": ["lists"],
    "list-of-lists": ["lists"],
    "alist": ["alist"],
    "string": ["ascii", "text", "accents"],
    "text": ["text"],
    "s": ["text"],
    "strings": ["strings"],
    "vector": ["vector*"],
    "v": ["numbers", "text", "vector*", "nested"],
    "obj": ["numbers", "text", "vector*", "nested"],
    "n": ["big", "numbers-length"],
    "x": ["big", "ratio"],
    "a": ["big", "text"],
    "b": ["bigger", "accents"],
    "q": ["ratio"],
    "m": ["bigger"],
    "bytes": ["bytes*"],
    "bytevector": ["bytes*"],
    "table": ["table*", "frozen"],
    "hash": ["table*", "frozen"],
    "set": ["set*"],
    "sequence": ["numbers", "text", "vector*"],
    "items": ["numbers"],
    "chars": ["chars"],
    "tree": ["nested", "lists"],
    "stream": ["numbers"],
    "symbol": ["symbol"],
    "char": ["#\\a"],
    "port": ["(open-input-string text)", "(current-output-port)"],
    "pattern": ['#px"b+"', '"zz"'],
    "regexp": ['#px"b+"'],
    "part": ['"zz"'],
    "prefix": ["text"],
    "suffix": ["text"],
    "from": ['"b"', "text"],
    "to": ['"xy"', "text"],
    "pair": ["numbers"],
    "number": ["big"],
    "z": ["big"],
    "int": ["big"],
    "integer": ["big"],
    "digits": ["digits"],
    "f": ["(lambda x (car x))", "+"],
    "proc": ["(lambda x (car x))"],
    "good?": ["(lambda (x) #f)"],
    "keep?": ["(lambda (x) #t)"],
    "drop?": ["(lambda (x) #f)"],
    "in?": ["(lambda (x) #t)"],
    "less?": ["<"],
    "key": ["-1", "text"],
    "value": ["1"],
    "init": ["0"],
    "i": ["0", "last"],
    "k": ["0", "last"],
    "start": ["0"],
    "end": ["last"],
    "index": ["last"],
    "count": ["last"],
    "size": ["last"],
    "length": ["last"],
    "separator": ['","'],
    "default": ["0"],
    "fill": ["0"],
    "radix": ["10"],
    "base": ["7", "big"],
    "power": ["(quotient last 10)", "big"],
    "places": ["last", "(- last)"],
    "tail": ["numbers"],
    "rest": ["numbers"],
    "strings ...": ["strings"],
    "format": ['"~s~a" text'],
    "data": ["bytes*"],
    "insert": ['"xy"'],
    "replacements": ['\'(("a" "b"))'],
    "criterion": ["#\\z"],
    "end?": ["null?"],
    "thunk": ["(lambda () numbers)"],
    "expected": ['"x"'],
    "symbols": ["(map string->symbol strings)"],
    "kind": ["0"],
    "word": ['"zz"'],
    "same?": ["equal?"],
    "dict": ["table*"],
    "vs": ["numbers"],
    "bound": ["1000"],
    "step": ["1"],
    "stop": ["last"],
    "d": ["ratio"],
    "y": ["big"],
    "r": ["big"],
    "first": ["1"],
    "make": ["(lambda () 1)"],
    "code": ['"1"'],
    "message": ["text"],
    "who": ["'a"],
    "datum": ["lists"],
}
"""Names that say too little are not here: such a procedure stands in the table under "not called"."""

# ---- what no signature says: large programs, deep programs, collections of a full heap

PROGRAMS = {
    "(apply + list)": ("numbers", "(apply + numbers)"),
    "(apply string-append strings)": ("strings", "(apply string-append strings)"),
    "(apply list list)": ("numbers", "(apply list numbers)"),
    "(apply max list)": ("numbers", "(apply max numbers)"),
    "(apply append lists)": ("lists", "(apply append lists)"),
    "(apply vector list)": ("numbers", "(apply vector numbers)"),
    "(apply map list lists)": ("lists", "(apply map list lists)"),
    "(apply lambda list)": ("numbers", "(apply (lambda x x) numbers)"),
    "(call-with-values values)": ("numbers", "(call-with-values (lambda () (apply values numbers)) list)"),
    "read a large text": ("sexp", "(read (open-input-string sexp))"),
    "eval a large list": ("numbers", "(eval (cons 'list numbers))"),
    "eval (begin ...)": ("lists", "(eval (cons 'begin (map (lambda (l) (cons 'list l)) lists)))"),
    "eval nested calls": (
        "",
        "(eval (let loop ((i (quotient {items} 5)) (e 1)) (if (= i 0) e (loop (- i 1) (list '- e)))))",
    ),
    "eval nested lambdas": (
        "",
        "(eval (let loop ((i (quotient {items} 100)) (e 1)) (if (= i 0) e (loop (- i 1) (list 'lambda (list (string->symbol (number->string i))) e)))))",
    ),
    "eval captured variables": (
        "",
        """
        (let* ([names (map (lambda (i) (string->symbol (format "v~a" i))) (iota (quotient {items} 250)))])
          (eval `(lambda ,names (lambda () (list ,@names)))))""",
    ),
    "eval a wide let": (
        "",
        """
        (let* ([names (map (lambda (i) (string->symbol (format "v~a" i))) (iota (quotient {items} 100)))])
          (eval `(let ,(map (lambda (n) (list n 1)) names) (list ,@names))))""",
    ),
    "eval many definitions": (
        "",
        """
        (let* ([names (map (lambda (i) (string->symbol (format "v~a" i))) (iota (quotient {items} 100)))])
          (eval `(let () ,@(map (lambda (n) (list 'define n 1)) names) (list ,@names))))""",
    ),
    "eval quoted data": ("numbers", "(length (eval (list 'quote numbers)))"),
    "eval quasiquoted data": ("numbers", "(length (eval (list 'quasiquote numbers)))"),
    "eval a large cond": ("lists", "(eval (cons 'cond (map (lambda (l) (list #f 1)) lists)))"),
    "eval a large case": ("numbers", "(eval (list 'case 1 (list numbers 2)))"),
    "equal? of lists": ("numbers", "(equal? numbers (list-copy numbers))"),
    "equal? of nested lists": ("nested", '(equal? nested (read (open-input-string (format "~s" nested))))'),
    "equal? of strings": ("text", "(equal? text (string-copy text))"),
    "equal? of mixed strings": (
        "text",
        '(equal? text (substring (string-append text "\\x3bb;") 0 (string-length text)))',
    ),
    "string<? of mixed strings": (
        "text",
        '(string<? text (substring (string-append text "\\x3bb;") 0 (string-length text)))',
    ),
    "string-ci=? of accents": ("accents", "(string-ci=? accents (string-copy accents))"),
    "a string as a key": ("text", "(hash-ref (hash text 1) (string-copy text))"),
    "a list as a key": ("numbers", "(hash-ref (hash numbers 1) (list-copy numbers))"),
    "a mutable table grows": (
        "",
        "(let ((t (make-hasheq))) (let loop ((i {items})) (if (= i 0) t (begin (hash-set! t i i) (loop (- i 1))))))",
    ),
    "string->number of digits": ("digits", "(string->number digits)"),
    "string->number of a fraction": ("digits", '(string->number (string-append digits "/" digits "3"))'),
    "string->number of a decimal": ("digits", '(string->number (string-append digits "." digits "e5"))'),
    "number->string": ("big", "(string-length (number->string big))"),
    "number->string 2": ("big", "(string-length (number->string big 2))"),
    "number->string of a ratio": ("ratio", "(string-length (number->string ratio))"),
    "display a number": ("big", '(string-length (format "~a" big))'),
    "quotient": ("big bigger", "(quotient bigger big)"),
    "exact->inexact of a ratio": ("ratio", "(exact->inexact ratio)"),
    "sum of ratios": ("ratio", "(+ ratio (/ 1 ratio))"),
    "string-replace of half of the text": (
        "ascii",
        '(string-replace ascii (string-append (substring ascii 0 (quotient {chars} 2)) "b") "x")',
    ),
    "string-contains of half of the text": (
        "ascii",
        '(string-contains? ascii (string-append "b" (substring ascii 0 (quotient {chars} 2))))',
    ),
    "string-split at half of the text": (
        "text",
        "(string-split text (substring text 3 (quotient {chars} 2)))",
    ),
    "string-trim of separators": ("ascii", '(string-trim ascii "a" #:repeat? #t)'),
    "string-trim of white space": ("", "(string-trim (make-string {chars} #\\space))"),
    "string-split of white space": (
        "",
        '(string-split (string-append "a" (make-string {chars} #\\space) "b"))',
    ),
    "string-normalize-spaces of white space": (
        "",
        '(string-normalize-spaces (string-append "a" (make-string {chars} #\\space) "b"))',
    ),
    "string-join of many": ("strings", '(string-length (string-join strings ","))'),
    "last pair of a long list": (
        "numbers",
        "(list (last numbers) (list-tail numbers {items}) (list-ref numbers 9999))",
    ),
    "list->vector of a circle": ("", "(let ((l (list 1 2))) (set-cdr! (cdr l) l) (list->vector l))"),
    "list-tail around a circle": (
        "",
        "(let ((l (iota {items}))) (set-cdr! (last-pair l) l) (car (list-tail l 1000000000000)))",
    ),
    "vector-fill!": ("vector", "(vector-fill! vector* 2)"),
    "equal? of bytes": ("bytes", "(equal? bytes* (bytes-copy bytes*))"),
    "string-set! of a wide character": ("text", "(string-set! (string-copy text) 0 #\\x1f642)"),
    "a pattern of many letters": ("strings", '(regexp (string-join strings "|"))'),
    "regexp of a long attempt": ("ascii", '(regexp-match #px"^(?:a|b)*c" ascii)'),
    "regexp of a star": ("ascii", '(regexp-match #px"a*b" ascii)'),
    "eval a case of many clauses": (
        "numbers",
        "(eval (append (list 'case 1) (map (lambda (n) (list (list n) 2)) numbers)))",
    ),
    "regexp of many letters": ("text", "(regexp-match (regexp (regexp-quote text)) text)"),
    "regexp of alternatives": ("strings", '(regexp-match (regexp (string-join strings "|")) "zz")'),
    "regexp that backtracks": ("ascii", '(regexp-match #px"(a|aa)*b" ascii)'),
    "regexp of a class": (
        "text",
        '(regexp-match (regexp (string-append "[" (make-string {items} #\\a) "]")) "b")',
    ),
    "regexp-replace*": ("text", '(string-length (regexp-replace* #px"b" text "xyz"))'),
    "format": ("text", '(string-length (format (string-replace text "b" "~~") 1))'),
    "json read": ("json", "(length (string->jsexpr json))"),
    "json of a text": ("text", "(string->jsexpr (jsexpr->string text))"),
    "json of accents": ("accents", "(string-length (jsexpr->string accents))"),
    "json of nested lists": ("nested", "(jsexpr->string nested)"),
    "write nested lists": ("nested", '(string-length (format "~s" nested))'),
    "write a text": ("text", '(string-length (format "~s" text))'),
    "sort strings": ("strings", "(length (sort strings string<?))"),
    "sort long strings": ("text", '(sort (map (lambda (i) (string-append text "x")) (iota 4)) string<?)'),
    "a string port": (
        "text",
        "(let ((p (open-input-string text))) (let loop ((n 0)) (if (eof-object? (read-char p)) n (loop (+ n 1)))))",
    ),
    "read-line of one line": ("ascii", "(string-length (read-line (open-input-string ascii)))"),
    "port->lines": ("text", "(length (port->lines (open-input-string text)))"),
    "a value that crosses": ("numbers", "numbers"),
    "a text that crosses": ("text", "text"),
    "nested lists that cross": ("nested", "nested"),
    "a table that crosses": ("table", "table*"),
    "an argument that crosses": ("text", "(llm-query #:instruction text)"),
    "collecting lists": (
        "numbers alist",
        "(let loop ((i 40) (l '())) (if (= i 0) (length l) (loop (- i 1) (iota {items}))))",
    ),
    "symbols": ("strings", "(length (map string->symbol strings))"),
    "a deep recursion": ("", "(let loop ((i {items})) (if (= i 0) 0 (+ 1 (loop (- i 1)))))"),
    "a continuation of a deep recursion": (
        "",
        "(let loop ((i {items})) (if (= i 0) (call/cc (lambda (k) 0)) (+ 1 (loop (- i 1)))))",
    ),
    "an error with a large value": ("numbers", "(vector-ref numbers numbers)"),
    "an error with a large message": ("text", "(error text text)"),
    "an error with a nested value": ("nested", "(car (vector nested))"),
    "a heap of pairs far apart": (
        "",
        """
        (let* ([n {items}] [v (make-vector n 0)])
          (let loop ((i 0)) (if (< i n) (begin (vector-set! v (modulo (* i 199993) n) (cons i i)) (loop (+ i 1)))))
          (let loop ((i 0)) (if (< i n) (begin (list i i i i) (loop (+ i 1))) (vector-length v))))""",
    ),
    "long code in a loop": (
        "",
        "(eval `(let loop ((i 0) (x 7)) (if (< i 100000) (begin ,@(make-list 3000 '(set! x (+ 1 i))) (loop (+ i 1) x)) x)))",
    ),
    "many primitives in a loop": (
        "",
        "(eval `(let loop ((i 0)) (if (< i 100000) (begin ,@(make-list 300 '(number->string i)) (loop (+ i 1))) i)))",
    ),
    "a byte port": (
        "accents",
        "(let ((p (open-output-bytes))) (write-string accents p) (bytes-length (get-output-bytes p)))",
    ),
    "a table of what moves": (
        "lists",
        "(let ((t (make-hasheq))) (for-each (lambda (l) (hash-set! t l (iota 10))) lists) (hash-count t))",
    ),
    "an old version of a table": (
        "",
        """
        (let* ([first (hash 1 1)]
               [last (let loop ((i {items}) (t first)) (if (= i 0) t (loop (- i 1) (hash-set t (modulo i 1000) i))))])
          (list (hash-count first) (hash-count last)))""",
    ),
    "a sum": ("", "(let loop ((i 0)) (if (< i 3000000) (loop (+ i 1)) i))"),
    "fib": ("", "(letrec ((fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))) (fib 27))"),
}


@dataclass(frozen=True)
class Sizes:
    """How large the arguments are."""

    chars: int
    items: int
    entries: int
    bits: int

    @classmethod
    def scaled(cls, scale: float) -> Sizes:
        """1.0: millions."""
        return cls(
            int(4_000_000 * scale), int(1_000_000 * scale), int(250_000 * scale), int(2_000_000 * scale)
        )


@dataclass(frozen=True)
class Case:
    """One call: what it is measured for, the values it needs, and its program."""

    name: str
    needs: tuple[str, ...]
    program: str


@dataclass
class Measured:
    """The worst slice of a case, and how the case ended."""

    fuel: int = 0
    collected: int = 0
    ms: float = 0.0
    worst_ms: float = 0.0
    slices: int = 0
    steps: int = 0
    outcome: str = ""


# ---- the list

_PRIMITIVE = re.compile(r'^\s*\{"([^"%][^"]*)", \w+, (-?\d+), (-?\d+), (?:"((?:[^"\\]|\\.)*)"|NULL)\}', re.M)
_ENTRY = re.compile(r'^ \("(\((?:[^"\\]|\\.)*?\))" "', re.M)
_LEFT_OUT = re.compile(
    r"^(exit|sleep|llm-|await|race|parallel|map-async|spawn|py-|cached-|ensemble|tree-reduce|vote|restore|checkpoint|"
    r"unsafe|heartbeat|permutations|combinations|in-permutations|cartesian|current-|with-timeout|time$|define|let|for|match|"
    r"struct|case|syntax|do$|if$|cond$|guard|delay|parameterize|receive|set!|local|lambda|λ|and$|or$|when|unless|begin|try$|"
    r"finish|stream-cons|stream$|error$|raise|assert|read$|read-|peek-|char-ready|in-cycle|in-naturals|iterate|critique|"
    r"active|tiered|fan-out|fold-seq|er-macro|sc-macro|rsc-macro|thunk|help|apropos|reference|time)"
)


def signatures() -> dict[str, list[str]]:
    """Every procedure's name with the names of its required arguments and of one that repeats."""
    found: dict[str, list[str]] = {}
    texts = []
    for path in sorted((ROOT / "prelude" / "reference").glob("*.scm")):
        texts += [m.group(1) for m in _ENTRY.finditer(path.read_text(encoding="utf-8"))]
    for path in sorted((ROOT / "wasm").rglob("*.c")):
        for m in _PRIMITIVE.finditer(path.read_text(encoding="utf-8")):
            if m.group(4):
                texts.append(m.group(4))
    for signature in texts:
        if not re.match(r"^\([^()\[\]]+[^()]*\)$", signature):
            continue
        plain = re.sub(r"\[[^\[\]]*(\[[^\[\]]*\])?[^\[\]]*\]|#:\S+ \S+", " ", signature[1:-1]).split()
        name, arguments = plain[0], [a for a in plain[1:] if a != "..."]
        found.setdefault(name, arguments)
    return found


_NEEDS = {name.removesuffix("*"): key for key, name in ((k, k) for k in DATA)}


def _needed(expression: str) -> tuple[str, ...]:
    words = set(re.findall(r"[a-z]+\*?", expression))
    return tuple(key for key in DATA if key in words or key + "*" in words)


def cases(sizes: Sizes, match: str = "") -> tuple[list[Case], list[str]]:
    """All calls, and the procedures that cannot be called so."""
    out, left = [], []
    for name, arguments in sorted(signatures().items()):
        if _LEFT_OUT.match(name):
            left.append(name)
            continue
        if not arguments or any(a not in CHOICES for a in arguments):
            left.append(name)
            continue
        calls: list[str] = []
        for column in range(max(len(CHOICES[a]) for a in arguments)):
            values = [CHOICES[a][min(column, len(CHOICES[a]) - 1)] for a in arguments]
            values = [re.sub(r"\b(numbers-length|last)\b", str(sizes.items - 1), value) for value in values]
            calls.append(f"({name} {' '.join(values)})")
        out += [
            Case(call, _needed(call), f"(call-with-values (lambda () {call}) void)")
            for call in dict.fromkeys(calls)
        ]
    for name, (needs, program) in PROGRAMS.items():
        out.append(Case(name, tuple(needs.split()), _filled(program, sizes)))
    return [case for case in out if match in case.name], left


def _filled(program: str, sizes: Sizes) -> str:
    for field in ("chars", "items", "entries", "bits"):
        program = program.replace("{" + field + "}", str(getattr(sizes, field)))
    return program


# ---- measuring


class Bench:
    """Sandboxes with the large values in place, each set of them made once."""

    def __init__(self, sizes: Sizes, steps: int = STEPS) -> None:
        self.engine = Engine.shared()
        self.sizes = sizes
        self.steps = steps
        self._images: dict[tuple[str, ...], MemoryImage] = {}

    def sandbox(self, needs: tuple[str, ...]) -> Sandbox:
        """A fresh one with these values defined."""
        if needs not in self._images:
            sandbox = Sandbox(self.engine, _MEMORY)
            for key in needs:
                self.run(sandbox, _filled(DATA[key], self.sizes), max_fuel=1 << 40)
            self._images = {needs: sandbox.capture()}  # only the last one: they are large
            sandbox.close()
        return Sandbox(self.engine, _MEMORY, self._images[needs])

    def run(self, sandbox: Sandbox, program: str, max_fuel: int) -> Measured:
        """Slices until the program ends or has used ``max_fuel`` fuel."""
        measured, total = Measured(), 0
        message: bytes | None = protocol.evaluate(program, "loop_gap.scm", {})
        while True:
            collected, steps = collected_bytes(sandbox), sandbox.steps()
            start = time.perf_counter()
            status = sandbox.run(message, self.steps, _FAR)
            ms = (time.perf_counter() - start) * 1e3
            collected = collected_bytes(sandbox) - collected
            message = None
            fuel = sandbox.fuel_used
            measured.slices += 1
            total += sandbox.fuel_used
            measured.worst_ms = max(measured.worst_ms, ms)
            if fuel > measured.fuel:
                measured.fuel, measured.collected, measured.ms = fuel, collected, ms
                measured.steps = sandbox.steps() - steps
            if status == GuestStatus.PREEMPTED and total < max_fuel:
                sandbox.outbox()
                continue
            for item in protocol.messages(sandbox.outbox()):
                if isinstance(item, Done):
                    measured.outcome = item.status if item.error is None else str(item.error.message)
                if isinstance(item, Call):
                    measured.outcome = item.operation
            measured.outcome = measured.outcome or "cut"
            return measured

    def measure(self, case: Case, max_fuel: int = 4_000_000_000) -> Measured:
        """One case in a sandbox of its own."""
        sandbox = self.sandbox(case.needs)
        try:
            return self.run(sandbox, case.program, max_fuel)
        finally:
            sandbox.close()

    def all(self, todo: list[Case]) -> Iterator[tuple[Case, Measured]]:
        """Those with the same values one after the other."""
        for case in sorted(todo, key=lambda c: (c.needs, c.name)):
            yield case, self.measure(case)


def collected_bytes(sandbox: Sandbox) -> int:
    """What collections went through since the sandbox was born."""
    instance = sandbox._awake()
    sandbox._call(instance, "rlm_collected", 1)
    return int(instance.calls.long0.value)


def main() -> int:
    """Print the table; the number of faults is the exit status's reason."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="1.0: millions of characters and items")
    parser.add_argument("--match", default="", help="only calls that contain this text")
    parser.add_argument("--all", action="store_true", help="print calls within the bound too")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a slice: few show single pieces of work")
    options = parser.parse_args()
    sizes = Sizes.scaled(options.scale)
    todo, left = cases(sizes, options.match)
    faults = 0
    print(
        f"{'Mfuel':>8}{'ms':>9}{'worst ms':>9}{'steps':>9}{'MB coll.':>9}{'slices':>7}  call, and how it ended"
    )
    bound = BOUND if options.steps >= STEPS else ATOM_BOUND
    for case, m in Bench(sizes, options.steps).all(todo):
        fault = m.fuel > bound
        faults += fault
        if fault or options.all:
            print(
                f"{m.fuel / 1e6:>8.1f}{m.ms:>9.1f}{m.worst_ms:>9.1f}{m.steps:>9}{m.collected / 1e6:>9.1f}{m.slices:>7}"
                f"  {' '.join(case.name.split())[:90]}  ;{m.outcome.splitlines()[0][:70] if m.outcome else ''}",
                flush=True,
            )
    print(f"{len(todo)} calls, {faults} over {bound / 1e6:.0f} million fuel; not called: {' '.join(left)}")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())

"""Comparisons with others that know the answer, from a seed that is printed; the guest is the native build.

* ``racket``: random programs in the language that both speak, printed by both. Racket is the ``racket`` of the
  path, or ``RLM_WASM_RACKET``.
* ``programs``: the data programs of ``tests/corpus/programs``, printed by Racket now, against what is recorded of it
  and what is printed here, by the wasm guest; all of them, whatever the time.
* ``decimals``: decimal numbers as text, read and shown again, against Python's ``float`` and ``repr``.
* ``doubles``: random bit patterns, made of the exact fraction that each is, against the same.
* ``conversions``: exact to inexact and back, roundings, roots and radixes, against Python's integers and fractions.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from proof.fuzz import Clock, Report
from rlm_wasm import Runtime

BATCH = 200
"""Numbers in one program."""


class Guest:
    """Runs programs in the native build. Raises NoNativeBuild where there can be none."""

    def __init__(self) -> None:
        import native

        self._sessions = native.Sessions(native.build(say=lambda text: None), native.Options(seconds=20))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sessions.close()

    def printed(self, source: str) -> str:
        """What a program prints; of one that fails, the error after it."""
        outcome = self._sessions.run(source)
        if outcome.crash is not None:
            return f"{outcome.stdout}\ncrashed: {outcome.crash[:2000]}"
        said = outcome.outcome or {}
        error = said.get("error")
        return outcome.stdout + (f"\nerror: {error}" if error else "")


# ---- numbers ----


def shown(number: float) -> str:
    """A double as the language shows it: the shortest digits that are read as it. An exponent stands below
    1e-4, and from 1e14 on where more than three zeros would only fill up."""
    if math.isnan(number):
        return "+nan.0"
    if math.isinf(number):
        return "+inf.0" if number > 0 else "-inf.0"
    sign = "-" if math.copysign(1, number) < 0 else ""
    if number == 0:
        return f"{sign}0.0"
    exact_decimal = Decimal(repr(abs(number)))  # the shortest digits are Python's, too
    digits = "".join(map(str, exact_decimal.as_tuple().digits)).rstrip("0") or "0"
    power = exact_decimal.adjusted()
    if (power >= 14 and power >= len(digits) + 3) or power < -4:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{power:+d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    return f"{sign}{digits[: power + 1].ljust(power + 1, '0')}.{digits[power + 1 :] or '0'}"


def exact(number: Fraction | int) -> str:
    """As the language writes it."""
    number = Fraction(number)
    return str(number.numerator) if number.denominator == 1 else f"{number.numerator}/{number.denominator}"


def any_double(rng: random.Random) -> float:
    """Of all magnitudes, and near the edges of the format."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(
            (
                0.0,
                -0.0,
                5e-324,
                2.2250738585072014e-308,
                1.7976931348623157e308,
                1e21,
                1e-7,
                9007199254740993.0,
            )
        )
    if kind == 1:
        return math.ldexp(rng.getrandbits(53) * rng.choice((1, -1)), rng.randrange(-1074, 971))
    if kind == 2:
        return float(rng.randrange(-(10**6), 10**6)) / rng.choice((1, 2, 10, 100, 1000, 7))
    if kind == 3:
        return math.nextafter(math.ldexp(1.0, rng.randrange(-1074, 1024)), rng.choice((0.0, math.inf)))
    while True:
        number: float = struct.unpack("<d", rng.randbytes(8))[0]
        if math.isfinite(number):
            return number


def any_decimal(rng: random.Random) -> str:
    """A decimal number's text, many of them half way between two doubles, or nearly so."""
    if rng.random() < 0.3:
        low = any_double(rng)
        half = (
            (Fraction(low) + Fraction(math.nextafter(low, math.inf))) / 2
            if abs(low) < 1e300
            else Fraction(low)
        )
        scale = half.denominator.bit_length() - 1
        digits = str(half.numerator * 5**scale)  # its digits: the denominator is a power of two
        if len(digits) < 400:
            return (
                f"{digits}{rng.choice(('', '', '1', '0000001'))}e-{scale}"
                if rng.random() < 0.5
                else f"{digits}e-{scale}"
            )
    digits = "".join(rng.choice("0123456789") for _ in range(rng.choice((1, 3, 17, 18, 40, 300))))
    point = rng.randrange(len(digits) + 1)
    text = f"{rng.choice(('', '-', '+'))}{digits[:point]}.{digits[point:]}" if point else f"0.{digits}"
    return text + rng.choice(("", f"e{rng.randrange(-330, 320)}", f"E{rng.randrange(-20, 20)}"))


def any_integer(rng: random.Random) -> int:
    """Of up to two thousand bits, and near powers of two."""
    bits = rng.choice((4, 31, 53, 62, 64, 65, 128, 700, 2000))
    number = rng.getrandbits(bits) if rng.random() < 0.7 else (1 << bits) + rng.randrange(-2, 3)
    return number * rng.choice((1, -1))


def any_fraction(rng: random.Random) -> Fraction:
    """A rational; some whose value is just beside a double's, or half way between two."""
    if rng.random() < 0.4:
        low = any_double(rng)
        near = (
            (Fraction(low) + Fraction(math.nextafter(low, math.inf))) / 2
            if abs(low) < 1e300
            else Fraction(low)
        )
        return near + rng.choice((0, 0, Fraction(1, 10**400), Fraction(-1, 10**400)))
    return Fraction(any_integer(rng), abs(any_integer(rng)) or 1)


def to_double(number: Fraction) -> float:
    """The nearest, infinity where it is too large."""
    try:
        return number.numerator / number.denominator
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _decimal(rng: random.Random) -> tuple[str, str]:
    text = any_decimal(rng)
    return f'(string->number "{text}")', shown(float(text))


def _double(rng: random.Random) -> tuple[str, str]:
    number = any_double(rng)
    if number == 0:
        return ("-0.0", "-0.0") if math.copysign(1, number) < 0 else ("0.0", "0.0")
    return f"(exact->inexact {exact(Fraction(number))})", shown(number)


def _rounded(number: Fraction) -> int:
    return round(number)  # to even, as both do


def _in_radix(number: int, radix: int) -> str:
    digits, rest = "", abs(number)
    while rest or not digits:
        rest, digit = divmod(rest, radix)
        digits = "0123456789abcdef"[digit] + digits
    return ("-" if number < 0 else "") + digits


def _conversion(rng: random.Random) -> tuple[str, str]:
    number, integer, radix = any_fraction(rng), any_integer(rng), rng.choice((2, 8, 16))
    double = any_double(rng)
    divisor = any_integer(rng) or 3
    choices: list[Callable[[], tuple[str, str]]] = [
        lambda: (f"(exact->inexact {exact(number)})", shown(to_double(number))),
        lambda: (f"(inexact->exact {shown(double)})", exact(Fraction(double))),
        lambda: (f"(round {exact(number)})", str(_rounded(number))),
        lambda: (f"(floor {exact(number)})", str(math.floor(number))),
        lambda: (f"(truncate {exact(number)})", str(math.trunc(number))),
        lambda: (f"(number->string {integer} {radix})", _in_radix(integer, radix)),
        lambda: (f'(string->number "{_in_radix(integer, radix)}" {radix})', str(integer)),
        lambda: (f"(integer-sqrt {abs(integer)})", str(math.isqrt(abs(integer)))),
        lambda: (f"(modulo {integer} {divisor})", str(integer % divisor)),
        lambda: (f"(quotient {integer} {divisor})", str(_towards_zero(integer, divisor))),
        lambda: (f"(gcd {integer} {divisor})", str(math.gcd(integer, divisor))),
        lambda: (f"(+ {exact(number)} {exact(Fraction(double))})", exact(number + Fraction(double))),
        lambda: (f"(< {exact(number)} {shown(double)})", "#t" if number < Fraction(double) else "#f"),
        lambda: (f"(arithmetic-shift {integer} {radix - 10})", str(_shifted(integer, radix - 10))),
    ]
    return rng.choice(choices)()


def _towards_zero(number: int, divisor: int) -> int:
    quotient = abs(number) // abs(divisor)
    return quotient if (number < 0) == (divisor < 0) else -quotient


def _shifted(number: int, by: int) -> int:
    return number << by if by >= 0 else number >> -by


NUMBERS = {"decimals": _decimal, "doubles": _double, "conversions": _conversion}


def numbers(clock: Clock, seed: int, which: str) -> Report:
    """Expressions of numbers against what Python says of them. Raises NoNativeBuild."""
    rng = random.Random(seed)
    report = Report()
    with Guest() as guest:
        for _ in clock:
            pairs = [NUMBERS[which](rng) for _ in range(BATCH)]
            program = "".join(f"(displayln {expression})\n" for expression, _ in pairs)
            lines = guest.printed(program).split("\n")
            report.tried += len(pairs)
            for (expression, expected), line in zip(pairs, [*lines, *[""] * BATCH], strict=False):
                if line != expected:
                    report.found.append((expression, f"{line!r} instead of {expected!r}"))
                    break  # what follows an error is not there
    return report


# ---- programs ----


class Programs:
    """Random programs that mean the same in Racket: no order of tables, no messages of errors, no clock."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names = 0

    def program(self) -> str:
        """Definitions, and lines that print; what fails says so and the next goes on."""
        rng, known = self._rng, []
        lines = ["#lang racket"]
        for _ in range(rng.randrange(1, 4)):
            kind, name = rng.choice(list(_KINDS)), self._name()
            lines.append(f"(define {name} {self._of(kind, known, 2, _SAFE)})")
            known.append((name, kind))
        name = self._name()
        lines.append(
            f"(define ({name} a b) {self._of('int', [*known, ('a', 'int'), ('b', 'int')], 2, _SAFE)})"
        )
        for _ in range(6):
            kind = rng.choice(list(_KINDS))
            value = self._of(kind, known, 4, ())
            show = rng.choice(
                ("println", "writeln", "displayln", '(lambda (v) (printf "~a|~s|~v\\n" v v v))')
            )
            lines.append(f"(with-handlers ([exn:fail? (lambda (e) (displayln 'failed))]) ({show} {value}))")
        return "\n".join(lines) + "\n"

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _of(self, kind: str, known: Sequence[tuple[str, str]], depth: int, without: Sequence[str]) -> str:
        rng = self._rng
        names = [name for name, of in known if of == kind]
        if depth <= 0 or rng.random() < 0.12:
            return rng.choice(names) if names and rng.random() < 0.6 else str(rng.choice(_KINDS[kind])(rng))
        template = rng.choice(
            [form for form in _FORMS[kind] + _ANY if not any(word in form for word in without)]
        )
        bound = self._name()
        pieces = []
        for piece in _split(template):
            if not piece.startswith("{"):
                pieces.append(piece)
            elif piece == "{x}":
                pieces.append(bound)
            else:
                want, _, binds = piece[1:-1].partition("+")
                want = kind if want == "same" else want
                pieces.append(
                    self._of(want, [*known, (bound, binds)] if binds else known, depth - 1, without)
                )
        return "".join(pieces)


def _split(template: str) -> Iterator[str]:
    rest = template
    while "{" in rest:
        before, _, after = rest.partition("{")
        inside, _, rest = after.partition("}")
        yield before
        yield "{" + inside + "}"
    yield rest


_SAFE = (
    "list-ref",
    "string-ref",
    "vector-ref",
    "/ ",
    "quotient",
    "remainder",
    "modulo",
    "error",
    "substring",
    "car ",
    "exact-",
)
"""Words of forms that may fail: a definition at the top must not."""

_KINDS: dict[str, list[Callable[[random.Random], Any]]] = {
    "int": [lambda rng: rng.choice((0, 1, -1, 2, 7, -13, 100, 12345678901234567890, rng.randrange(-50, 50)))],
    "num": [
        lambda rng: rng.choice(
            ("0.5", "-2.25", "1/3", "-7/2", "3", "1e21", "1e-7", "100.0", "22/7", "6.02e23", "0.1")
        )
    ],
    "str": [
        lambda rng: rng.choice(
            ('"a"', '"λx"', '""', '"some words here"', '"a,b,,c"', '"Tab\\there"', '"12"', '"  pad "')
        )
    ],
    "sym": [lambda rng: rng.choice(("'a", "'sym", "'|a b|", "'λ"))],
    "list": [lambda rng: rng.choice(("'()", "(list 3 1 2)", "(list 5)", "(range 6)", "'(2 2 3 1)"))],
    "bool": [lambda rng: rng.choice(("#t", "#f"))],
    "vec": [lambda rng: rng.choice(("(vector 1 2 3)", "(vector)", "(build-vector 4 sqr)"))],
    "char": [lambda rng: rng.choice(("#\\a", "#\\Z", "#\\space", "#\\λ", "#\\0", "#\\newline"))],
}

_ANY = [
    "(if {bool} {same} {same})",
    "(let ([{x} {int}]) {same+int})",
    "(cond [{bool} {same}] [(= {int} {int}) {same}] [else {same}])",
    "(let loop ([{x} 3]) (if (<= {x} 0) {same} (loop (- {x} 1))))",
    "(call/ec (lambda (k) (if {bool} (k {same}) {same})))",
    '(with-handlers ([exn:fail? (lambda (e) {same})]) (if {bool} (error "no") {same}))',
    "(with-handlers ([symbol? (lambda (e) {same})]) (if {bool} (raise 'x) {same}))",
    "(case {int} [(0 1 2) {same}] [(7) {same}] [else {same}])",
    "(match {list} ['() {same}] [(list a) {same}] [(cons a b) {same}] [_ {same}])",
    "(let-values ([({x} other) (values {int} {str})]) {same+int})",
    "(dynamic-wind void (lambda () {same}) void)",
    "(parameterize ([current-output-port (open-output-string)]) {same})",
    "(begin0 {same} {int})",
    "(force (delay {same}))",
    "(apply (lambda (p #:k [k 1] . r) p) {same} (list))",
    "((lambda ({x} [o {int}]) {same+int}) {int})",
]
_FORMS: dict[str, list[str]] = {
    "int": [
        "(+ {int} {int})",
        "(- {int} {int})",
        "(* {int} {int})",
        "(string-length {str})",
        "(length {list})",
        "(apply + {list})",
        "(for/sum ([{x} {list}]) {int+int})",
        "(for/fold ([{x} 0]) ([i (in-range 4)]) (+ {x} i {int+int}))",
        "(quotient {int} {int})",
        "(modulo {int} {int})",
        "(remainder {int} {int})",
        "(abs {int})",
        "(max {int} {int})",
        "(gcd {int} {int})",
        "(list-ref {list} 1)",
        "(car {list})",
        "(vector-length {vec})",
        "(char->integer {char})",
        "(foldl (lambda (a b) (- b a)) 0 {list})",
        "(count even? {list})",
        "(exact-round {num})",
        "(bitwise-and {int} 255)",
        "(arithmetic-shift {int} 3)",
        "(expt {int} 3)",
        "(string-count {str})",
        "(hash-ref (hash 1 {int} 2 {int}) 2)",
        "(let ([b (box {int})]) (set-box! b (+ 1 (unbox b))) (unbox b))",
        "(set-count (list->set {list}))",
        "(foldr + 0 {list})",
        "(vector-ref {vec} 0)",
        "(argmin abs (cons {int} {list}))",
        "(index-of {list} 2)",
    ],
    "num": [
        "(+ {num} {num})",
        "(* {num} {int})",
        "(/ {num} {int})",
        "(- {num})",
        "(exact->inexact {num})",
        "(inexact->exact {num})",
        "(round {num})",
        "(floor {num})",
        "(abs {num})",
        "(sqrt (abs {num}))",
        "(max {num} {num})",
        "(string->number {str})",
        "(expt {num} 2)",
        "(truncate {num})",
        "(exact-floor {num})",
        "(numerator {num})",
        "(real->double-flonum {num})",
    ],
    "str": [
        "(string-append {str} {str})",
        "(number->string {num})",
        '(format "~s" {list})',
        '(format "~a-~v" {num} {str})',
        "(string-upcase {str})",
        "(substring {str} 0 1)",
        '(string-join (map number->string {list}) ", ")',
        "(symbol->string {sym})",
        "(list->string (list {char} {char}))",
        "(~a {num} #:width 8 #:align 'right)",
        "(~r {num} #:precision 2)",
        '(string-replace {str} "a" "bb")',
        "(string-trim {str})",
        "(~s {list})",
        '(regexp-replace* #rx"[a-e]" {str} "<&>")',
        "(string-titlecase {str})",
        "(make-string 3 {char})",
        "(~a {vec})",
        "(~v {sym})",
        "(with-output-to-string (lambda () (write {list}) (display {num})))",
        "(real->decimal-string {num} 3)",
        "(string {char} {char})",
    ],
    "sym": ["(string->symbol {str})", "(if {bool} 'yes 'no)"],
    "list": [
        "(map (lambda ({x}) {int+int}) {list})",
        "(filter even? {list})",
        "(append {list} {list})",
        "(reverse {list})",
        "(sort {list} <)",
        "(for/list ([{x} {list}] #:when (odd? {x})) {int+int})",
        "(remove-duplicates {list})",
        "(range {x} 5)".replace("{x}", "0"),
        "(list {int} {int})",
        "(cons {int} {list})",
        "(vector->list {vec})",
        "(for*/list ([a {list}] [b (in-range 2)]) (+ a b))",
        "(sort {list} > #:key abs)",
        "(take {list} (min 2 (length {list})))",
        "(let-values ([(p q) (partition even? {list})]) (append q p))",
        "(remove 2 {list})",
        "(map string-length (string-split {str}))",
        "(sort (hash-keys (hash 1 2 {int} 4)) <)",
        "(list-tail {list} 0)",
        "(flatten (list {list} (list {list})))",
        "(add-between {list} 0)",
        "(build-list 3 (lambda ({x}) {int+int}))",
        "(let* ([l {list}]) `(0 ,@l 9))",
        "(for/list ([c {str}] [i (in-naturals)]) i)",
        "(set->list (set {int}))",
        "(map cdr (list (cons 1 {int})))",
        "(list-update (cons 1 {list}) 0 add1)",
    ],
    "bool": [
        "(even? {int})",
        "(< {int} {int})",
        "(equal? {list} {list})",
        "(string=? {str} {str})",
        "(null? {list})",
        "(and {bool} {bool})",
        "(or {bool} {bool})",
        "(not {bool})",
        "(string<? {str} {str})",
        "(char-alphabetic? {char})",
        "(= {num} {num})",
        "(eq? {sym} {sym})",
        "(ormap even? {list})",
        "(andmap positive? {list})",
        '(regexp-match? #px"^\\\\d+$" {str})',
        "(member 2 {list})",
        "(exact? {num})",
        '(string-prefix? {str} "a")',
        "(for/and ([{x} {list}]) {bool+int})",
        "(hash-has-key? (hash {int} 1) {int})",
    ],
    "vec": [
        "(list->vector {list})",
        "(vector-map add1 {vec})",
        "(vector {int} {str})",
        "(vector-append {vec} {vec})",
        "(for/vector ([{x} {list}]) {int+int})",
        "(let ([v (vector 1 2)]) (vector-set! v 0 {int}) v)",
        "(vector-copy {vec})",
    ],
    "char": ["(string-ref {str} 0)", "(char-upcase {char})", "(integer->char (+ 65 (modulo {int} 26)))"],
}

RACKET = r"""
(define base (make-base-namespace))
(parameterize ([current-namespace base]) (namespace-require 'racket))
(define (run source)
  (define out (open-output-string))
  (parameterize ([current-namespace base] [current-output-port out] [current-error-port (open-output-string)])
    (with-handlers ([void (lambda (e) (printf "\nerror: ~a" (if (exn? e) (exn-message e) e)))])
      (define in (open-input-string source))
      (read-line in)
      (let loop ()
        (define form (read in))
        (unless (eof-object? form) (eval form) (loop)))))
  (get-output-string out))
(let loop ()
  (define size (read-line))
  (unless (eof-object? size)
    (define answer (string->bytes/utf-8 (run (bytes->string/utf-8 (read-bytes (string->number size))))))
    (printf "~a\n" (bytes-length answer))
    (write-bytes answer)
    (flush-output)
    (loop)))
"""


class NoRacketError(Exception):
    """There is none on the path, and RLM_WASM_RACKET names none."""


def racket_command() -> str:
    """Where Racket is. Raises NoRacketError."""
    command = os.environ.get("RLM_WASM_RACKET") or shutil.which("racket")
    if not command:
        raise NoRacketError("no Racket on the path, and RLM_WASM_RACKET names none")
    return command


class Racket:
    """One process of it, and one namespace: every program defines what it uses. Raises NoRacketError."""

    def __init__(self) -> None:
        command = racket_command()
        self._process = subprocess.Popen(
            [command, "-l", "racket/base", "-l", "racket/port", "-e", RACKET],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def printed(self, source: str) -> str:
        """What a program prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        data = source.encode()
        self._process.stdin.write(b"%d\n" % len(data) + data)
        self._process.stdin.flush()
        return self._process.stdout.read(int(self._process.stdout.readline())).decode()


def _comparable(printed: str) -> str:
    """Without the words of an error that ends a program, which may differ."""
    before, error, _ = printed.partition("\nerror: ")
    return before + error


def racket(clock: Clock, seed: int) -> Report:
    """Random programs, as both print them. Raises NoNativeBuild, NoRacketError."""
    rng = random.Random(seed)
    report = Report()
    with Racket() as theirs, Guest() as ours:
        for _ in clock:
            source = Programs(rng).program()
            expected, printed = _comparable(theirs.printed(source)), _comparable(ours.printed(source))
            report.tried += 1
            if printed != expected:
                report.found.append((source, f"----\n{printed}\n---- instead of\n{expected}"))
    return report


CORPUS = Path(__file__).resolve().parent.parent / "corpus"


def programs() -> Report:
    """All programs of the corpus, in a Racket of their own each, and here but for those that are known to differ.

    Raises NoRacketError.
    """
    command = racket_command()
    different = json.loads((CORPUS / "programs" / "different.json").read_text(encoding="utf-8"))
    report = Report()

    async def compare_all() -> None:
        async with Runtime(provider="echo", python="off") as runtime:
            for path in sorted((CORPUS / "programs").glob("*.rkt")):
                theirs = await asyncio.to_thread(
                    subprocess.run, [command, str(path)], capture_output=True, text=True, check=False
                )
                report.tried += 1
                if theirs.stdout != path.with_suffix(".expected").read_text(encoding="utf-8"):
                    problem = f"this Racket prints something else:\n{theirs.stdout}{theirs.stderr}"
                    report.found.append((str(path), problem))
                printed = (await runtime.run(path.read_text(encoding="utf-8"))).stdout
                if printed != theirs.stdout and path.stem not in different:
                    report.found.append((str(path), f"----\n{printed}\n---- instead of\n{theirs.stdout}"))

    asyncio.run(compare_all())
    return report


def run(which: str, clock: Clock, seed: int) -> Report:
    """One comparison. Raises NoNativeBuild, NoRacketError."""
    if which == "programs":
        return programs()
    return racket(clock, seed) if which == "racket" else numbers(clock, seed, which)


COMPARISONS = ("racket", "programs", *NUMBERS)

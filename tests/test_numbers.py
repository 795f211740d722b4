"""The guest's numeric tower agrees with Python's integers, fractions and doubles."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime

Evaluate = Callable[..., list[str]]

pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")


@pytest.fixture(scope="module")
def scheme() -> Iterator[Evaluate]:
    """Evaluates expressions in one session; gives what `display` shows of each."""
    loop = asyncio.new_event_loop()
    runtime = Runtime(provider="echo")
    session = runtime.session(limits=Limits(fuel=10**13))

    def evaluate(*expressions: str) -> list[str]:
        program = '(map (lambda (v) (format "~a" v)) (list ' + "\n".join(expressions) + "))"
        result = loop.run_until_complete(session.execute(program))
        assert result.status == "ok", result.error
        return str(result.value)[1:-1].split()

    yield evaluate
    loop.run_until_complete(session.aclose())
    loop.run_until_complete(runtime.aclose())
    loop.close()


checked = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

edges = [2**k + d for k in (30, 31, 32, 53, 61, 62, 63, 64, 96, 128) for d in (-2, -1, 0, 1, 2)]
integers = st.one_of(
    st.integers(-20, 20),
    st.sampled_from(edges + [-n for n in edges]),
    st.integers(-(2**70), 2**70),
    st.integers(-(2**600), 2**600),
    st.integers(0, 5000).flatmap(lambda bits: st.integers(-(2**bits), 2**bits)),
)
fractions = st.builds(Fraction, integers, integers.filter(bool))
doubles = st.floats(allow_nan=False, allow_infinity=False)


def shown(number: Fraction | float) -> str:
    """The display form of a Python number (finite)."""
    if isinstance(number, bool):
        return "#t" if number else "#f"
    if not isinstance(number, float):
        return str(number)
    sign = "-" if math.copysign(1, number) < 0 else ""
    mantissa, _, power = repr(abs(number)).partition("e")
    whole, _, part = mantissa.partition(".")
    digits, exponent = whole + part, len(whole) + int(power or 0)
    exponent -= len(digits) - len(digits.lstrip("0"))
    digits = digits.strip("0")
    if not digits:
        return sign + "0.0"
    if (exponent > 14 and exponent > len(digits) + 3) or exponent < -3:
        return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{exponent - 1:+d}"
    if exponent <= 0:
        return f"{sign}0.{'0' * -exponent}{digits}"
    return f"{sign}{digits[:exponent].ljust(exponent, '0')}.{digits[exponent:] or '0'}"


def truncated(a: int, b: int) -> tuple[int, int]:
    """Quotient and remainder as Scheme's `truncate/` has them."""
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient, a - quotient * b


def as_double(number: int | Fraction) -> float:
    """The nearest double; infinite beyond the range."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


@checked
@given(integers, integers)
def test_integer_arithmetic_is_exact(scheme: Evaluate, a: int, b: int) -> None:
    """At every size, across the edges of machine words."""
    assert scheme(f"(+ {a} {b})", f"(- {a} {b})", f"(* {a} {b})", f"(gcd {a} {b})", f"(lcm {a} {b})") == [
        shown(n) for n in (a + b, a - b, a * b, math.gcd(a, b), math.lcm(a, b))
    ]
    assert scheme(f"(< {a} {b})", f"(= {a} {b})", f"(eqv? {a} {b})", f"(= {a} {a})", f"(max {a} {b})") == [
        shown(n) for n in (a < b, a == b, a == b, True, max(a, b))
    ]


@checked
@given(integers, integers.filter(bool))
def test_division_keeps_its_law(scheme: Evaluate, a: int, b: int) -> None:
    """Quotient and remainder of both kinds, and the exact ratio."""
    quotient, remainder = truncated(a, b)
    assert scheme(f"(quotient {a} {b})", f"(remainder {a} {b})", f"(modulo {a} {b})", f"(/ {a} {b})") == [
        shown(n) for n in (quotient, remainder, a % b, Fraction(a, b))
    ]
    assert scheme(f"(quotient {a * b} {b})", f"(floor-quotient {a} {b})") == [str(a), str(a // b)]


@checked
@given(integers, integers, st.integers(-200, 200))
def test_bits_are_those_of_twos_complement(scheme: Evaluate, a: int, b: int, shift: int) -> None:
    """Negative numbers have endless ones."""
    expressions = [f"({name} {a} {b})" for name in ("bitwise-and", "bitwise-ior", "bitwise-xor")]
    expected = [a & b, a | b, a ^ b, ~a, a << shift if shift >= 0 else a >> -shift]
    assert scheme(*expressions, f"(bitwise-not {a})", f"(arithmetic-shift {a} {shift})") == [
        str(n) for n in expected
    ]
    assert scheme(f"(bitwise-bit-set? {a} {abs(shift)})") == [shown(bool(a >> abs(shift) & 1))]


@checked
@given(fractions, fractions)
def test_fractions_are_exact(scheme: Evaluate, a: Fraction, b: Fraction) -> None:
    """In lowest terms, also where they come out whole."""
    assert scheme(f"(+ {a} {b})", f"(- {a} {b})", f"(* {a} {b})", f"(< {a} {b})") == [
        shown(n) for n in (a + b, a - b, a * b, a < b)
    ]
    rounded = [math.floor(a), math.ceil(a), math.trunc(a), round(a)]
    assert scheme(*(f"({name} {a})" for name in ("floor", "ceiling", "truncate", "round"))) == [
        str(n) for n in rounded
    ]


@checked
@given(st.one_of(integers, fractions), doubles)
def test_doubles_are_compared_by_their_exact_value(scheme: Evaluate, a: int | Fraction, d: float) -> None:
    """No rounding of the exact side."""
    assert scheme(f"(< {a} {d!r})", f"(= {a} {d!r})", f"(> {d!r} {a})") == [
        shown(n) for n in (a < Fraction(d), a == Fraction(d), Fraction(d) > a)
    ]


@checked
@given(doubles)
def test_a_double_prints_shortest_and_reads_back(scheme: Evaluate, d: float) -> None:
    """Racket's display form; the text reads back as the same double."""
    assert scheme(repr(d), f"(exact {d!r})", f'(eqv? {d!r} (string->number "{shown(d)}"))') == [
        shown(d),
        str(Fraction(d)),
        "#t",
    ]


@checked
@given(st.integers(0, 10**40), st.integers(-360, 330))
def test_decimals_are_rounded_to_the_nearest_double(scheme: Evaluate, digits: int, exponent: int) -> None:
    """However many digits they have."""
    text = f"{digits}e{exponent}"
    expected = float(text)
    assert scheme(text) == ["+inf.0" if math.isinf(expected) else shown(expected)]


@checked
@given(st.floats(0, 1.7e308), st.sampled_from(["", "0", "1", "00000000000000000000000000001"]))
def test_halfway_decimals_round_to_even(scheme: Evaluate, d: float, more: str) -> None:
    """The exact middle of two doubles, and a little more than it."""
    above = math.nextafter(d, math.inf)
    middle = (Fraction(d) + Fraction(above)) / 2
    places = middle.denominator.bit_length() - 1
    text = f"{middle.numerator * 5**places}{more}e{-places - len(more)}"
    assert scheme(text) == [shown(float(text))]


@checked
@given(st.one_of(integers, fractions))
def test_exact_numbers_become_the_nearest_double(scheme: Evaluate, a: int | Fraction) -> None:
    """Also where numerator and denominator are far beyond a double."""
    expected = as_double(a)
    assert scheme(f"(inexact {a})") == [
        shown(expected) if math.isfinite(expected) else "+inf.0" if expected > 0 else "-inf.0"
    ]


@checked
@given(integers, st.integers(2, 36))
def test_every_radix_round_trips(scheme: Evaluate, a: int, radix: int) -> None:
    """number->string and string->number undo each other."""
    assert scheme(f"(string->number (number->string {a} {radix}) {radix})") == [str(a)]
    text = {2: "b", 8: "o", 16: "x"}.get(radix)
    if text:
        assert scheme(f"(number->string {a} {radix})") == [format(a, text)]


@checked
@given(st.integers(0, 2**2000))
def test_integer_roots_are_exact(scheme: Evaluate, n: int) -> None:
    """Root and remainder; the root of a square is exact."""
    root = math.isqrt(n)
    assert scheme(f"(call-with-values (lambda () (exact-integer-sqrt {n})) +)", f"(sqrt {n * n})") == [
        str(root + n - root * root),
        str(n),
    ]


@checked
@given(doubles, st.integers(0, 6))
def test_decimal_strings_are_exact(scheme: Evaluate, d: float, places: int) -> None:
    """real->decimal-string rounds the double's exact value, a half to even."""
    scaled = round(abs(Fraction(d)) * 10**places)
    digits = str(scaled).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits + "."
    sign = "-" if math.copysign(1, d) < 0 else ""
    assert scheme(f"(real->decimal-string {d!r} {places})") == [sign + text]


@pytest.mark.parametrize("bits", [30_000, 150_000, 300_000])
def test_long_numbers_are_as_exact_as_short_ones(scheme: Evaluate, bits: int) -> None:
    """Karatsuba, the transform and recursive division, against Python by remainders."""
    p, a, b = 2**127 - 1, 3 ** (bits * 5 // 8), 7 ** (bits // 3)
    numbers = f"(let ((p {p}) (a (expt 3 {bits * 5 // 8})) (b (expt 7 {bits // 3})))"
    assert scheme(*(f"{numbers} (modulo {e} p))" for e in ("(* a b)", "(quotient a b)", "(* a a)"))) == [
        str(n % p) for n in (a * b, a // b, a * a)
    ]
    assert scheme(f"{numbers} (= (+ (* (quotient (* a a) b) b) (remainder (* a a) b)) (* a a)))") == ["#t"]
    assert scheme(f"{numbers} (= a (string->number (number->string a))))") == ["#t"]
    assert scheme(f"{numbers} (gcd (* a 10) (* b 10)))") == ["10"]


@pytest.mark.parametrize(
    "expression", ["(expt 3 9999999)", "(arithmetic-shift 1 9000000)", '(string->number "#e1e999999999")']
)
def test_a_number_beyond_the_limit_is_refused_at_once(scheme: Evaluate, expression: str) -> None:
    """The error names the limit; nothing is computed before."""
    handler = '(lambda (e) (if (string-contains? (exn-message e) "8388608 bits") (quote refused) e))'
    assert scheme(f"(with-handlers ([exn:fail? {handler}]) {expression})") == ["refused"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e999999999", "+inf.0"),
        ("-1e-999999999", "-0.0"),
        ("#e1.5", "3/2"),
        ("#x-fF/2", "-255/2"),
        ("#e#x10", "16"),
        ("#i1/4", "0.25"),
        ("1/0", "#f"),
        ("+inf.0", "+inf.0"),
        ("+i", "0+1i"),
        ("1-2i", "1-2i"),
        ("0.5+1e3i", "0.5+1000.0i"),
        ("1@0", "1"),
        ("-", "#f"),
        ("1e", "#f"),
        ("1+2", "#f"),
        ("#e+nan.0", "#f"),
        ("--1", "#f"),
        ("1/2/3", "#f"),
        ("", "#f"),
    ],
)
def test_number_syntax(scheme: Evaluate, text: str, expected: str) -> None:
    """What is a number, and which."""
    assert scheme(f'(string->number "{text}")') == [expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("(sqrt -4)", "0+2i"),
        ("(sqrt 1/4)", "1/2"),
        ("(sqrt 2)", "1.4142135623730951"),
        ("(sqrt -1.0)", "0.0+1.0i"),
        ("(expt 2 -2)", "1/4"),
        ("(expt 2.0 3)", "8.0"),
        ("(expt 0 0)", "1"),
        ("(exp 0)", "1"),
        ("(log 8 2)", "3.0"),
        ("(log 100 10)", "2.0"),
        ("(atan 1 -1)", "2.356194490192345"),
        ("(round 5/2)", "2"),
        ("(round 3.5)", "4.0"),
        ("(max 1 2.0)", "2.0"),
        ("(* 0 1.5)", "0"),
        ("(/ 1 1+i)", "1/2-1/2i"),
        ("(magnitude 3+4i)", "5"),
        ("(exact->inexact 1/3)", "0.3333333333333333"),
        ("(gcd 1/2 1/3)", "1/6"),
        ("(rationalize 3/10 1/10)", "1/3"),
        ("(number->string 255 16)", "ff"),
        ("1e20", "1e+20"),
        ("1234567890123456789.0", "1234567890123456800.0"),
        ("1e21", "1e+21"),
        ("0.0001", "0.0001"),
        ("1e-7", "1e-7"),
        ("(- 0.0)", "-0.0"),
        ("(eqv? 0.0 -0.0)", "#f"),
        ("(eqv? +nan.0 +nan.0)", "#t"),
        ("(= +nan.0 +nan.0)", "#f"),
    ],
)
def test_exactness_and_display(scheme: Evaluate, expression: str, expected: str) -> None:
    """Exact where Racket and R7RS are, and shown as Racket shows it."""
    assert scheme(expression) == [expected]


def test_random_numbers_repeat_for_a_seed(scheme: Evaluate) -> None:
    """The same seed, the same numbers; all in their range."""
    draw = "(begin (random-seed 42) (list (random 100) (random 5 9) (random (expt 10 30)) (random)))"
    first, again = scheme(f"(equal? {draw} {draw})", f"(let ((l {draw})) (< 0 (fourth l) 1))")
    assert (first, again) == ("#t", "#t")
    assert scheme("(for/and ([i 1000]) (< 4 (random 5 9) 9))") == ["#t"]


async def test_a_long_computation_pauses(runtime: Runtime) -> None:
    """Others run between two slices: a gcd of large numbers does not hold the host."""
    work = asyncio.create_task(runtime.run("(gcd (- (expt 3 120000) 2) (- (expt 7 60000) 4))"))
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    assert (await work).value == str(math.gcd(3**120000 - 2, 7**60000 - 4))
    assert turns > 3


def test_integers_at_the_edges_of_the_short_way_are_written_as_python_does(scheme: Evaluate) -> None:
    """Those of 32 bits have a way of their own, in decimal."""
    edges = [10**k + d for k in range(1, 20) for d in (-1, 0, 1)]
    edges += [2**k + d for k in (31, 32, 33, 62, 63, 64) for d in (-1, 0, 1)]
    numbers = [0, 1, 9, *edges, *(-n for n in edges)]
    assert scheme(*(f"(number->string {n})" for n in numbers)) == [str(n) for n in numbers]
    assert scheme(*(f"(number->string {n} 16)" for n in numbers)) == [f"{n:x}" for n in numbers]

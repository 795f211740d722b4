"""The short ways of small evaluations come to what the long ones come to."""

from __future__ import annotations

import dataclasses
import string

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Runtime
from rlm_wasm.errors import Unencodable
from rlm_wasm.execution.meter import are_flat, flat_footprint, footprint
from rlm_wasm.sandbox import protocol
from rlm_wasm.testing import InlineProvider

# ---- messages

OUTCOMES = st.fixed_dictionaries(
    {"status": st.just("ok"), "value": st.text(max_size=30)},
    optional={"data": st.binary(max_size=30) | st.just(True)},
)


def long_way(outbox: bytes) -> list[protocol.Message]:
    """As ``messages``, of an outbox whose array has a length of its own, which no short way knows."""
    items = cbor2.loads(outbox)
    return protocol.messages(cbor2.dumps(items))


def told(outbox: bytes) -> object:
    """What an outbox says, or that it says nothing."""
    try:
        return [dataclasses.asdict(message) for message in protocol.messages(outbox)]
    except Unencodable:
        return None


@given(OUTCOMES)
def test_a_plain_outcome_is_read_as_any_other(outcome: dict[str, object]) -> None:
    outbox = b"\x9f" + cbor2.dumps(["done", outcome]) + b"\xff"
    short, long = protocol.messages(outbox), long_way(outbox)
    assert [dataclasses.asdict(message) for message in short] == [dataclasses.asdict(m) for m in long]


@pytest.mark.parametrize("length", [2, 23, 24, 255, 256, 4000])
def test_a_text_without_data_takes_the_short_way_whatever_its_length(length: int) -> None:
    """An answer of a model, mostly: its head has one byte, two or three."""
    text = "a" * length
    for head in (
        b"",
        b"\x79" + length.to_bytes(2, "big"),
    ):  # as short as it may be, and as older guests have it
        packed = head + text.encode() if head else cbor2.dumps(text)
        outbox = b"\x9f\x82" + cbor2.dumps("done") + b"\xa2" + cbor2.dumps("status") + cbor2.dumps("ok")
        done = protocol.plain_done(outbox + cbor2.dumps("value") + packed + b"\xff")
        assert done is not None
        assert (done.status, done.value) == ("ok", text)


@given(OUTCOMES, st.data())
def test_a_plain_outcome_that_was_damaged_is_read_as_any_other(
    outcome: dict[str, object], data: st.DataObject
) -> None:
    """One byte of it is another, is missing, or one more is there."""
    outbox = bytearray(b"\x9f" + cbor2.dumps(["done", outcome]) + b"\xff")
    at = data.draw(st.integers(20, len(outbox) - 1))
    outbox[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    short = told(bytes(outbox))
    try:
        items = cbor2.loads(bytes(outbox))
    except (cbor2.CBORError, ValueError, TypeError):
        assert short is None
        return
    if isinstance(items, list):
        assert short == told(cbor2.dumps(items)) or short is None


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=20)
)
ANYTHING = (
    PLAIN
    | st.lists(PLAIN)
    | st.lists(st.lists(PLAIN))
    | st.tuples(PLAIN, PLAIN)
    | st.dictionaries(st.text(), PLAIN)
)


@given(st.integers(1, 1 << 40), st.booleans(), ANYTHING)
def test_a_reply_is_encoded_as_its_three_parts_are(id_: int, fine: bool, value: object) -> None:
    assert protocol.reply(id_, fine, value) == protocol.encode([id_, fine, protocol.reply_value(value)])


def test_half_of_a_surrogate_pair_in_a_reply_is_replaced() -> None:
    expected = protocol.encode([1, True, ["a\ufffd"]])
    assert protocol.reply(1, True, ["a\ud800"]) == expected


@settings(max_examples=300)
@given(st.lists(PLAIN | st.just([])))
def test_flat_arguments_are_held_with_no_less_than_they_take(arguments: list[object]) -> None:
    encoded = len(protocol.encode(arguments))
    decoded = protocol.arguments_of(protocol.encode(arguments))
    assert are_flat(decoded)
    flat = flat_footprint(decoded, encoded)
    assert footprint(decoded) <= flat <= 80 * (len(arguments) + 2) + 4 * encoded


def test_nested_arguments_are_held_with_all_that_they_take() -> None:
    nested: list[object] = [[[] for _ in range(1000)]]
    assert not are_flat(nested)
    assert footprint(nested) > 50_000


# ---- programs

LENGTHS = (
    0,
    1,
    22,
    23,
    24,
    25,
    400,
    460,
    470,
    480,
    490,
    500,
    510,
    520,
    4095,
    4096,
    4097,
    16_000,
    16_400,
    70_000,
)


@pytest.mark.parametrize("length", LENGTHS)
async def test_a_program_of_any_length_is_taken_whole(length: int) -> None:
    """Up to 512 bytes a message is put where short ones go, up to 16 KiB it is decoded at once."""
    text = "x" * length
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        for _ in range(2):
            result = await session.execute(f'"{text}"', name="n" * (length % 40))
            assert (result.status, result.value, result.data) == ("ok", text, text)
        result = await session.execute(f'(string-length "{text}é")')
        assert result.data == length + 1


@pytest.mark.parametrize(
    "value",
    [
        "'()",
        '\'(a "b" #t #f () (1 . 2))',
        "(list 1.5 -0.0 +inf.0 +nan.0 1e21 -7 4611686018427387903)",
        "(list 'null (string->symbol \"\") '|a b|)",
        "''a",
        "'(quote a b)",
        "(list (list (list (list (list 1)))))",
        "(cons 1 2)",
        "(list 1/2 (expt 10 30) #\\a)",
        "(build-list 300 values)",
        '(list "a\\nb" "\\"")',
        "(list (void))",
        "(list '#:key)",
    ],
)
async def test_a_list_is_told_in_one_step_as_a_printer_shows_it(value: str) -> None:
    """With a wide character in it, it takes the printer's way."""
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        alone = await session.execute(value)
        beside = await session.execute(f'(list {value} "\u0416")')
    assert (alone.status, beside.status) == ("ok", "ok")
    assert beside.value == f"({alone.value} \u0416)"
    assert repr(beside.data) == repr(None if alone.data is None else [alone.data, "\u0416"])


@pytest.mark.parametrize(
    "literal",
    [
        "0",
        "23",
        "24",
        "-1",
        "-24",
        "-25",
        "255",
        "256",
        "65536",
        "-4294967297",
        "1152921504606846975",
        "-1152921504606846976",
        "1152921504606846976",
        "#t",
        "#f",
        '""',
        '"a"',
        "'()",
        "'a",
        "1.5",
        "1/2",
        "(void)",
    ],
)
async def test_a_value_is_the_same_alone_and_in_a_list(literal: str) -> None:
    """Alone it goes the short way, where there is one; by finish, too."""
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        alone = await session.execute(literal)
        finished = await session.execute(f"(finish {literal})")
        listed = await session.execute(f"(list {literal})")
        text = await session.execute(f'(format "~a" {literal})')
    (expected,) = listed.data if listed.data is not None else (None,)
    assert (alone.status, finished.status) == ("ok", "finished")
    assert alone.data == finished.data == (None if literal == "(void)" else expected)
    assert type(alone.data) is type(finished.data)
    if literal != "(void)":
        assert alone.value == finished.value == text.value


# ---- near misses


def distance(a: str, b: str) -> int:
    """The fewest insertions, deletions, changes and swaps of neighbours, each place touched once."""
    rows = [[i + j if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            rows[i][j] = min(
                rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            )
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


NAMES = st.one_of(
    st.text("zqjxé", min_size=1, max_size=9).map(lambda text: "zqj" + text),
    st.text("zqjxé", min_size=1, max_size=4).map(
        lambda text: "zqj" + "qjx" * 19 + text
    ),  # 61 to 64 characters
)


@settings(max_examples=30)
@given(st.sets(NAMES, min_size=1, max_size=8), NAMES)
async def test_the_hint_names_the_closest_names_and_no_other(defined: set[str], meant: str) -> None:
    defined.discard(meant)
    most = 1 if len(meant) <= 5 else 2 if len(meant) <= 9 else 3
    far = {name: distance(meant, name) for name in defined}
    least = min(far.values(), default=99)
    closest = {name for name, steps in far.items() if steps == least} if least <= most else set()
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        await session.execute("".join(f"(define {name} 1)" for name in sorted(defined)))
        result = await session.execute(f"(+ {meant} 1)")
    assert result.error is not None
    hint = result.error.hint or ""
    named = {word.strip("`?.,;") for word in hint.split() if word.strip("`?.,;").startswith("zqj")}
    named.discard(meant)
    assert named <= closest
    assert len(named) == min(3, len(closest))


async def test_a_name_that_differs_in_marks_and_case_alone_is_meant_first() -> None:
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        await session.execute("(define zq-list? 1) (define zqlist2 2)")
        result = await session.execute("(ZQ_List! 1)")
    assert result.error is not None
    assert "zq-list?" in (result.error.hint or "")
    assert set(result.error.hint or "") <= set(string.printable)


CALLS = st.tuples(st.integers(0, 1 << 17), st.text(max_size=30), st.binary(max_size=300))


def assert_read_as_any_other(message: list[object], data: st.DataObject) -> None:
    """An outbox of this message alone, whole or damaged, says what its slow reading does, or nothing."""
    outbox = bytearray(b"\x9f" + cbor2.dumps(message) + b"\xff")
    if data.draw(st.booleans()):
        at = data.draw(st.integers(6, len(outbox) - 1))
        outbox[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    short = told(bytes(outbox))
    try:
        items = cbor2.loads(bytes(outbox))
    except (cbor2.CBORError, ValueError, TypeError):
        assert short is None
        return
    if isinstance(items, list):
        assert short == told(cbor2.dumps(items)) or short is None


@given(CALLS, st.data())
def test_a_plain_call_whole_or_damaged_is_read_as_any_other(
    call: tuple[int, str, bytes], data: st.DataObject
) -> None:
    assert_read_as_any_other(["call", *call], data)


OUTCOMES = st.tuples(st.sampled_from(["ok", "error", "no status"]), st.text(max_size=300))


@given(OUTCOMES, st.data())
def test_an_outcome_without_data_whole_or_damaged_is_read_as_any_other(
    outcome: tuple[str, str], data: st.DataObject
) -> None:
    status, value = outcome
    assert_read_as_any_other(["done", {"status": status, "value": value}], data)


WHOLE = b"\x9f\x84\x64call\x01\x63llm\x41\x80\xff"


@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_the_beginning_of_a_call_is_none(length: int) -> None:
    assert told(WHOLE) == [{"id": 1, "operation": "llm", "arguments": b"\x80"}]
    assert told(WHOLE[:length]) is None


# ---- short programs, and the same with a long comment behind them, which the driver runs in steps

PROGRAMS = (
    "",
    "; nothing",
    "1",
    "'(1 2)",
    "#(1 2)",
    '"text"',
    "(void)",
    "(values 1 2)",
    "(+ 1 2)",
    "(define (f x) (* x x)) (f 3)",
    "(struct p (x y) #:transparent) (p 1 2)",
    "(define-struct q (x)) (q-x (make-q 5))",
    "(module m racket (define x 3) x)",
    "#lang racket\n(+ 1 2)\n'(a b)",
    "(define x 1) (module+ main (set! x 2)) x",
    "(display 1) (newline) 2",
    '(display "out") (eprintf "err")',
    "(finish 42)",
    "(let ((x 1)",
    ")",
    '(display "never")\n(car',
    "(if)",
    "(foo 1)",
    "(car 5)",
    "(define (g) (vector-ref (vector) 0))\n(g)",
    "(raise 'oops)",
    '(llm-query #:instruction "q")',
    '(define a (llm-query #:instruction "q")) (string-length (syntax-e a))',
    '(define h (llm-query-async #:instruction "q")) (list (syntax-e (await h)) (syntax-e (await h)))',
    "(add 1 2)",
    "(list (add 1 2) (add 3 4))",
    "(add 1)",
    "(await (spawn (lambda () (add 1 2))))",
    "(spawn (lambda () (add 1 2))) 7",
    "(map-async (lambda (i) (spawn (lambda () (add i 1)))) '(1 2 3))",
    "(let ([k (call/cc (lambda (k) k))]) (if (procedure? k) (k 1) k))",
    "(define k #f) (define n 0) (call/cc (lambda (c) (set! k c))) (set! n (+ n 1)) (if (< n 3) (k 1) n)",
    '(with-handlers ([exn:fail? exn-message]) (add \'x "y"))',
    '(hash-ref (hash "a" 1) \'a 0)',
    "(for/sum ([i 10]) (add i 1))",
    '(string-join \'("a" b) ",")',
    "(parameterize ([current-output-port (open-output-string)]) (display 1) 5)",
)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_short_program_comes_to_the_same_as_one_with_a_long_comment(program: str) -> None:
    """And so does what is evaluated after it in the session."""
    told = []
    async with Runtime(provider=InlineProvider(), python="off") as runtime:
        runtime.host_function("add")(lambda a, b: a + b)
        for comment in ("", "\n; " + "-" * 3000):
            async with runtime.session() as session:
                for source in (program + comment, "(list 1 'after)", program + comment):
                    result = await session.execute(source)
                    told.append(
                        (
                            result.status,
                            result.value,
                            result.data,
                            result.written,
                            result.warnings,
                            result.stdout,
                            result.stderr,
                            result.error,
                        )
                    )
    assert told[:3] == told[3:]


async def test_what_an_execution_left_running_comes_before_the_next_program() -> None:
    async with Runtime(provider=InlineProvider(), python="off") as runtime:
        runtime.host_function("add")(lambda a, b: a + b)
        async with runtime.session() as session:
            assert (await session.execute("(define n 0) (spawn (lambda () (set! n (add n 1))))")).ok
            assert (await session.execute("(add 0 0)")).ok
            assert (await session.execute("n")).value == "1"

"""What py-exec, py-eval, py-set! and py-call mean, in either back end."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm.capabilities.python import PythonBackend
from rlm_wasm.errors import PythonFailure, UsageError
from rlm_wasm.python import codec, values
from rlm_wasm.python.values import check_marks, to_scheme

from .conftest import run


async def test_eval_returns_the_last_expression_of_several_lines(either: PythonBackend) -> None:
    reply = await run(either, "eval", "import math\nx = 20\nx + math.floor(1.5)")
    assert reply.value == 21


async def test_exec_returns_what_was_printed_and_no_value(either: PythonBackend) -> None:
    reply = await run(either, "exec", "for i in range(3):\n    print(i)\n99")
    assert (reply.value, reply.stdout) == (None, "0\n1\n2\n")


async def test_variables_live_from_call_to_call_until_reset(either: PythonBackend) -> None:
    await run(either, "exec", "data = [1, 2]\ndef total(): return sum(data)")
    await run(either, "exec", "data.append(39)")
    assert (await run(either, "eval", "total()")).value == 42
    await either.reset()
    with pytest.raises(PythonFailure, match="NameError"):
        await run(either, "eval", "data")


async def test_a_variable_is_set_as_data_never_as_code(either: PythonBackend) -> None:
    hostile = '"""); import os; os._exit(1) #\n{}'
    await run(either, "set", "text", hostile)
    assert (await run(either, "eval", "text")).value == hostile


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("None", None),
        ("True", True),
        ("2**200", 2**200),
        ("float('inf')", math.inf),
        ("'déjà \\U0001f600'", "déjà \U0001f600"),
        ("b'\\x00\\xff'", b"\x00\xff"),
        ("(1, [2, (3,)])", [1, [2, [3]]]),
        ("{1: 'a', (2, 3): None}", {1: "a", (2, 3): None}),
        ("{3, 1, 2}", [1, 2, 3]),
        ("__import__('datetime').date(2026, 1, 31)", "2026-01-31"),
        ("__import__('fractions').Fraction(1, 3)", Fraction(1, 3)),
        ("1+2j", 1 + 2j),
        ("{'$': 1}", {"$": 1}),
        ("from collections import Counter\nCounter('aab')", {"a": 2, "b": 1}),
        ("from collections import defaultdict\ndefaultdict(list, {1: [2]})", {1: [2]}),
        ("from collections import OrderedDict\nOrderedDict(b=1, a=2)", {"b": 1, "a": 2}),
        ("from collections import deque\ndeque([1, 2], 5)", [1, 2]),
        ("from collections import namedtuple\nnamedtuple('P', 'x y')(1, 2)", [1, 2]),
        ("range(2, 8, 3)", [2, 5]),
        ("{'a': 1}.keys()", ["a"]),
        ("{'a': 1}.values()", [1]),
        ("{'a': 1}.items()", [["a", 1]]),
        ("from collections import ChainMap\nChainMap({'a': 1}, {'b': 2})", {"a": 1, "b": 2}),
        (
            "from collections import UserDict, UserList, UserString\nUserDict(a=UserList([UserString('x')]))",
            {"a": ["x"]},
        ),
        ("from types import MappingProxyType\nMappingProxyType({'a': 1})", {"a": 1}),
        ("from array import array\narray('d', [1.5, 2])", [1.5, 2.0]),
        ("frozenset([2, 1])", [1, 2]),
        ("bytearray(b'ab')", b"ab"),
        ("memoryview(b'ab')", b"ab"),
        (
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: list\nP(1, [2])",
            {"x": 1, "y": [2]},
        ),
        ("from decimal import Decimal\nDecimal('1.10')", Fraction(11, 10)),
        ("from decimal import Decimal\n[Decimal('5'), Decimal('1E+3'), Decimal('-0')]", [5, 1000, 0]),
        ("from decimal import Decimal\n[Decimal('Infinity'), Decimal('-Infinity')]", [math.inf, -math.inf]),
        ("from fractions import Fraction\nFraction(3**5000, 2)", Fraction(3**5000, 2)),
        ("import enum\nclass E(enum.IntEnum):\n    A = 4\nE.A", 4),
        ("__import__('datetime').datetime(2026, 1, 31, 5)", "2026-01-31T05:00:00"),
        ("__import__('datetime').time(5, 30)", "05:30:00"),
    ],
)
async def test_a_value_with_a_data_form_comes_back_as_data(
    either: PythonBackend, code: str, expected: Any
) -> None:
    assert (await run(either, "eval", code)).value == expected


async def test_an_integer_of_any_size_comes_back(either: PythonBackend) -> None:
    assert (await run(either, "eval", "-(7**9000)")).value == -(7**9000)


async def test_a_decimal_that_would_be_huge_as_an_exact_number_is_a_reference(either: PythonBackend) -> None:
    found = (await run(either, "eval", "from decimal import Decimal\nDecimal('1E+999999')")).value
    assert found[0] == "python-object"
    assert (await run(either, "call", found, "adjusted")).value == 999_999


async def test_nan_comes_back_as_nan(either: PythonBackend) -> None:
    assert math.isnan((await run(either, "eval", "float('nan')")).value)


async def test_an_object_without_data_form_is_a_reference_that_calls_take(either: PythonBackend) -> None:
    found = (await run(either, "eval", "import re\nre.search('b+', 'abbbc')")).value
    assert (await run(either, "call", found, "group")).value == "bbb"
    await run(either, "set", "again", found)
    assert (await run(either, "eval", "again.span()")).value == [1, 4]


async def test_calling_a_method_of_what_is_no_object_is_refused(either: PythonBackend) -> None:
    with pytest.raises((UsageError, PythonFailure)):
        await run(either, "call", "text", "no_such_method")


async def test_an_exception_comes_with_the_line_of_the_code(either: PythonBackend) -> None:
    with pytest.raises(PythonFailure) as caught:
        await run(either, "exec", "x = 1\n\nx / 0")
    assert "ZeroDivisionError" in str(caught.value)
    assert "line 3" in caught.value.traceback


async def test_a_syntax_error_is_a_failure_with_its_line(either: PythonBackend) -> None:
    with pytest.raises(PythonFailure, match="SyntaxError"):
        await run(either, "exec", "a = 1\nb = = 2")


async def test_a_value_that_contains_itself_is_a_clear_failure(either: PythonBackend) -> None:
    with pytest.raises(PythonFailure, match="contains itself"):
        await run(either, "eval", "x = []\nx.append(x)\nx")


async def test_contexts_appear_as_variables(either: PythonBackend) -> None:
    either.set_context(None, "the default text")
    either.set_context("other", "another")
    assert (await run(either, "eval", "context")).value == "the default text"
    assert (await run(either, "eval", "contexts['other'].upper()")).value == "ANOTHER"


async def test_variables_survive_capture_and_restore(python: PythonBackend, make: Any) -> None:
    await run(python, "exec", "base = 40\ndef add(n): return base + n")
    captured = await python.capture()
    assert captured is not None
    other = make("wasi")
    await other.restore(captured)
    assert (await run(other, "eval", "add(2)")).value == 42
    await run(other, "exec", "base = 100")
    assert (await run(other, "eval", "add(2)")).value == 102


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.fractions()
    | st.dates()
    | st.times()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner)
    ),
    max_leaves=20,
)


@given(plain)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_the_encoder_takes_the_decoder_takes(value: Any) -> None:
    """It counts as many marks as the text has, or more."""
    encoder = codec._Encoder(lambda item: [id(item), ""])
    text = json.dumps(encoder.plain(value, 0))
    counted = codec.MAX_MARKS - encoder._marks_left
    assert check_marks(text.encode() + b" " * counted, counted + 1) <= counted


@given(plain)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_the_codec_gives_back_what_it_took(value: Any) -> None:
    def refuse(item: Any) -> list[Any]:
        raise AssertionError(item)

    assert codec.loads(codec.dumps(value, refuse), refuse) == value


def test_a_text_of_many_parts_is_read_as_any_other() -> None:
    """By another reader than a short one: it lets other threads run."""
    value = [{"a": [n, None, True, -1.5e3, '\u00e9\ud83d\ude00\\"']} for n in range(30_000)]
    text = json.dumps(value)
    assert text.count(",") > values._AT_ONCE
    assert to_scheme(text) == json.loads(text)
    for broken in (text[:-1], text + "]", text.replace("null", "nil")):
        with pytest.raises(ValueError, match="line 1 column"):
            to_scheme(broken)

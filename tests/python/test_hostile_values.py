"""Values of a hostile Python, and hostile values for Python: the host's work is counted and bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits
from rlm_wasm.capabilities.python import PythonBackend
from rlm_wasm.errors import PythonFailure, UsageError
from rlm_wasm.python import codec, values
from rlm_wasm.python.values import PairTable, check_marks, to_scheme
from rlm_wasm.sandbox import protocol

from .conftest import Make, run

COLLIDING = 2**61 - 1
"""Every multiple of it has the hash 0: n of them in one table are n² / 2 comparisons."""


class Unhashable(int):
    """Stands for an integer that somebody chose."""

    def __hash__(self) -> int:
        raise AssertionError("the host hashed a value of the guest's choice")


@pytest.fixture
def no_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every integer that comes out of Python refuses to be hashed."""
    real = json.loads
    monkeypatch.setattr(values.json, "loads", lambda text: real(text, parse_int=Unhashable))


@pytest.mark.usefixtures("no_hashing")
@pytest.mark.parametrize("kind", ["set", "tuple"])
def test_a_set_of_chosen_integers_is_never_a_set_in_the_host(kind: str) -> None:
    """It crosses as the list that it is."""
    chosen = [k * COLLIDING for k in range(1000)]
    assert to_scheme(json.dumps({"$": [kind, *chosen]})) == chosen


@pytest.mark.usefixtures("no_hashing")
def test_a_dict_of_chosen_integers_is_never_a_dict_in_the_host() -> None:
    """It is encoded from its pairs, and the guest builds the table at its own cost."""
    pairs = [[k * COLLIDING, k] for k in range(1000)]
    table = to_scheme(json.dumps({"$": ["dict", *pairs]}))
    assert isinstance(table, PairTable)
    assert len(table) == 1000
    assert protocol.encode(table) == protocol.encode({int(key): int(item) for key, item in pairs})


async def test_the_attack_itself_is_a_list(python: PythonBackend) -> None:
    """It stopped all threads for half a minute."""
    reply = await run(python, "eval", f"set(k * {COLLIDING} for k in range(2000))")
    assert reply.value == sorted(k * COLLIDING for k in range(2000))


async def test_a_number_and_its_text_are_two_keys(either: PythonBackend) -> None:
    """Nothing is lost on the way."""
    reply = await run(either, "eval", "{1: 'a', '1': 'b', (2, '2'): None}")
    assert list(reply.value.items()) == [(1, "a"), ("1", "b"), ((2, "2"), None)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A hundred parts are the most."""
    for module in (codec, values):
        monkeypatch.setattr(module, "MAX_NODES", 100)
    monkeypatch.setattr(codec, "MAX_MARKS", 200)
    return 100


def test_a_list_that_stands_in_many_places_counts_in_each(small: int) -> None:
    """On its way in it is refused as soon as that is known."""

    def given(value: Any) -> Any:
        return values.arguments_of("set", ["x", value])[1]

    shared: list[Any] = []
    most = small - 2  # beside the name and the list around them
    assert given([shared] * most) == [[]] * most
    with pytest.raises(UsageError, match="100 parts"):
        given([shared] * (most + 1))
    deep: Any = []
    for _ in range(100):
        deep = [deep, deep]
    with pytest.raises(UsageError, match="100 parts"):
        given(deep)


def test_all_arguments_of_a_call_are_counted_together(small: int) -> None:
    """Or many of them would be the way round."""
    with pytest.raises(UsageError, match="100 parts"):
        values.arguments_of("exec", ["code", *[[[]] * 40] * 3])


def test_what_is_too_large_is_refused_where_it_is_made(small: int) -> None:
    """By the encoder inside; a range of a million million is not gone through."""

    def refuse(item: Any) -> list[Any]:
        raise AssertionError(item)

    assert codec.dumps([0] * (small - 1), refuse)
    deep: Any = []
    for _ in range(100):
        deep = [deep, deep]
    for value in ([0] * small, range(10**30), dict.fromkeys(range(small)), [[[]] * 60] * 60, deep):
        with pytest.raises(codec.TooLarge):
            codec.dumps(value, refuse)


@pytest.mark.parametrize(
    "forged",
    ["[" + "[]," * 200 + "0]", '"' * 500, '{"a":' * 250 + "0" + "}" * 250, '["' + '","' * 200 + '"]'],
)
def test_what_a_forged_answer_has_too_many_of_is_never_made(
    small: int, forged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is counted as text."""

    def never(_text: str) -> Any:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(values.json, "loads", never)
    with pytest.raises(codec.TooLarge):
        to_scheme(forged)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.sampled_from('a,[{:"\\é'))
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def _parts(value: Any) -> int:
    if isinstance(value, list):
        return 1 + sum(map(_parts, value))
    if isinstance(value, dict):
        return 1 + sum(map(_parts, value.values()))
    return 1


@given(plain, st.booleans(), st.sampled_from([1, 2, 3, 7, 1 << 16]))
@settings(max_examples=300, deadline=None)
def test_the_count_is_never_too_low_and_strings_do_not_add_to_it(
    value: Any, ascii_only: bool, step: int
) -> None:
    """Whatever the text's steps cut in two."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    before, values.BLOCK = values.BLOCK, step  # type: ignore[misc]
    try:
        counted = check_marks(text.encode() + b" " * 10_000, 10_000)
        longer = check_marks(text.replace("é", 'é,[{:\\"aaaa').encode() + b" " * 10_000, 10_000)
    finally:
        values.BLOCK = before  # type: ignore[misc]
    assert counted + 1 >= _parts(value)
    assert longer == counted


def test_a_long_text_is_one_part() -> None:
    """However many commas and quotes it has."""
    for text in ("a,b\n" * 500_000, '"\\' * 500_000, "[" * 2_000_000):
        assert check_marks(json.dumps([text]).encode(), 200) == 1
        assert to_scheme(json.dumps([text])) == [text]


@pytest.mark.parametrize(
    "forged",
    [
        '{"$": []}',
        '{"$": 5}',
        '{"$": ["ratio", 1, 0]}',
        '{"$": ["ratio", "a", "b"]}',
        '{"$": ["ratio", {"$": ["int", "0x1' + "0" * 100_000 + '"]}, 3]}',
        '{"$": ["complex", "nan", []]}',
        '{"$": ["dict", [1, 2, 3]]}',
        '{"$": ["int", "zz"]}',
        '{"$": ["ref"]}',
        '{"$": ["bytes", 5]}',
        "[" * 100_000,
        "1" * 5000,
        '{"$": ["tuple", ' * 300 + "1" + "]}" * 300,
        "",
    ],
)
async def test_what_the_codec_would_not_write_is_the_codes_failure(
    python: PythonBackend, forged: str
) -> None:
    """Never an error of the host's own."""
    answer = '{"stdout": "", "stderr": ""}'
    await run(python, "exec", f"import app\napp.run = lambda request: {forged!r} + '\\n' + {answer!r}")
    with pytest.raises(PythonFailure, match="broke its driver"):
        await run(python, "eval", "1")


@pytest.mark.parametrize("frames", ["5", "[5, null]", '["' + "x" * 1000 + '"]', "[" + "1," * 999 + "1]"])
async def test_forged_frames_are_bounded(python: PythonBackend, frames: str) -> None:
    """Texts of bounded length and number, or a failure of the code."""
    answer = (
        f'{{"stdout": "", "stderr": "", "error": "e", "kind": "k", "traceback": "t", "frames": {frames}}}'
    )
    await run(python, "exec", f"import app\napp.run = lambda request: 'null\\n' + {answer!r}")
    with pytest.raises(PythonFailure) as caught:
        await run(python, "eval", "1")
    assert len(caught.value.frames) <= 40
    assert all(isinstance(frame, str) and len(frame) <= 200 for frame in caught.value.frames)


@pytest.mark.parametrize("code", ["'a\\ud800b'", "{'a\\ud800b': 1}.popitem()[0]"])
async def test_half_a_surrogate_pair_is_replaced(either: PythonBackend, code: str) -> None:
    """No bytes stand for it, so it can cross nowhere."""
    assert (await run(either, "eval", code)).value == "a\ufffdb"
    reply = await run(either, "exec", f"print({code})")
    assert reply.stdout.encode() == "a\ufffdb\n".encode()


async def test_a_context_with_an_accent_needs_four_times_its_length(make: Make) -> None:
    """Not a fifteenth of it, escaped."""
    length = 8 << 20
    python = make("wasi", limits=Limits(python_memory_bytes=(32 << 20) + 4 * length))
    python.set_context(None, "é" * length)
    assert (await run(python, "eval", "len(context)")).value == length


async def test_a_value_that_is_nested_too_deep_is_refused_on_its_way_in(python: PythonBackend) -> None:
    """As the caller's mistake, and the variables stay."""
    await run(python, "exec", "kept = 1")
    deep: Any = []
    for _ in range(codec.MAX_DEPTH + 5):
        deep = [deep]
    with pytest.raises(UsageError, match="deeper than 200"):
        await run(python, "set", "deep", deep)
    assert (await run(python, "eval", "kept")).value == 1

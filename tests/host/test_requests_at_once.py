"""A request that C makes in a step, and its reply, are what they are where Scheme makes them in many.

What a program has printed before it asks goes the long way: so each thing is asked both ways.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime
from rlm_wasm.testing import EchoProvider, InlineProvider

LONG = '(begin (display "x") {})'

PLAIN = st.recursive(
    st.integers(-(2**70), 2**70)
    | st.integers(-30, 300)
    | st.booleans()
    | st.none()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=30,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PLAIN, min_size=1, max_size=3))
async def test_a_function_gets_and_gives_the_same_either_way(replies: list[Any]) -> None:
    """What it gave is what it gets back the next time."""
    async with Runtime(provider=InlineProvider()) as runtime:
        got: list[Any] = []

        @runtime.host_function("give")
        def give(n: int) -> Any:
            return replies[n]

        @runtime.host_function("get")
        def get(value: Any) -> None:
            got.append(value)

        async with runtime.session() as session:
            await session.execute("")
            for n, _ in enumerate(replies):
                for way in ("{}", LONG):
                    result = await session.execute(way.format(f"(get (give {n}))"))
                    assert result.status == "ok", result.error
    assert got[::2] == got[1::2]
    assert len(got) == 2 * len(replies)


ARGUMENTS = [
    "1 -1 23 24 255 256 65535 65536 4294967296 (expt 2 61) (- (expt 2 61)) (expt 2 64)",
    '"" "a" "é" "λx" "😀" (make-string 100 #\\a) (make-string 300 #\\λ)',
    "#t #f '() (void) 'symbol 'null",
    "1.5 -0.0 +inf.0 1/3 (sqrt -1)",
    "'(1 (2 (3 (4 (5 (6 (7)))))))",
    "(iota 300) (list (iota 100) (iota 150))",
    '\'(1 . 2) (vector 1 2) (hash "a" 1) (box 1) #\\a (bytes 1 2)',
    "(make-string 20000 #\\a) (make-string 17000 #\\é)",
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
async def test_arguments_of_every_kind_arrive_the_same_either_way(arguments: str) -> None:
    async with Runtime(provider=InlineProvider()) as runtime:
        got: list[Any] = []
        runtime.host_function("get")(lambda *values: got.append(repr(values)))
        async with runtime.session() as session:
            await session.execute("")
            for way in ("{}", LONG):
                assert (await session.execute(way.format(f"(get {arguments})"))).status == "ok"
    assert got[0] == got[1]


@pytest.mark.parametrize(
    "call",
    [
        "(get car)",
        "(let ((l (list 1))) (set-cdr! l l) (get l))",
        "(fails 1)",
        "(get)",
        "(llm-query)",
        '(llm-query #:instruction "")',
        "(llm-query #:instruction 5)",
        '(llm-query "a")',
        '(llm-query #:instruction "a" #:nothing 1)',
        '(llm-query #:instruction "a" #:instruction)',
        '(llm-query #:instruction "a" #:data 5)',
        '(llm-query #:instruction "a" #:model 5)',
        '(llm-query #:instruction "a" #:temperature "hot")',
        '(llm-query #:instruction "a" #:max-tokens 0)',
        '(llm-query #:instruction "a" #:max-tokens 1.5)',
        '(llm-query #:instruction "a" #:json "yes")',
        '(llm-query #:instruction "a" #:recursive -1)',
        '(llm-query #:instruction "a" #:data (llm-query-async #:instruction "b"))',
    ],
)
async def test_what_is_wrong_is_said_in_the_same_words_at_the_same_place(call: str) -> None:
    def fail(_value: object) -> None:
        raise ValueError("no")

    async with Runtime(provider=InlineProvider()) as runtime:
        runtime.host_function("get")(lambda value: value)
        runtime.host_function("fails")(fail)
        async with runtime.session() as session:
            await session.execute("")
            short = await session.execute(f"(list\n  (let ((f (lambda () {call}))) (f)))")
            long = await session.execute(
                f"(begin\n  (let ((f (lambda () (display 1) {call}))) (f)))", check=False
            )
            short_unlooked = await session.execute(
                f"(begin\n  (let ((f (lambda () {call}))) (f)))", check=False
            )
    assert short.status == long.status == "error"
    assert short_unlooked.error.message == long.error.message
    assert short_unlooked.error.line == long.error.line


CALLS = [
    '#:instruction "say"',
    '#:instruction "say" #:data "d"',
    '#:data "é" #:instruction "λ"',
    '#:instruction "say" #:model "m" #:temperature 1 #:max-tokens 7',
    '#:instruction "say json" #:temperature 0.5 #:json #t',
    '#:instruction "say" #:temperature 1/2 #:model #f #:data (make-string 20000 #\\a)',
    '#:instruction "say" #:images (list) #:image #f #:json #f #:recursive #f',
    '#:instruction "say" #:data (syntax-e (llm-query #:instruction "first"))',
    '#:instruction "say" #:data (llm-query #:instruction "first")',
]


@pytest.mark.parametrize("arguments", CALLS)
async def test_a_call_is_asked_and_answered_the_same_either_way(arguments: str) -> None:
    asked: list[object] = []
    shown = []
    for way in ("{}", LONG):
        provider = InlineProvider(lambda request: '{"say": 1}')
        async with Runtime(provider=provider) as runtime, runtime.session() as session:
            await session.execute("")
            source = f"(define a (llm-query {arguments})) (list (syntax-e a) (provenance a) (truncated? a))"
            result = await session.execute(way.format(source) if way == "{}" else f'(display "x") {source}')
            assert result.status == "ok", result.error
            shown.append(result.value)
            asked.append([dataclasses.replace(r, timeout_s=1, idempotency_key="") for r in provider.requests])
    assert shown[0] == shown[1]
    assert repr(asked[0]) == repr(asked[1])
    assert asked[0]


async def test_a_token_budget_is_kept_around_a_plain_call() -> None:
    async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
        await session.execute("")
        result = await session.execute(
            '(parameterize ([token-budget 1]) (llm-query #:instruction "long enough"))'
        )
    assert "token budget exceeded" in result.error.message


async def test_other_calls_that_are_under_way_are_answered_meanwhile() -> None:
    """Their replies come while the machine waits for one that was asked for at once."""
    async with Runtime(provider=EchoProvider()) as runtime:
        runtime.host_function("add")(lambda a, b: a + b)
        async with runtime.session() as session:
            await session.execute("")
            result = await session.execute(
                "(define hs (map (lambda (i) (llm-query-async #:instruction (number->string i))) (iota 20)))"
                "(define n (for/sum ([i 20]) (add i 1)))"
                '(define last (syntax-e (llm-query #:instruction "last")))'
                "(list n last (length (await-all hs)))"
            )
    assert result.status == "ok", result.error
    assert result.value.startswith("(210 ")
    assert result.value.endswith(" 20)")


async def test_a_message_that_is_too_large_is_refused_by_its_limit() -> None:
    limits = Limits(message_bytes=1000)
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime:
        runtime.host_function("get")(lambda value: None)
        async with runtime.session() as session:
            await session.execute("")
            result = await session.execute("(get (make-string 2000 #\\a))")
    assert "message_bytes" in result.error.message

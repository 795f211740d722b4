"""Sets, boxes, structs and the rest of data, wherever they go: store, snapshot, Python, Result.data, JSON."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from rlm_wasm import Runtime
from rlm_wasm.data import Box, Char, Struct, Symbol, json_form, whole_characters
from rlm_wasm.errors import Unencodable
from rlm_wasm.sandbox import protocol

STRUCTS = "(struct point (x y) #:transparent) (struct deep point (z) #:transparent) (struct pre (a) #:prefab)"
VALUES = [
    '(set 1 "two" \'(3 4))',
    "(seteq 'a)",
    "(mutable-set 1 2)",
    "(set)",
    "(set (set 1) (set))",
    "(box (list 1 (box 2)))",
    '(point 1 (point 2 "y"))',
    "(deep 1 2 (set 3))",
    "(pre (hash 'k (box 1)))",
    "#\\λ",
    "(expt 7 400)",
    "-1/3",
    "(list (vector (set 'x)) (hash (set 1) 2))",
    "(list #u1(0 1) #s8(-128) #u64(18446744073709551615) #s64(-9223372036854775808) #f8(0.5) #f16(1.5))",
    "(vector #f32(0.5 +inf.0) #f64(0.1 -0.0 +nan.0) #c64(1.0+2.0i) #c128(0.1-0.1i) #u32())",
]


@pytest.mark.parametrize("value", VALUES)
async def test_data_is_kept_by_a_checkpoint_for_another_session(runtime: Runtime, value: str) -> None:
    """equal?, of the same kind, and as usable as it was."""
    async with runtime.session(namespace="n") as first:
        kept = await first.execute(f"{STRUCTS} (checkpoint 'k {value}) (equal? {value} (restore 'k))")
        assert kept.value == "#t", kept.error
    async with runtime.session(namespace="n") as second:
        again = await second.execute(f"{STRUCTS} (equal? {value} (restore 'k))")
    assert again.value == "#t", again.error


@pytest.mark.parametrize("value", VALUES)
async def test_data_is_kept_by_snapshots_and_forks(runtime: Runtime, value: str) -> None:
    """In the middle of nothing."""
    async with runtime.session() as session:
        await session.execute(f"{STRUCTS} (define v {value})")
        async with await session.fork() as fork, await runtime.restore(await session.snapshot()) as restored:
            for copy in (fork, restored):
                assert (await copy.execute(f"(equal? v {value})")).value == "#t"


async def test_a_uniform_vector_is_a_tuple_of_its_numbers_in_python(runtime: Runtime) -> None:
    """In Result.data, and as an argument of py-set!."""
    result = await runtime.run("(list #u8(1) #s16(-1 2) #f32(0.5) #u64(18446744073709551615) #c64(1.0+2.0i))")
    assert result.data == [b"\x01", (-1, 2), (0.5,), (2**64 - 1,), (1 + 2j,)]
    result = await runtime.run('(py-set! "v" #s16(-1 2)) (py-eval "[sum(v), len(v)]")')
    assert result.data == [1, 2], result.error


@pytest.mark.parametrize("items", [[], [7, "a"], [7, [1]], [7, True], "no", 7])
def test_what_is_said_to_be_a_uniform_vector_and_is_none_is_refused(items: object) -> None:
    """It holds numbers, or it is not taken."""
    import cbor2

    with pytest.raises(Unencodable):
        protocol.decode(cbor2.dumps(cbor2.CBORTag(protocol.TAG_UNIFORM, items)))


async def test_a_restored_set_is_a_set_and_a_restored_box_can_be_changed(runtime: Runtime) -> None:
    """Mutable ones are mutable, the others are not."""
    result = await runtime.run(
        "(checkpoint 'k (list (set 1) (mutable-set 1) (box 1)))"
        "(define v (restore 'k)) (set-add! (second v) 2) (set-box! (third v) 5)"
        "(list (set-member? (set-add (first v) 7) 7) (set-count (second v)) (unbox (third v))"
        " (try (set-add! (first v) 1) on-error (lambda (m) 'refused)))"
    )
    assert result.data == [True, 2, 5, "refused"], result.error


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        ("", "no such struct is defined"),
        ("(struct point (y x) #:transparent)", "the one that is defined has #(y x)"),
        ("(struct point (x) #:transparent)", "the one that is defined has #(x)"),
        ("(struct point (x y))", "no such struct is defined"),
    ],
)
async def test_a_struct_is_restored_only_where_it_is_defined_as_it_was(
    runtime: Runtime, definition: str, says: str
) -> None:
    """Other fields under the same name would be other data."""
    async with runtime.session(namespace="n") as first:
        await first.execute("(struct point (x y) #:transparent) (checkpoint 'k (list (point 1 2)))")
    async with runtime.session(namespace="n") as second:
        result = await second.execute(f"{definition} (restore 'k)")
    assert result.error is not None
    assert says in result.error.message
    assert "point" in result.error.message


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("(begin (struct hidden (x)) (hidden 1))", "a struct that is not #:transparent"),
        ("car", "a procedure"),
        ("(let ([b (box 1)]) (set-box! b b) b)", "cyclic"),
        ('(list (llm-query-async #:instruction "q"))', "await"),
    ],
)
async def test_what_is_no_data_says_so(runtime: Runtime, value: str, says: str) -> None:
    """And why."""
    result = await runtime.run(f"(checkpoint 'k {value})")
    assert result.error is not None
    assert says in result.error.message


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('(set 1 "two" \'(3 4))', frozenset({1, "two", (3, 4)})),
        ("(box 1)", Box(1)),
        ("(point 1 2)", Struct("point", {"x": 1, "y": 2})),
        ("(deep 1 2 3)", Struct("deep", {"x": 1, "y": 2, "z": 3})),
        ("(list #\\a 1/2 (expt 2 100) 'b)", [Char("a"), Fraction(1, 2), 2**100, Symbol("b")]),
        ("(list->set (range 20000))", frozenset(range(20_000))),
    ],
)
async def test_data_reaches_the_embedder_in_the_form_that_is_documented(
    runtime: Runtime, value: str, expected: object
) -> None:
    """Result.data."""
    assert (await runtime.run(f"{STRUCTS} {value}")).data == expected


async def test_two_fields_of_one_name_are_told_apart(runtime: Runtime) -> None:
    """A field of the parent and one of its own."""
    result = await runtime.run("(struct a (x) #:transparent) (struct b a (x) #:transparent) (b 1 2)")
    assert result.data == Struct("b", {"x": 1, "x#2": 2})


async def test_a_set_whose_members_would_be_one_in_python_has_no_data(runtime: Runtime) -> None:
    """Rather none than one that lacks something; the text shows all of it."""
    result = await runtime.run("(set 1 1.0)")
    assert (result.data, result.value) == (None, "#<set: 1 1.0>")


COLLIDING = [
    '(hash "a" 1 \'a 2)',
    "(hash 1.0 2 1 3)",
    "(hash #t 1 1 2)",
    "(hash (list 1 2) 1 (vector 1 2) 2)",
    "(hash '#:a 1 'a 2)",
    "(hash 1/2 1 0.5 2)",
    "(list 1 (hash 'x (hash 0 1 0.0 2)))",
    "(set 1 1.0)",
]


@pytest.mark.parametrize("code", COLLIDING)
async def test_a_table_whose_keys_would_be_one_in_python_loses_none_of_them(code: str) -> None:
    """It has no form there, which is said at every door; a checkpoint keeps all of it."""
    seen: list[object] = []
    async with Runtime(provider="echo") as runtime:
        runtime.host_function("take")(seen.append)
        result = await runtime.run(code)
        assert (result.status, result.data) == ("ok", None)
        assert "are one in Python" in result.warnings[0]
        for use in (f"(take {code})", f'(py-set! "v" {code})'):
            refused = await runtime.run(use)
            assert refused.error is not None
            assert "are one in Python" in refused.error.message
        kept = await runtime.run(f'(checkpoint "k" {code}) (equal? (restore "k") {code})')
        assert kept.data is True
    assert seen == []


async def test_a_character_and_a_string_of_it_are_one_key_in_python_only(runtime: Runtime) -> None:
    """And void and JSON null are both None there."""
    for code in ('(hash #\\a 1 "a" 2)', "(hash (void) 1 (json-null) 2)"):
        refused = await runtime.run(f'(py-set! "v" {code})')
        assert refused.error is not None
        assert "are one in Python" in refused.error.message


async def test_a_key_twice_in_json_is_an_error(runtime: Runtime) -> None:
    """As a symbol and as a string: whoever reads it sees one of them."""
    for code in ('(hash "a" 1 \'a 2)', "(list (hash 'x (hash 'b 1 \"b\" 2)))"):
        result = await runtime.run(f"(jsexpr->string {code})")
        assert result.error is not None
        assert "has this key as a string, too" in result.error.message
        assert (await runtime.run(f"(jsexpr? {code})")).data is False
    assert (await runtime.run('(jsexpr->string (hash "a" 1 \'b 2))')).value == '{"a":1,"b":2}'


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("(vector 1 2)", (1, 2)),
        ("1/2", Fraction(1, 2)),
        ("(list 1/2 (vector 'a))", (Fraction(1, 2), ("a",))),
        ("(bytes 1)", b"\x01"),
        ("1+2i", 1 + 2j),
    ],
)
async def test_keys_of_any_data_reach_python(runtime: Runtime, key: str, expected: object) -> None:
    """Vectors and rationals among them."""
    result = await runtime.run(f"(hash {key} 3)")
    assert result.data == {expected: 3}
    assert (await runtime.run(f'(py-set! "v" (hash {key} 3)) (py-eval "len(v)")')).data == 1


async def test_a_value_that_has_no_data_leaves_a_line(runtime: Runtime) -> None:
    """Result.data is None for JSON null and void as well."""
    result = await runtime.run("(for/hash ([i 5000]) (values i i))")
    assert result.data is None
    assert result.warnings == (
        "Result.data is None, since Python has no form for the value: a large table with other keys than text,"
        " or one with structs in its keys.",
    )
    assert (await runtime.run("(void)")).warnings == ()


def test_members_that_were_chosen_to_collide_are_refused() -> None:
    """A set of them would take quadratic time."""
    prime = (1 << 61) - 1
    members = [0, *(prime * n for n in range(1, 400))]
    with pytest.raises(Unencodable):
        protocol.decode(protocol.encode(_tagged(members)))


def _tagged(members: list[int]) -> object:
    import cbor2

    return cbor2.CBORTag(protocol.TAG_SET, members)


async def test_host_functions_take_and_give_sets_and_boxes() -> None:
    """As sets and boxes."""
    seen: list[object] = []

    def both(value: object) -> object:
        seen.append(value)
        return {"set": {3, 1, 2}, "box": Box([1])}

    async with Runtime(provider="echo", host_functions={"both": both}) as runtime:
        result = await runtime.run(
            "(define r (both (set 1 2))) (list (set->list (hash-ref r 'set)) (unbox (hash-ref r 'box)))"
        )
    assert seen == [{1, 2}]
    assert result.data == [[1, 2, 3], [1]], result.error


async def test_a_struct_that_a_host_function_gives_is_refused_with_a_condition() -> None:
    """The guest may not know it."""
    async with Runtime(provider="echo", host_functions={"f": lambda: Struct("p", {"x": 1})}) as runtime:
        result = await runtime.run("(f)")
    assert result.error is not None
    assert "Struct has no form in Scheme" in result.error.message


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("(set 1)", "set->list"),
        ("(box 1)", "unbox"),
        ("(point 1 2)", "a table of its fields"),
        ("#\\a", "string makes"),
        ("1/2", "exact->inexact"),
        ("(bytes 1)", "bytes->string/utf-8"),
    ],
)
async def test_json_says_what_to_convert(runtime: Runtime, value: str, says: str) -> None:
    """What has no form there."""
    result = await runtime.run(f"{STRUCTS} (jsexpr->string (list {value}))")
    assert result.error is not None
    assert says in result.error.message


def test_results_with_any_data_are_plain_json() -> None:
    """Integers that Python will not write in decimal, sets, structs."""
    huge = 7**6_000
    plain = json_form(
        {"n": huge, "r": Fraction(1, huge), "s": {3, 1}, "b": Box(1), "p": Struct("p", {"x": {2}})}
    )
    assert json.loads(json.dumps(plain)) == {
        "n": hex(huge),
        "r": f"1/{huge:#x}",
        "s": [1, 3],
        "b": {"value": 1},
        "p": {"name": "p", "fields": {"x": [2]}},
    }


# ---- sets are values


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (
            "(let ([h (make-hash)]) (hash-update! h 'k (λ (s) (set-add s 3)) (set)) (hash-ref h 'k))",
            frozenset({3}),
        ),
        ("(hash-ref (hash-update (hash) 'k (λ (s) (set-add s 3)) (set 1)) 'k)", frozenset({1, 3})),
        ("(hash-ref (hash) 'k (set 1))", frozenset({1})),
        ("(hash-ref! (make-hash) 'k (set 1))", frozenset({1})),
        ("(dict-ref '() 'k (set 1))", frozenset({1})),
        ("(procedure? (set 1))", False),
    ],
)
async def test_a_set_is_a_value_where_a_procedure_would_be_called(
    runtime: Runtime, program: str, expected: object
) -> None:
    """As the default of a table's key."""
    result = await runtime.run(program)
    assert result.data == expected, result.error


async def test_applying_a_set_says_what_to_write(runtime: Runtime) -> None:
    """It is no procedure."""
    result = await runtime.run("((set 1) 1)")
    assert result.error is not None
    assert "set-member?" in str(result.error)


# ---- keys made of content


async def test_sha256_is_the_standards(runtime: Runtime) -> None:
    """Of text as UTF-8, and of bytes."""
    result = await runtime.run('(list (sha256 "abc") (sha256 "é") (sha256 (bytes 195 169)))')
    assert result.data[0] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert result.data[1] == result.data[2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(hash 'a 1 'b 2)", "(hash 'b 2 'a 1)"),
        ("(set 1 2 3)", "(set 3 2 1)"),
        ("(list (hash 'k (set 1 2)))", "(list (hash 'k (set 2 1)))"),
        ("(make-hash '((a . 1)))", "(hasheq 'a 1)"),
        ('"text"', '(string-append "te" "xt")'),
    ],
)
async def test_equal_data_has_one_content_key(runtime: Runtime, one: str, other: str) -> None:
    """However it was made, in whatever session."""
    keys = [(await runtime.run(f"(content-key {value})")).value for value in (one, other)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 64


async def test_other_data_has_another_content_key(runtime: Runtime) -> None:
    """Also where it would print alike, or run together."""
    values = [
        '"ab" "c"', '"a" "bc"', '"abc"', "'abc", '(list "ab" "c")', "(list 'ab 'c)", "1", "1.0", '"1"', "(set 1)",
        "(list 1)", "(vector 1)", "(box 1)", "(hash 1 #t)", "'()", '""', "#f", "(void)", "(list '())", "#\\a", '"a"',
    ]  # fmt: skip
    result = await runtime.run(f"(list {' '.join(f'(content-key {value})' for value in values)})")
    assert len(set(result.data)) == len(values), result.error


async def test_texts_whose_short_hashes_are_one_have_two_answers_in_the_cache() -> None:
    """cached-query and the keys of recipes are as long as what they tell apart is different."""
    from rlm_wasm.testing import InlineProvider

    async with Runtime(provider=InlineProvider(lambda request: request.data[-20:])) as runtime:
        result = await runtime.run(
            "(define seen (make-hash))"
            "(define pair (let loop ([i 0])"
            '  (define text (format "text ~a" i)) (define code (equal-hash-code text))'
            "  (cond [(hash-ref seen code #f) => (lambda (other) (list other text))]"
            '        [else (hash-set! seen code text) (if (< i 300000) (loop (+ i 1)) (list "a" "b"))])))'
            '(map (lambda (text) (string=? text (cached-query "q" #:data text))) pair)'
        )
    assert result.data == [True, True], result.error


# ---- doors


def test_half_a_character_becomes_a_replacement_character() -> None:
    """One owner for all doors."""
    assert whole_characters("a\ud800b") == "a\ufffdb"


async def test_half_a_character_is_replaced_at_every_door() -> None:
    """Contexts, their names, what host functions return, also deep inside."""
    async with (
        Runtime(
            provider="echo", host_functions={"f": lambda: {"k\udc00": ["x\ud800", ("y\udfff",), {"z\ud9ff"}]}}
        ) as runtime,
        runtime.session() as session,
    ):
        await session.load_context("a\ud800b")
        await session.load_context("c", "n\ud800")
        result = await session.execute(
            "(list context (context-names) (hash-keys (f)) (car (hash-values (f))))"
        )
    assert result.data == [
        "a\ufffdb",
        ["n\ufffd"],
        ["k\ufffd"],
        ["x\ufffd", ("y\ufffd",), frozenset({"z\ufffd"})],
    ]


@pytest.mark.parametrize("text", ["\ufeffabc", "\ufeffabc".encode(), bytearray("\ufeffabc".encode())])
async def test_a_byte_order_mark_is_no_part_of_a_context_or_a_program(
    runtime: Runtime, text: str | bytes
) -> None:
    """As text and as bytes."""
    async with runtime.session() as session:
        await session.load_context(text)
        result = await session.execute("\ufeff(string-append context)")
    assert result.value == "abc", result.error


def test_a_struct_of_many_fields_of_one_name_takes_linear_time() -> None:
    """A guest may say so, whatever its language allows; the last one is numbered like the second."""
    import cbor2

    names = (Symbol("x"),) * 50_000
    sent = cbor2.CBORTag(protocol.TAG_STRUCT, [Symbol("p"), names, *range(50_000)])
    decoded = protocol.decode(protocol.encode(sent))
    assert decoded.fields["x#50000"] == 49_999

"""Old versions of immutable tables: each is what it was, however far the store is from it and wherever the way there pauses.

Python's dictionaries say what a version holds, in the order in which its entries came (wasm/data/table.h has the
representation). How long a piece of work is, is measured in fuel, which is exact.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.in_slices import value_of
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.protocol import Done, GuestStatus
from rlm_wasm.sandbox.sandbox import Sandbox

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import loop_gap

FIRST = """
(define versions (make-vector 400 #f))
(define (version i) (vector-ref versions i))
(define (keep! i table) (vector-set! versions i table))
(define (key n) (if (even? n) n (format "key ~a" n)))
(define (shown table) (map (lambda (e) (list (if (string? (car e)) (string->number (substring (car e) 4)) (car e)) (cdr e))) (hash->list table)))
(define (long from n) (let loop ([i 0] [t from]) (if (= i n) t (loop (+ i 1) (hash-set t 'long i)))))
(keep! 0 (hash))
"""

CHANGES = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 400), st.integers(0, 30), st.integers(0, 9)),
    st.tuples(st.just("remove"), st.integers(0, 400), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("far"), st.integers(0, 400), st.integers(100, 3000), st.just(0)),
)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(CHANGES, min_size=5, max_size=120),
    st.randoms(use_true_random=False),
    st.sampled_from([40, 1000, 1 << 50]),
)
def test_every_version_is_what_it_was(
    changes: list[tuple[str, int, int, int]], random: object, steps: int
) -> None:
    """A tree of versions, read in any order: entries, their order, counts, single keys, equality, and what is printed."""
    program, held = FIRST, [{}]
    for number, (kind, at, key, value) in enumerate(changes, 1):
        at %= number
        now = dict(held[at])
        if kind == "set":
            program += f"(keep! {number} (hash-set (version {at}) (key {key}) {value}))\n"
            now[key] = value
        elif kind == "remove":
            program += f"(keep! {number} (hash-remove (version {at}) (key {key})))\n"
            now.pop(key, None)
        else:
            program += f"(keep! {number} (hash-remove (long (version {at}) {key}) 'long))\n"
        held.append(now)
    order = list(range(len(held)))
    random.shuffle(order)  # type: ignore[attr-defined]
    wanted = []
    program += "(list\n"
    for a, b in zip(order, reversed(order), strict=True):
        program += (
            f" (list (shown (version {a})) (hash-count (version {b})) (hash-ref (version {b}) (key 7) #f)"
        )
        program += f" (equal? (version {a}) (version {b})) (hash-keys-subset? (version {a}) (version {b})))\n"
        entries = " ".join(f"({k} {v})" for k, v in held[a].items())
        seven = held[b].get(7, "#f")
        alike = "#t" if held[a] == held[b] else "#f"
        wanted.append(
            f"(({entries}) {len(held[b])} {seven} {alike} {'#t' if held[a].keys() <= held[b].keys() else '#f'})"
        )
    assert value_of(program + ")", steps) == f"({' '.join(wanted)})"


def test_versions_of_a_table_may_be_its_own_keys() -> None:
    """To compare them takes the store away from the table that is looked through: it is brought back."""
    program = """
    (define t1 (hash 1 2 'a (list 1 2)))
    (define t2 (hash-set (hash-set t1 t1 'old) (hash-set t1 3 4) 'other))
    (define same (make-immutable-hash (list (cons 1 2) (cons 'a (list 1 2)))))
    (define t3 (let loop ([i 0] [t t2]) (if (= i 5000) t (loop (+ i 1) (hash-set t 'n i)))))
    (list (hash-ref t2 same) (hash-ref t3 same) (hash-ref t3 (hash-set same 3 4)) (hash-ref t2 (hash-set same 3 5) 'none)
          (hash-count t1) (hash-count (hash-remove t3 same)) (hash-ref (hash-set t3 same 'new) t1) (hash-ref t3 t1)
          (equal? t2 t3) (equal? t2 (hash-remove t3 'n)) (equal? (hash t1 1) (hash same 1)))"""
    for steps in (7, 500, 1 << 50):
        assert value_of(program, steps) == "(old old other none 2 4 new old #f #t #t)"


OLD = """
(define names (list->vector (map (lambda (i) (string->symbol (format "n~a" i))) (iota {entries}))))
(define (name i) (vector-ref names (modulo i {entries})))
(define first (make-immutable-hash (map (lambda (n) (cons n 0)) (vector->list names))))
(define other (hash-set first (name 1) 'other))
(define last (let loop ([i 0] [t (hash-set first (name 1) 0.5)]) (if (= i {changes}) t (loop (+ i 1) (hash-set t (name i) (- -1 i))))))
"""
LOOKS = [
    "(hash-ref first (name 7))", "(hash-count first)", "(hash-set first 'x 1)", "(hash-remove first (name 3))", "(length (hash-keys first))", "(hash-copy first)",
    "(equal? first other)", "(equal? first last)", "(equal? first (hash-copy first))", "(hash-keys-subset? first last)",
    "(hash-ref (hash first 1) (hash-copy first) #f)", "(string-length (format \"~s\" first))", "(for/sum ([(k v) first]) v)", "(hash-map first list)", "first",
    "(error \"old\" first)", "(vector-ref first first)", "(hash-ref first 'none)", "(list first last first)", "(display first)", "(list->set (list first other first))",
    "(jsexpr->string first)", "(equal? (list first last other) (list last first other))", "(hash-union first last #:combine +)", "(hash-ref first \"none\" #f)",
]  # fmt: skip


@pytest.mark.parametrize(("entries", "changes"), [(1, 1_200_000), (150_000, 300_000)])
def test_no_look_at_an_old_version_is_long(entries: int, changes: int) -> None:
    """A million changes were gone back in one go, and a store of any size copied: in slices of 2,000 steps the longest is short."""
    bench = loop_gap.Bench(loop_gap.Sizes.scaled(0.1), steps=2_000)
    program = OLD.replace("{entries}", str(entries)).replace("{changes}", str(changes))
    sandbox = Sandbox(Engine.shared(), 1 << 30)
    bench.run(sandbox, program, max_fuel=1 << 40)
    image = sandbox.capture()
    sandbox.close()
    too_long = []
    for look in LOOKS:
        sandbox = Sandbox(Engine.shared(), 1 << 30, image)
        assert bench.run(sandbox, "(+ 1 2)", 1 << 40).outcome == "ok"  # what an execution's beginning costs
        measured = bench.run(sandbox, f"(call-with-values (lambda () {look}) void)", 1_500_000_000)
        sandbox.close()
        assert "limit" not in measured.outcome
        if measured.fuel > loop_gap.ATOM_BOUND:
            too_long.append((look, measured.fuel / 1e6))
    assert not too_long


def test_an_old_version_is_found_where_memory_is_full() -> None:
    """The way takes next to no memory; a copy on the way is done without where there is no room for one. (170,000 do not fit.)"""
    program = """
    (define first (hash 1 'one 2 'two))
    (define last (let loop ([i 0] [t first]) (if (= i {n}) t (loop (+ i 1) (hash-set t 1 i)))))
    (define (look) (list (hash-ref first 1) (hash-ref last 1) (hash-ref first 2)))
    (look) (list (look) (equal? first (hash 1 'one 2 'two)))"""
    assert value_of(program.replace("{n}", "160000"), 20_000, 24 << 20) == "((one 159999 two) #t)"


def test_a_walk_that_is_given_up_leaves_all_versions_whole() -> None:
    """What ends an execution may end it on the way: each version is what it was."""
    sandbox = Sandbox(Engine.shared(), 256 << 20)

    def run(program: str, slices: int | None) -> str:
        """Its value; or it is interrupted after so many slices."""
        message: bytes | None = protocol.evaluate(program, "test.scm", {})
        while sandbox.run(message, 2_000, 1 << 50) == GuestStatus.PREEMPTED:
            message = None
            if slices is not None and (slices := slices - 1) == 0:
                message = protocol.INTERRUPT
        (done,) = [m for m in protocol.messages(sandbox.outbox()) if isinstance(m, Done)]
        return f"{done.status} {done.value}"

    setup = """
    (define versions (let loop ([i 0] [t (hash 'n 0)] [l '()])
      (if (= i 200000) (list->vector (reverse l)) (loop (+ i 1) (hash-set t 'n i) (if (= 0 (modulo i 1000)) (cons t l) l)))))"""
    for slices, first in ((1, 0), (3, 50), (12, 3), (30, 20), (60, 1), (100, 0)):
        assert run(setup, None).startswith("ok")
        assert run(f"(hash-ref (vector-ref versions {first}) 'n)", slices).startswith("cancelled")
        check = (
            "(for/and ([t versions] [i (in-naturals)]) (= (hash-ref t (quote n)) (max 0 (- (* i 1000) 1))))"
        )
        assert run(check, None) == "ok #t"


def test_keys_that_all_want_one_place_are_looked_for_in_slices() -> None:
    """The hash is known, so numbers can be made that collide: each probe is work, and is charged."""
    mask = (1 << 64) - 1
    back = pow(0xFF51AFD7ED558CCD, -1, 1 << 64)
    golden = pow(0x9E3779B97F4A7C15, -1, 1 << 64)

    def key(n: int) -> int | None:
        """The fixnum of which the hash's low 20 bits are none: what mixes it is undone."""
        h = n << 20
        h ^= h >> 33
        h = h * back & mask
        h ^= h >> 33
        word = h * golden & mask
        return (word - (1 << 64 if word >> 63 else 0)) >> 1 if word & 1 else None

    keys = [k for k in (key(n) for n in range(1, 40_000)) if k is not None]
    assert len(keys) > 10_000
    bench = loop_gap.Bench(loop_gap.Sizes.scaled(0.1))
    program = f"(define t (make-hasheqv)) (for-each (lambda (k) (hash-set! t k 1)) '({' '.join(map(str, keys))})) (hash-count t)"
    sandbox = Sandbox(Engine.shared(), 256 << 20)
    measured = bench.run(sandbox, program, max_fuel=1 << 40)
    sandbox.close()
    assert measured.outcome == "ok"
    assert measured.fuel <= loop_gap.BOUND

"""VM speed: the same algorithms in the guest (fuel on) and in this CPython, side by side, as ratios.

Run: python benchmarks/vm_speed.py [--rounds 5]

Each round runs a program once in either language, in turn, so that a drift of the machine's speed
touches both; the ratio is guest / CPython of the medians (below 1.0 the guest is faster).
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import math
import statistics
import time
from collections.abc import Callable

from rlm_wasm import Limits, Runtime

SCHEME = {
    "fib": "(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib 27)",
    "tak": """
        (define (tak x y z) (if (not (< y x)) z (tak (tak (- x 1) y z) (tak (- y 1) z x) (tak (- z 1) x y))))
        (tak 18 12 6)""",
    "nqueens": """
        (define (ok? row dist placed)
          (or (null? placed)
              (and (not (= (car placed) (+ row dist))) (not (= (car placed) (- row dist))) (not (= (car placed) row))
                   (ok? row (+ dist 1) (cdr placed)))))
        (define (queens n)
          (let place ((k n) (placed '()))
            (if (= k 0) 1
                (let loop ((row 1) (total 0))
                  (if (> row n) total
                      (loop (+ row 1) (if (ok? row 1 placed) (+ total (place (- k 1) (cons row placed))) total)))))))
        (queens 8)""",
    "string building": """
        (define (build n)
          (let loop ((i 0) (parts '()))
            (if (= i n) (string-length (string-join (reverse parts) ","))
                (loop (+ i 1) (cons (string-append "item-" (number->string i) ":" (string-upcase "abc")) parts)))))
        (build 60000)""",
    "hash tables": """
        (define (count n)
          (let ((t (make-hash)))
            (let loop ((i 0))
              (when (< i n)
                (let ((k (remainder (* i 7919) 10007)))
                  (hash-set! t k (+ 1 (hash-ref t k 0))))
                (loop (+ i 1))))
            (hash-count t)))
        (count 300000)""",
    "sort": """
        (define (numbers n)
          (let loop ((i 0) (x 12345) (acc '()))
            (if (= i n) acc (loop (+ i 1) (remainder (+ (* x 1103515245) 12345) 2147483648) (cons x acc)))))
        (define data (numbers 40000))
        (+ (car (sort data <)) (car (sort data (lambda (a b) (< (remainder a 1000) (remainder b 1000))))))""",
    "call/cc loops": """
        (define (find-first ok? list)
          (call/cc (lambda (return) (for-each (lambda (x) (when (ok? x) (return x))) list) #f)))
        (define items (iota 10))
        (let loop ((i 0) (sum 0))
          (if (= i 30000) sum (loop (+ i 1) (+ sum (find-first (lambda (x) (> x 6)) items)))))""",
    "closures": """
        (define (make-counter) (let ((n 0)) (lambda () (set! n (+ n 1)) n)))
        (define (compose2 f g) (lambda (x) (f (g x))))
        (define (run n)
          (let ((c (make-counter)) (f (compose2 (lambda (x) (+ x 1)) (lambda (x) (* x 2)))))
            (let loop ((i 0) (sum 0))
              (if (= i n) (+ sum (c)) (begin (c) (loop (+ i 1) (+ sum (f i))))))))
        (run 300000)""",
}


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def tak(x: int, y: int, z: int) -> int:
    return z if not y < x else tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y))


def queens(n: int) -> int:
    def ok(row: int, dist: int, placed: tuple[int, ...]) -> bool:
        for other in placed:
            if other == row + dist or other == row - dist or other == row:
                return False
            dist += 1
        return True

    def place(k: int, placed: tuple[int, ...]) -> int:
        if k == 0:
            return 1
        return sum(place(k - 1, (row, *placed)) for row in range(1, n + 1) if ok(row, 1, placed))

    return place(n, ())


def build(n: int) -> int:
    parts = []
    for i in range(n):
        parts.append("item-" + str(i) + ":" + "abc".upper())
    return len(",".join(parts))


def count(n: int) -> int:
    table: dict[int, int] = {}
    for i in range(n):
        k = i * 7919 % 10007
        table[k] = table.get(k, 0) + 1
    return len(table)


def sorting() -> int:
    data = []
    x = 12345
    for _ in range(40000):
        data.append(x)
        x = (x * 1103515245 + 12345) % 2147483648
    data.reverse()
    by_comparison = functools.cmp_to_key(
        lambda a, b: a % 1000 - b % 1000
    )  # as the guest's: a procedure of two
    return sorted(data)[0] + sorted(data, key=by_comparison)[0]


class _Found(Exception):
    def __init__(self, value: int) -> None:
        self.value = value


def escapes() -> int:
    """The escape from an inner call is an exception: CPython's nearest to an escaping continuation."""

    def visit(ok: Callable[[int], bool], x: int) -> None:
        if ok(x):
            raise _Found(x)

    def find_first(ok: Callable[[int], bool], items: range) -> int:
        try:
            for x in items:
                visit(ok, x)
        except _Found as found:
            return found.value
        return 0

    items = range(10)
    total = 0
    for _ in range(30000):
        total += find_first(lambda x: x > 6, items)
    return total


def closures() -> int:
    def make_counter() -> Callable[[], int]:
        n = 0

        def counter() -> int:
            nonlocal n
            n += 1
            return n

        return counter

    def compose2(f: Callable[[int], int], g: Callable[[int], int]) -> Callable[[int], int]:
        return lambda x: f(g(x))

    c = make_counter()
    f = compose2(lambda x: x + 1, lambda x: x * 2)
    total = 0
    for i in range(300000):
        c()
        total += f(i)
    return total + c()


PYTHON: dict[str, Callable[[], int]] = {
    "fib": lambda: fib(27),
    "tak": lambda: tak(18, 12, 6),
    "nqueens": lambda: queens(8),
    "string building": lambda: build(60000),
    "hash tables": lambda: count(300000),
    "sort": sorting,
    "call/cc loops": escapes,
    "closures": closures,
}


async def measure(rounds: int) -> dict[str, float]:
    ratios = {}
    print(f"{'program':<18}{'guest ms':>10}{'CPython ms':>12}{'ratio':>8}")
    async with Runtime(provider="echo", limits=Limits(timeout_s=120)) as runtime:
        for name, source in SCHEME.items():
            guest, native = [], []
            for _ in range(rounds):
                async with runtime.session() as session:
                    start = time.perf_counter()
                    result = await session.execute(source)
                    guest.append(time.perf_counter() - start)
                start = time.perf_counter()
                expected = PYTHON[name]()
                native.append(time.perf_counter() - start)
                if result.value != str(expected):
                    raise SystemExit(
                        f"{name}: the guest says {result.value or result.error}, CPython {expected}"
                    )
            a, b = statistics.median(guest), statistics.median(native)
            ratios[name] = a / b
            print(f"{name:<18}{a * 1e3:>10.1f}{b * 1e3:>12.1f}{a / b:>8.2f}")
    mean = math.exp(sum(math.log(r) for r in ratios.values()) / len(ratios))
    print(f"{'geometric mean':<40}{mean:>8.2f}")
    return ratios


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(measure(parser.parse_args().rounds))

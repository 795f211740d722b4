"""The same program with the same answers takes the same course."""

from __future__ import annotations

import re

from rlm_wasm import Runtime
from rlm_wasm.testing import InlineProvider

PROGRAM = """
(define (busy n) (let loop ((i 0)) (if (< i n) (loop (+ i 1)) i)))
(define order '())
(define hs (map (lambda (i) (spawn (lambda () (busy (* 100000 (+ 1 (modulo (* i 7) 5))))
                                       (printf "~a " i) (set! order (cons i order)) i)))
                (range 6)))
(define texts (map-async (lambda (i) (busy (* i 20000)) (syntax-e (llm-query #:instruction (number->string i))))
                         (range 5)))
(list (await-all hs) texts order (random 1000000) (hash-keys (for/hash ([i 20]) (values (gensym) i))))
"""


async def test_computing_fibers_are_switched_at_the_same_places() -> None:
    """Same value, same output, same log, same number of instructions; fibers take turns."""
    seen = []
    for _ in range(3):
        async with Runtime(provider=InlineProvider()) as runtime, runtime.session() as session:
            result = await session.execute(PROGRAM)
            assert result.status == "ok", result.error
            seen.append((result.value, result.stdout, session.scope_log(), result.execution.fuel))
    assert seen[0] == seen[1] == seen[2]
    order = [int(i) for i in re.findall(r"\d+", seen[0][1])]
    assert order != sorted(order), "a long one did not hold the others up"

"""The guest's memory is all of its state: another process goes on from any suspension."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest

from host.go_on import FUEL, MEMORY, STEPS, go_on
from host.suspending import SUSPENDING
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("each_way")

MORE = {
    "output between": '(for ([i 3]) (printf "~a " i) (llm-query #:instruction (number->string i))) (eprintf "end")',
    "a fan-out with races": (
        '(list (race (list (lambda () (llm-query #:instruction "a")) (lambda () (llm-query #:instruction "b"))))'
        ' (map-async (lambda (x) (llm-query-async #:instruction x)) (list "c" "d" "e") #:max-concurrent 2))'
    ),
    "collections between": (
        "(define (churn n) (if (> n 0) (begin (make-vector 1000 n) (churn (- n 1)))))"
        '(define t (make-hash)) (for ([i 4]) (hash-set! t i (syntax-e (llm-query #:instruction "x"))) (churn 3000))'
        " (hash-ref t 3)"
    ),
    "deep recursion": (
        '(define (deep n) (if (= n 0) (string-length (syntax-e (llm-query #:instruction "bottom"))) (+ 1 (deep (- n 1)))))'
        " (deep 20000)"
    ),
    "an error": '(define (f) (llm-query #:instruction "x") (car (list))) (+ 1 (f))',
    "eval": '(eval \'(string-append "a" (syntax-e (llm-query #:instruction "x"))))',
}


@pytest.mark.parametrize("name", [*SUSPENDING, *MORE])
def test_another_process_comes_to_the_same_end(name: str) -> None:
    """The same value, output and number of steps, from a copy of linear memory at every suspension."""
    program = SUSPENDING.get(name) or MORE[name]
    engine = Engine.shared()
    sandbox = Sandbox(engine, engine.image_size + MEMORY)
    memories: list[Any] = []

    def remember(waiting: list[Any]) -> None:
        memories.append([sandbox.capture().to_record(), [*waiting]])

    status = sandbox.run(protocol.evaluate(program, "program", {}), STEPS, FUEL)
    straight = go_on(sandbox, status, [], remember)
    assert straight[1][0] == ("error" if name == "an error" else "ok")
    assert memories
    process = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "go_on.py")],
        input=protocol.encode([engine.image_hash, memories]),
        capture_output=True,
        check=True,
    )
    ends = cbor2.loads(process.stdout)
    plain = cbor2.loads(protocol.encode(straight))
    for notes, done, steps in ends:
        assert done == plain[1]
        assert steps == plain[2]
        assert "".join(n[1] for n in plain[0]).endswith("".join(n[1] for n in notes))


def test_an_instance_that_is_used_again_equals_a_new_one() -> None:
    """Whatever ran in it: not one byte of one session reaches the next."""
    from ctypes import string_at

    from rlm_wasm.sandbox.pages import pristine_memory

    engine = Engine.shared()
    pristine, size = pristine_memory(engine)
    fresh = string_at(pristine, size)
    programs = [
        *SUSPENDING.values(),
        *MORE.values(),
        "(define secret (make-string 20000 #\\S))",
        "(let loop () (loop))",
    ]
    for program in programs:
        used = Sandbox(engine, engine.image_size + MEMORY)
        status = used.run(protocol.evaluate(program, "program", {}), 300_000, FUEL)
        used.close()
        following = Sandbox(engine, engine.image_size + MEMORY)
        instance = following._i
        assert instance is not None
        assert string_at(instance.base, engine.image_size) == fresh, (program, status)
        following.close()

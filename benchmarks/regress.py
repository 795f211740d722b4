"""Whether a change makes programs cost more: python benchmarks/regress.py [--update] [--table]

Counts the fuel of 50 standard jobs, each in a session of its own that has run it already: as a text that is new there,
or, where its name says "again", as one that it has seen. Fuel is exact: the same
guest takes the same fuel on every machine, so what differs was changed. A job that takes more than 2 % more
than benchmarks/regress.json says fails; --update writes what was counted there, for the commit that is meant
to change it. --table prints all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from rlm_wasm import Runtime
from rlm_wasm.testing import InlineProvider

BASELINE = Path(__file__).with_name("regress.json")
ALLOWED = 0.02

ROWS = "\\n".join(f"{n},name {n},{n * 37 % 101}" for n in range(200))
WORDS = '(map (lambda (i) (string-append "w" (number->string (modulo (* i 7919) 100)))) (iota 400))'

JOBS = {
    "nothing": "",
    "a literal": "1",
    "a call": "(+ 1 2)",
    "twenty forms": "(+ 1 2)" * 20,
    "a definition": "(define (f x) (* x x)) (f 3)",
    "a printed value": '\'(1 "two" #(3 4) five)',
    "output": '(display "hello") (newline)',
    "finish": "(finish 42)",
    "a syntax error": "(let ((x 1)",
    "an unbound variable": "(foo 1)",
    "a wrong argument": "(car 5)",
    "a caught error": '(with-handlers ([exn:fail? (lambda (e) (exn-message e))]) (error "no" 1 2))',
    "a loop's turns": "(let loop ((i 0)) (if (< i 2000) (loop (+ i 1)) i))",
    "for/sum": "(for/sum ([i (in-range 1000)]) (* i i))",
    "fib": "(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib 15)",
    "nested quasiquote": "(define x 5) `(1 ,x ,@(list 2 3) #(a ,x))",
    "a macro": "(define-syntax-rule (swap a b) (let ((t a)) (set! a b) (set! b t))) (define p 1) (define q 2) (swap p q) (list p q)",
    "match": "(match '(1 (2 3) 4) [(list a (list b c) d) (+ a b c d)])",
    "structs": "(struct point (x y) #:transparent) (define p (point 1 2)) (list (point-x p) (point? p) p)",
    "keyword arguments": "(define (f #:a [a 1] #:b [b 2] c) (list a b c)) (f 3 #:b 4)",
    "closures": "(define (adder n) (lambda (x) (+ x n))) (map (adder 3) (iota 200))",
    "call/cc": "(let loop ((i 0) (s 0)) (if (< i 200) (loop (+ i 1) (+ s (call/cc (lambda (k) (if (odd? i) (k i) 1))))) s))",
    "dynamic-wind": "(let ((n 0)) (for ([i 50]) (dynamic-wind (lambda () (set! n (+ n 1))) void (lambda () (set! n (- n 1))))) n)",
    "string building": '(let loop ((i 0) (s "")) (if (< i 200) (loop (+ i 1) (string-append s (number->string i) ",")) (string-length s)))',
    "a string port": '(call-with-output-string (lambda (p) (for ([i 200]) (write i p) (write-string " " p))))',
    "format": '(for/list ([i 50]) (format "~a: ~s ~v" i "x" (list i)))',
    "split and join": f'(string-join (reverse (string-split (string-join {WORDS} " ") " ")) "-")',
    "search and replace": f'(string-replace (string-join {WORDS} " ") "w1" "value-1")',
    "regexps": f'(length (regexp-match* #px"w[0-9]*7\\\\b" (string-join {WORDS} " ")))',
    "regexp groups": '(regexp-match #px"(\\\\d{4})-(\\\\d\\\\d)-(\\\\d\\\\d)" "on 2024-03-05, at noon")',
    "csv": f'(define rows (map (lambda (line) (string-split line ",")) (string-split "{ROWS}" "\\n"))) (apply + (map (lambda (r) (string->number (caddr r))) rows))',
    "json read": '(hash-ref (string->jsexpr (string-append "{\\"a\\": [" (string-join (map number->string (iota 200)) ",") "], \\"b\\": {\\"c\\": null}}")) "a")',
    "json write": '(string-length (jsexpr->string (hash "items" (map (lambda (i) (hash "id" i "name" (number->string i))) (iota 100)))))',
    "sort numbers": "(sort (map (lambda (i) (modulo (* i 7919) 1009)) (iota 500)) <)",
    "sort by a key": f"(sort {WORDS} string<? #:key (lambda (w) (substring w 1)))",
    "hash counting": f"(define t (make-hash)) (for ([w {WORDS}]) (hash-update! t w add1 0)) (hash-count t)",
    "hash joins": "(define a (for/hash ([i 200]) (values i (* i i)))) (for/sum ([i (in-range 0 400 3)]) (hash-ref a i 0))",
    "big numbers": "(let loop ((i 1) (p 1)) (if (> i 150) (string-length (number->string p)) (loop (+ i 1) (* p i))))",
    "an LLM call": '(llm-query #:instruction "q")',
    "an LLM call's text": '(string-length (syntax-e (llm-query #:instruction "Say it." #:data "some data" #:model "m")))',
    "a host function": "(add 1 2)",
    "fifty host functions": "(for/sum ([i 50]) (add i 1))",
    "map-async of 100": "(length (map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (iota 100)))",
    "a chunked context": "(length (context-chunks 500 50))",
}
AGAIN = ", again"
JOBS |= {
    name + AGAIN: JOBS[name]
    for name in (
        *("nothing", "a literal", "a call", "a definition", "an LLM call", "a host function"),
        *("match", "for/sum", "a caught error"),
    )
}


async def count() -> dict[str, int]:
    """The fuel of each job, by its name."""
    counted = {}
    async with Runtime(provider=InlineProvider()) as runtime:
        runtime.host_function("add")(lambda a, b: a + b)
        for name, source in JOBS.items():
            async with runtime.session() as session:
                await session.load_context("All work and no play makes Jack a dull boy. " * 200)
                await session.execute(source)
                if name.endswith(AGAIN):  # the first message of a session tells it more than a program
                    await session.execute(source)
                text = source if name.endswith(AGAIN) else source + "\n"
                counted[name] = (await session.execute(text)).execution.fuel
    return counted


def worse(counted: Mapping[str, int], baseline: Mapping[str, int]) -> list[str]:
    """What is wrong, a line a job: it takes more than it may, or nobody has said what it may take."""
    lines = []
    for name, fuel in counted.items():
        if name not in baseline:
            lines.append(f"{name}: {fuel:,}, and no baseline")
        elif fuel > baseline[name] * (1 + ALLOWED):
            lines.append(f"{name}: {baseline[name]:,} -> {fuel:,} ({fuel / baseline[name] - 1:+.1%})")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 where a job became worse."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help="write the baseline")
    parser.add_argument("--table", action="store_true", help="print all jobs")
    options = parser.parse_args(arguments)
    counted = asyncio.run(count())
    baseline = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    if options.table:
        for name, fuel in counted.items():
            change = f"{fuel / baseline[name] - 1:+.1%}" if name in baseline else ""
            print(f"{name:28} {fuel:>12,} {change:>8}")
    if options.update:
        BASELINE.write_text(json.dumps(counted, indent=2) + "\n", encoding="utf-8")
        print(f"{BASELINE.name}: {len(counted)} jobs written")
        return 0
    if found := worse(counted, baseline):
        print("more fuel than the baseline says (python benchmarks/regress.py --update accepts it):")
        print("\n".join(found))
        return 1
    better = sum(fuel < baseline[name] * (1 - ALLOWED) for name, fuel in counted.items())
    print(
        f"{len(counted)} jobs, none takes more fuel than before"
        + (f"; {better} take less: run --update" if better else "")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

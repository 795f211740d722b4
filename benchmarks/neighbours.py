"""What one hostile session does to its neighbours and to the host, in milliseconds and mebibytes.

Run: python benchmarks/neighbours.py [--match TEXT] [--timeout 1.0] [--polite 100]

For each attack: the largest gap on the event loop, how long after ``timeout_s`` the execution had ended, what
a hundred polite sessions waited for (+ 1 2) in the median and at the 99th percentile (first line: with nobody
beside them), and what the process grew by, beside what it may: host_bytes, the session's memory, 64 MiB.
Run it alone on the machine. The mechanism is tested without a clock: tests/security/test_neighbours.py.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, Session

MIB = 1 << 20
CONTEXT = "some words of a line\n" * 250_000
ANSWER = "an answer " * (4 * MIB // 10)

ATTACKS: Mapping[str, str] = {
    "nobody": "",
    "a loop": "(let loop () (loop))",
    "a loop that catches everything": "(let again () (guard (e (#t (again))) (let loop () (loop))))",
    "a deep recursion": "(let loop () (+ 1 (loop)))",
    "garbage": "(let loop ((l (iota 500000))) (loop (list-copy l)))",
    "a full heap that is collected": """
        (define kept (let loop ((i 0) (l '())) (if (= i 2000000) l (loop (+ i 1) (cons (list i) l)))))
        (let loop ((i 0)) (list i i i i) (loop (+ i 1)))""",
    "hundreds of fibers": "(for ([i 500]) (spawn (lambda () (let loop () (sleep 0) (loop))))) (let loop () (sleep 0) (loop))",
    "fibers that read lines": "(await-all (for/list ([i 500]) (spawn (lambda () (length (context-lines 0 100000))))))",
    "searches": '(let loop () (context-search "zzz") (loop))',
    "slices of the context": "(let loop () (context-slice 0 1000000) (loop))",
    "printing": '(let loop () (display "spam spam spam") (loop))',
    "displaying 60 MB": "(define t (make-string 60000000 #\\a)) (let loop () (display t) (loop))",
    "host functions with large arguments": "(define t (make-string 20000000 #\\a)) (let loop () (f t) (loop))",
    "lists of lists as arguments": "(define l (make-list 200000 '())) (let loop () (f l) (loop))",
    "calls with large answers": '(let loop () (llm-query #:instruction "q") (loop))',
    "calls that share one text": """
        (define d (make-string 2000000 #\\a))
        (map (lambda (i) (llm-query-async #:instruction "q" #:data d)) (range 80)) (sleep 100)""",
    "large vectors": "(let loop () (make-vector 10000000 1) (loop))",
    "large texts": "(let loop () (make-string 30000000 #\\\u03bb) (loop))",
    "replacing half of a text": """
        (define t (make-string 8000000 #\\a))
        (let loop () (string-replace t (string-append (substring t 0 4000000) "b") "x") (loop))""",
    "comparing texts of two widths": """
        (define t (make-string 20000000 #\\a)) (define u (substring (string-append t "\u03bb") 0 20000000))
        (let loop () (equal? t u) (loop))""",
    "joining a million texts": '(define l (make-list 1000000 "ab")) (let loop () (string-join l ",") (loop))',
    "a pattern that backtracks": '(define t (make-string 3000000 #\\a)) (let loop () (regexp-match #px"(a|aa)*b" t) (loop))',
    "large numbers": "(define n (- (expt 2 4000000) 1)) (let loop () (quotient (* n n) n) (loop))",
    "the digits of a large number": "(define n (- (expt 2 4000000) 1)) (let loop () (number->string n) (loop))",
    "a large conditional": "(eval (cons 'cond (map (lambda (i) (list #f i)) (range 200000))))",
    "ten thousand definitions": '(for ([i 1000000]) (eval (list \'define (string->symbol (format "v~a" i)) i)))',
    "checkpoints": "(define t (make-string 10000000 #\\a)) (let loop ((i 0)) (checkpoint (number->string (modulo i 5)) t) (loop (+ i 1)))",
}


class Model:
    """Answers at once, with much."""

    name = "model"
    free = True

    async def complete(self, request: CompletionRequest) -> Completion:
        """The same text for all."""
        await asyncio.sleep(0)
        return Completion(text=ANSWER, model="m", prompt_tokens=1, completion_tokens=1)


@dataclass
class Seen:
    """What was seen while an attack ran."""

    gap: float = 0.0
    polite: list[float] = field(default_factory=list)
    peak: float = 0.0
    took: float = 0.0
    status: str = ""

    def share(self, part: float) -> float:
        """Milliseconds at a percentile."""
        ordered = sorted(self.polite)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1e3


def resident() -> float:
    """Mebibytes of the process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096 / MIB


async def watch(bad: Session, polite: list[Session], program: str, timeout: float) -> Seen:
    """One attack, with a ticker and the polite sessions beside it."""
    seen, going = Seen(), True

    async def tick() -> None:
        last = time.perf_counter()
        while going:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            seen.gap = max(seen.gap, now - last - 0.001)
            seen.peak = max(seen.peak, resident())
            last = now

    async def ask(session: Session, number: int) -> None:
        await asyncio.sleep(number * 0.01)
        while going:
            start = time.perf_counter()
            await session.execute("(+ 1 2)")
            seen.polite.append(time.perf_counter() - start)
            await asyncio.sleep(1.0)  # a hundred of them: one every 10 ms

    tasks = [
        asyncio.create_task(tick()),
        *(asyncio.create_task(ask(one, i)) for i, one in enumerate(polite)),
    ]
    await asyncio.sleep(0.05)
    start = time.perf_counter()
    if program:
        result = await bad.execute(program)
        seen.status = result.status if result.error is None else str(result.error.kind or result.error.type)
    else:
        await asyncio.sleep(timeout)
    seen.took = time.perf_counter() - start
    await asyncio.sleep(0)
    going = False
    await asyncio.gather(*tasks)
    return seen


async def measure(options: argparse.Namespace) -> None:
    """Print a line for each attack."""
    limits = Limits(timeout_s=options.timeout, host_bytes=64 * MIB, calls=10**6, checkpoint_bytes=64 * MIB)
    print(
        f"{'gap ms':>7} {'late ms':>8} {'median':>7} {'p99 ms':>7} {'grew MiB':>9} {'may MiB':>8}  attack, and what ended it"
    )
    async with Runtime(provider=Model(), limits=limits, host_functions={"f": len}) as runtime:
        polite = [runtime.session() for _ in range(options.polite)]
        for one in polite:
            await one.execute("1")
        for name, program in ATTACKS.items():
            if options.match not in name:
                continue
            async with runtime.session() as bad:
                await bad.load_context(CONTEXT)
                await bad.execute("1")
                before = resident()
                seen = await watch(bad, polite, program, options.timeout)
            late = (seen.took - options.timeout) * 1e3
            may = (limits.host_bytes + limits.memory_bytes) / MIB + 64
            print(
                f"{seen.gap * 1e3:>7.0f} {late if seen.status == 'timeout_s' else 0:>8.0f}"
                f" {statistics.median(seen.polite) * 1e3:>7.2f} {seen.share(0.99):>7.1f}"
                f" {max(seen.peak - before, 0):>9.0f} {may:>8.0f}  {name}; {seen.status}",
                flush=True,
            )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--match", default="", help="only attacks that contain this text")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds that each may run")
    parser.add_argument("--polite", type=int, default=100, help="sessions beside it")
    asyncio.run(measure(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

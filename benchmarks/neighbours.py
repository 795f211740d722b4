"""What one hostile session does to its neighbours and to the host, in milliseconds and mebibytes.

Run: python benchmarks/neighbours.py [--match TEXT] [--timeout 1.0] [--polite 100] [--growth]

For each attack: the largest gap on the event loop, how long after ``timeout_s`` the execution had ended, what
a hundred polite sessions waited for (+ 1 2) in the median and at the 99th percentile (first line: with nobody
beside them), and what the process grew by, beside what it may: host_bytes, the session's memory, 64 MiB.
Run it alone on the machine. The mechanism is tested without a clock: tests/security/test_neighbours.py.

With --growth only the growth is measured, of these attacks and of others on the host's memory, each in a process of its
own: there what one left does not hide what the next one takes. The exit status says whether one was over.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, Session

MIB = 1 << 20
CONTEXT = "some words of a line\n" * 250_000
CHILD = """```scheme
(define kept (let loop ([i 0] [l '()]) (if (= i 2000000) l (loop (+ i 1) (cons i l)))))
(finish (length kept))
```"""
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


MEMORY: Mapping[str, tuple[str, dict[str, int]]] = {
    "displaying a text with one wide character": (
        '(define t (string-append (make-string 20000000 #\\a) "\\x1f642;")) (let loop () (display t) (loop))',
        {},
    ),
    "displaying beside a full memory": (
        """(define t (make-string 55000000 #\\a)) (define kept (make-vector 5000000 1))
        (let loop () (display t) (loop))""",
        {},
    ),
    "a call with a large argument beside a full memory": (
        """(define t (make-string 55000000 #\\a)) (define kept (make-vector 5000000 1))
        (let loop () (f t) (loop))""",
        {},
    ),
    "a wide argument": (
        '(define t (string-append (make-string 12000000 #\\a) "\\x1f642;")) (let loop () (f t) (loop))',
        {},
    ),
    "a value of 30 MB": ("(make-string 30000000 #\\a)", {}),
    "a value of a million lists": ("(map list (iota 1000000))", {}),
    "a thousand slices in a small memory": (
        "(await-all (map (lambda (i) (spawn (lambda () (string-length (context-slice 0 2000000))))) (range 1000)))",
        {"memory_bytes": 32 * MIB},
    ),
    "eighty calls that share 10 MB": (
        """(define d (make-string 10000000 #\\a))
        (map (lambda (i) (llm-query-async #:instruction "q" #:data d)) (range 80)) (sleep 100)""",
        {},
    ),
    "children that fill their memory": (
        """(map-async (lambda (i) (guard (e (#t 1)) (llm-query #:instruction "q" #:recursive #t))) (range 20)
                       #:max-concurrent 20)""",
        {"memory_bytes": 64 * MIB},
    ),
    "twenty checkpoints of 20 MB": (
        "(define t (make-string 20000000 #\\a)) (for ([i 20]) (guard (e (#t 1)) (checkpoint (number->string i) t)))",
        {},
    ),
    "names of models of 10 MB": (
        """(define name (make-string 10000000 #\\a))
        (let loop () (guard (e (#t 1)) (llm-query #:instruction "q" #:model name)) (loop))""",
        {},
    ),
    "an unbound name of 1 MB": (
        "(let loop () (guard (e (#t 1)) (eval (string->symbol (make-string 1000000 #\\a)))) (loop))",
        {},
    ),
    "an error with a message of 30 MB": (
        "(error (make-string 30000000 #\\a) (make-string 30000000 #\\b))",
        {},
    ),
    "restoring 20 MB": (
        '(checkpoint "k" (make-string 20000000 #\\a)) (let loop () (restore "k") (loop))',
        {},
    ),
    "printing to both streams": (
        "(define t (make-string 9000000 #\\a)) (let loop () (display t) (display t (current-error-port)) (loop))",
        {},
    ),
}
"""More attacks on the host's memory, with limits that are not the usual ones."""


class Model:
    """Answers at once, with much."""

    name = "model"
    free = True

    async def complete(self, request: CompletionRequest) -> Completion:
        """The same text for all that is no program."""
        await asyncio.sleep(0)
        return Completion(
            text=CHILD if request.purpose == "program" else ANSWER,
            model="m",
            prompt_tokens=1,
            completion_tokens=1,
        )


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


def growth_of(name: str, timeout: float) -> bool:
    """What this process grows by under one attack: a line, and whether it is within bounds."""

    async def attack() -> tuple[float, Limits, str]:
        program, other = MEMORY.get(name) or (ATTACKS[name], {})
        usual = {"host_bytes": 64 * MIB, "calls": 10**6, "checkpoint_bytes": 64 * MIB}
        limits = Limits(timeout_s=timeout, **{**usual, **other})
        async with Runtime(provider=Model(), limits=limits, host_functions={"f": len}) as runtime:
            async with runtime.session() as first:  # what every process takes once
                await first.execute('(llm-query #:instruction "q") (f "") (checkpoint "" 1) (display 1)')
            async with runtime.session() as bad:
                await bad.load_context(CONTEXT)
                await bad.execute("1")
                before, peak, going = resident(), 0.0, True

                def look() -> None:
                    nonlocal peak
                    while going:
                        peak = max(peak, resident())
                        time.sleep(0.0005)

                looking = threading.Thread(target=look)
                looking.start()
                result = await bad.execute(program)
                going = False
                looking.join()
        ended = result.status if result.error is None else str(result.error.kind or result.error.type)
        return peak - before, limits, ended

    grew, limits, ended = asyncio.run(attack())
    may = (limits.host_bytes + limits.memory_bytes) / MIB + 64
    print(f"{max(grew, 0):>9.0f} {may:>8.0f}  {name}; {ended}", flush=True)
    return grew <= may


def measure_growth(options: argparse.Namespace) -> int:
    """Each attack in a process of its own: how many were over their bounds."""
    print(f"{'grew MiB':>9} {'may MiB':>8}  attack, and what ended it", flush=True)
    over = 0
    for name in [*ATTACKS, *MEMORY]:
        if options.match in name and name != "nobody":
            alone = [sys.executable, __file__, "--alone", name, "--timeout", str(options.timeout)]
            over += subprocess.run(alone, check=False).returncode != 0
    return over


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--growth", action="store_true", help="only how much the process grows, a process each"
    )
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--match", default="", help="only attacks that contain this text")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds that each may run")
    parser.add_argument("--polite", type=int, default=100, help="sessions beside it")
    options = parser.parse_args()
    if options.alone is not None:
        return not growth_of(options.alone, options.timeout)
    if options.growth:
        return measure_growth(options) > 0
    asyncio.run(measure(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())

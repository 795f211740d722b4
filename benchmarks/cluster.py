"""Sessions in a Ray cluster: throughput against actors, and what a move costs. Needs the extra ``ray``.

    python benchmarks/cluster.py throughput [DOCUMENTS]    Runtime.map, calls that take 200 ms, 0 to 4 actors
    python benchmarks/cluster.py children [DOCUMENTS]      one program's map-async over #:recursive calls, 0 to 4 actors
    python benchmarks/cluster.py child-move [TIMES]        an actor with a child is killed: until the child's next call
    python benchmarks/cluster.py move [TIMES]              an actor is killed: until its session has its next call
    python benchmarks/cluster.py budget [SECONDS]          exchanges of a shared budget, a second

The store is a SQLite file, or what RLM_WASM_TEST_POSTGRESQL names.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import ray

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime, SharedBudget
from rlm_wasm.ray import RayExecutor
from rlm_wasm.store import open_store
from rlm_wasm.store.budgets import Report
from rlm_wasm.store.leases import Holder
from rlm_wasm.store.records import Amount

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

CALL_S = 0.2
CALLS = 5
PROGRAM = f"""
(define (ask n) (syntax-e (llm-query #:instruction (string-append context (number->string n)))))
(finish (string-join (map ask (range {CALLS})) " "))
"""


class Slow:
    """Answers after 200 ms; writes its process's number where it is told to, at each call or ``once``."""

    name = "slow"
    free = True

    def __init__(self, path: str | None = None, *, once: bool = False) -> None:
        self.path = path
        self.once = once

    async def complete(self, request: CompletionRequest) -> Completion:
        if self.path is not None:
            path, self.path = self.path, None if self.once else self.path
            with Path(path).open("a") as file:
                file.write(f"{time.time()} {os.getpid()} {request.instruction[:40].splitlines()[0]}\n")
        await asyncio.sleep(CALL_S)
        return Completion(text="an answer", prompt_tokens=100, completion_tokens=20)


def store(folder: str) -> str:
    return os.environ.get("RLM_WASM_TEST_POSTGRESQL") or f"sqlite:///{Path(folder) / 'state.db'}"


async def throughput(documents: int) -> None:
    print(f"{documents} documents, {CALLS} calls of {CALL_S * 1e3:.0f} ms each, one after another")
    print(
        f"{'actors':>10} {'at once':>8} {'s':>7} {'calls a second':>15} {'of the most':>12} {'CPU a call':>11}"
    )
    for actors in (0, 1, 2, 4):
        for at_once in (16, 64) if documents >= 400 else (64,):
            with tempfile.TemporaryDirectory() as folder:
                log = str(Path(folder) / "processes")
                executor = RayExecutor(actors=actors, cpus=0, at_once=at_once) if actors else None
                async with Runtime(
                    Slow(log, once=True), store=store(folder), durable=True, executor=executor, python="off"
                ) as runtime:
                    texts = [f"document {number} " for number in range(documents)]
                    name = f"map{time.time()}"
                    await runtime.map(PROGRAM, [f"warm {number}" for number in range(max(actors, 1) * 4)])
                    used = -cpu_s(log)
                    start = time.perf_counter()
                    results = await runtime.map(PROGRAM, texts, name=name, at_once=at_once * max(actors, 1))
                    took = time.perf_counter() - start
                    used += cpu_s(log)
                    assert all(result.ok for result in results)
                    rate = documents * CALLS / took
                    most = min(at_once * max(actors, 1), documents) / CALL_S
                    label = str(actors) if actors else "in process"
                    print(
                        f"{label:>10} {at_once * max(actors, 1):>8} {took:>7.2f} {rate:>15.0f} {rate / most:>11.0%}",
                        flush=True,
                    )


CHILD = """```scheme
(define (work n) (if (< n 2) n (+ (work (- n 1)) (work (- n 2)))))
(define found (work WORK))
(define said (syntax-e (llm-query #:instruction "Say" #:data (substring context 0 20))))
(finish (format "~a ~a" found said))
```"""
SPREAD = """
(define (read n) (llm-query-async #:instruction "Read" #:data (format "document ~a ~a" n (make-string 10000 #\\x)) #:recursive #t))
(finish (length (map-async read (range DOCUMENTS))))
"""


class Reader(Slow):
    """Writes a program that computes for a while and asks once more."""

    def __init__(self, path: str, work: int) -> None:
        super().__init__(path)
        self.work = work

    async def complete(self, request: CompletionRequest) -> Completion:
        answer = await super().complete(request)
        if request.purpose != "program":
            return answer
        text = CHILD.replace("WORK", str(self.work))
        return Completion(text=text, prompt_tokens=100, completion_tokens=20)


async def children(documents: int) -> None:
    print(f"{documents} documents of one program, each two calls of {CALL_S * 1e3:.0f} ms and some computing")
    print(f"{'computing':>10} {'actors':>10} {'s':>7} {'documents a second':>19} {'CPU a document':>15}")
    for work in (10, 30):
        for actors in (0, 1, 2, 4):
            with tempfile.TemporaryDirectory() as folder:
                log = str(Path(folder) / "processes")
                executor = RayExecutor(actors=actors, cpus=0) if actors else None
                async with Runtime(
                    Reader(log, work),
                    store=store(folder),
                    durable=True,
                    executor=executor,
                    python="off",
                    limits=Limits(fuel=10**12),
                ) as runtime:
                    async with runtime.session(name=f"warm{time.time()}") as session:
                        await session.execute(SPREAD.replace("DOCUMENTS", str(4 * max(actors, 1))))
                    used = -cpu_s(log)
                    start = time.perf_counter()
                    async with runtime.session(name=f"work{time.time()}") as session:
                        result = await session.execute(SPREAD.replace("DOCUMENTS", str(documents)))
                        took = time.perf_counter() - start
                        used += cpu_s(log)
                    assert result.data == documents, result.error
                    label = str(actors) if actors else "in process"
                    print(
                        f"{work:>10} {label:>10} {took:>7.2f} {documents / took:>19.1f}"
                        f" {used / documents * 1e3:>12.1f} ms",
                        flush=True,
                    )


async def child_move(times: int) -> None:
    whole = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            log = str(Path(folder) / "calls.log")
            executor = RayExecutor(actors=2, cpus=0)
            async with Runtime(
                Reader(log, 10), store=store(folder), durable=True, executor=executor, python="off"
            ) as runtime:
                async with runtime.session(name=f"work{time.time()}") as session:
                    running = asyncio.create_task(session.execute(SPREAD.replace("DOCUMENTS", "1")))
                    while not (found := [line for line in lines(log) if line.endswith("Say")]):
                        await asyncio.sleep(0.002)
                    killed = time.time()
                    os.kill(int(found[0].split()[1]), signal.SIGKILL)
                    result = await running
                    assert result.ok, result.error
                    whole.append(
                        [float(line.split()[0]) for line in lines(log) if line.endswith("Say")][1] - killed
                    )
    print(f"until a killed child's next call: {statistics.median(whole):.2f} s")


async def move(times: int) -> None:
    print(f"{'answers in the journal':>24} {'until the next call':>20} {'of that, taking up':>20}")
    for answers in (1, 50, 200):
        whole, taken = [], []
        for _ in range(times):
            with tempfile.TemporaryDirectory() as folder:
                log = str(Path(folder) / "calls.log")
                executor = RayExecutor(actors=2, cpus=0)
                program = (
                    f"(define all (map-async (lambda (n) (llm-query-async #:instruction (number->string n))) (range {answers})))"
                    ' (llm-query #:instruction "last") (finish 1)'
                )
                limits = Limits(concurrency=200)
                async with Runtime(
                    Slow(log),
                    store=store(folder),
                    durable=True,
                    executor=executor,
                    python="off",
                    limits=limits,
                ) as runtime:
                    session = runtime.session(name=f"work{time.time()}")
                    await runtime.run("1")
                    running = asyncio.create_task(session.execute(program))
                    while not (found := [line for line in lines(log) if line.endswith("last")]):
                        await asyncio.sleep(0.002)
                    killed = time.time()
                    os.kill(int(found[0].split()[1]), signal.SIGKILL)
                    await running
                    whole.append(
                        [float(line.split()[0]) for line in lines(log) if line.endswith("last")][1] - killed
                    )
                # Taking it up, without the cluster: the same journal in this process.
                async with Runtime(Slow(), store=store(folder), durable=True, python="off") as runtime:
                    start = time.perf_counter()
                    await (await runtime.resume(session.name or "")).aclose()
                    taken.append(time.perf_counter() - start)
        print(
            f"{answers:>24} {statistics.median(whole):>18.2f} s {statistics.median(taken) * 1e3:>17.1f} ms",
            flush=True,
        )


def cpu_s(log: str) -> float:
    """What the processes that answered have used of the CPU."""
    used = 0.0
    for process in {line.split()[1] for line in lines(log)}:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


async def budget(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        opened = open_store(store(folder))
        name = f"budget{time.time()}"
        opened.budgets.open(SharedBudget(name=name, calls=10**9, concurrency=10**6))
        taken = opened.durable.acquire(name, Holder.here(), make=True)
        assert taken is not None
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            used = Amount(calls=count, places=1)
            whole = Amount(calls=count + 1, places=1)
            report = Report(used=used, reserved=used, minimum=whole, wish=whole)
            opened.budgets.exchange(name, name, taken.epoch, report)
            count += 1
        print(
            f"{opened.url.get_backend_name()}: {count / (time.perf_counter() - start):,.0f} exchanges a second, one after another"
        )
        await opened.aclose()


if __name__ == "__main__":
    if sys.argv[1:2] == ["throughput"]:
        asyncio.run(throughput(int((sys.argv[2:] or ["400"])[0])))
    elif sys.argv[1:2] == ["children"]:
        asyncio.run(children(int((sys.argv[2:] or ["60"])[0])))
    elif sys.argv[1:2] == ["child-move"]:
        asyncio.run(child_move(int((sys.argv[2:] or ["3"])[0])))
    elif sys.argv[1:2] == ["move"]:
        asyncio.run(move(int((sys.argv[2:] or ["3"])[0])))
    elif sys.argv[1:2] == ["budget"]:
        asyncio.run(budget(float((sys.argv[2:] or ["3"])[0])))
    else:
        sys.exit(__doc__)

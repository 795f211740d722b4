"""What benchmarks/compare.py measures: its rows, and how each interpreter does what a row says.

A way is a coroutine function that does the thing once and gives its time: seconds, or for the row of the VM
programs a ratio. Each interpreter has a function here that gives its ways by row; one that is not installed
raises ImportError there, and a row that makes no sense in it is left out.
"""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vm_speed
from cold_start import with_bytecode

from rlm_wasm import Completion, CompletionRequest, Limits, Runtime

OURS, MONTY, CPYTHON, QUICKJS, RACER = "ours", "monty", "CPython", "quickjs", "mini-racer"
#: Those an embedder could take instead: code that a stranger wrote runs apart from the host's in them.
PEERS = (MONTY, QUICKJS, RACER)
Way = Callable[[], Awaitable[float]]
Ways = dict[str, Way]

MANY = {"calls": 1_000_000, "timeout_s": 120.0}
SUSPENSIONS = {"max_suspensions": 1 << 30}
TEXT_LENGTH = 1 << 20
LLM_CALLS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. ``most`` is in the row's unit, ``over`` a ratio to another's figure."""

    title: str
    unit: str = "µs"
    target: str
    against: str = MONTY
    over: float | None = None
    most: float | None = None
    batch: int = 1
    rounds: int = 5


ROWS = {
    "new": Row(title="new session and `1 + 2`", target="≤ 1.0× monty", over=1.0, batch=10, rounds=25),
    "warm": Row(title="warm evaluation of `1 + 2`", target="≤ 25 µs", most=25.0, batch=20, rounds=25),
    "host": Row(title="one host function call", target="≤ 1.0× monty", over=1.0, batch=20, rounds=25),
    "host loop": Row(title="500 host calls in a loop", target="≤ 0.7× monty", over=0.7, rounds=15),
    "async": Row(title="1,000 async host calls at once", target="≤ 0.25× monty", over=0.25),
    "fib": Row(title="fib(22)", target="≤ 0.5× CPython", against=CPYTHON, over=0.5, batch=2, rounds=15),
    "hash": Row(
        title="5,000 hash updates with made string keys, sort, join",
        target="≤ 1.0× CPython",
        against=CPYTHON,
        over=1.0,
        batch=2,
        rounds=15,
    ),
    "text": Row(
        title="1 MiB of text in, and its length", target="≤ 1.0× monty", over=1.0, batch=2, rounds=15
    ),
    "restore": Row(title="restore a small session", target="≤ 1.0× monty", over=1.0, batch=10, rounds=25),
    "llm": Row(
        title="an LLM call through the openai provider, CPU (CPython: the plain SDK, with gather)",
        target="≤ 0.5× the SDK",
        against=CPYTHON,
        over=0.5,
    ),
    "cold": Row(
        title="cold process: import and one expression, over bare Python",
        unit="ms",
        target="≤ 120 ms",
        most=120.0,
    ),
    "python warm": Row(title='`(py-eval "1 + 1")`, warm', target="≤ 300 µs", most=300.0, batch=10, rounds=15),
    "python new": Row(title='`(py-eval "1 + 1")` in a new session', target="≤ 8,000 µs", most=8000.0),
    "programs": Row(
        title="the VM programs, geometric mean, ours = 1",
        unit="×",
        target="≤ 0.7× CPython",
        against=CPYTHON,
        over=0.7,
        rounds=1,
    ),
}

FIB = {
    "scheme": "(define (fib n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib 22)",
    "python": "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\nfib(22)",
    "javascript": "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); } fib(22)",
}
HASH = {
    "scheme": """
        (define t (make-hash))
        (for ([i 5000]) (hash-update! t (string-append "k" (number->string (modulo (* i 7919) 1000))) add1 0))
        (string-length
          (string-join (for/list ([k (sort (hash-keys t) string<?)]) (format "~a=~a" k (hash-ref t k))) ","))""",
    "python": """
t = {}
for i in range(5000):
    k = "k" + str(i * 7919 % 1000)
    t[k] = t.get(k, 0) + 1
len(",".join([f"{k}={t[k]}" for k in sorted(t)]))""",
    "javascript": """{
const t = new Map();
for (let i = 0; i < 5000; i++) {
  const k = "k" + (i * 7919) % 1000;
  t.set(k, (t.get(k) ?? 0) + 1);
}
[...t.keys()].sort().map((k) => `${k}=${t.get(k)}`).join(",").length }""",
}
FIB_ANSWER, HASH_ANSWER, ASYNC_ANSWER = 17711, 6889, 499500

COLD = {
    OURS: "import asyncio, rlm_wasm; assert asyncio.run(rlm_wasm.Runtime('echo').run('(+ 1 2)')).value == '3'",
    MONTY: "import pydantic_monty as m\nwith m.Monty() as pool, pool.checkout() as s: assert s.feed_run('1 + 2') == 3",
    QUICKJS: "import quickjs; assert quickjs.Context().eval('1 + 2') == 3",
    RACER: "import py_mini_racer as m\nwith m.MiniRacer() as c: assert c.eval('1 + 2') == 3",
}


def timed(act: Callable[[], Any], answer: Any) -> Way:
    """A way that calls ``act`` and looks whether it gives ``answer``."""

    async def way() -> float:
        started = time.perf_counter()
        found = act()
        taken = time.perf_counter() - started
        check(found, answer)
        return taken

    return way


def awaited(act: Callable[[], Awaitable[Any]], answer: Any) -> Way:
    """The same with a coroutine function."""

    async def way() -> float:
        started = time.perf_counter()
        found = await act()
        taken = time.perf_counter() - started
        check(found, answer)
        return taken

    return way


def check(found: Any, answer: Any) -> None:
    """A wrong answer ends the benchmark: it would be quick for nothing."""
    if found != answer:
        raise SystemExit(f"{found!r} instead of {answer!r}")


def cold(language: str) -> Way:
    """A process of its own, less one of the interpreter alone just before."""

    def run(program: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, env=with_bytecode())
        return time.perf_counter() - started

    async def way() -> float:
        bare = run("pass")
        return run(COLD[language]) - bare

    return way


class AtOnce:
    """A provider that answers on the spot; nothing here asks it."""

    free = inline = True

    async def complete(self, request: CompletionRequest) -> Completion:
        """The same answer for everybody."""
        return Completion(text="yes", model="at-once")


async def ours(stack: AsyncExitStack) -> Ways:
    """This checkout's Scheme and Python guests."""
    runtime = await stack.enter_async_context(Runtime(provider=AtOnce(), limits=Limits(**MANY)))  # type: ignore[arg-type]
    runtime.host_function("add")(lambda a, b: a + b)

    async def echo(value: int) -> int:
        return value

    runtime.host_function("same")(echo)

    def program(source: str, answer: Any) -> Way:
        session = runtime.session()
        stack.push_async_callback(session.aclose)

        async def act() -> str | None:
            return (await session.execute(source)).value

        return awaited(act, str(answer))

    async def new() -> str | None:
        async with runtime.session() as session:
            return (await session.execute("(+ 1 2)")).value

    async def python_new() -> str | None:
        async with runtime.session() as session:
            return (await session.execute('(py-eval "1 + 1")')).value

    reader = runtime.session()
    stack.push_async_callback(reader.aclose)

    async def text_in() -> float:
        text = fresh_text()
        started = time.perf_counter()
        await reader.load_context(text)
        found = await reader.execute("(string-length context)")
        taken = time.perf_counter() - started
        check(found.value, str(TEXT_LENGTH))
        return taken

    small = runtime.session()
    await small.execute("(define a (list 1 2 3)) (define b (hash 'x 1))")
    kept = (await small.snapshot()).dump()
    await small.aclose()

    async def restored() -> None:
        await (await runtime.restore(kept)).aclose()

    loop = "(let loop ((i 0) (n 0)) (if (< i 500) (loop (+ i 1) (add n 1)) n))"
    at_once = "(apply + (map-async (lambda (i) (same i)) (iota 1000)))"
    return {
        "new": awaited(new, "3"),
        "warm": program("(+ 1 2)", 3),
        "host": program("(add 1 2)", 3),
        "host loop": program(loop, 500),
        "async": program(at_once, ASYNC_ANSWER),
        "fib": program(FIB["scheme"], FIB_ANSWER),
        "hash": program(HASH["scheme"], HASH_ANSWER),
        "text": text_in,
        "restore": awaited(restored, None),
        "cold": cold(OURS),
        "python warm": program('(py-eval "1 + 1")', 2),
        "python new": awaited(python_new, "2"),
    }


def fresh_text() -> str:
    """A text that nothing has seen before, so that nothing can have been kept of it."""
    stamp = f"{time.perf_counter_ns():020}"
    return stamp + "abcdefg " * ((TEXT_LENGTH - len(stamp)) // 8) + "." * ((TEXT_LENGTH - len(stamp)) % 8)


async def llm(stack: AsyncExitStack) -> dict[str, Way]:
    """An LLM call over HTTP, ours and the SDK's: the CPU time that each takes in this process."""
    openai = importlib.import_module("openai")
    importlib.import_module("aiohttp")
    from rlm_wasm.providers import OpenAIProvider

    server = subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(server.communicate)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    provider = OpenAIProvider(base_url=address, api_key="test", model="m")
    limits = Limits(concurrency=LLM_CALLS, **MANY)  # type: ignore[arg-type]
    runtime = await stack.enter_async_context(Runtime(provider=provider, limits=limits))
    session = await stack.enter_async_context(runtime.session())
    client = openai.AsyncOpenAI(base_url=address, api_key="test")
    stack.push_async_callback(client.close)
    source = f"(length (map-async (lambda (i) (llm-query-async #:instruction (number->string i))) (iota {LLM_CALLS})))"

    async def through_us() -> float:
        started = time.process_time()
        found = await session.execute(source)
        taken = time.process_time() - started
        check(found.value, str(LLM_CALLS))
        return taken / LLM_CALLS

    async def ask(number: int) -> str:
        messages = [{"role": "user", "content": str(number)}]
        answer = await client.chat.completions.create(model="m", messages=messages)
        return str(answer.choices[0].message.content)

    async def plain() -> float:
        started = time.process_time()
        found = await asyncio.gather(*(ask(number) for number in range(LLM_CALLS)))
        taken = time.process_time() - started
        check(found, [str(number) for number in range(LLM_CALLS)])
        return taken / LLM_CALLS

    return {OURS: through_us, CPYTHON: plain}


async def cpython(stack: AsyncExitStack) -> Ways:
    """The interpreter that runs this: no sandbox, a yardstick."""
    del stack
    return {
        "fib": timed(lambda: vm_speed.evaluate(FIB["python"]), FIB_ANSWER),
        "hash": timed(lambda: vm_speed.evaluate(HASH["python"]), HASH_ANSWER),
    }


async def monty(stack: AsyncExitStack) -> Ways:
    """pydantic-monty: a Python of its own in processes of a pool."""
    module = importlib.import_module("pydantic_monty")
    pool = stack.enter_context(module.Monty(min_processes=2, max_processes=8))
    apool = await stack.enter_async_context(module.AsyncMonty(min_processes=1, max_processes=2))
    session = stack.enter_context(pool.checkout(limits=SUSPENSIONS))
    asession = await stack.enter_async_context(apool.checkout(limits=SUSPENSIONS))
    add = {"add": lambda a, b: a + b}

    def new() -> Any:
        with pool.checkout() as one:
            return one.feed_run("1 + 2")

    async def echo(value: int) -> int:
        return value

    at_once = (
        "import asyncio\nasync def main():\n"
        "    return sum(await asyncio.gather(*[same(i) for i in range(1000)]))\nawait main()"
    )

    async def text_in() -> float:
        text = fresh_text()
        started = time.perf_counter()
        found = session.feed_run("len(v)", inputs={"v": text})
        taken = time.perf_counter() - started
        check(found, TEXT_LENGTH)
        return taken

    with pool.checkout() as small:
        small.feed_run("a = [1, 2, 3]\nb = {'x': 1}")
        kept = small.dump()

    def restored() -> None:
        with pool.checkout() as one:
            one.load_session(kept)

    loop = "n = 0\nfor i in range(500):\n    n = add(n, 1)\nn"
    return {
        "new": timed(new, 3),
        "warm": timed(lambda: session.feed_run("1 + 2"), 3),
        "host": timed(lambda: session.feed_run("add(1, 2)", external_lookup=add), 3),
        "host loop": timed(lambda: session.feed_run(loop, external_lookup=add), 500),
        "async": awaited(lambda: asession.feed_run(at_once, external_lookup={"same": echo}), ASYNC_ANSWER),
        "fib": timed(lambda: session.feed_run(FIB["python"]), FIB_ANSWER),
        "hash": timed(lambda: session.feed_run(HASH["python"]), HASH_ANSWER),
        "text": text_in,
        "restore": timed(restored, None),
        "cold": cold(MONTY),
        "python warm": timed(lambda: session.feed_run("1 + 1"), 2),
        "python new": timed(new, 3),
    }


async def quickjs(stack: AsyncExitStack) -> Ways:
    """quickjs: JavaScript in this process, interpreted."""
    del stack
    module = importlib.import_module("quickjs")
    context = module.Context()
    context.add_callable("add", lambda a, b: a + b)

    async def text_in() -> float:
        text = fresh_text()
        started = time.perf_counter()
        context.set("v", text)
        found = context.eval("v.length")
        taken = time.perf_counter() - started
        check(found, TEXT_LENGTH)
        return taken

    loop = "{ let n = 0; for (let i = 0; i < 500; i++) n = add(n, 1); n }"
    return {
        "new": timed(lambda: module.Context().eval("1 + 2"), 3),
        "warm": timed(lambda: context.eval("1 + 2"), 3),
        "host": timed(lambda: context.eval("add(1, 2)"), 3),
        "host loop": timed(lambda: context.eval(loop), 500),
        "fib": timed(lambda: context.eval(FIB["javascript"]), FIB_ANSWER),
        "hash": timed(lambda: context.eval(HASH["javascript"]), HASH_ANSWER),
        "text": text_in,
        "cold": cold(QUICKJS),
    }


async def mini_racer(stack: AsyncExitStack) -> Ways:
    """mini-racer: V8 in this process, which compiles. Its host functions are asynchronous only."""
    module = importlib.import_module("py_mini_racer")
    context = stack.enter_context(module.MiniRacer())

    def new() -> Any:
        with module.MiniRacer() as one:
            return one.eval("1 + 2")

    async def same(value: Any) -> Any:
        return value

    context.eval("this")["same"] = await stack.enter_async_context(context.wrap_py_function(same))
    at_once = "Promise.all(Array.from({ length: 1000 }, (_, i) => same(i))).then((a) => a.reduce((x, y) => x + y, 0))"

    async def all_at_once() -> Any:
        return await context.eval(at_once)

    async def text_in() -> float:
        text = fresh_text()
        started = time.perf_counter()
        context.eval("this")["v"] = text
        found = context.eval("v.length")
        taken = time.perf_counter() - started
        check(found, TEXT_LENGTH)
        return taken

    return {
        "new": timed(new, 3),
        "warm": timed(lambda: context.eval("1 + 2"), 3),
        "async": awaited(all_at_once, ASYNC_ANSWER),
        "fib": timed(lambda: context.eval(FIB["javascript"]), FIB_ANSWER),
        "hash": timed(lambda: context.eval(HASH["javascript"]), HASH_ANSWER),
        "text": text_in,
        "cold": cold(RACER),
    }


#: In the order of the table's columns.
INTERPRETERS = {OURS: ours, MONTY: monty, CPYTHON: cpython, QUICKJS: quickjs, RACER: mini_racer}


async def ways(stack: AsyncExitStack, wanted: Collection[str]) -> dict[str, dict[str, Way]]:
    """The ways of each wanted row by interpreter, of the interpreters that are installed; closed with the stack."""
    found: dict[str, dict[str, Way]] = {key: {} for key in ROWS if key in wanted}
    for name, make in INTERPRETERS.items():
        with suppress(ImportError):
            for key, way in (await make(stack)).items():
                if key in found:
                    found[key][name] = way
    if "llm" in found:
        with suppress(ImportError):
            found["llm"] = await llm(stack)
    return {key: row for key, row in found.items() if row}


async def serve() -> None:
    """The LLM's side: a server in a process of its own, until standard input ends."""
    from rlm_wasm.testing.server import OpenAIServer

    async with OpenAIServer() as server:
        print(server.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())

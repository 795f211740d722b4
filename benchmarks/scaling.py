"""How a cluster scales: measured costs, a simulation with them, and its drawing.

    python benchmarks/scaling.py costs        what a session, a call, an exchange cost: CPU time, bytes, transactions
    python benchmarks/scaling.py simulate     10^6 sessions on 100 nodes, by those costs: what saturates first
    python benchmarks/scaling.py draw         docs/images/scaling-cluster.svg, and the tables for docs/scaling.md

What one process has many of is measured and drawn by curves.py.

Figures go into benchmarks/scaling.json. ``costs`` needs a PostgreSQL server of its own on this machine, whose URL
RLM_WASM_TEST_POSTGRESQL has. Costs are CPU time, so that a machine that does other things, too, tells the same.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import json
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from drawings import drawing, panel

from rlm_wasm import Completion, CompletionRequest, Runtime, SharedBudget
from rlm_wasm.store import open_store
from rlm_wasm.store.budgets import Report
from rlm_wasm.store.leases import Holder
from rlm_wasm.store.records import Amount
from rlm_wasm.testing import GatedProvider

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "scaling.json"
IMAGES = ROOT / "docs" / "images"
TICK = os.sysconf("SC_CLK_TCK")


def keep(what: str, figures: Any) -> None:
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    known[what] = figures
    FIGURES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def figures(what: str) -> Any:
    return json.loads(FIGURES.read_text())[what]


# ---- what things cost


class Soon:
    """Answers in the next turn of the event loop."""

    name = "soon"
    free = True

    async def complete(self, request: CompletionRequest) -> Completion:
        await asyncio.sleep(0)
        return Completion(
            text="an answer of some length, as models give them", prompt_tokens=100, completion_tokens=20
        )


def server_s() -> float:
    """CPU seconds of all processes of PostgreSQL, those that ended included."""
    used = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and (folder / "comm").read_text().startswith("postgres"):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                used += int(fields[11]) + int(fields[12])
                used += int(fields[13]) + int(fields[14])
        except OSError:
            continue
    return used / TICK


class Meter:
    """CPU here and in the server, transactions and bytes of its log, between two moments."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")

    def _now(self) -> tuple[float, float, int, int]:
        with self._engine.connect() as connection:
            connection.execute(sa.text("select pg_stat_force_next_flush()"))
            row = connection.execute(
                sa.text(
                    "select (select sum(xact_commit) from pg_stat_database)::bigint,"
                    " (pg_current_wal_lsn() - '0/0')::bigint"
                )
            ).one()
        return time.process_time(), server_s(), int(row[0]), int(row[1])

    def begin(self) -> None:
        self._before = self._now()

    def end(self, times: int) -> dict[str, float]:
        time.sleep(1.1)  # the server's statistics come late
        node, server, commits, log = (
            after - before for after, before in zip(self._now(), self._before, strict=True)
        )
        return {
            "node_ms": node / times * 1e3,
            "server_ms": server / times * 1e3,
            "transactions": commits / times,
            "log_bytes": log / times,
        }


async def costs() -> None:
    url = os.environ.get("RLM_WASM_TEST_POSTGRESQL")
    if not url:
        sys.exit("RLM_WASM_TEST_POSTGRESQL names no server")
    meter, found, run = Meter(url), {}, f"{time.time():.0f}"
    text = "x" * 10_000

    def program(calls: int) -> str:
        return f'(for-each (lambda (n) (syntax-e (llm-query #:instruction "What?" #:data context))) (range {calls})) 1'

    async with Runtime(Soon(), store=url, durable=True, python="off") as runtime:

        async def sessions(count: int, calls: int, name: str) -> None:
            async def one(number: int) -> None:
                async with await runtime.resume(f"{run}-{name}-{number}", make=True) as session:
                    await session.load_context(text + str(number))
                    (await session.execute(program(calls))).raise_for_status()

            for first in range(0, count, 8):
                await asyncio.gather(*(one(number) for number in range(first, min(first + 8, count))))

        await sessions(16, 2, "warm")
        meter.begin()
        await sessions(200, 0, "empty")
        found["session"] = meter.end(200)
        meter.begin()
        await sessions(40, 50, "calls")
        whole = meter.end(40)
        found["call"] = {key: (whole[key] - found["session"][key]) / 50 for key in whole}
        meter.begin()
        for number in range(40):
            await (await runtime.resume(f"{run}-calls-{number}")).aclose()
        found["taking up, 50 calls"] = meter.end(40)
        size = sum(
            session.bytes
            for session in await runtime.store.sessions.list()
            if session.name.startswith(f"{run}-calls")
        )  # type: ignore[attr-defined]
        found["session"]["kept_bytes"] = size / 40
        for session in await runtime.store.sessions.list():  # type: ignore[attr-defined]
            await runtime.store.sessions.delete(session.name)  # type: ignore[attr-defined]
    found["exchange"] = await exchange(url, meter)
    found["memory"] = {"waiting_bytes": await memory()}
    keep("costs", found)
    print(json.dumps(found, indent=1))


async def exchange(url: str, meter: Meter) -> dict[str, float]:
    store, name = open_store(url), f"budget {time.time()}"
    store.budgets.open(SharedBudget(name=name, calls=10**9, concurrency=10**6))
    taken = store.durable.acquire(name, Holder.here(), make=True)
    assert taken is not None
    statements = 0

    def counted(*_: object) -> None:
        nonlocal statements
        statements += 1

    sa.event.listen(store._engine, "before_cursor_execute", counted)
    meter.begin()
    for count in range(1000):
        used, whole = Amount(calls=count, places=1), Amount(calls=count + 1, places=1)
        store.budgets.exchange(
            name, name, taken.epoch, Report(used=used, reserved=used, least=whole, wish=whole)
        )
    found = meter.end(1000)
    found["statements"] = statements / 1000
    await store.aclose()
    return found


async def memory() -> float:
    """Bytes of this process that one more session takes which waits for a call."""

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    gate = GatedProvider()
    with tempfile.TemporaryDirectory() as folder:
        async with Runtime(gate, store=f"sqlite:///{folder}/s.db", durable=True, python="off") as runtime:

            async def waiting(count: int, name: str) -> None:
                for number in range(count):
                    session = await runtime.resume(f"{name}{number}", make=True)
                    tasks.append(asyncio.create_task(session.execute('(llm-query #:instruction "q")')))
                    await gate.arrived(len(tasks))

            tasks: list[asyncio.Task[Any]] = []
            await waiting(50, "warm")
            before = resident()
            await waiting(200, "s")
            used = (resident() - before) / 200
            gate.release_all()
            await asyncio.gather(*tasks)
    return used


# ---- a cluster, simulated

NODES, CORES, SERVER_CORES = 100, 8, 32
ROUND_TRIP_S = 0.0002
"""Between a node and the store's server, in one data centre."""
CALL_S = 2.0
"""The median of what a model takes for an answer; a third take less than 1.3 s, one in a hundred more than 20 s."""
CHUNK = 8
"""Calls that an exchange of a shared budget is for, at the least (see rlm_wasm/llm/budget.py)."""
SESSIONS_CALLS = 2


def stations(shared: bool, stores: int) -> dict[str, tuple[int, float]]:
    """Servers, and seconds of one of them that a call takes."""
    cost = figures("costs")
    call, lent = cost["call"], cost["exchange"]
    node = (call["node_ms"] + (lent["node_ms"] / CHUNK if shared else 0.0)) / 1e3
    server = (call["server_ms"] + (lent["server_ms"] / CHUNK if shared else 0.0)) / 1e3
    found = {"CPU of the nodes": (NODES * CORES, node), "CPU of the store": (stores * SERVER_CORES, server)}
    if shared:  # from its first statement to its commit an exchange has the budget's row alone
        held = lent["server_ms"] / 1e3 + lent["statements"] * ROUND_TRIP_S
        found["row of the budget"] = (1, held / CHUNK)
    return found


class Station:
    """So many servers, first come, first served."""

    def __init__(self, servers: int, service_s: float) -> None:
        self.free = [0.0] * servers
        self.service_s = service_s

    def served(self, now: float, chance: random.Random) -> float:
        """When a job that comes now is done."""
        service = self.service_s * chance.gammavariate(4, 0.25)
        done = max(now, self.free[0]) + service
        heapq.heapreplace(self.free, done)
        return done


def simulated(sessions: int, nodes: int, *, shared: bool, stores: int) -> dict[str, Any]:
    """Each session makes SESSIONS_CALLS calls, one after another; all begin within the first ten seconds."""
    chance = random.Random(7)
    costs_of = stations(shared, stores)
    cpu = [Station(CORES, costs_of["CPU of the nodes"][1]) for _ in range(nodes)]
    store = [Station(SERVER_CORES, costs_of["CPU of the store"][1]) for _ in range(stores)]
    row = Station(1, costs_of["row of the budget"][1] * CHUNK) if shared else None
    # (time, session, stage, calls left, seconds spent beside the model); stages: 0 piece, 1 node, 2 store
    events = [(chance.uniform(0, 10), number, 0, SESSIONS_CALLS, 0.0) for number in range(sessions)]
    heapq.heapify(events)
    pop, push = heapq.heappop, heapq.heappush
    beside: list[float] = []
    ended: list[float] = []
    while events:
        now, session, stage, left, spent = pop(events)
        if stage == 2:
            done = store[session % stores].served(now, chance)
            beside.append(spent + done - now)
            ended.append(done)
            if left == 1:
                continue
            now, stage, left, spent = done, 0, left - 1, 0.0
            if row is not None:
                push(events, (now, session, stage, left, spent))
                continue
        if stage == 0:
            begun = row.served(now, chance) if row is not None and chance.random() < 1 / CHUNK else now
            push(events, (begun + CALL_S * math.exp(chance.gauss(0, 1)), session, 1, left, begun - now))
        else:
            done = cpu[session % nodes].served(now, chance)
            push(events, (done, session, 2, left, spent + done - now))
    beside.sort()
    ended.sort()
    count = len(ended)
    rate = 0.8 * count / (ended[count * 9 // 10] - ended[count // 10])  # without beginning and end
    return {
        "sessions": sessions,
        "calls_a_second": rate,
        "p50_s": beside[count // 2],
        "p99_s": beside[count * 99 // 100],
        # Beyond 1 those are counted that the row need not see, as they have a piece already.
        "busy": {name: min(rate * seconds / servers, 1.0) for name, (servers, seconds) in costs_of.items()},
    }


SETTINGS: dict[str, dict[str, Any]] = {
    "one store": {"shared": False, "stores": 1},
    "one store, one shared budget": {"shared": True, "stores": 1},
    "ten stores": {"shared": False, "stores": 10},
}


def simulate() -> None:
    found: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        found[name] = [
            simulated(sessions, NODES, **setting) for sessions in (1_000, 10_000, 100_000, 1_000_000)
        ]
        for each in found[name]:
            print(name, each, flush=True)
    keep("simulation", found)


# ---- the drawing


def draw() -> None:
    found = figures("simulation")
    rate = [
        (name, [(each["sessions"], each["calls_a_second"]) for each in runs]) for name, runs in found.items()
    ]
    late = [
        (name, [(each["sessions"], each["p99_s"] * 1e3) for each in runs]) for name, runs in found.items()
    ]
    drawing(
        "cluster",
        900,
        330,
        [
            panel(60, 40, 360, 240, "calls a second, by sessions at once (100 nodes)", "", rate),
            panel(510, 40, 360, 240, "beside the model's time, 99 of 100 calls (ms)", "", late),
        ],
    )
    tables()


def tables() -> None:
    cost = figures("costs")
    print("| | CPU of a node | CPU of the server | transactions | bytes of its log |\n|---|---|---|---|---|")
    for name in ("session", "call", "taking up, 50 calls", "exchange"):
        row = cost[name]
        print(
            f"| {name} | {row['node_ms']:.2f} ms | {row['server_ms']:.2f} ms | {row['transactions']:.1f} | {row['log_bytes']:,.0f} |"
        )
    print(
        f"\nwaiting: {cost['memory']['waiting_bytes'] / 1e3:,.0f} kB; kept {cost['session']['kept_bytes'] / 1e3:,.0f} kB\n"
    )
    print("| | at most |\n|---|---|")
    for shared in (True,):
        for name, (servers, seconds) in stations(shared, 1).items():
            print(f"| {name} | {servers / seconds:,.0f} calls a second |")
    waiting = 1_000_000 / NODES * cost["memory"]["waiting_bytes"] / 1e9
    print(f"| memory of a node | {waiting:.1f} GB for its 10,000 sessions |\n")
    print(
        "| | sessions | calls a second | beside the model, half | 99 of 100 | busy: nodes | store | budget |\n|---|---|---|---|---|---|---|---|"
    )
    for name, runs in figures("simulation").items():
        for each in runs:
            busy = {name: min(share, 1.0) for name, share in each["busy"].items()}
            print(
                f"| {name} | {each['sessions']:,} | {each['calls_a_second']:,.0f} | {each['p50_s'] * 1e3:,.1f} ms | {each['p99_s'] * 1e3:,.1f} ms |"
                f" {busy['CPU of the nodes']:.0%} | {busy['CPU of the store']:.0%} | {busy.get('row of the budget', 0):.0%} |"
            )


COMMANDS: dict[str, Callable[[], Any]] = {
    "costs": lambda: asyncio.run(costs()),
    "simulate": simulate,
    "draw": draw,
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]]()

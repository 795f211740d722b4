"""What the patterns gain, on simulated models: python benchmarks/patterns.py [--write]

Every figure comes from a real program run by a real Runtime; only the models are simulated, and the
clock is virtual. Latency is log-normal (median 2 s) with 2 % stragglers that take ten times as long;
prices are dollars for a million tokens. The same seed gives the same figures on every machine.
--write keeps them in benchmarks/patterns.json, which docs/patterns/ quotes.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlm_wasm import CompletionRequest, Limits, Runtime
from rlm_wasm.providers.prices import Price
from rlm_wasm.testing import Latency, SimulatedModel, SimulatedProvider, simulate

NANO, MINI, FULL = Price(0.10, 0.40), Price(0.15, 0.60), Price(2.50, 10.0)
NO_STRAGGLERS = Latency(straggler_rate=0.0)
LIMITS = Limits(timeout_s=1e9, calls=1_000_000, concurrency=1000)


@dataclass(frozen=True)
class Table:
    """One measurement: a table, what the usage guide claims, and whether that held."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    claim: str
    verdict: str

    def markdown(self) -> str:
        """As a page shows it."""
        lines = [f"| {' | '.join(self.columns)} |", f"|{'---|' * len(self.columns)}"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows]
        return "\n".join(lines) + f"\n\nThe guide claims: {self.claim} In the simulation: {self.verdict}"


def run(provider: SimulatedProvider, *programs: str) -> tuple[list[Any], list[float], float]:
    """Run programs one after the other in a session: their data, their seconds, the dollars."""

    async def main() -> tuple[list[Any], list[float], float]:
        import asyncio

        data, seconds = [], []
        async with Runtime(provider=provider, limits=LIMITS) as runtime, runtime.session() as session:
            cost = 0.0
            for program in programs:
                start = asyncio.get_running_loop().time()
                result = await session.execute(program)
                assert result.ok, result.error
                seconds.append(asyncio.get_running_loop().time() - start)
                data.append(result.data)
                cost += result.execution.cost_usd or 0.0
            return data, seconds, cost

    return simulate(main())[0]


def number(request: CompletionRequest) -> int:
    """The item's number, which is the data."""
    found = re.search(r"\d+", request.data)
    return int(found[0]) if found else 0


def label(request: CompletionRequest) -> list[str]:
    """Every item is an A; every other answer is wrong."""
    return ["A", "B"]


def percent(share: float) -> str:
    """For people."""
    return f"{100 * share:.1f} %"


def share_right(answers: Sequence[Any]) -> float:
    """How many are A."""
    return sum(answer == "A" for answer in answers) / len(answers)


# ---- the measurements


def fan_out() -> Table:
    """Seconds by how many items there are, and how many run at once."""
    rows = []
    first = {}
    for items, at_once in ((100, 1), (100, 10), (100, 50), (1000, 1), (1000, 10), (1000, 50)):
        program = f"""(length (map-async (lambda (i) (llm-query-async #:instruction "sum up" #:data (~a i)))
                               (range {items}) #:max-concurrent {at_once}))"""
        _, seconds, _ = run(SimulatedProvider(seed=1), program)
        alone = first.setdefault(items, seconds[0])
        rows.append((f"{items:,}", str(at_once), f"{seconds[0]:.0f} s", f"{alone / seconds[0]:.1f} ×"))
    return Table(
        "Fan-out",
        ("items", "at once", "time", "speed-up"),
        rows,
        "10-50× faster.",
        "the speed-up stays below the number of calls at once, as it must. With a hundred items it does not reach ten: "
        "the last straggler sets the end, however many run at once. With a thousand items it does.",
    )


def hedging() -> Table:
    """Latency of one question asked in three ways."""
    ask = '(llm-query-async #:instruction "q{}" #:data "{}")'
    plain = '(syntax-e (await (llm-query-async #:instruction "q0" #:data "{0}")))'
    three = (
        '(define-values (a others) (await-any (map (lambda (k) (llm-query-async #:instruction (~a "q" k) #:data "{0}")) (range 3))))'
        "(for-each cancel others) a"
    )
    late = (
        f"(define one {ask.format(0, '{0}')}) (define timer (spawn (lambda () (sleep 4) 'late)))"
        "(define-values (a others) (await-any (list one timer)))"
        f"(when (eq? a 'late) (define-values (b losers) (await-any (list one {ask.format(1, '{0}')})))"
        " (set! a b) (set! others losers)) (for-each cancel others) a"
    )
    rows = []
    for name, program in (("one call", plain), ("three at once", three), ("a second after 4 s", late)):
        provider = SimulatedProvider(seed=2)
        _, seconds, _ = run(provider, *(program.format(i) for i in range(1000)))
        cuts = statistics.quantiles(seconds, n=100)
        calls = sum(provider.calls.values()) / 1000
        rows.append((name, f"{cuts[49]:.1f} s", f"{cuts[94]:.1f} s", f"{cuts[98]:.1f} s", f"{calls:.2f}"))
    return Table(
        "Hedging, 1,000 questions",
        ("strategy", "median", "P95", "P99", "calls a question"),
        rows,
        "P99 improves 5-10× at twice the cost.",
        "the P99 gain holds; three at once cost three calls, not two. A hedge that starts only where the first call "
        "is late has most of the gain for a few per cent more calls.",
    )


def ensemble() -> Table:
    """Accuracy of votes, with independent and with shared errors."""

    def shared(request: CompletionRequest) -> list[str]:
        # On one item in ten all models are misled in the same way.
        return ["B", "A"] if number(request) % 10 == 0 else ["A", "B"]

    rows = []
    for voters in (1, 3, 5):
        program = f"""(map-async (lambda (i) (vote (map (lambda (m) (lambda () (llm-query-async #:instruction "classify" #:data (~a i) #:model (~a "m" m)))) (range {voters})) #:method 'plurality)) (range 1000) #:max-concurrent 100)"""
        shares = []
        for answers in (label, shared):
            models = {f"m{k}": SimulatedModel(accuracy=0.82, price=NANO) for k in range(voters)}
            data, _, _ = run(SimulatedProvider(models, answers=answers, seed=3), program)
            shares.append(share_right(data[0]))
        rows.append((str(voters), percent(shares[0]), percent(shares[1]), f"{voters} ×"))
    return Table(
        "Votes of models that are right 82 % of the time",
        ("voters", "independent errors", "10 % of the items mislead all", "cost"),
        rows,
        "82 % → 95 % with three to five models.",
        "holds for five models with independent errors only; three reach about 91 %, and what misleads all models "
        "no vote repairs.",
    )


def active_learning() -> Table:
    """Cost and accuracy; an item counts as unsure where two cheap models disagree."""
    models = {
        "nano": SimulatedModel(accuracy=0.92, price=NANO),
        "mini": SimulatedModel(accuracy=0.92, price=MINI),
        "full": SimulatedModel(accuracy=0.98, price=FULL),
    }
    text = "x" * 2000
    ask = f'(llm-query-async #:instruction "classify" #:data (~a i "{text}") #:model "{{}}")'
    every = "(map-async (lambda (i) {}) (range 1000) #:max-concurrent 100)"
    active = (
        f"(define (cheap i) (define both (await-all (list {ask.format('nano')} {ask.format('mini')})))"
        ' (if (equal? (first both) (second both)) (first both) "unsure"))'
        f"(active-learning cheap (lambda (i) {ask.format('full')})"
        ' (lambda (answer) (if (equal? answer "unsure") 0 1)) (range 1000))'
    )
    rows = []
    for name, program in (
        ("cheap only", every.format(ask.format("nano"))),
        ("expensive only", every.format(ask.format("full"))),
        ("active learning", active),
    ):
        data, _, cost = run(SimulatedProvider(models, answers=label, seed=4), program)
        rows.append((name, percent(share_right(data[0])), f"${cost:.2f}"))
    return Table(
        "Active learning, 1,000 items",
        ("strategy", "accuracy", "cost"),
        rows,
        "3-5× savings.",
        "the savings hold where about one item in seven is unsure and the expensive model costs 25 times as much; "
        "the mistakes that are left are those on which both cheap models agree.",
    )


def cache() -> Table:
    """Cost of a thousand questions of which 60 % were asked before."""
    rng = random.Random(5)
    questions = list(range(400)) + [rng.randrange(400) for _ in range(600)]
    rng.shuffle(questions)
    items = " ".join(map(str, questions))
    rows = []
    for name, call in (
        ("no cache", '(syntax-e (llm-query #:instruction (~a "Question " i)))'),
        ("cached-query", '(cached-query (~a "Question " i))'),
    ):
        provider = SimulatedProvider({"m": SimulatedModel(price=NANO, answer_tokens=200)}, seed=5)
        program = f"(length (map-async (lambda (i) {call}) '({items}) #:max-concurrent 20))"
        _, seconds, cost = run(provider, program)
        rows.append((name, str(sum(provider.calls.values())), f"${cost:.4f}", f"{seconds[0]:.0f} s"))
    return Table(
        "1,000 questions, 60 % of them repeats",
        ("strategy", "calls", "cost", "time"),
        rows,
        "a hit rate of 60 % saves 60 %.",
        "holds exactly, also with twenty questions at once: the same question twice at the same time is one call.",
    )


def bandit() -> Table:
    """Reward and regret of UCB1 against fixed choices."""
    models = {
        "nano": SimulatedModel(accuracy=0.70, price=NANO),
        "mini": SimulatedModel(accuracy=0.90, price=MINI),
        "full": SimulatedModel(accuracy=0.93, price=FULL),
    }
    text = "x" * 2000
    best = 0.90 - 0.05 * 0.15
    program = f"""
(define arms '#("nano" "mini" "full")) (define prices '#(0.10 0.15 2.50))
(define n (make-vector 3 0)) (define sum (make-vector 3 0.0)) (define right 0)
(define (pull! arm i)
  (define answer (syntax-e (llm-query #:instruction "classify" #:data (~a i "{text}") #:model (vector-ref arms arm))))
  (define ok (if (equal? answer "A") 1 0))
  (set! right (+ right ok))
  (vector-set! n arm (add1 (vector-ref n arm)))
  (vector-set! sum arm (+ (vector-ref sum arm) (- ok (* 0.05 (vector-ref prices arm))))))
(define (ucb arm t)
  (if (= 0 (vector-ref n arm)) +inf.0
      (+ (/ (vector-ref sum arm) (vector-ref n arm)) (sqrt (/ (* 2 (log t)) (vector-ref n arm))))))
(for ([i (in-range 2000)]) (pull! CHOICE i))
(list right (apply + (vector->list sum)) (vector->list n))"""
    rows = []
    for name, choice in (
        ("always the dearest", "2"),
        ("always the cheapest", "0"),
        ("each in turn", "(modulo i 3)"),
        ("UCB1", "(argmax (lambda (arm) (ucb arm (add1 i))) '(0 1 2))"),
    ):
        data, _, cost = run(
            SimulatedProvider(models, answers=label, seed=6), program.replace("CHOICE", choice)
        )
        right, reward, _ = data[0]
        rows.append((name, percent(right / 2000), f"${cost:.2f}", f"{2000 * best - reward:.0f}"))
    return Table(
        "2,000 tasks; the reward is 1 for a right answer, less a twentieth of the model's price",
        ("strategy", "right", "cost", "regret"),
        rows,
        "20-40 % savings over 1,000 tasks and more.",
        "against the dearest model UCB1 saves more than that, because exploring is cheap where the best arm is cheap; "
        "it needs hundreds of tasks, and a reward that can be checked.",
    )


def tree() -> Table:
    """One flat prompt against trees, for a model whose answer holds forty facts at the most."""
    facts = 400

    def keep(request: CompletionRequest) -> list[str]:
        found = list(dict.fromkeys(re.findall(r"f\d+", request.data)))
        rng = random.Random(request.data)
        kept = found if len(found) <= 40 else sorted(rng.sample(found, 40))
        return [" ".join(kept)]

    setup = f"""
(define chunks (for/list ([i (in-range 100)])
  (string-join (for/list ([k (in-range {facts // 100})]) (~a "f" (+ k (* i {facts // 100})) " {"padding " * 60}")) " ")))
(define (merge . texts) (llm-query-async #:instruction "merge" #:data (string-join texts "\\n")))"""
    rows = []
    for name, program in (
        ("flat", "(syntax-e (await (apply merge chunks)))"),
        ("tree of 2", "(tree-reduce merge chunks #:branch-factor 2)"),
        ("tree of 5", "(tree-reduce merge chunks #:branch-factor 5)"),
    ):
        largest = 0

        def answers(request: CompletionRequest) -> list[str]:
            nonlocal largest
            largest = max(largest, len(request.data) // 4)
            return keep(request)

        provider = SimulatedProvider({"m": SimulatedModel(price=MINI)}, answers=answers, seed=7)
        data, seconds, cost = run(provider, setup + program)
        kept = len(set(data[0].split()) & {f"f{i}" for i in range(facts)})
        rows.append(
            (
                name,
                str(sum(provider.calls.values())),
                f"{largest:,}",
                str(kept),
                f"{seconds[0]:.0f} s",
                f"${cost:.4f}",
            )
        )
    return Table(
        "100 chunks with 400 facts; an answer holds 40 of them at the most",
        ("strategy", "calls", "largest prompt (tokens)", "facts kept", "time", "cost"),
        rows,
        "a tree preserves information that a flat prompt loses.",
        "it does not hold where the answer's length is what limits: every way keeps what the last answer has room for. "
        "What a tree gains is that no prompt grows with the data; it costs calls and time.",
    )


def consensus() -> Table:
    """Five models, one or two rounds, four of five needed."""
    vote = """(define (ask i m r) (lambda () (llm-query-async #:instruction (~a "round " r) #:data (~a i) #:model (~a "m" m))))
(define (tally i r) (define votes (parallel (map (lambda (m) (ask i m r)) (range 5))))
  (define a (count (lambda (v) (equal? v "A")) votes)) (cond [(>= a NEED) "A"] [(>= (- 5 a) NEED) "B"] [else "undecided"]))
(map-async (lambda (i) (define first (tally i 1)) (if (equal? first "undecided") (tally i 2) first)) (range 2000) #:max-concurrent 100)"""
    rows = []
    for name, need in (("majority of 5, one round", 3), ("4 of 5, a second round where there are none", 4)):
        models = {f"m{k}": SimulatedModel(accuracy=0.85) for k in range(5)}
        provider = SimulatedProvider(models, answers=label, seed=8)
        data, _, _ = run(provider, vote.replace("NEED", str(need)))
        wrong, open_ = data[0].count("B") / 2000, data[0].count("undecided") / 2000
        rows.append((name, percent(wrong), percent(open_), f"{sum(provider.calls.values()) / 2000:.1f}"))
    return Table(
        "Consensus of five models that are right 85 % of the time, 2,000 decisions",
        ("protocol", "wrong", "undecided", "calls a decision"),
        rows,
        "less than 1 % errors at ten times the cost.",
        "the error rate holds for independent errors, at about six calls and not ten, because most decisions need no second "
        "round, and because what stays undecided is handed on instead of guessed; it is no Byzantine "
        "fault tolerance in the strict sense, which would need the models to check each other's messages.",
    )


def critique() -> Table:
    """Quality by rounds, with a critic who errs."""

    def answers(request: CompletionRequest) -> list[str]:
        if request.instruction == "critique":
            good = request.data == "A"
            return ["approved", "rejected"] if good else ["rejected", "approved"]
        return ["A", "B"]

    models = {
        "draft": SimulatedModel(accuracy=0.6, price=MINI),
        "critic": SimulatedModel(accuracy=0.9, price=NANO),
        "writer": SimulatedModel(accuracy=0.75, price=FULL),
    }
    rows = []
    for rounds in (0, 1, 3):
        program = f"""(define (ask what model data) (llm-query-async #:instruction what #:data data #:model model))
(map-async (lambda (i) (critique-refine (lambda () (ask (~a "draft " i) "draft" (~a i)))
  (lambda (d) (ask "critique" "critic" d)) (lambda (d c) (ask (~a "refine " i) "writer" d))
  #:max-iter {rounds} #:quality-threshold 1)) (range 1000) #:max-concurrent 100)"""
        provider = SimulatedProvider(models, answers=answers, seed=9)
        data, _, _ = run(provider, program)
        rows.append(
            (str(rounds), percent(share_right(data[0])), f"{sum(provider.calls.values()) / 1000:.2f}")
        )
    return Table(
        "Critique and refine: a draft is good 60 % of the time, the critic right 90 %, a new version good 75 %",
        ("rounds at most", "good", "calls a text"),
        rows,
        "60 % → 90 %.",
        "holds with a critic who is right nine times in ten; a critic who always agrees changes nothing.",
    )


MEASUREMENTS: dict[str, Callable[[], Table]] = {
    "fan-out": fan_out,
    "hedging": hedging,
    "ensemble": ensemble,
    "active-learning": active_learning,
    "cache": cache,
    "bandit": bandit,
    "tree": tree,
    "consensus": consensus,
    "critique": critique,
}


def main() -> None:
    """Measure, print, and keep."""
    tables = {}
    for name, measure in MEASUREMENTS.items():
        table = tables[name] = measure()
        print(f"## {table.title}\n\n{table.markdown()}\n", flush=True)
    if "--write" in sys.argv:
        path = Path(__file__).with_suffix(".json")
        path.write_text(
            json.dumps({name: asdict(table) for name, table in tables.items()}, indent=1, ensure_ascii=False)
            + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()

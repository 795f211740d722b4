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


def code_generation() -> Table:
    """A call for each record against one program for all of them, checked or not."""
    rows = 200
    right = '```scheme\n(lambda (row) (string->number (last (string-split row ";"))))\n```'
    wrong = '```scheme\n(lambda (row) (string->number (first (string-split row ";"))))\n```'

    def answers(request: CompletionRequest) -> list[str]:
        return (
            [right, wrong] if "procedure" in request.instruction else [request.data.rsplit(";", 1)[-1], "0"]
        )

    models = {
        "cheap": SimulatedModel(accuracy=0.95, price=NANO, answer_tokens=3),
        "good": SimulatedModel(accuracy=0.80, price=FULL),
    }
    setup = f"""
(define rows (for/list ([i (in-range {rows})]) (format "~a;FILE~a;~a" i FILE (* 7 i))))
(define (good? value i) (equal? value (* 7 i)))
(define (share values) (/ (for/sum ([v values] [i (in-naturals)]) (if (good? v i) 1 0)) {rows}))
(define (write-one try)
  (unsafe-exec-sub-output (llm-query #:instruction (~a "Write a procedure, try " try) #:data (string-join (take rows 2) "\\n") #:model "good")))
"""
    each = '(share (map string->number (map-async (lambda (row) (llm-query-async #:instruction "The number?" #:data row #:model "cheap")) rows #:max-concurrent 50)))'
    once = "(share (map (write-one 1) rows))"
    tried = """(let loop ([try 1]) (define f (write-one try))
  (if (or (good? (f (second rows)) 1) (= try 3)) (share (map f rows)) (loop (add1 try))))"""
    lines = []
    for name, program, files in (
        ("a call for each record", each, 5),
        ("one program", once, 300),
        ("one program, tried on a record, three tries", tried, 300),
    ):
        provider = SimulatedProvider(models, answers=answers, seed=10)
        data, _, cost = run(provider, *((setup + program).replace("FILE", str(i)) for i in range(files)))
        whole = sum(1 for share in data if share == 1) / files
        lines.append(
            (
                name,
                percent(float(sum(map(float, data)) / files)),
                percent(whole),
                f"{sum(provider.calls.values()) / files:.2f}",
                f"${cost / files:.5f}",
            )
        )
    return Table(
        f"Files of {rows} records of unknown format; a model's program is right 80 % of the time, a single value 95 %",
        ("strategy", "values right", "files all right", "calls a file", "cost a file"),
        lines,
        "adapts to any structure.",
        "one call does what two hundred did, and a wrong program is wrong about everything: what makes it good is that code "
        "finds that out on one record whose value is known.",
    )


def delegation() -> Table:
    """One call a chapter against a sub-model with a program of its own for each."""
    chapters, clauses = 20, 15
    written = """```scheme
(define clauses (filter non-empty-string? (string-split context "\\n")))
(finish (string-join (map-async (lambda (c) (llm-query-async #:instruction "read" #:data c #:model "cheap")) clauses) " "))
```"""

    def answers(request: CompletionRequest) -> list[str]:
        if request.purpose == "program":
            return [written]
        return [" ".join(re.findall(r"f\d+", request.data)[:5])]  # what an answer has room for

    models = {"cheap": SimulatedModel(price=NANO), "middle": SimulatedModel(price=MINI)}
    setup = f"""
(define contract (for/list ([c (in-range {chapters})])
  (string-join (for/list ([k (in-range {clauses})]) (~a "f" (+ k (* c {clauses})) " {"clause " * 60}")) "\\n")))"""
    rows = []
    for name, more in (("one call a chapter", ""), ("delegated", "#:recursive #t")):
        largest = 0

        def watched(request: CompletionRequest) -> list[str]:
            nonlocal largest
            largest = max(largest, len(request.data) // 4)
            return answers(request)

        provider = SimulatedProvider(models, answers=watched, seed=11)
        program = f'{setup} (string-join (map-async (lambda (chapter) (llm-query-async #:instruction "read" #:data chapter #:model "middle" {more})) contract #:max-concurrent 10) " ")'
        data, seconds, cost = run(provider, program)
        rows.append(
            (
                name,
                f"{sum(provider.calls.values()):,}",
                f"{largest:,}",
                f"{len(set(data[0].split()))} of {chapters * clauses}",
                f"{seconds[0]:.0f} s",
                f"${cost:.4f}",
            )
        )
    return Table(
        f"{chapters} chapters of {clauses} clauses with a fact each; an answer has room for five facts",
        ("strategy", "calls", "largest text in a prompt (tokens)", "facts found", "time", "cost"),
        rows,
        "every level specialises.",
        "a specialist loses nothing, because its program reads clause by clause; it costs a program more a chapter, and a call a clause. "
        "Where one call a chapter would do, it is the dearer way.",
    )


def fold() -> Table:
    """Contradictions between chapters: found by reading each alone, or with notes of what came before."""
    chapters = 100

    def answers(request: CompletionRequest) -> list[str]:
        notes, _, chapter = request.data.partition("|")
        known, said = notes.split(), chapter.split()
        found = [word for word in known if word.startswith("!")]
        facts = [word for word in known if word.startswith("f")]
        against = [word[1:] for word in said if word.startswith("~")]
        found += ["!" + fact for fact in against if fact in facts]
        keep = int(request.instruction.split()[-1])
        facts += [word for word in said if word.startswith("f")]
        return [" ".join([*(facts[-keep:] if keep else []), *found])]

    setup = f"""
;; Chapter i says fact i; every other one contradicts what was said 1, 2, 4, 8, 16 or 32 chapters before.
(define chapters (for/list ([i (in-range {chapters})])
  (define back (expt 2 (modulo (quotient i 2) 6)))
  (if (and (odd? i) (>= i back)) (format "f~a ~~f~a" i (- i back)) (format "f~a" i))))
(define there (count (lambda (c) (string-contains? c "~")) chapters))
(define (found text) (count (lambda (w) (string-prefix? w "!")) (string-split text)))"""
    alone = '(list there (apply + (map found (map-async (lambda (c) (llm-query-async #:instruction "keep 0" #:data (~a "|" c))) chapters #:max-concurrent 20))))'
    folded = '(list there (found (fold-sequential (lambda (notes c) (llm-query #:instruction "keep {}" #:data (~a notes "|" c))) "" chapters)))'
    rows = []
    for name, program in (
        ("fan-out, each chapter alone", alone),
        ("fold, notes of the last 10 facts", folded.format(10)),
        ("fold, notes of all facts", folded.format(chapters)),
    ):
        provider = SimulatedProvider({"m": SimulatedModel(price=MINI)}, answers=answers, seed=12)
        data, seconds, cost = run(provider, setup + program)
        there, found = data[0]
        rows.append((name, f"{found} of {there}", f"{seconds[0]:.0f} s", f"${cost:.4f}"))
    return Table(
        f"{chapters} chapters, every other one contradicts a chapter 1 to 32 before it",
        ("strategy", "contradictions found", "time", "cost"),
        rows,
        "later items can refer to earlier ones.",
        "holds as far as the notes reach back: what they drop is as lost as in a fan-out. The price is time, one call after the other.",
    )


def planning() -> Table:
    """Fixed pipelines against a planner, over inputs of three kinds."""
    right = {  # how often a pipeline is right about a kind of input
        ("short", "direct"): 0.95, ("short", "lines"): 0.75, ("short", "tree"): 0.75,
        ("list", "direct"): 0.55, ("list", "lines"): 0.95, ("list", "tree"): 0.60,
        ("prose", "direct"): 0.40, ("prose", "lines"): 0.50, ("prose", "tree"): 0.90,
    }  # fmt: skip
    best = {"short": "direct", "list": "lines", "prose": "tree"}

    def answers(request: CompletionRequest) -> list[str]:
        if "Choose" in request.instruction:
            pick = best[request.data.split()[0]]
            return [pick, *(other for other in best.values() if other != pick)]
        return label(request)

    models = {
        f"{kind}-{way}": SimulatedModel(accuracy=share, price=NANO) for (kind, way), share in right.items()
    }
    models |= {"planner": SimulatedModel(accuracy=0.9, price=FULL), "part": SimulatedModel(price=NANO)}
    setup = """
(define parts (hash "direct" 0 "lines" 12 "tree" 6))
(define kinds '("short" "list" "prose"))
(define (go i way)
  (define kind (list-ref kinds (modulo i 3)))
  (map-async (lambda (k) (llm-query-async #:instruction "part" #:data (~a i " " k) #:model "part")) (range (hash-ref parts way)))
  (llm-query-async #:instruction "answer" #:data (~a i) #:model (~a kind "-" way)))
(define (planned i)
  (go i (syntax-e (llm-query #:instruction "Choose direct, lines or tree" #:data (~a (list-ref kinds (modulo i 3)) " " i) #:model "planner"))))"""
    rows = []
    for name, way in (
        ("always direct", '(lambda (i) (go i "direct"))'),
        ("always by lines", '(lambda (i) (go i "lines"))'),
        ("always a tree", '(lambda (i) (go i "tree"))'),
        ("a planner chooses", "planned"),
    ):
        provider = SimulatedProvider(models, answers=answers, seed=13)
        data, _, _ = run(provider, f"{setup} (map-async {way} (range 900) #:max-concurrent 100)")
        rows.append((name, percent(share_right(data[0])), f"{sum(provider.calls.values()) / 900:.1f}"))
    return Table(
        "900 inputs of three kinds, each of which one pipeline suits best; the planner is right 90 % of the time",
        ("strategy", "right", "calls an input"),
        rows,
        "adapts to the data by itself.",
        "a planner is better than any fixed choice where kinds differ, at one call more; where all inputs are of one kind, that call buys nothing.",
    )


def backtracking() -> Table:
    """Strategies from cheap to good, each verified, against one of them alone."""
    models = {
        "cheap": SimulatedModel(accuracy=0.60, price=NANO),
        "middle": SimulatedModel(accuracy=0.75, price=MINI),
        "good": SimulatedModel(accuracy=0.90, price=FULL),
    }
    setup = f"""
(define (ask i model) (syntax-e (llm-query #:instruction "solve" #:data (~a i " {"x" * 400}") #:model model)))
(define (search i models)
  (define answer (ask i (car models)))
  (cond [(equal? answer "A") answer] [(null? (cdr models)) "none"] [else (search i (cdr models))]))"""
    rows = []
    for name, body in (
        ("cheap alone", '(ask i "cheap")'),
        ("good alone", '(ask i "good")'),
        ("cheap, middle, good, each verified", '(search i \'("cheap" "middle" "good"))'),
    ):
        provider = SimulatedProvider(models, answers=label, seed=14)
        data, _, cost = run(
            provider, f"{setup} (map-async (lambda (i) {body}) (range 2000) #:max-concurrent 100)"
        )
        silent = data[0].count("B") / 2000
        calls = sum(provider.calls.values()) / 2000
        rows.append((name, percent(share_right(data[0])), percent(silent), f"{calls:.2f}", f"${cost:.2f}"))
    return Table(
        "2,000 problems; right 60, 75 and 90 % of the time",
        ("strategy", "solved", "wrong, and nobody knows", "calls a problem", "cost"),
        rows,
        "90-95 % success at 2-5 times the cost.",
        "more than that, where the check is perfect and strategies err independently, at 1.5 calls a problem and less than the good model "
        "alone costs; what is not solved is known to be so.",
    )


def anytime() -> Table:
    """Right answers within a deadline: the good model alone, or levels until time is over."""
    models = {
        "cheap": SimulatedModel(accuracy=0.70, latency=Latency(median_s=0.6)),
        "middle": SimulatedModel(accuracy=0.85, latency=Latency(median_s=1.5)),
        "good": SimulatedModel(accuracy=0.95, latency=Latency(median_s=4.0)),
    }
    setup = """
(define (ask i model) (syntax-e (llm-query #:instruction "judge" #:data (~a i) #:model model)))
(define (within seconds i models)
  (define best "none")
  (with-timeout seconds (lambda () (for ([m models]) (set! best (ask i m)))) void)
  best)"""
    rows = []
    for deadline in (1, 3, 8):
        for name, levels in (("good alone", '\'("good")'), ("anytime", '\'("cheap" "middle" "good")')):
            provider = SimulatedProvider(models, answers=label, seed=15)
            data, _, _ = run(
                provider,
                f"{setup} (map-async (lambda (i) (within {deadline} i {levels})) (range 1000) #:max-concurrent 1000)",
            )
            in_time = 1 - data[0].count("none") / 1000
            rows.append((f"{deadline} s", name, percent(in_time), percent(share_right(data[0]))))
    return Table(
        "1,000 questions with a deadline; cheap, middle and good take 0.6, 1.5 and 4 s and are right 70, 85 and 95 % of the time",
        ("deadline", "strategy", "answered in time", "right"),
        rows,
        "a first answer within a second, better ones as time allows.",
        "nearly always an answer, and a better one the longer the deadline is; with time enough for the good model, levels gain little over it alone. "
        "A second is too short for one answer in ten even of the quick model.",
    )


def stream() -> Table:
    """How long after a line arrived its report is there: in a batch once an hour, or one by one."""
    lines, gap = 600, 6.0

    class Timed(SimulatedProvider):
        """Notes when each line was reported."""

        def __init__(self) -> None:
            super().__init__({"m": SimulatedModel(price=NANO)}, seed=16)
            self.waited: list[float] = []
            self.largest = 0

        async def complete(self, request: CompletionRequest) -> Any:
            import asyncio

            completion = await super().complete(request)
            now = asyncio.get_running_loop().time()
            arrived = [gap * int(n) for n in re.findall(r"line(\d+)", request.data)]
            self.waited += [now - at for at in arrived]
            self.largest = max(self.largest, len(arrived))
            return completion

    setup = f"""
(define (arrive i) (sleep {gap}) (~a "line" (add1 i)))
(define (report batch) (llm-query #:instruction "report" #:data (string-join batch " ")))
(define (by size)
  (for/fold ([pending '()]) ([i (in-range {lines})])
    (define now (cons (arrive i) pending))
    (cond [(= (length now) size) (spawn (lambda () (report now))) '()] [else now]))
  (sleep 60))"""
    rows = []
    for name, size in (("a batch an hour", lines), ("ten lines at a time", 10), ("line by line", 1)):
        provider = Timed()
        run(provider, f"{setup} (by {size}) 'done")
        waits = sorted(provider.waited)
        assert len(waits) == lines
        rows.append(
            (
                name,
                f"{statistics.mean(waits):,.1f} s",
                f"{waits[-1]:,.1f} s",
                str(sum(provider.calls.values())),
                str(provider.largest),
            )
        )
    return Table(
        f"{lines} lines, one every {gap:.0f} s",
        ("strategy", "mean wait for the report", "longest", "calls", "lines held"),
        rows,
        "below a second instead of 30 min on average; O(1) memory instead of O(N).",
        "the half hour and the memory hold; below a second is what the model makes of it: with answers in two seconds the report is there after two. "
        "Ten lines at a time cost a tenth of the calls.",
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
    "code-generation": code_generation,
    "delegation": delegation,
    "fold": fold,
    "planning": planning,
    "backtracking": backtracking,
    "anytime": anytime,
    "stream": stream,
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

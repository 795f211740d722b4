"""One question, several frameworks: rlm-wasm's ask beside rlms and dspy.RLM, in one run.

    python benchmarks/ask.py [--sizes 13,16,20] [--tasks s-niah,oolong] [--frameworks rlm-wasm,rlms]
    python benchmarks/ask.py --model MODEL [--sub-model M] [--base-url U]       accuracy with a real model

All of them ask one server on loopback, whose models are scripted and take the same time: the root model
writes the same program in each one's language, the sub-model reads what it is shown (ask_tasks.py). Each run is
a process of its own. Measured are its wall time, root calls, sub-calls and how many of them were open at once,
tokens sent, the time in which no request was open (overhead; imports are not counted), and the most memory of it and its children.

Frameworks that are not installed are left out, and that is said: rlms, dspy (with deno for its own
interpreter), dspy-repl (with guile).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import ask_tasks
from ask_tasks import TASKS, Task

KEY = os.environ.get("OPENAI_API_KEY") or "not-a-key"
"""A server of one's own takes any; the scripted models never see a real one."""


# ---- the frameworks, each in a process of its own


def run_rlm_wasm(task: Task, base_url: str | None, root: str, sub: str) -> str:
    """Runtime.ask."""
    from rlm_wasm import Limits, ask
    from rlm_wasm.providers import OpenAIProvider

    provider = OpenAIProvider(base_url=base_url, api_key=KEY if base_url else None, model=root)
    answer = ask(
        task.question,
        task.context,
        provider=provider,
        model=root,
        sub_model=sub,
        limits=Limits(timeout_s=1800, fuel=10**13),
    )
    if answer.status == "error":
        raise RuntimeError(answer.error)
    if not answer.computed:
        print(f"not computed: {answer.error} {answer.notes}", file=sys.stderr)
    return answer.value


def run_rlms(task: Task, base_url: str | None, root: str, sub: str) -> str:
    """RLM.completion, with its local environment."""
    from rlm import RLM

    options = {"base_url": base_url, "api_key": KEY} if base_url else {}
    rlm = RLM(
        backend="openai",
        backend_kwargs={"model_name": root, **options},
        other_backends=["openai"],
        other_backend_kwargs=[{"model_name": sub, **options}],
        environment="local",
        max_iterations=20,
    )
    return str(rlm.completion(task.context, root_prompt=task.question).response)


def _dspy(task: Task, base_url: str | None, root: str, sub: str, **options: Any) -> str:
    import dspy

    where = {"api_base": base_url, "api_key": KEY} if base_url else {}
    dspy.configure(lm=dspy.LM(f"openai/{root}", cache=False, max_tokens=4000, **where))
    sub_lm = dspy.LM(f"openai/{sub}", cache=False, max_tokens=4000, **where)
    rlm = dspy.RLM("context, query -> answer", max_llm_calls=10_000, sub_lm=sub_lm, **options)
    return str(rlm(context=task.context, query=task.question).answer)


def _in_deno() -> Any:
    """dspy's own interpreter: Pyodide in deno. Pyodide comes from npm, once; deno.land is not needed."""
    import dspy

    interpreter = dspy.PythonInterpreter()
    command = interpreter.deno_command
    runner = next(at for at, part in enumerate(command) if part.endswith("runner.js"))
    command.insert(runner, f"--import-map={Path(__file__).parent / 'deno' / 'import_map.json'}")
    return interpreter


def run_dspy(task: Task, base_url: str | None, root: str, sub: str) -> str:
    """dspy.RLM with its own interpreter."""
    return _dspy(task, base_url, root, sub, interpreter_factory=_in_deno)


def run_dspy_wasm(task: Task, base_url: str | None, root: str, sub: str) -> str:
    """dspy.RLM with our Python guest."""
    from rlm_wasm import Limits
    from rlm_wasm.integrations.dspy import PythonInterpreter

    return _dspy(
        task,
        base_url,
        root,
        sub,
        interpreter_factory=lambda: PythonInterpreter(limits=Limits(timeout_s=600, fuel=10**13)),
    )


def run_dspy_scheme(task: Task, base_url: str | None, root: str, sub: str) -> str:
    """dspy.RLM with our Scheme guest."""
    from rlm_wasm import Limits
    from rlm_wasm.integrations.dspy import SchemeInterpreter

    limits = Limits(timeout_s=600, fuel=10**13)
    return _dspy(task, base_url, root, sub, interpreter_factory=lambda: SchemeInterpreter(limits=limits))


def run_guile(task: Task, base_url: str | None, root: str, sub: str) -> str:
    """dspy-repl's SchemeRLM: guile in a subprocess."""
    import dspy
    from dspy_repl import SchemeRLM

    where = {"api_base": base_url, "api_key": KEY} if base_url else {}
    dspy.configure(lm=dspy.LM(f"openai/{root}", cache=False, max_tokens=4000, **where))
    sub_lm = dspy.LM(f"openai/{sub}", cache=False, max_tokens=4000, **where)
    rlm = SchemeRLM("context, query -> answer", max_llm_calls=10_000, sub_lm=sub_lm)
    return str(rlm(context=task.context, query=task.question).answer)


@dataclass(frozen=True)
class Framework:
    """How it is run, what it needs, and how its root model writes a program."""

    run: Any
    needs: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


FRAMEWORKS = {
    "rlm-wasm": Framework(run_rlm_wasm),
    "rlms": Framework(run_rlms, ("rlm",)),
    "dspy": Framework(run_dspy, ("dspy",), ("deno",)),
    "dspy+rlm-wasm": Framework(run_dspy_wasm, ("dspy",)),
    "dspy+rlm-wasm-scheme": Framework(run_dspy_scheme, ("dspy",)),
    "dspy-repl": Framework(run_guile, ("dspy", "dspy_repl"), ("guile",)),
}


def missing(name: str) -> str:
    """What a framework needs and is not there."""
    framework = FRAMEWORKS[name]
    modules = [module for module in framework.needs if importlib.util.find_spec(module) is None]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    lacking = [*modules, *(name for name in framework.commands if not shutil.which(name, path=path))]
    return f"{', '.join(lacking)} is not installed" if lacking else ""


def child(name: str, task: Task, arguments: argparse.Namespace) -> None:
    """One run: a line of JSON on standard output."""
    for module in ("openai", "rlm_wasm", "rlm_wasm.runtime", "rlm_wasm.providers", *FRAMEWORKS[name].needs):
        importlib.import_module(module)  # what a process that lives longer pays once
    began = time.perf_counter()
    said, error = "", ""
    try:
        said = FRAMEWORKS[name].run(
            task, arguments.base_url, arguments.model or "root", arguments.sub_model or "sub"
        )
    except Exception as failure:
        error = " ".join(f"{type(failure).__name__}: {failure}".split())[:100]
    seconds = time.perf_counter() - began
    used = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print("\n" + json.dumps({"answer": said, "error": error, "seconds": seconds, "mib": sum(used) / 1024}))


# ---- the server's models


def replies(name: str, task: Task) -> list[str]:
    """What the root model writes, in the framework's form: its steps, then the end."""
    if name == "rlm-wasm":
        steps = [f"```scheme\n{step}\n```" for step in ask_tasks.scheme_steps(task, ours=True)]
        return [*steps, "```scheme\n(finish result)\n```"]
    if name == "rlms":
        steps = [f"```repl\n{step}\n```" for step in ask_tasks.python_steps(task)]
        return [*steps, '```repl\nanswer["content"] = result\nanswer["ready"] = True\n```']
    scheme = name in ("dspy+rlm-wasm-scheme", "dspy-repl")
    steps = ask_tasks.scheme_steps(task, ours=False) if scheme else ask_tasks.python_steps(task)
    if name == "dspy-repl":
        steps = [_for_guile(step) for step in steps]
    last = "(SUBMIT result)" if scheme else "SUBMIT(result)"
    fence = "```" if name == "dspy+rlm-wasm-scheme" else "```scheme" if scheme else "```python"
    return [
        f"[[ ## reasoning ## ]]\ngo on\n\n[[ ## code ## ]]\n{fence}\n{step}\n```\n\n[[ ## completed ## ]]"
        for step in [*steps, last]
    ]


def _for_guile(step: str) -> str:
    """Guile's words for what the programs use of Racket's."""
    helpers = (
        "(use-modules (srfi srfi-1) (ice-9 string-fun))\n"
        "(define (split text c) ((@ (guile) string-split) text c))\n"
        "(define (findf p l) (find p l))\n"
    )
    step = step.replace("llm_query_batched", "llm-query-batched")  # its tools have Scheme's names
    step = step.replace('(string-split context "\\n")', "(split context #\\newline)")
    step = step.replace('(string-split x "\\n")', "(split x #\\newline)")
    return helpers + step


@dataclass
class Seen:
    """What the server saw of one run."""

    root: int = 0
    sub: int = 0
    tokens: int = 0
    open_now: int = 0
    peak: int = 0
    spans: list[tuple[float, float]] = field(default_factory=list)

    def waiting(self) -> float:
        """Seconds in which some request was open."""
        total, end = 0.0, 0.0
        for begin, until in sorted(self.spans):
            if until > end:
                total += until - max(begin, end)
                end = until
        return total


def measured(name: str, task: Task, size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One framework, one task, against the scripted models."""
    from rlm_wasm.providers.tokens import estimate_tokens
    from rlm_wasm.testing import ChatRequest, OpenAIServer

    seen, script = Seen(), replies(name, task)

    async def answer(request: ChatRequest) -> str:
        began = time.perf_counter()
        root = request.model == "root"
        text = "\n".join(str(message.get("content", "")) for message in request.body["messages"])
        seen.tokens += len(text) // ask_tasks.CHARS_A_TOKEN if len(text) > 100_000 else estimate_tokens(text)
        if root:
            said = script[min(seen.root, len(script) - 1)]
            seen.root += 1
        else:
            seen.sub += 1
            seen.open_now += 1
            seen.peak = max(seen.peak, seen.open_now)
            said = await asyncio.to_thread(ask_tasks.reader, text)
        await asyncio.sleep(
            (arguments.root_latency if root else arguments.sub_latency) - (time.perf_counter() - began)
        )
        seen.open_now -= not root
        seen.spans.append((began, time.perf_counter()))
        return said

    with OpenAIServer(answer) as server:
        outcome = _process(name, task.name, size, arguments, ["--base-url", server.base_url], key="not-a-key")
    outcome.update(
        framework=name, task=task.name, tokens=size, right=ask_tasks.is_right(task, outcome["answer"]), root_calls=seen.root,
        sub_calls=seen.sub, peak=seen.peak, tokens_sent=seen.tokens, overhead=outcome["seconds"] - seen.waiting(),
    )  # fmt: skip
    return outcome


def _process(
    name: str, task: str, size: int, arguments: argparse.Namespace, more: list[str], key: str = KEY
) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, "--tasks", task, "--sizes", str(size), *more]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": key}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=arguments.timeout, env=environment, check=False
        )
        outcome: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {
            "answer": "",
            "error": f"no end within {arguments.timeout:g} s",
            "seconds": arguments.timeout,
            "mib": 0.0,
        }
    except (ValueError, IndexError):
        return {
            "answer": "",
            "error": " ".join((done.stderr or "no output").split())[-100:],
            "seconds": 0.0,
            "mib": 0.0,
        }
    return outcome


# ---- the tables


def compare(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Every framework on every task, in turn, so that the machine's moods meet all."""
    names = chosen(arguments)
    rows = []
    print(
        f"{'task':<13}{'tokens':>9}  {'framework':<21}{'right':>6}{'wall s':>9}{'overhead s':>12}{'root':>6}{'sub':>6}"
        f"{'at once':>9}{'tokens sent':>13}{'MiB':>7}"
    )
    for task_name in arguments.tasks.split(","):
        for power in arguments.sizes.split(","):
            size = 1 << int(power)
            for name in names:
                if name == "dspy-repl" and task_name == "oolong-pairs":
                    continue  # its program is written with Racket's hash tables
                row = measured(name, TASKS[task_name](size), int(power), arguments)
                rows.append(row)
                print(
                    f"{task_name:<13}{size:>9,}  {name:<21}{'yes' if row['right'] else 'NO':>6}{row['seconds']:>9.2f}"
                    f"{row['overhead']:>12.2f}{row['root_calls']:>6}{row['sub_calls']:>6}{row['peak']:>9}"
                    f"{row['tokens_sent']:>13,}{row['mib']:>7.0f}  {row['error']}",
                    flush=True,
                )
    return rows


def chosen(arguments: argparse.Namespace) -> list[str]:
    """The frameworks that are there; of the others it is said what is missing."""
    names = [name for name in arguments.frameworks.split(",") if name]
    unknown = [name for name in names if name not in FRAMEWORKS]
    if unknown:
        raise SystemExit(f"there is no framework {unknown[0]}: {', '.join(FRAMEWORKS)}")
    for name in list(names):
        lacking = missing(name) or (trouble_with_deno() if name == "dspy" else "")
        if lacking:
            print(f"{name} is left out: {lacking}")
            names.remove(name)
    return names


def trouble_with_deno() -> str:
    """Why dspy's own interpreter does not run. What it downloads is there afterwards."""
    code = "import ask; ask._in_deno().execute('1')"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, env={**os.environ, "PATH": path},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "deno does not come to its end"
    return "" if done.returncode == 0 else " ".join(done.stderr.split())[-200:]


def accuracy(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """With a real model: how often each framework is right."""
    rows = []
    names = chosen(arguments)
    more = ["--model", arguments.model, "--sub-model", arguments.sub_model or arguments.model]
    more += ["--base-url", arguments.base_url] if arguments.base_url else []
    for task_name in arguments.tasks.split(","):
        for power in arguments.sizes.split(","):
            for name in names:
                task = TASKS[task_name](1 << int(power))
                row = _process(name, task_name, int(power), arguments, more)
                row.update(framework=name, task=task_name, right=ask_tasks.is_right(task, row["answer"]))
                rows.append(row)
                print(
                    f"{task_name:<13}{1 << int(power):>9,}  {name:<21}{'right' if row['right'] else 'wrong':>6}"
                    f"{row['seconds']:>9.1f} s  {row['error'] or row['answer'][:60]}",
                    flush=True,
                )
    for name in names:
        own = [row["right"] for row in rows if row["framework"] == name]
        print(f"{name}: {sum(own)} of {len(own)} right")
    return rows


def main() -> None:
    """Compare, or measure accuracy."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--sizes", default="13,16,18,20", help="tokens, as powers of two")
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS))
    parser.add_argument("--root-latency", type=float, default=0.5, help="seconds of a root call")
    parser.add_argument("--sub-latency", type=float, default=0.3, help="seconds of a sub-call")
    parser.add_argument("--timeout", type=float, default=300.0)
    parser.add_argument("--model", help="a real root model: measures accuracy")
    parser.add_argument("--sub-model")
    parser.add_argument("--base-url")
    parser.add_argument("--json", help="a file for the figures")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, TASKS[arguments.tasks](1 << int(arguments.sizes)), arguments)
        return
    rows = accuracy(arguments) if arguments.model else compare(arguments)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What a program makes a process load for the first time is loaded beside its event loop."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, builtins, sys, threading
import rlm_wasm
from rlm_wasm import Completion, Limits, Runtime
from rlm_wasm.providers.prices import PriceTable

main, on_the_loop = threading.get_ident(), set()

class Model:
    default_model = "gpt-4o-mini"
    free = False

    def __init__(self):
        if {paid}:
            self.price = PriceTable().cost_usd
        else:
            self.free = True

    async def complete(self, request):
        text = "```scheme\\n(finish 1)\\n```" if request.purpose == "program" else "a"
        return Completion(text=text, model="gpt-4o-mini", prompt_tokens=1, completion_tokens=1)

class Watch:
    def find_spec(self, name, path=None, target=None):
        if threading.get_ident() == main:
            on_the_loop.add(name)
        return None

async def run():
    runtime = Runtime(Model(), limits=Limits(cost_usd=1.0), store={store!r})
    async with runtime, runtime.session() as session:
        assert (await session.execute("(+ 1 2)")).ok
        sys.meta_path.insert(0, Watch())
        result = await session.execute({source!r})
        assert result.ok, result.error
        if {snapshot}:
            await session.snapshot()

asyncio.run(run())
print(*(name for name in {modules!r} if name in sys.modules))
print(*(name for name in {modules!r} if name in on_the_loop))
"""


@pytest.mark.parametrize(
    ("source", "paid", "modules"),
    [
        ('(py-eval "1")', False, ["rlm_wasm.python.wasi", "wasmtime.component"]),
        ('(py-set! "x" 1)', False, ["rlm_wasm.python.wasi", "wasmtime.component"]),
        (
            '(llm-query #:instruction "q" #:recursive #t)',
            False,
            ["rlm_wasm.asking.recursion", "rlm_wasm.asking.loop", "cattrs"],
        ),
        ('(llm-query #:instruction "q")', True, ["genai_prices", "genai_prices.data_snapshot"]),
        ('(llm-query #:instruction "q" #:recursive #t)', True, ["genai_prices", "cattrs"]),
        ('(checkpoint "k" 1)', False, ["sqlalchemy", "rlm_wasm.store.connection"]),
        ("'a-snapshot", False, ["cattrs", "zstandard"]),
    ],
)
def test_the_first_use_of_something_imports_it_on_a_thread(
    source: str, paid: bool, modules: list[str]
) -> None:
    """The first recursive call of a process held everybody for 60 ms, the first paid one for 110."""
    store = "sqlite:///:memory:" if "checkpoint" in source else None
    snapshot = "snapshot" in source
    code = PROGRAM.format(source=source, paid=paid, modules=modules, store=store, snapshot=snapshot)
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    loaded, on_the_loop = done.stdout.split("\n")[:2]
    assert (loaded.split(), on_the_loop) == (modules, "")

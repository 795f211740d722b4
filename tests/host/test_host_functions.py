"""The embedder's own functions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rlm_wasm import Runtime, UsageError
from rlm_wasm.testing import InlineProvider


async def test_a_function_is_called_with_data_and_gives_data() -> None:
    """Sync or async; keywords too."""
    async with Runtime(provider=InlineProvider()) as runtime:

        @runtime.host_function("lookup")
        async def lookup(key: str) -> dict[str, Any]:
            await asyncio.sleep(0)
            return {"key": key, "n": [1, 2.5, None, True]}

        @runtime.host_function("add-all")
        def add_all(*numbers: int, scale: int = 1) -> int:
            return sum(numbers) * scale

        result = await runtime.run('(list (hash-ref (lookup "a") "key") (add-all 1 2 3 #:scale 2))')
        assert result.data == ["a", 12]
        assert (
            await runtime.run('(map-async (lambda (k) (hash-ref (lookup k) "key")) (list "x" "y"))')
        ).data == ["x", "y"]


async def test_what_it_raises_is_a_condition() -> None:
    """With the exception's name and message, without the host's traceback."""

    def broken() -> None:
        raise KeyError("gone")

    async with Runtime(provider=InlineProvider(), host_functions={"broken": broken}) as runtime:
        result = await runtime.run("(broken)")
        assert result.status == "error"
        assert "KeyError: 'gone'" in str(result.error)
        assert "Traceback" not in str(result)
        assert (await runtime.run("(guard (e (#t 'caught)) (broken))")).value == "caught"


async def test_nothing_is_granted_that_was_not_given() -> None:
    """A session may have fewer than its runtime."""
    async with Runtime(provider=InlineProvider(), host_functions={"f": lambda: 1}) as runtime:
        assert (await runtime.run("(f)")).value == "1"
        async with runtime.session(host_functions={}) as session:
            assert (await session.execute("(f)")).status == "error"
        async with runtime.session(host_functions={"g": lambda: 2}) as session:
            assert (await session.execute("(g)")).value == "2"
            await session.reset()
            assert (await session.execute("(g)")).value == "2"


async def test_a_value_without_a_form_in_scheme_is_a_condition() -> None:
    """Naming its type."""
    async with Runtime(provider=InlineProvider(), host_functions={"f": lambda: object()}) as runtime:
        assert "object" in str((await runtime.run("(f)")).error)


@pytest.mark.parametrize("name", ["", "a b", "(f)", "%f", 5])
def test_a_name_that_scheme_cannot_say_is_refused(name: Any) -> None:
    """At once, not when a program runs."""
    with pytest.raises(UsageError, match="name"):
        Runtime(provider=InlineProvider(), host_functions={name: print})
    with pytest.raises(UsageError, match="callable"):
        Runtime(provider=InlineProvider(), host_functions={"f": 5})  # type: ignore[dict-item]


async def test_a_procedure_cannot_leave() -> None:
    """The condition says that it has no data form."""
    async with Runtime(provider=InlineProvider(), host_functions={"f": lambda x: x}) as runtime:
        assert (await runtime.run("(f (lambda (x) x))")).status == "error"
        assert (await runtime.run('(f (list 1 (vector 2 \'a) "b"))')).value == "(1 #(2 a) b)"

"""What a Runtime hands over to an executor: all of its arguments that sessions see, or a clear no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rlm_wasm import Limits, Runtime, UsageError


class Elsewhere:
    """An executor that keeps what it was told."""

    started = False

    def __init__(self) -> None:
        self.options: Callable[[], dict[str, Any]] = dict

    def serve(self, options: Callable[[], dict[str, Any]]) -> None:
        """Be the executor of a Runtime, whose options can be handed over."""
        options()
        self.options = options

    async def documents_at_once(self) -> int:
        """One."""
        return 1

    def session(self, name: str, opening: dict[str, Any], *, make: bool, forget: bool) -> Any:
        """Nobody asks for one here."""
        raise AssertionError(name)

    async def aclose(self) -> None:
        """Nothing is held."""


async def test_a_runtime_elsewhere_is_made_of_the_same_arguments(url: str) -> None:
    """A Runtime of its own takes them; retries, the cache and programs' arguments are among them."""
    executor = Elsewhere()
    given: dict[str, Any] = {
        "model": "small",
        "retries": 5,
        "cache": url,
        "args": {"depth": "3"},
        "aliases": {"quick": "small"},
        "limits": Limits(calls=7),
        "python": "off",
    }
    async with Runtime("echo", store=url, durable=True, executor=executor, **given):
        handed_over = executor.options()
    assert {name: handed_over[name] for name in given} == given
    async with Runtime(**handed_over) as there:
        assert (await there.run('(hash-ref (args) "depth")')).value == "3"


class OwnCache(dict[str, Any]):
    """A cache of this process."""

    async def put(self, key: str, completion: Any) -> None:
        """Keep one."""
        self[key] = completion


@pytest.mark.parametrize("cache", ["memory", OwnCache()], ids=["memory", "an object"])
def test_a_cache_that_processes_cannot_share_is_refused(url: str, cache: Any) -> None:
    """Each process would pay again what another one has."""
    with pytest.raises(UsageError, match="answers are kept in a store"):
        Runtime("echo", store=url, durable=True, executor=Elsewhere(), cache=cache)

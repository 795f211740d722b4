"""A host function that ends its process, or tries to: its own failure, never the session's or the loop's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from rlm_wasm import Runtime

EXITS: dict[str, BaseException] = {
    "SystemExit": SystemExit(3),
    "SystemExit without a word": SystemExit(),
    "KeyboardInterrupt": KeyboardInterrupt(),
}


def _sync(error: BaseException) -> Callable[[], Any]:
    def ends() -> None:
        raise error

    return ends


def _async(error: BaseException) -> Callable[[], Any]:
    async def ends() -> None:
        raise error

    return ends


def _later(error: BaseException) -> Callable[[], Any]:
    async def ends() -> None:
        await asyncio.sleep(0)
        raise error

    return ends


def _thread(error: BaseException) -> Callable[[], Any]:
    def raises() -> None:
        raise error

    async def ends() -> None:
        await asyncio.to_thread(raises)

    return ends


@pytest.mark.parametrize("error", EXITS.values(), ids=EXITS)
@pytest.mark.parametrize("make", [_sync, _async, _later, _thread], ids=["sync", "async", "later", "thread"])
async def test_ending_the_process_is_the_function_s_failure(
    make: Callable[[BaseException], Callable[[], Any]], error: BaseException
) -> None:
    """A condition that the program may handle; without that an error, and the session stays usable."""
    async with (
        Runtime("echo", python="off", host_functions={"leave": make(error)}) as runtime,
        runtime.session() as session,
    ):
        handled = await session.execute(
            "(with-handlers ((void (lambda (e) (finish (exn-message e))))) (leave))"
        )
        unhandled = await session.execute("(leave)")
        after = await session.execute("(+ 1 2)")
    assert handled.status == "finished"
    assert type(error).__name__ in handled.value
    assert unhandled.status == "error"
    assert unhandled.error is not None
    assert type(error).__name__ in unhandled.error.message
    assert after.value == "3"


async def test_other_calls_in_flight_go_on_where_one_function_exits() -> None:
    """The failure is that of one fiber."""
    gate = asyncio.Event()

    async def waits() -> str:
        await gate.wait()
        return "waited"

    def leaves() -> None:
        gate.set()
        sys.exit("the host is asked to go")

    program = """
        (define waiting (spawn (lambda () (waits))))
        (define left (with-handlers ((void (lambda (e) "left"))) (leaves)))
        (finish (list (await waiting) left))
    """
    async with Runtime("echo", python="off", host_functions={"waits": waits, "leaves": leaves}) as runtime:
        result = await runtime.run(program)
    assert result.data == ["waited", "left"], result.error

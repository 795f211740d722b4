"""Exceptions of others' code, whose own methods misbehave: they are that code's failure, and nothing else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

from rlm_wasm import CompletionRequest, Limits, Runtime
from rlm_wasm.foreign import MAX_MESSAGE, described, kind_of, message_of
from rlm_wasm.testing import InlineProvider


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class Leaving(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Interrupting(BaseException):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Textless(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


class Huge(Exception):
    def __str__(self) -> str:
        return "x" * (3 * MAX_MESSAGE)


class Controls(Exception):
    def __str__(self) -> str:
        return "\ud800\x00\x1b[2J"


class _NamelessType(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")


class Nameless(Exception, metaclass=_NamelessType):
    pass


class LongName(Exception):
    pass


LongName.__name__ = "n" * 1_000_000


def _circular() -> Exception:
    error = ValueError("round")
    error.__cause__ = error
    return error


ERRORS: list[BaseException] = [
    SystemExit(2), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError("x"), StopIteration(4),
    StopAsyncIteration(), Mute(), Leaving(), Interrupting(), Textless(), Huge(), Controls(), LongName("x"),
    _circular(), ExceptionGroup("g", [ValueError(1)]), BaseExceptionGroup("g", [KeyboardInterrupt()]),
    MemoryError(), RecursionError(), asyncio.InvalidStateError(), ValueError("a", b"\xff", object()),
]  # fmt: skip
NAMES = [kind_of(error)[:20] for error in ERRORS]
DIES_OF = (GeneratorExit, BaseExceptionGroup)
"""Raised within a task, asyncio itself tells the loop's handler of them."""


class Failing(InlineProvider):
    """Raises at once."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def complete(self, request: CompletionRequest) -> Any:
        raise self.error


class FailingLater(Failing):
    """Raises in a task."""

    inline = False

    async def complete(self, request: CompletionRequest) -> Any:
        await asyncio.sleep(0)
        raise self.error


class Priceless(InlineProvider):
    """Fails where it is asked what a call costs."""

    free = False

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def price(self, *_of: Any) -> float:
        raise self.error


CALL = '(guard (c ((string? (condition/report-string c)) (display "caught"))) (syntax-e (llm-query #:instruction "x")))'
ASK = '(guard (c ((string? (condition/report-string c)) (display "caught"))) (f))'


@pytest.fixture(params=[False, True], ids=["plain", "watched"])
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Without anybody who looks on, and with a log of the run and spans, which say what failed."""
    if not request.param:
        return {}
    monkeypatch.setenv("RLM_WASM_TRACE_TEXT", "1")
    monkeypatch.setattr(trace, "get_tracer", lambda *_names, **_more: trace.NoOpTracer())
    recording = property(lambda _span: lambda: True)
    monkeypatch.setattr(trace.NonRecordingSpan, "is_recording", recording)
    return {"log": lambda _record: None}


@pytest.mark.parametrize(
    "where", ["provider", "provider in a task", "price", "function", "function in a task"]
)
@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
async def test_whatever_others_code_raises_is_a_condition_in_the_program(
    error: BaseException, where: str, options: dict[str, Any]
) -> None:
    """Neither the process, nor the loop, nor the session ends by it, and nobody waits in vain."""
    if where.endswith("a task") and isinstance(error, DIES_OF) and not isinstance(error, Exception):
        pytest.skip("asyncio hands it on by itself")

    def at_once() -> None:
        raise error

    async def later() -> None:
        await asyncio.sleep(0)
        raise error

    provider = {"provider": Failing, "provider in a task": FailingLater, "price": Priceless}.get(where)
    functions = {"f": at_once if where == "function" else later}
    async with (
        Runtime(
            InlineProvider() if provider is None else provider(error),
            python="off",
            host_functions=functions,
            limits=Limits(cost_usd=1.0) if where == "price" else Limits(),
            **options,
        ) as runtime,
        runtime.session() as session,
    ):
        result = await asyncio.wait_for(session.execute(CALL if provider else ASK), 60)
        assert (result.status, result.stdout) == ("ok", "caught"), result.error
        assert (await session.execute("(+ 1 2)")).value == "3"
        assert session.state()["calls_in_flight"] == []


@pytest.mark.parametrize("error", [*ERRORS, None], ids=[*NAMES, "none"])
async def test_a_callback_that_fails_leaves_the_session_as_it_was(error: BaseException | None) -> None:
    """An Exception is told to the loop's handler; what ends tasks ends the caller's, and the session goes on."""
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    def callback(*_news: Any) -> None:
        if error is not None:
            raise error

    async with Runtime(InlineProvider(), python="off") as runtime, runtime.session() as session:
        program = '(define x 1) (display "hi") (syntax-e (llm-query #:instruction "x")) (+ x 1)'
        for option in ("on_output", "on_progress"):
            given: dict[str, Any] = {option: callback}
            told.clear()
            if isinstance(error, Exception) or error is None:
                result = await session.execute(program, **given)
                assert (result.value, result.stdout) == ("2", "hi")
                assert bool(told) == (error is not None)
            elif not isinstance(error, SystemExit | KeyboardInterrupt):  # these end the loop itself
                with pytest.raises(type(error)):
                    await session.execute(program, **given)
            assert (await session.execute("(+ 1 2)")).value == "3"


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_what_an_exception_says_is_a_text_of_bounded_length(error: BaseException) -> None:
    """Of its class, of itself, and of both together."""
    assert 0 < len(kind_of(error)) <= 200
    assert len(message_of(error).encode()) <= MAX_MESSAGE
    assert described(error).startswith(kind_of(error))


async def test_an_exception_whose_class_has_no_name_has_one() -> None:
    """Its metaclass is others' code as well."""
    error = Nameless("x")
    assert described(error) == "Nameless: x"

    async def fails() -> None:
        raise error

    async with Runtime(InlineProvider(), python="off", host_functions={"f": fails}) as runtime:
        assert (await runtime.run(ASK)).stdout == "caught"

"""``with-retry``: what is tried again, how often, after which pause, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from rlm_wasm import CompletionRequest, Limits, ProviderError, Runtime
from rlm_wasm.testing import InlineProvider, simulate


class Failing:
    """Fails with these errors, one a call, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.provider = InlineProvider(self.answer)

    def answer(self, request: CompletionRequest) -> str:
        """The next error, or the answer."""
        if self.errors:
            raise self.errors.pop(0)
        return f"answer {request.id}"


CALL = '(with-retry (lambda () (llm-query #:instruction "go")) {})'


async def run(program: str, provider: Any = "echo", **options: Any) -> Any:
    """The Result of a program in a Runtime of its own."""
    async with Runtime(provider, python="off", **options) as runtime:
        return await runtime.run(program)


async def test_a_call_that_fails_is_made_again_until_it_succeeds() -> None:
    """Three times in all, where nothing else is said; each is a call of its own."""
    failing = Failing(ProviderError("busy", status=503), ProviderError("busy", status=429))
    result = await run(f"(finish (syntax-e {CALL.format('#:delay 0')}))", failing.provider)
    assert (result.value, result.execution.calls) == ("answer 3", 3)


async def test_the_last_failure_is_raised_as_it_is() -> None:
    """With its type, for a handler around it."""
    failing = Failing(*[ProviderError(f"busy {n}", status=503) for n in range(5)])
    program = f"(with-handlers ([exn:fail:llm? exn-message]) {CALL.format('#:times 2 #:delay 0')})"
    result = await run(program, failing.provider)
    assert "busy 1" in result.value
    assert len(failing.errors) == 3


async def test_a_handle_is_awaited_within() -> None:
    """So that what fails later is tried again, too."""
    failing = Failing(ProviderError("busy", status=500))
    result = await run(
        '(syntax-e (with-retry (lambda () (llm-query-async #:instruction "go")) #:delay 0))', failing.provider
    )
    assert result.value == "answer 2"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_what_the_provider_calls_a_bad_request_is_not_sent_again(status: int) -> None:
    """The same call would fail the same way, and may cost."""
    failing = Failing(ProviderError("no", status=status), ProviderError("no", status=status))
    result = await run(CALL.format("#:delay 0"), failing.provider)
    assert result.error.type == "exn:fail:llm"
    assert len(failing.errors) == 1


@pytest.mark.parametrize(
    ("program", "type_"),
    [
        ("(no-such-name)", "exn:fail:contract:variable"),
        ("((lambda (x) x))", "exn:fail:contract:arity"),
        ("(eval '(if))", "exn:fail:syntax"),
        ('(llm-query #:instruction "deep" #:recursive #t)', "exn:fail:capability"),
    ],
)
async def test_a_slip_or_a_refusal_is_raised_at_once(program: str, type_: str) -> None:
    """It would not pass with time."""
    source = (
        "(define n 0) (with-handlers ([void (lambda (e) (list n (exn-message e)))])"
        f" (with-retry (lambda () (set! n (+ n 1)) {program}) #:delay 0))"
    )
    async with Runtime("echo", python="off", limits=Limits(depth=0)) as runtime:
        result = await runtime.session().execute(source, check=False)
        bare = await runtime.session().execute(program, check=False)
    assert result.data[0] == 1, result
    assert bare.error.type.startswith(type_)


async def test_when_says_what_is_tried_again() -> None:
    """A predicate of what was raised, in place of the rule."""
    counted = (
        "(define n 0) (with-handlers ([void (lambda (e) n)]) (with-retry (lambda () (set! n (+ n 1)) {}) {}))"
    )
    assert (await run(counted.format("(error 'x)", "#:delay 0 #:when (lambda (e) #f)"))).value == "1"
    assert (await run(counted.format("(raise 'x)", "#:delay 0 #:times 5 #:when symbol?"))).value == "5"
    assert (await run(counted.format("(raise 'x)", "#:delay 0"))).value == "3"


def test_the_pause_doubles_from_try_to_try() -> None:
    """On a virtual clock: 2, 4, 8, 16 and 32 seconds, then no more than a minute."""

    async def failing(times: int) -> Any:
        async with Runtime("echo", python="off", limits=Limits(timeout_s=10_000)) as runtime:
            return await runtime.run(f"(with-retry (lambda () (error 'x)) #:times {times} #:delay 2)")

    for times, seconds in ((1, 0), (2, 2), (4, 14), (6, 62), (8, 182)):
        result, took = simulate(failing(times))
        assert result.status == "error"
        assert took == pytest.approx(seconds, abs=0.5)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("(with-retry 3)", "expected: procedure of no arguments"),
        ("(with-retry void #:times 0)", "#:times must be a whole number from 1, got 0"),
        ("(with-retry void #:times 1.5)", "#:times must be a whole number from 1, got 1.5"),
        ("(with-retry void #:delay -1)", "#:delay must be a number of seconds from 0, got -1"),
        ("(with-retry void #:delay +inf.0)", "#:delay must be a number of seconds from 0"),
        ("(with-retry void #:when 1)", "procedure of what was raised for #:when"),
    ],
)
async def test_a_wrong_option_is_an_error_that_names_it(program: str, message: str) -> None:
    """Before anything is tried."""
    assert message in (await run(program)).error.message


async def test_a_limit_ends_it_whatever_tries_are_left() -> None:
    """A limit cannot be caught."""
    result = await run("(with-retry (lambda () (let loop () (loop))))", limits=Limits(fuel=20_000_000))
    assert (result.status, result.error.kind) == ("limit", "fuel")

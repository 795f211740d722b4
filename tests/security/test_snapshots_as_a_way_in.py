"""A snapshot that somebody else wrote: it is refused, or it is a session whose limits hold."""

from __future__ import annotations

import asyncio
import dataclasses
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime, Snapshot, SnapshotCorrupt, SnapshotError, UsageError
from rlm_wasm.records import unstructure
from rlm_wasm.sandbox import protocol
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

from .forging import forged, with_body

KEY = b"0123456789abcdef0123456789abcdef"
MIB = 1 << 20


async def _suspended(**options: Any) -> tuple[Runtime, Snapshot]:
    """A runtime, and the snapshot of a session of it that waits for an LLM call."""
    gate = GatedProvider(bracketed)
    runtime = Runtime(provider=gate, **options)
    session = runtime.session(namespace="mine")
    await session.load_context("text")
    task = asyncio.create_task(session.execute('(display "x") (syntax-e (llm-query #:instruction "q"))'))
    await gate.arrived(1)
    snapshot = await session.snapshot()
    session.cancel()
    await task
    return runtime, snapshot


async def _idle(runtime: Runtime, program: str = "(define a 1)") -> Snapshot:
    async with runtime.session() as session:
        await session.execute(program)
        return await session.snapshot()


# ---- the namespace


async def test_a_forged_header_does_not_open_another_namespace(runtime: Runtime) -> None:
    """Whose checkpoints a session sees is for the embedder to say where nobody signed it."""
    async with runtime.session(namespace="victim") as victim:
        await victim.execute('(checkpoint "k" "secret")')

    def edit(header: dict[str, Any], _body: dict[str, Any]) -> None:
        header["namespace"] = "victim"

    data = forged(await _idle(runtime), edit)
    with pytest.raises(UsageError, match="namespace"):
        await runtime.restore(data)
    back = await runtime.restore(data, namespace="attacker")
    assert (await back.execute('(restore "k" "nothing")')).value != "secret"
    assert back.namespace == "attacker"


async def test_another_users_snapshot_is_read_by_whoever_has_the_key_and_nobody_else() -> None:
    """With a snapshot_key: not unsigned, not by another key, not altered, and not one made elsewhere."""
    async with Runtime(provider=InlineProvider(), snapshot_key=KEY) as runtime:
        snapshot = await _idle(runtime)
        signed = snapshot.dump()
        assert (await (await runtime.restore(signed)).execute("a")).value == "1"
        with pytest.raises(SnapshotCorrupt, match="not signed"):
            await runtime.restore(forged(snapshot, lambda _header, _body: None))
    async with Runtime(provider=InlineProvider(), snapshot_key=b"another key, as long") as other:
        with pytest.raises(SnapshotCorrupt, match="forged, or signed by another key"):
            await other.restore(signed)
        with pytest.raises(SnapshotCorrupt, match="not signed by this runtime"):
            await other.restore(Snapshot.load(signed))
        with pytest.raises(SnapshotCorrupt):
            await other.restore(snapshot)


# ---- limits


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("budget", "session", "prompt_tokens"), -(10**9)),
        (("budget", "session", "cost_usd"), -1.0),
        (("budget", "session", "cost_usd"), float("-inf")),
        (("budget", "session", "cost_usd"), float("nan")),
        (("budget", "lost_tokens"), -1),
        (("budget", "execution", "calls"), -1000),
        (("budget", "execution", "calls"), 10**30),
        (("budget", "id"), "x\r\nAuthorization: Bearer stolen"),
        (("scheduler", "execution", "fuel"), -(10**12)),
        (("scheduler", "execution", "elapsed_s"), -1e9),
        (("scheduler", "requests", "last_id"), -1),
        (("scheduler", "status"), 9),
        (("limits", "memory_bytes"), -1),
        (("limits", "calls"), "1000"),
        (("contexts",), [["", "text"]]),
        (("python",), "text"),
    ],
)
async def test_counters_that_cannot_be_are_refused(path: tuple[str, ...], value: Any) -> None:
    """A negative counter would lift its limit; one that is no number would never reach it."""
    runtime, snapshot = await _suspended()

    def edit(_header: dict[str, Any], body: dict[str, Any]) -> None:
        place = body
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    async with runtime:
        with pytest.raises(SnapshotError):
            await runtime.restore(forged(snapshot, edit), namespace="mine")
        assert runtime.sessions == [] or all(not session.suspended for session in runtime.sessions)


async def test_limits_in_a_snapshot_cannot_be_wider_than_the_runtimes(runtime: Runtime) -> None:
    """They can tighten, and nothing else."""

    def edit(_header: dict[str, Any], body: dict[str, Any]) -> None:
        body["limits"]["calls"] = 10**9
        body["limits"]["tokens"] = 50

    back = await runtime.restore(forged(await _idle(runtime), edit))
    assert (back.limits.calls, back.limits.tokens) == (Limits().calls, 50)


# ---- requests in flight


def _with_request(operation: str, arguments: list[Any], *, started: bool) -> Callable[..., None]:
    def edit(_header: dict[str, Any], body: dict[str, Any]) -> None:
        requests = body["scheduler"]["requests"]
        requests["last_id"] = 10**6
        requests["requests"].append(
            {
                "id": 10**6,
                "operation": operation,
                "arguments": protocol.encode(arguments),
                "call_number": 0,
                "started": started,
            }
        )

    return edit


@pytest.mark.parametrize("started", [True, False])
async def test_a_forged_request_in_flight_calls_no_host_function(started: bool) -> None:
    """Neither when it is restored nor when a program runs after it, whatever it says of itself."""
    called: list[str] = []
    async with Runtime(provider=InlineProvider(), host_functions={"pay": called.append}) as runtime:
        data = forged(await _idle(runtime), _with_request("host", ["pay", "mallory"], started=started))
        back = await runtime.restore(data)
        assert (await back.execute("(sleep 0.001) a")).value == "1"
        assert called == []
        allowed = await runtime.restore(data, resend=("llm", "host"))
        assert (await allowed.execute("(sleep 0.001) a")).value == "1"
        assert called == ["mallory"]  # the embedder said so


async def test_a_forged_request_for_what_nobody_grants_is_denied(runtime: Runtime) -> None:
    """And harms nothing."""
    back = await runtime.restore(forged(await _idle(runtime), _with_request("format-disk", [], started=True)))
    assert (await back.execute("(sleep 0.001) a")).value == "1"


async def test_more_requests_in_flight_than_handles_are_refused(runtime: Runtime) -> None:
    """Else a few kilobytes would be millions of calls."""

    def edit(header: dict[str, Any], body: dict[str, Any]) -> None:
        for _ in range(20):
            _with_request("sleep", [9], started=True)(header, body)
        requests = body["scheduler"]["requests"]["requests"]
        for number, request in enumerate(requests):
            request["id"] = number + 1

    with pytest.raises(SnapshotCorrupt, match="handles"):
        await runtime.restore(forged(await _idle(runtime), edit), limits=Limits(handles=10))


# ---- bombs


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\0" * (1 << 30), id="a gigabyte of zeros"),
        pytest.param(b"\x9a\x03\xff\xff\xff" + b"\x80" * 0x3FFFFFF, id="millions of empty lists"),
        pytest.param(b"\x82\x80\xba\x00\xff\xff\xff" + b"\x61a\x80" * 0xFFFFFF, id="millions of keys"),
        pytest.param(b"\x9b\x00\x00\xff\xff\xff\xff\xff\xff", id="a list that says it is huge"),
        pytest.param(b"\x7b\x00\x00\xff\xff\xff\xff\xff\xff", id="a text that says it is huge"),
        pytest.param(b"\x82\x80\xa1\x61a\xc2\x5a\x01\x00\x00\x00" + b"\xff" * (1 << 24), id="a huge number"),
        pytest.param(b"\x81" * 1_000_000, id="nested without end"),
    ],
)
def test_a_small_file_does_not_become_gigabytes(body: bytes) -> None:
    """What it would unpack to is bounded before it is unpacked, and its parts are counted before they are made."""
    data = with_body(body)
    assert len(data) < 200_000
    del body
    tracemalloc.start()
    try:
        with pytest.raises(SnapshotCorrupt):
            Snapshot.load(data)
        assert tracemalloc.get_traced_memory()[1] < 200 * MIB
    finally:
        tracemalloc.stop()


# ---- malformed bodies

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.just([]),
    st.just({}),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all parts of a value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _places(item, (*path, key))
    return found


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another part at a path; Ellipsis takes the part away."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = _changed(copy[path[0]], path[1:], new)
    return copy


@pytest.fixture(scope="module")
def snapshots() -> list[Snapshot]:
    """One of an idle session and one of a suspended one, with something in every field."""

    async def both() -> list[Snapshot]:
        runtime, suspended = await _suspended()
        async with runtime:
            return [suspended, await _idle(runtime)]

    return asyncio.run(both())


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_malformed_body_is_refused_or_is_a_session_whose_limits_hold(
    snapshots: list[Snapshot], data: st.DataObject
) -> None:
    """Never a KeyError, a TypeError or the like, neither at once nor when the session is used."""
    snapshot = data.draw(st.sampled_from(snapshots))
    body = unstructure(snapshot.body)
    places = _places(body)
    for _ in range(data.draw(st.integers(1, 3))):
        path = places[data.draw(st.integers(1, len(places) - 1))]
        new = data.draw(st.one_of(_VALUES, st.just(...)))
        try:
            body = _changed(body, path, new)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took that place away
    asyncio.run(_refused_or_sound(forged(snapshot, lambda _header, _body: body)))


async def _refused_or_sound(data: bytes) -> None:
    limits = Limits(timeout_s=0.5, calls=2, output_bytes=10_000)
    async with Runtime(provider=InlineProvider(), limits=limits) as runtime:
        try:
            session = await runtime.restore(data, namespace="mine")
        except SnapshotError:
            assert runtime.sessions == []
            return
        session.state()
        session.scope_log()
        result = await (session.resume() if session.suspended else session.execute("(list a 1)"))
        assert result.status in ("ok", "error", "limit", "finished")
        assert len(result.stdout) < 10_100
        assert result.execution.calls <= 2 or result.status == "limit"
        again = Snapshot.load((await session.snapshot()).dump())
        assert isinstance(again.header["used"], dict)


async def test_a_forged_memory_is_a_session_that_harms_itself(runtime: Runtime) -> None:
    """Whatever its pages hold, it ends with a Result, and its neighbour goes on."""
    snapshot = await _idle(runtime)
    memory = snapshot.memory()
    page = bytes(range(256)) * 16
    broken = dataclasses.replace(memory, content=page * len(memory.numbers))
    data = forged(dataclasses.replace(snapshot, _memory=broken), lambda _header, _body: None)
    async with runtime.session() as neighbour:
        back = await runtime.restore(data, limits=Limits(timeout_s=2, fuel=10**9))
        result = await back.execute("(+ 1 2)")
        assert result.status in ("ok", "error", "limit")
        assert (await neighbour.execute("(+ 1 2)")).value == "3"


async def test_a_context_that_repeats_itself_is_no_bomb(runtime: Runtime) -> None:
    """What a session dumps it can load, however well that is compressed."""
    async with runtime.session() as session:
        await session.load_context("a line that is always the same\n" * 2_500_000)
        data = (await session.snapshot()).dump()
    assert len(data) < 3 * MIB
    back = await runtime.restore(data)
    assert (await back.execute("(string-length context)")).value == str(31 * 2_500_000)

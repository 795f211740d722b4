"""A snapshot that somebody else wrote: it is refused, or it is a session whose limits hold."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlm_wasm import Limits, Runtime, Snapshot, SnapshotCorrupt, SnapshotError, UsageError
from rlm_wasm.records import unstructure
from rlm_wasm.sandbox import protocol
from rlm_wasm.sandbox.pages import PAGE
from rlm_wasm.sandbox.snapshot import FORMAT
from rlm_wasm.session_parts.state import state_of
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

from .forging import SEAL, compressed, forged, in_halves, sealed, with_body

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
@pytest.mark.parametrize("version", [3, FORMAT])
def test_a_small_file_does_not_become_gigabytes(body: bytes, version: int) -> None:
    """What it would unpack to is bounded before it is unpacked, and its parts are counted before they are made."""
    data = with_body(body, version)
    assert len(data) < 200_000
    del body
    tracemalloc.start()
    try:
        with pytest.raises(SnapshotCorrupt):
            Snapshot.load(data)
        assert tracemalloc.get_traced_memory()[1] < 200 * MIB
    finally:
        tracemalloc.stop()


def test_a_log_of_millions_of_parts_is_counted_before_it_is_made() -> None:
    """It stands in the state as bytes, which hold what they hold."""
    log = b"\x9a\x00\x7f\xff\xff" + b"\xa0" * 0x7FFFFF
    data = in_halves([0, False, b"", b"", {"log": log}], compressed(b""))
    tracemalloc.start()
    try:
        with pytest.raises(SnapshotCorrupt, match="more than 3,000,000 parts"):
            state_of(Snapshot.load(data))
        assert tracemalloc.get_traced_memory()[1] < 200 * MIB
    finally:
        tracemalloc.stop()


# ---- halves that do not fit together

_PAGE = bytes(range(256)) * 16


def _packed_numbers(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


@pytest.mark.parametrize(
    ("state", "pages"),
    [
        pytest.param([16 * PAGE, False, _packed_numbers(1), b"", {}], compressed(_PAGE * 2), id="more pages"),
        pytest.param([16 * PAGE, False, _packed_numbers(1, 1), b"", {}], compressed(_PAGE), id="fewer pages"),
        pytest.param(
            [16 * PAGE, False, _packed_numbers(16), b"", {}], compressed(_PAGE), id="beyond its size"
        ),
        pytest.param(
            [16 * PAGE, False, _packed_numbers(1, 0), b"", {}], compressed(_PAGE * 2), id="a page twice"
        ),
        pytest.param(
            [16 * PAGE, False, _packed_numbers(1, 2**32 - 1), b"", {}], compressed(_PAGE * 2), id="far away"
        ),
        pytest.param(
            [16 * PAGE, False, _packed_numbers(1), _packed_numbers(1), {}],
            compressed(_PAGE),
            id="no such page",
        ),
        pytest.param(
            [16 * PAGE, False, _packed_numbers(1), _packed_numbers(0, 0), {}], compressed(_PAGE), id="places"
        ),
        pytest.param([16 * PAGE, False, b"123", b"", {}], compressed(b""), id="a piece of a number"),
        pytest.param([16 * PAGE, False, _packed_numbers(1), b"", {}], compressed(b"short"), id="half a page"),
        pytest.param([16 * PAGE, False, _packed_numbers(1), b"", {}], b"no frame", id="no frame"),
        pytest.param([16 * PAGE, False, _packed_numbers(1), b"", {}], compressed(_PAGE)[:-9], id="cut"),
        pytest.param([16 * PAGE, False, _packed_numbers(1), b"", {}], b"", id="no pages at all"),
        pytest.param(
            [PAGE, False, _packed_numbers(0, 1), b"", {}], compressed(_PAGE * 2), id="a size too small"
        ),
        pytest.param([1 << 33, False, b"", b"", {}], compressed(b""), id="a size too large"),
        pytest.param([-1, False, b"", b"", {}], compressed(b""), id="a negative size"),
        pytest.param([True, False, b"", b"", {}], compressed(b""), id="a size that is none"),
        pytest.param([16 * PAGE, 0, b"", b"", {}], compressed(b""), id="a number for a word"),
        pytest.param([16 * PAGE, False, b"", b"", []], compressed(b""), id="no changes"),
        pytest.param([16 * PAGE, False, b"", b""], compressed(b""), id="too few parts"),
        pytest.param({"a": 1}, compressed(b""), id="no list"),
        pytest.param([16 * PAGE, False, b"", b"", {"": 1}], compressed(b""), id="a state that is none"),
        pytest.param([16 * PAGE, False, b"", b"", {"log": b"\x81\x01"}], compressed(b""), id="no entries"),
        pytest.param([16 * PAGE, False, b"", b"", {"log": b"\xff"}], compressed(b""), id="no log"),
        pytest.param(
            [16 * PAGE, False, b"", b"", {"log": b"\x81\xa1\x01\x01"}], compressed(b""), id="no names"
        ),
        pytest.param([16 * PAGE, False, b"", b"", {"nothing": 1}], compressed(b""), id="an unknown field"),
    ],
)
async def test_halves_that_do_not_fit_are_refused(runtime: Runtime, state: Any, pages: bytes) -> None:
    """Whatever is wrong in which of them, before there is a session."""
    with pytest.raises(SnapshotCorrupt):
        await runtime.restore(in_halves(state, pages, runtime.engine.image_hash))
    assert runtime.sessions == []


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_snapshot_whose_bytes_were_changed_is_refused_or_is_a_session_whose_limits_hold(
    snapshots: list[Snapshot], data: st.DataObject
) -> None:
    """Sealed anew after any of its bytes became another one, was cut out or doubled."""
    whole = bytearray(data.draw(st.sampled_from(snapshots)).dump()[:-SEAL])
    for _ in range(data.draw(st.integers(1, 4))):
        at = int(data.draw(st.floats(0, 1)) * (len(whole) - 1))
        length = data.draw(st.integers(0, 3))
        whole[at : at + length] = data.draw(st.binary(max_size=3))
    asyncio.run(_refused_or_sound(sealed(bytes(whole))))


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


_WRONG: list[Any] = [
    ...,
    None,
    True,
    -1,
    1 << 70,
    0.5,
    float("nan"),
    "",
    "x",
    b"",
    b"\xff",
    [],
    [[]],
    {},
    {"x": 1},
]
"""What a field may have become; Ellipsis: it is not there."""


@pytest.mark.parametrize("number", range(6))
def test_every_field_taken_apart_is_refused_or_harmless(snapshots: list[Snapshot], number: int) -> None:
    """Each part of both bodies in turn, with values of other kinds: none is left to chance."""
    for snapshot in snapshots:
        body = unstructure(snapshot.body)
        for place, path in enumerate(_places(body)[1:]):
            if place % 6 == number:
                for new in _WRONG:
                    changed = _changed(body, path, new)
                    data = forged(snapshot, functools.partial(_instead, changed))
                    asyncio.run(_refused_or_sound(data))


def _instead(body: Any, _header: Any, _body: Any) -> Any:
    return body


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
        try:
            result = await (session.resume() if session.suspended else session.execute("(list a 1)"))
        except SnapshotCorrupt:  # its pages are no guest's
            await session.reset()
            result = await session.execute("(list 1)")
        assert result.status in ("ok", "error", "limit", "finished")
        assert len(result.stdout) < 10_100
        assert result.execution.calls <= 2 or result.status == "limit"
        try:
            again = Snapshot.load((await session.snapshot()).dump())
        except SnapshotCorrupt:  # it cannot even be copied
            await session.reset()
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


async def test_a_forged_memory_in_the_middle_of_an_execution_is_named(runtime: Runtime) -> None:
    """It can neither go on nor end; whoever resets the session has an empty one."""
    other, snapshot = await _suspended()
    async with other:
        memory = snapshot.memory()
        page = bytes(range(256)) * 16
        broken = dataclasses.replace(memory, content=page * len(memory.numbers))
        data = forged(dataclasses.replace(snapshot, _memory=broken), lambda _header, _body: None)
    back = await runtime.restore(data, namespace="mine")
    for _ in range(2):
        with pytest.raises(SnapshotCorrupt, match="memory is damaged"):
            await back.resume()
    with pytest.raises(UsageError, match="resume"):
        await back.execute("(+ 1 2)")
    await back.reset()
    assert (await back.execute("(+ 1 2)")).value == "3"


async def test_a_context_that_repeats_itself_is_no_bomb(runtime: Runtime) -> None:
    """What a session dumps it can load, however well that is compressed."""
    async with runtime.session() as session:
        await session.load_context("a line that is always the same\n" * 2_500_000)
        data = (await session.snapshot()).dump()
    assert len(data) < 3 * MIB
    back = await runtime.restore(data)
    assert (await back.execute("(string-length context)")).value == str(31 * 2_500_000)

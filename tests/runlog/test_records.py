"""What a run log holds: every call, fiber, line and ending, as frozen records, whoever reads them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_wasm import Completion, CompletionRequest, Limits, ProviderError, Runtime, UsageError
from rlm_wasm.runlog import events
from rlm_wasm.runlog.events import (
    MAX_TEXT,
    RECORDS,
    CallEnded,
    CallQueued,
    CallSent,
    ChildStarted,
    ContextHeld,
    FiberGoesOn,
    FiberStarted,
    FiberWaits,
    Record,
    RunEnded,
    RunStarted,
    Text,
    ValuePart,
    logged,
    plain,
)
from rlm_wasm.runlog.reading import LogFile, record_of
from rlm_wasm.runlog.rendering import text_of
from rlm_wasm.runlog.story import RunStory, stories
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed

ASK = '(define (ask x)\n  (llm-query-async #:instruction "Say" #:data x))\n'


async def told(program: str, provider: Any = None, **options: Any) -> list[Record]:
    records: list[Record] = []
    async with Runtime(provider=provider or InlineProvider(), log=records.append, **options) as runtime:
        await runtime.run(program, context=options.get("context"))
    return records


def of(records: list[Record], kind: type[Record]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


async def test_a_call_is_told_from_its_asking_to_its_end() -> None:
    records = await told(ASK + '(map-async ask (list "a" "b"))')
    assert [
        record.TYPE for record in records if "call" in record.TYPE and getattr(record, "call", 0) == 1
    ] == [
        "call_queued",
        "call_sent",
        "call_ended",
    ]
    first = of(records, CallQueued)[0]
    assert (first.call, first.op, first.line, first.column) == (1, "llm-query-async", 2, 3)
    assert (first.instruction.text, first.data.text) == ("Say", "a")
    ended = of(records, CallEnded)[0]
    assert (ended.status, ended.model, ended.prompt_tokens, ended.completion_tokens) == (
        "done",
        "test",
        10,
        5,
    )
    assert ended.answer.text == "[Say]"
    assert sorted(record.at for record in records) == [record.at for record in records]
    assert len({record.run for record in records}) == 1


async def test_fibers_are_told_with_who_began_them_and_where() -> None:
    records = await told(ASK + '(list (await (spawn (lambda () (map-async ask (list "a" "b"))))))')
    births = of(records, FiberStarted)
    assert [birth.what for birth in births] == ["spawned fiber", "map-async", "map-async"]
    assert births[1].parent == births[2].parent == births[0].fiber
    assert {call.fiber for call in of(records, CallQueued)} == {birth.fiber for birth in births[1:]}
    assert births[0].line == 3


@pytest.mark.parametrize(
    ("wait", "what"),
    [
        ('(await (llm-query-async #:instruction "x"))', "llm-query-async call"),
        ("(await (spawn (lambda () (sleep 0.001))))", "spawned fiber"),
        ('(await-all (list (llm-query-async #:instruction "x") (llm-query-async #:instruction "y")))', "2 handles"),
        ('(await-any (list (llm-query-async #:instruction "x")))', "the first of 1 handles"),
        ('(map-async (lambda (x) (llm-query-async #:instruction "x")) (list 1 2))', "2 handles"),
        ('(race (list (lambda () (llm-query #:instruction "x"))))', "1 handles"),
        ('(with-timeout 5 (lambda () (llm-query #:instruction "x")))', "2 handles"),
        ('(cached-query "x")', "cached-query"),
        ("(let ([c (make-channel)]) (spawn (lambda () (channel-put c 1))) (channel-get c))", "an event"),
        ("(with-handlers ([void void]) (await (spawn (lambda () (sleep 0.001) (error \"no\")))))", "spawned fiber"),
    ],
)  # fmt: skip
async def test_a_line_that_waits_for_no_call_of_its_own_is_told_until_it_goes_on(
    wait: str, what: str
) -> None:
    records = await told(f"(define (wait)\n  (list {wait}))\n(list (wait))")
    [waits] = [record for record in of(records, FiberWaits) if record.fiber == 0]
    assert (waits.line, waits.source, waits.what) == (2, "program", what)
    [goes_on] = [record for record in of(records, FiberGoesOn) if record.fiber == 0]
    assert records.index(waits) < records.index(goes_on)
    assert not [wait for wait in stories(records)[waits.run].waiting if wait[1] == 0]


@pytest.mark.parametrize("operation", ["sleep", "py-eval"])
async def test_a_request_that_is_waited_for_has_a_record_of_its_own(operation: str) -> None:
    argument = '"1 + 1"' if operation == "py-eval" else "0.001"
    records = await told(f"\n({operation} {argument})", python="host")
    [request] = of(records, events.RequestStarted)
    assert (request.operation, request.line, request.fiber) == (operation, 2, 0)
    assert [end.request for end in of(records, events.RequestEnded)] == [request.request]
    assert of(records, FiberWaits) == []


async def test_a_call_that_is_waited_for_at_once_is_told_as_a_call_only() -> None:
    records = await told('(llm-query #:instruction "x")')
    assert of(records, FiberWaits) == of(records, FiberGoesOn) == []


async def test_a_fiber_that_is_cancelled_or_in_a_deadlock_waits_no_longer() -> None:
    loser = "(lambda () (await (spawn (lambda () (sleep 60)))))"
    records = await told(f"(race (list {loser} (lambda () 1)))")
    assert len(of(records, FiberWaits)) == len(of(records, FiberGoesOn)) == 2
    records = await told(
        "(define c (make-channel))\n(with-handlers ([exn:fail? void]) (channel-get c))\n(sleep 0)"
    )
    assert len(of(records, FiberWaits)) == len(of(records, FiberGoesOn)) == 1


async def test_a_run_that_goes_on_is_shown_with_the_lines_that_wait() -> None:
    records = await told("(define h (spawn (lambda () (sleep 0.001))))\n(await h)")
    cut = records[: 1 + next(i for i, record in enumerate(records) if isinstance(record, FiberWaits))]
    assert "the program waits in line 2 for spawned fiber" in text_of(stories(cut)[cut[0].run])
    assert "waits in line" not in text_of(stories(records)[cut[0].run])


async def test_a_run_tells_its_program_its_limits_and_how_it_ended() -> None:
    records = await told(
        '(display "hi") (finish (syntax-e (llm-query #:instruction "x")))', limits=Limits(calls=7)
    )
    start, end = records[0], records[-1]
    assert isinstance(start, RunStarted)
    assert isinstance(end, RunEnded)
    assert start.version == events.VERSION
    assert start.program.text.startswith('(display "hi")')
    assert start.limits["calls"] == 7
    assert start.provider == "inline"
    assert (end.status, end.value.text, end.calls, end.derived_from) == ("finished", "[x]", 1, (1,))
    assert [output.text.text for output in of(records, events.OutputWritten)] == ["hi"]


async def test_an_error_is_told_with_its_place_and_backtrace() -> None:
    records = await told('(define (f x)\n  (error "bad" x))\n(list (f 1))')
    failure = of(records, RunEnded)[0].error
    assert (failure.type, failure.message, failure.line, failure.column) == ("exn:fail", "bad 1", 2, 3)
    assert failure.backtrace == ("f (line 2, column 3)",)


async def test_failed_and_cancelled_calls_say_so() -> None:
    def broken(request: CompletionRequest) -> str:
        raise ProviderError("no room", status=503)

    records = await told(
        '(with-handlers ([void void]) (llm-query #:instruction "x"))', InlineProvider(broken)
    )
    assert [(end.status, end.error) for end in of(records, CallEnded)] == [("failed", "no room")]
    gate = GatedProvider(bracketed)
    heard: list[Record] = []
    async with Runtime(provider=gate, log=heard.append) as runtime:
        program = '(race (map (lambda (x) (lambda () (llm-query #:instruction x))) (list "a" "b" "c")))'
        task = asyncio.create_task(runtime.run(program))
        await gate.arrived(3)
        gate.release()
        await task
    assert sorted(end.status for end in of(heard, CallEnded)) == ["cancelled", "cancelled", "done"]


async def test_a_call_that_waits_for_its_place_is_sent_later() -> None:
    gate = GatedProvider(bracketed)
    records: list[Record] = []
    async with Runtime(provider=gate, log=records.append, limits=Limits(concurrency=1)) as runtime:
        task = asyncio.create_task(runtime.run(ASK + '(map-async ask (list "a" "b"))'))
        await gate.arrived(1)
        assert (len(of(records, CallQueued)), len(of(records, CallSent))) == (2, 1)
        gate.release()
        await gate.arrived(1)
        gate.release()
        await task
    assert len(of(records, CallSent)) == 2


async def test_the_prompt_of_a_call_says_which_calls_it_is_made_from() -> None:
    records = await told(
        '(define a (syntax-e (llm-query #:instruction "one")))\n(llm-query #:instruction "two" #:data a)'
    )
    assert [call.made_from for call in of(records, CallQueued)] == [(), (1,)]


async def test_a_recursive_call_tells_its_program_and_what_the_child_asks() -> None:
    def answer(request: CompletionRequest) -> Completion:
        if request.purpose == "program":
            return Completion(
                text='```scheme\n(finish (syntax-e (llm-query #:instruction "inner")))\n```',
                model="m",
                prompt_tokens=3,
            )
        return Completion(text="found", model="m", prompt_tokens=2)

    records = await told(
        '(syntax-e (llm-query #:instruction "go" #:data "d" #:recursive #t))', InlineProvider(answer)
    )
    [written] = of(records, events.ProgramWritten)
    [child] = of(records, events.ChildStarted)
    [ended] = of(records, events.ChildEnded)
    outer, inner = of(records, CallQueued)
    assert (written.call, child.call, child.execution, ended.execution) == (1, 1, 1, 1)
    assert (outer.recursive, outer.execution, inner.parent, inner.execution) == (True, 0, 1, 1)
    assert ended.value.text == "found"
    assert records[-1].prompt_tokens == 5  # type: ignore[attr-defined]


async def test_python_checkpoints_and_host_functions_are_told() -> None:
    records: list[Record] = []
    async with Runtime(provider="echo", log=records.append, python="host") as runtime:

        @runtime.host_function("twice")
        def twice(x: int) -> int:
            if x > 9:
                raise ValueError("too much")
            return 2 * x

        await runtime.run(
            '(checkpoint "k" 1)\n(twice 4)\n(py-eval "1 + 1")\n(with-handlers ([void void]) (twice 10))'
        )
    started, ended = of(records, events.RequestStarted), of(records, events.RequestEnded)
    assert [request.operation for request in started] == ["checkpoint", "host", "py-eval", "host"]
    assert [request.line for request in started] == [1, 2, 3, 4]
    assert [end.status for end in ended] == ["done", "done", "done", "failed"]
    assert "too much" in ended[-1].error


async def test_contexts_are_told_as_they_are_when_the_run_begins() -> None:
    records: list[Record] = []
    async with Runtime(provider="echo", log=records.append) as runtime:
        await runtime.run("1", context={"a": "text", "long": "x" * (MAX_TEXT + 1)})
    held = {record.name: record.text for record in of(records, ContextHeld)}
    assert held["a"] == Text("text")
    assert (held["long"].length, len(held["long"].sha256)) == (MAX_TEXT + 1, 64)


async def test_snapshots_and_forks_in_the_middle_of_a_run_are_told() -> None:
    gate = GatedProvider(bracketed)
    records: list[Record] = []
    async with Runtime(provider=gate, log=records.append) as runtime, runtime.session() as session:
        await session.snapshot()
        task = asyncio.create_task(session.execute('(llm-query #:instruction "x")'))
        await gate.arrived(1)
        await session.snapshot()
        async with await session.fork():
            pass
        gate.release_all()
        await task
        await session.snapshot()
    assert [record.forked for record in of(records, events.SnapshotTaken)] == [False, True]


async def test_what_belongs_together_is_a_chapter_of_the_next_run() -> None:
    records: list[Record] = []
    async with Runtime(provider="echo", log=records.append) as runtime, runtime.session() as session:
        session.log_chapter("question 1, iteration 2")
        await session.execute("1")
        await session.execute("2")
    first, second = stories(records).values()
    assert (first.chapter, second.chapter) == ("question 1, iteration 2", "")


async def test_nothing_is_told_of_a_program_that_is_only_checked() -> None:
    records: list[Record] = []
    async with Runtime(provider="echo", log=records.append) as runtime, runtime.session() as session:
        await session.check("(car 1 2)")
    assert records == []


async def test_a_session_that_was_restored_tells_fibers_and_lines_too() -> None:
    records: list[Record] = []
    async with Runtime(provider=InlineProvider()) as quiet, quiet.session() as session:
        await session.execute(ASK)
        snapshot = (await session.snapshot()).dump()
    runtime = Runtime(provider=InlineProvider(), log=records.append)
    async with runtime, await runtime.restore(snapshot) as session:
        await session.execute('\n(list (await (ask "x")))')
        dump = (await session.snapshot()).dump()
    assert [(call.fiber, call.line) for call in of(records, CallQueued)] == [(0, 2)]
    async with Runtime(provider=InlineProvider()) as quiet, await quiet.restore(dump) as session:
        assert (await session.execute('(await (ask "x"))')).ok


async def test_a_reader_that_fails_harms_nobody() -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    def broken(record: Record) -> None:
        raise ValueError("the reader's own")

    heard: list[Record] = []
    async with Runtime(provider="echo", log=[broken, heard.append]) as runtime:
        result = await runtime.run("(+ 1 2)")
    assert result.value == "3"
    assert len(complaints) == len(heard) == 2


async def test_a_reader_costs_a_program_that_asks_nothing_next_to_no_fuel() -> None:
    program = "(let loop ((i 0)) (if (< i 1000) (loop (+ i 1)) i))"
    async with Runtime(provider="echo") as runtime:
        without = await runtime.run(program)
    async with Runtime(provider="echo", log=lambda record: None) as runtime:
        with_one = await runtime.run(program)
    assert abs(with_one.execution.fuel - without.execution.fuel) < 50_000


async def test_a_hostile_guest_s_notes_are_bounded_and_checked() -> None:
    """What a guest says of fibers and lines may be anything."""
    from rlm_wasm.runlog.stream import (
        EventStream,
        Recorder,
        fiber_fields,
        noted_fields,
        numbers_of,
        parts_of,
        place_of,
    )

    assert place_of({"fiber": -1, "line": 2**80, "column": True, "source": "x" * 999}) == {
        "source": "x" * 200
    }
    assert fiber_fields({"what": ["x"], "parent": "y", "fiber": 3}) == {"fiber": 3}
    assert noted_fields({"op": 5, "preview": "p" * 999, "call-id": -2}) == {"preview": "p" * 200}
    assert numbers_of([1, "2", -3, True, 2**60]) == (1,)
    parts = [[0, 2, 1], [1, 3, 2], [5, 5, 1], [4, 99, 1], "x", [3], [4, 5, "a"], [4, 6, 7, "b"], [True, 9, 1]]
    assert parts_of(parts, 10) == (
        ValuePart(start=0, end=2, calls=(1,)),
        ValuePart(start=4, end=6, calls=(7,)),
    )
    assert parts_of({"a": 1}, 10) == parts_of(None, 10) == ()
    recorder = Recorder(EventStream())
    recorder.run = "aa"
    heard: list[Record] = []
    recorder.stream.subscribe(heard.append)
    for note in (
        {"waits": "x", "what": 5},
        {"waits": -1},
        {"goes-on": [1]},
        {"goes-on": 7},
        {"waits": 2**90},
    ):
        recorder.take_facts(note)
    assert [record.TYPE for record in heard] == ["fiber_waits"]
    for number in range(25_000):
        recorder.take_facts({"waits": number})
    assert len(heard) == 10_000
    for number in range(25_000):
        recorder.hold(number, {"line": 1})
    assert recorder.facts(24_999) == {"line": 1}
    assert recorder.facts(1) == {}


# ---- as JSON


TEXTS = st.builds(logged, st.text(max_size=40)) | st.builds(
    Text, st.text(max_size=9), st.integers(0, 9**9), st.text(max_size=64)
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(max_size=20),
    "str | None": st.none() | st.text(max_size=20),
    "float": st.floats(0, 1e12, allow_nan=False),
    "bool": st.booleans(),
    "Natural": st.integers(0, 2**50),
    "Natural | None": st.none() | st.integers(0, 2**50),
    "NonNegative": st.floats(0, 1e9, allow_nan=False),
    "NonNegative | None": st.none() | st.floats(0, 1e9, allow_nan=False),
    "float | None": st.none() | st.floats(0, 1e9, allow_nan=False),
    "Text": TEXTS,
    "Text | None": st.none() | TEXTS,
    "tuple[Natural, ...]": st.lists(st.integers(0, 99), max_size=3).map(tuple),
    "tuple[ValuePart, ...]": st.lists(
        st.builds(ValuePart, start=st.integers(0, 9), end=st.integers(0, 9), calls=st.just((1, 2))),
        max_size=3,
    ).map(tuple),
    "tuple[str, ...]": st.lists(st.text(max_size=5), max_size=3).map(tuple),
    "Mapping[str, Any]": st.dictionaries(st.text(max_size=5), st.none() | st.integers(0, 9), max_size=3),
}


def records() -> st.SearchStrategy[Record]:
    def made(kind: type[Any]) -> st.SearchStrategy[Any]:
        strategies = {
            field.name: st.none() | made(events.Failure)
            if field.type == "Failure | None"
            else VALUES[str(field.type)]
            for field in dataclasses.fields(kind)
        }
        return st.builds(kind, **strategies)

    return st.one_of([made(kind) for kind in RECORDS])


@given(records())
def test_a_record_is_read_back_from_its_json_as_it_was(record: Record) -> None:
    assert record_of(json.loads(json.dumps(plain(record)))) == record


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
JSON = SCALARS | st.lists(SCALARS, max_size=4) | st.dictionaries(st.text(max_size=6), SCALARS, max_size=4)


@given(
    st.sampled_from([kind.TYPE for kind in RECORDS]),
    st.dictionaries(
        st.sampled_from(["run", "at", "call", "status", "answer", "error", "limits", "program"]), JSON
    ),
)
def test_what_is_no_record_is_refused_in_a_sentence(kind: str, fields: dict[str, Any]) -> None:
    try:
        record_of({"type": kind, **fields})
    except UsageError as error:
        said = str(error)
    else:
        said = kind
    assert kind in said


def test_every_record_has_a_type_of_its_own() -> None:
    assert len({kind.TYPE for kind in RECORDS}) == len(RECORDS)


# ---- in a file


async def test_a_file_is_written_as_it_happens(tmp_path: Path) -> None:
    gate = GatedProvider(bracketed)
    path = tmp_path / "run.jsonl"
    async with Runtime(provider=gate, log=path) as runtime:
        task = asyncio.create_task(runtime.run('(llm-query #:instruction "x")'))
        await gate.arrived(1)
        [story] = stories(LogFile(path)).values()
        assert (story.status, [call.status for call in story.calls.values()]) == ("running", ["running"])
        gate.release()
        await task
    [story] = stories(LogFile(path)).values()
    assert (story.status, story.tokens) == ("ok", 15)
    assert path.stat().st_mode & 0o077 == 0, "prompts stand in it"


async def test_a_second_run_is_appended_also_after_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    async with Runtime(provider="echo", log=path) as runtime:
        await runtime.run("1")
    path.write_bytes(path.read_bytes()[:-20])
    async with Runtime(provider="echo", log=str(path)) as runtime:
        await runtime.run("2")
    file = LogFile(path)
    assert [story.status for story in stories(file).values()] == ["running", "ok"]
    assert file.told == ["line 2: it is cut off, as a crash leaves it, and is left out"]


@pytest.mark.parametrize("path", ["nowhere/run.jsonl", "."])
def test_a_log_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="cannot write the log"):
        Runtime(provider="echo", log=tmp_path / path)


@pytest.mark.parametrize("text", ["(display 1)\n", "\n\n; a program", "a,b\n1,2", "[1]", "\0\0"])
def test_a_file_that_is_no_log_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "program.scm"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"program\.scm is no run log, and is left as it is"):
        Runtime(provider="echo", log=path)
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["", "\n", '{"type":"ru', "\ufeff" + '{"type": "run_started"}\r\n'])
async def test_a_file_that_may_be_a_log_is_appended_to(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text, encoding="utf-8")
    async with Runtime(provider="echo", log=path) as runtime:
        await runtime.run("1")
    assert [story.status for story in stories(LogFile(path)).values()] == ["ok"]


def test_a_log_that_is_none_of_these_is_refused() -> None:
    with pytest.raises(UsageError, match="a path, a callable, or a store"):
        Runtime(provider="echo", log=5)


async def test_a_full_disk_ends_the_log_and_not_the_run() -> None:
    async with Runtime(provider="echo", log="/dev/full") as runtime:
        result = await runtime.run("(+ 1 2)")
        assert result.value == "3"
        assert runtime.log_trouble is not None
        assert "ends early" in runtime.log_trouble


# ---- reading


def read(*lines: str | bytes) -> tuple[list[RunStory], list[str]]:
    from rlm_wasm.runlog.reading import LogReader

    reader = LogReader(lines)
    return list(stories(reader).values()), reader.told


START = '{"type":"run_started","run":"aa","at":1.0,"version":1,"name":"p"}'


def test_what_is_no_log_is_said_to_be_none() -> None:
    assert read()[1] == ["this is no run log: it is empty"]
    assert (
        read(b"\x00\xff\x89PNG", "hello")[1][0]
        == "this is no run log: it holds no record of a run in 2 lines"
    )


def test_bad_lines_are_named_and_the_rest_is_shown() -> None:
    told_of, troubles = read(
        START,
        "not json",
        '{"type":"call_queued","run":"aa","at":2.0,"call":"one"}',
        '{"type":"from_the_future","run":"aa","at":2.0}',
        '{"type":"call_queued","run":"aa","at":2.0,"call":1,"colour":"red"}',
        "[" * 100_000,
        '{"type":"run_ended","run":"aa","at":3',
    )
    assert [len(story.calls) for story in told_of] == [1]
    assert [trouble.split(":")[0] for trouble in troubles] == [
        "line 2",
        "line 3",
        "line 4",
        "line 6",
        "line 7",
    ]
    assert "call must be a whole number" in troubles[1]


def test_a_log_of_a_later_version_is_read_as_far_as_it_is_understood() -> None:
    told_of, troubles = read(
        START.replace('"version":1', '"version":9').replace('"name"', '"new":[1],"name"')
    )
    assert told_of[0].name == "p"
    assert "of a later version (9; this release knows 1)" in troubles[0]


def test_ten_thousand_bad_lines_are_counted_and_not_all_told() -> None:
    _, troubles = read(START, *["x"] * 10_000)
    assert len(troubles) == 11
    assert troubles[-1] == "and 9,990 more lines like these"


def test_a_line_beyond_the_bound_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rlm_wasm.runlog import reading

    monkeypatch.setattr(reading, "MAX_LINE", 100)
    path = tmp_path / "run.jsonl"
    path.write_text(f"{START}\n{'x' * 1_000}\n{START.replace('aa', 'bb')}\n")
    file = LogFile(path)
    assert len(stories(file)) == 2
    assert file.told == ["line 2: it has more than 100 bytes, and is left out"]


def test_of_a_line_without_an_end_no_more_is_read_than_of_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlm_wasm.runlog import reading

    monkeypatch.setattr(reading, "MAX_LINE", 100)
    path = tmp_path / "run.jsonl"
    path.write_bytes(START.encode() + b"\n" + bytes(1_000_000))
    with path.open("rb") as file:
        assert list(reading.lines_of(file, 1_000)) == [START.encode() + b"\n", None]
        assert file.tell() < 1_300


def test_a_byte_order_mark_costs_no_record() -> None:
    [story], told = read("\ufeff" + START)
    assert story.run == "aa"
    assert told == []


def test_of_a_huge_log_the_beginning_is_shown_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("".join(START.replace("aa", f"{i:04x}") + "\n" for i in range(100)))
    file = LogFile(path, max_bytes=1_000)
    assert 5 < len(stories(file)) < 20
    assert file.told[0].startswith("the log has 6,")
    with pytest.raises(UsageError, match="cannot read the log"):
        LogFile(tmp_path / "nowhere")


def test_calls_whose_beginning_is_lost_are_shown_all_the_same() -> None:
    told_of, _ = read('{"type":"call_ended","run":"aa","at":2.0,"call":7,"model":"m"}')
    assert [(call.queued.call, call.status, call.model) for call in told_of[0].calls.values()] == [
        (7, "done", "m")
    ]


def _shown(*records: Record) -> str:
    [story] = stories([RunStarted(run="a" * 16, at=1.0, version=1), *records]).values()
    return text_of(story)


def test_fibers_that_began_each_other_are_shown_once() -> None:
    """No run tells that; a file may."""
    fibers = [FiberStarted(run="a" * 16, at=1.0, fiber=n, parent=3 - n) for n in (1, 2)]
    inner = FiberStarted(run="a" * 16, at=1.0, fiber=3, parent=1)
    calls = [
        CallQueued(run="a" * 16, at=2.0, call=n, fiber=n, instruction=Text(f"say {n}")) for n in (1, 2, 3)
    ]
    assert _shown(*fibers, *calls[:2]).count("say ") == 2
    assert "    call 3" in _shown(*fibers, inner, calls[2])


def test_an_execution_that_began_itself_or_that_nothing_began_is_shown_once() -> None:
    def call(number: int, execution: int) -> CallQueued:
        return CallQueued(run="a" * 16, at=2.0, call=number, execution=execution, instruction=Text("say"))

    def child(execution: int, call: int) -> ChildStarted:
        return ChildStarted(run="a" * 16, at=2.0, execution=execution, call=call)

    shown = _shown(call(1, 0), child(0, 1), call(2, 1), child(1, 2), call(3, 7))
    assert shown.count("asked   say") == 3
    assert "child 7: the call that began it is not shown" in shown


def test_executions_that_lie_deep_in_each_other_are_all_shown() -> None:
    records: list[Record] = []
    for n in range(3000):
        records.append(CallQueued(run="a" * 16, at=2.0, call=n + 1, execution=n))
        records.append(ChildStarted(run="a" * 16, at=2.0, execution=n + 1, call=n + 1))
    shown = _shown(*records)
    assert "call 3000 " in shown
    assert len(shown) < 3000 * 300

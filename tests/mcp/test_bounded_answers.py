"""What a program may make the server say: bounded, with a mark that says how to get the rest."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cbor2
import pytest
from mcp import Client

from rlm_wasm import Limits, Runtime
from rlm_wasm.data import Char, ImproperList, Keyword, Symbol
from rlm_wasm.mcp import make_server
from rlm_wasm.mcp.bounds import ServerBounds
from rlm_wasm.mcp.notifier import ProgressNotifier
from rlm_wasm.mcp.render import structured, to_text
from rlm_wasm.results import ErrorInfo, Progress, Result
from rlm_wasm.testing import GatedProvider
from rlm_wasm.write_form import write_form

MOST = 20_000


def all_text(value: Any) -> int:
    """Characters of all texts in structured content but its data."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(all_text(item) for key, item in value.items() if key != "data")
    return sum(map(all_text, value)) if isinstance(value, list) else 0


FLOODS = {
    "value": "(finish (make-string 900000 #\\v))",
    "stdout": '(display (make-string 900000 #\\o)) (finish "v")',
    "stderr": '(eprintf "~a" (make-string 900000 #\\e)) (finish "v")',
    "error": "(error (make-string 900000 #\\m))",
    "irritants": '(error "m" (make-string 900000 #\\i) (make-string 900000 #\\j))',
    "type": "(raise (string->symbol (make-string 900000 #\\t)))",
    "unbound": f"({'u' * 100_000})",
    "everything": '(display (make-string 900000 #\\o)) (eprintf "~a" (make-string 900000 #\\e))'
    " (finish (make-string 900000 #\\v))",
    "data": "(finish (build-list 90000 number->string))",
}


@pytest.mark.parametrize("program", FLOODS.values(), ids=FLOODS)
async def test_a_flood_comes_bounded(program: str, mode: str) -> None:
    """In the text and in the structured content, whatever part of the result it is."""
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime), mode=mode) as client:
        result = await client.call_tool("execute_scheme", {"code": program})
        listed = await client.call_tool("get_status", {})
    text = "".join(block.text for block in result.content)
    assert len(text) <= MOST
    assert all_text(result.structured_content) <= MOST
    assert len(json.dumps(result.structured_content.get("data"))) <= MOST
    assert len(json.dumps(listed.structured_content)) <= MOST


async def test_the_mark_says_where_the_rest_is(mode: str) -> None:
    """The resource that it names goes on where the text was cut."""
    program = "(finish (apply string-append (map number->string (iota 10000))))"
    whole = "".join(map(str, range(10_000)))
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime), mode=mode) as client:
        for options in ({}, {"session": "a b"}):
            result = await client.call_tool("execute_scheme", {"code": program, **options})
            value = result.structured_content["value"]
            assert result.structured_content["truncated"] == ["value"]
            cut, mark = value.split("\n… [cut: ")
            uri = re.search(r"read (rlm://\S+/value/\d+)", mark)[1]
            rest = (await client.read_resource(uri)).contents[0].text
            assert cut + rest == whole
            assert mark.startswith(f"{len(whole) - len(cut):,} more characters")
            assert "(substring text 0 8000)" in mark


async def test_the_bound_is_an_option() -> None:
    """Of the server."""
    async with Runtime("echo", python="off") as runtime:
        server = make_server(runtime, bounds=ServerBounds(result_chars=2_000))
        async with Client(server) as client:
            result = await client.call_tool("execute_scheme", {"code": FLOODS["everything"]})
    assert len(result.content[0].text) <= 2_000
    assert all_text(result.structured_content) <= 2_000


@pytest.mark.parametrize("part", ["value", "stdout", "stderr"])
async def test_parts_of_a_run_are_read_from_a_character_on(part: str) -> None:
    """What there is not is no resource."""
    program = '(display "out: é") (eprintf "err: é") (finish "val: é")'
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime)) as client:
        await client.call_tool("execute_scheme", {"code": program})
        whole = (await client.read_resource(f"rlm://runs/1/{part}")).contents[0].text
        assert whole == f"{part[-3:] if part != 'value' else 'val'}: é"
        assert (await client.read_resource(f"rlm://runs/1/{part}/5")).contents[0].text == "é"
        assert (await client.read_resource(f"rlm://runs/1/{part}/99")).contents[0].text == ""
        for wrong in (f"{part}/-1", f"{part}/1/2", f"{part}/x", "code", f"{part}/{'9' * 5_000}"):
            if wrong.endswith("999"):
                assert (await client.read_resource(f"rlm://runs/1/{wrong}")).contents[0].text == whole
                continue
            with pytest.raises(Exception, match="there is no resource"):
                await client.read_resource(f"rlm://runs/1/{wrong}")


async def test_deep_data_and_large_integers_survive_structured_content(mode: str) -> None:
    """What readers of JSON refuse is left out of the data, and stands in the value."""
    deep = "(let loop ((i 0) (x 1)) (if (= i {}) (finish x) (loop (+ i 1) (list x))))"
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime), mode=mode) as client:

        async def answer(code: str) -> dict[str, Any]:
            content: dict[str, Any] = (
                await client.call_tool("execute_scheme", {"code": code})
            ).structured_content
            return content

        assert (await answer(deep.format(60)))["value"] == "(" * 60 + "1" + ")" * 60
        assert str((await answer(deep.format(60)))["data"]).count("[") == 60
        for depth in (100, 390, 5_000):
            content = await answer(deep.format(depth))
            assert content["value"] == "(" * depth + "1" + ")" * depth
            assert "data" not in content
        assert (await answer(deep.format(100_000)))["value"].startswith("(" * 10_000)
        large = await answer("(finish (list (expt 10 4000)))")
        assert large["data"] == [10**4_000]
        larger = await answer("(finish (list (expt 10 99999)))")
        assert larger["value"].startswith("(1000")
        assert larger["truncated"] == ["value", "data"]
        state = await client.call_tool("get_sandbox_state", {})
        assert not state.is_error
        run = (await client.read_resource("rlm://runs/8")).contents[0].text
        assert f"1{'0' * 99_999}" in run


async def test_the_log_comes_newest_first_within_the_bound_and_the_rest_by_number(text_of: Any) -> None:
    """Asking with ``before`` gives what an answer left out, down to the first entry."""
    program = '(for-each (lambda (n) (checkpoint (format "key-~a" n) n)) (iota 400))'
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime)) as client:
        await client.call_tool("execute_scheme", {"code": program})
        seen: list[dict[str, Any]] = []
        options: dict[str, Any] = {}
        while True:
            result = await client.call_tool("get_scope_log", options)
            content = result.structured_content
            assert len(json.dumps(content["entries"])) <= MOST * 1.1
            seen = content["entries"] + seen
            if content["first"] == 1:
                break
            assert f"ask with before={content['first']}" in text_of(result)
            options = {"before": content["first"]}
    assert len(seen) == content["total"] >= 400


async def test_a_session_with_a_hundred_thousand_names_has_a_state_that_can_be_sent() -> None:
    """Lists are cut, and say by how much."""
    program = "".join(f"(define a-rather-long-name-{n} {n})" for n in range(3_000))
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime)) as client:
        assert not (await client.call_tool("execute_scheme", {"code": program})).is_error
        state = await client.call_tool("get_sandbox_state", {})
    assert len(state.content[0].text) <= MOST
    assert state.structured_content["definitions"][-1].endswith("more")


# ---- standard error


class Reader:
    """A client's side, which reads as fast as the gate is open."""

    def __init__(self, *, reads: bool = True) -> None:
        self.lines: list[str] = []
        self.gate = asyncio.Event()
        if reads:
            self.gate.set()

    async def send_log_message(self, _level: str, line: str, *_more: Any, **_options: Any) -> None:
        await self.gate.wait()
        self.lines.append(line)

    async def report_progress(self, *_progress: Any) -> None:
        await self.gate.wait()


@pytest.fixture
def server_log() -> Iterator[io.StringIO]:
    """All that the server's log gets."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    log = logging.getLogger("rlm_wasm.mcp")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield text
    log.removeHandler(handler)
    log.setLevel(level)


def notifier(reader: Reader, **bounds: int) -> ProgressNotifier:
    """An execution's."""
    return ProgressNotifier(reader, 1, 300.0, "info", ServerBounds(**bounds))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "piece", ["x\n" * 1_000, "x" * 100_000, ("y" * 5_000 + "\n") * 20, "é" * 1_000 + "\n"]
)
async def test_a_flood_on_standard_error_is_cut_and_counted(piece: str, server_log: io.StringIO) -> None:
    """Of 200 MB the client and the log get no more than the bound, and a mark."""
    reader = Reader()
    told = notifier(reader)
    for _ in range(200_000_000 // len(piece) // 100):
        told.progress(Progress(stderr=piece))
        await asyncio.sleep(0)
    await told.aclose()
    assert sum(map(len, reader.lines)) <= (256 << 10) + 200
    assert len(reader.lines) <= 2_001
    assert len(server_log.getvalue()) <= (256 << 10) + 200 + len(reader.lines)
    assert "left out: stderr of the answer" in reader.lines[-1]


async def test_lines_left_out_are_counted_exactly(server_log: io.StringIO) -> None:
    """One that has no end counts as one."""
    reader = Reader()
    told = notifier(reader, log_lines=3)
    told.progress(Progress(stderr="a\nb\nc\nd\n"))
    told.progress(Progress(stderr="e\nf"))
    await told.aclose()
    assert reader.lines[:3] == ["a", "b", "c"]
    assert reader.lines[3].startswith("[3 more lines were left out")
    assert server_log.getvalue().splitlines() == reader.lines


async def test_a_client_that_does_not_read_lets_no_queue_grow(server_log: io.StringIO) -> None:
    """It gets what was kept for it when it reads again, and a mark."""
    reader = Reader(reads=False)
    told = notifier(reader, unsent_lines=10)
    for number in range(500):
        told.progress(Progress(stderr=f"{number}\n"))
        await asyncio.sleep(0)
        assert len(told._lines) <= 10
    reader.gate.set()
    await told.aclose()
    assert len(reader.lines) <= 23
    assert any("lines left out: the client read too slowly" in line for line in reader.lines)
    assert len(server_log.getvalue().splitlines()) == 500


async def test_a_client_that_reads_no_news_of_resources_is_told_once() -> None:
    """However often they changed meanwhile: no task waits for each."""
    gate = GatedProvider()
    async with Runtime(gate, python="off") as runtime:
        server = make_server(runtime)
        async with Client(server, mode="2026-07-28") as client:
            before = len(asyncio.all_tasks())
            for number in range(50):
                await client.call_tool("execute_scheme", {"code": str(number)})
            assert len(asyncio.all_tasks()) <= before + 3


async def test_a_flood_on_standard_error_leaves_the_answer_small(server_log: io.StringIO) -> None:
    """End to end: the program's own stderr is bounded by output_bytes, the answer by the server."""
    program = '(let loop ((i 0)) (when (< i 30000) (eprintf "~a\\n" "0123456789012345678901234567890") (loop (+ i 1))))'
    async with (
        Runtime("echo", python="off", limits=Limits(output_bytes=100_000)) as runtime,
        Client(make_server(runtime), mode="legacy") as client,
    ):
        result = await client.call_tool("execute_scheme", {"code": program})
    assert result.structured_content["status"] == "ok"
    assert len(json.dumps(result.structured_content)) <= MOST
    assert len(server_log.getvalue()) <= (256 << 10) + 10_000


# ---- write form


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ('"1"', "1"),
        ("1", "1"),
        ('(list "1" 1)', '("1" 1)'),
        ('(list \'a "b c" #\\d #\\space)', '(a "b c" #\\d #\\space)'),
        ('(vector "a" (list) (vector))', '#("a" () #())'),
        ('(cons 1 "a")', '(1 . "a")'),
        ('(hash "a" (list "b"))', '#hash(("a" . ("b")))'),
        ('(list "q\\"\\\\\\n")', '("q\\"\\\\\\n")'),
        ("(list '|a b| '|1| 'a)", "(|a b| |1| a)"),
        ("#\\a", "#\\a"),
        ("'a", "a"),
        ("(list #t #f 1/2 1.5 1e21)", "(#t #f 1/2 1.5 1e+21)"),
        ('(list "x" #t #f 1/2 1.5 1e21 1e-7 (void))', '("x" #t #f 1/2 1.5 1e+21 1e-7 #<void>)'),
    ],
)
async def test_values_that_are_no_plain_string_are_shown_as_write_does(program: str, shown: str) -> None:
    """So that a model tells a text from a number."""
    async with Runtime("echo", python="off") as runtime, Client(make_server(runtime)) as client:
        result = await client.call_tool("execute_scheme", {"code": f"(finish {program})"})
    assert result.structured_content["value"] == shown
    assert result.content[0].text.startswith(f"finished: {shown}")


@pytest.mark.parametrize(
    "program",
    [
        '(list "a" \'b #\\c "d\\te\\r" \'() (list "x" (vector 1 2.5 "y")))',
        "(list 'A '|;x| '|| '+ '... '-x '+inf.0x \"z\")",
        '(hash "k" (list 1 "two" 3/4))',
        '(list "big" (expt 7 200) -0.0 123456789.5)',
        '(list "1" car)',
        '(set "1")',
        '(set (list "a") (vector "b"))',
        '(mutable-set "1" \'a)',
        '(box "1")',
        '(let () (struct point (x y) #:transparent) (point "1" (list "2")))',
        '(let () (struct point (x y) #:prefab) (point "1" #\\a))',
        '(let () (struct opaque (x)) (list "1" (opaque "2")))',
        '(list "a" (set "1") (box "b"))',
        '(let () (struct point (x y) #:transparent) (list (point "1" 2)))',
        "(seconds->date 0 #f)",
        '(hasheq \'a "b")',
        '(hash (list "a") (set "b"))',
        '(list (hash (list "a") "b") (set (list 1 "2")))',
    ],
)
async def test_the_write_form_is_that_of_the_guest(program: str) -> None:
    """Compared with what ``write`` prints of the same value."""
    code = f"(define v {program}) (write v) (finish v)"
    async with Runtime("echo", python="off") as runtime:
        result = await runtime.run(code)
    assert result.in_write_form() == result.stdout


async def test_several_values_are_written_a_line_each() -> None:
    """They have no form as data."""
    async with Runtime("echo", python="off") as runtime:
        result = await runtime.run('(values "1" 1)')
    assert (result.in_write_form(), result.value) == ('"1"\n1', "1\n1")


def test_what_python_has_no_exact_form_for_stays_readable() -> None:
    """Bytes, keywords, complex numbers, nothing."""
    data = [b"\x01\x02", Keyword("k"), 1 + 2j, float("-inf"), None, cbor2.undefined, Char("\x07"), "s"]
    assert write_form(data, "?") == '(#u8(1 2) #:k 1+2i -inf.0 null #<void> #\\x7 "s")'
    assert write_form(ImproperList((Symbol("a"), Fraction(1, 3)), "b"), "?") == '(a 1/3 . "b")'
    assert write_form(None, "#<set: a>") == "#<set: a>"


def test_an_error_s_every_text_is_bounded() -> None:
    """Whatever the guest reports of itself."""
    long = "x" * 1_000_000
    error = ErrorInfo(
        type=long, message=long, irritants=(long,) * 500, source=long, hint=long, backtrace=(long,) * 500
    )
    result = Result(status="error", error=error)
    assert len(json.dumps(structured(result, MOST, "rlm://runs/1"))) <= MOST
    assert len(to_text(result, MOST, "rlm://runs/1")) <= MOST

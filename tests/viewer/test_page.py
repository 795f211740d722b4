"""The page without a browser: what is in it, how it is served, and that nothing of a record is markup."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import scenarios
from hypothesis import given
from hypothesis import strategies as st

from rlm_wasm import Runtime, UsageError
from rlm_wasm.lexer import RlmSchemeLexer
from rlm_wasm.runlog.events import OutputWritten, Record, RunEnded, RunStarted, Text
from rlm_wasm.runlog.file import line_of
from rlm_wasm.store import open_store
from rlm_wasm.testing import GatedProvider, bracketed
from rlm_wasm.viewer import server, sources
from rlm_wasm.viewer.page import Colours, json_block, report, tokens_of
from rlm_wasm.viewer.server import Viewer
from rlm_wasm.viewer.sources import FileSource, ProcessSource, StoreSource


class Parsed(HTMLParser):
    """The tags of a page, and the texts of its script and style elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.blocks: list[tuple[str, dict[str, str | None], str]] = []
        self._open: tuple[str, dict[str, str | None]] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.blocks.append((*self._open, data))
            self._open = None


def started(run: str = "aa", **fields: Any) -> RunStarted:
    return RunStarted(run=run, at=1.0, **fields)


async def test_a_report_is_one_file_that_asks_nobody_for_anything() -> None:
    page = report(await scenarios.scenario("needle"))
    parsed = Parsed(page)
    for tag, attributes in parsed.tags:
        assert tag not in ("img", "iframe", "object", "embed", "link", "base", "form")
        assert not {"src", "href", "action"} & attributes.keys() or attributes.get("href") == "#main"
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


def test_the_policy_of_a_report_allows_its_own_scripts_and_styles_by_their_hashes_and_no_others() -> None:
    parsed = Parsed(report([started(program=Text("(car 5)"))]))
    [policy] = [a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    hashes = set(re.findall(r"'sha256-([^']+)'", policy))
    running = [text for tag, a, text in parsed.blocks if a.get("type") != "application/json"]
    assert len(running) == 4
    assert hashes == {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running}


@given(st.text(max_size=200) | st.sampled_from(scenarios.HOSTILE_TEXTS))
def test_a_json_block_cannot_be_left_and_says_what_it_was_given(text: str) -> None:
    block = json_block({"text": text})
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block)["text"] == text.encode("utf-8", "replace").decode()


async def test_hostile_answers_add_no_element_to_the_page() -> None:
    calm = Parsed(report([started()]))
    hostile = Parsed(report(await scenarios.scenario("hostile")))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in calm.tags]
    [records] = [text for _, a, text in hostile.blocks if a.get("id") == "records"]
    assert scenarios.HOSTILE_TEXTS[0] in str(json.loads(records))


def test_the_script_puts_nothing_into_the_page_but_text() -> None:
    script = (Path(__file__).parents[2] / "rlm_wasm/viewer/assets/view.js").read_text()
    without_comments = re.sub(r"/\*.*?\*/", "", script, flags=re.S)
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "srcdoc"):
        assert way not in without_comments


@pytest.mark.parametrize(
    "program",
    ["", '(define (f x)\n  "text\\n" #\\space ; comment\n  #|b|# 5)', '(unclosed "…\n#<<x\n', "\x00\ud800"],
)
def test_the_pieces_of_a_program_put_together_are_the_program(program: str) -> None:
    assert "".join(text for _, text in tokens_of(program)) == program


async def test_a_report_of_nothing_and_of_a_run_that_goes_on_can_be_made() -> None:
    assert "this is no run log" in report([], ["this is no run log: it is empty"])
    assert "many.scm" in report(scenarios.many(50, running=True))


# ---- served


async def get(url: str, **more: Any) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as client, client.get(url, **more) as answer:
        return answer.status, await answer.text(), answer.headers


async def events_of(url: str, run: str, *, until: str = "event: end") -> str:
    heard = ""
    async with aiohttp.ClientSession() as client, client.get(f"{url}events?run={run}") as answer:
        async for chunk in answer.content.iter_any():
            heard += chunk.decode()
            if until in heard:
                break
    return heard


def records_in(heard: str) -> list[dict[str, Any]]:
    return [
        record for batch in re.findall(r"^id: \d+\ndata: (.*)$", heard, re.M) for record in json.loads(batch)
    ]


async def test_a_page_shows_the_runs_of_its_runtime_as_they_go() -> None:
    gate = GatedProvider(bracketed)
    async with Runtime(provider=gate) as runtime:
        viewer = await runtime.viewer()
        task = asyncio.create_task(runtime.run('(llm-query #:instruction "x")'))
        await gate.arrived(1)
        _, text, _ = await get(f"{viewer.url}runs")
        [run] = json.loads(text)["runs"]
        assert "running" in run["label"]
        heard = asyncio.create_task(events_of(viewer.url, run["run"]))
        gate.release()
        await task
        kinds = [record["type"] for record in records_in(await heard)]
        assert kinds == ["run_started", "call_queued", "call_sent", "call_ended", "run_ended"]
        url = viewer.url
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(url)


async def test_only_who_has_the_address_is_served_and_under_no_other_name() -> None:
    async with Viewer(ProcessSource()) as viewer:
        status, text, headers = await get(viewer.url)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "<script src=" in text
        assert "'unsafe-inline'" not in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        secret = viewer.url.split("/")[3]
        assert len(secret) > 20
        assert (await get(viewer.url.replace(secret, "x" * len(secret))))[0] == 404
        assert (await get(viewer.url.replace(secret, "ü")))[0] == 404
        assert (await get(viewer.url, headers={"Host": "evil.example"}))[0] == 421
        assert (await get(f"{viewer.url}nothing"))[0] == 404
        assert (await get(f"{viewer.url}../../etc/passwd"))[0] == 404
        assert (await get(f"{viewer.url}view.js"))[2]["Content-Type"].startswith("text/javascript")


async def test_a_port_that_is_taken_is_said_to_be() -> None:
    async with Viewer(ProcessSource()) as viewer:
        port = int(viewer.url.split(":")[2].split("/")[0])
        with pytest.raises(UsageError, match="is not free"):
            await Viewer(ProcessSource(), port=port).start()


async def test_a_file_that_grows_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "POLL_S", 0.01)
    path = tmp_path / "run.jsonl"
    path.write_text(line_of(started(program=Text("(car 5)"))) + "\nno json\n")
    source = FileSource(path)
    await source.start()
    async with Viewer(source) as viewer:
        told = json.loads((await get(f"{viewer.url}runs"))[1])
        assert told["troubles"] == ["line 2: it is no JSON, and is left out"]
        heard = asyncio.create_task(events_of(viewer.url, "aa"))
        with path.open("a") as file:
            file.write(line_of(RunEnded(run="aa", at=2.0)) + "\n")
        assert [record["type"] for record in records_in(await heard)] == ["run_started", "run_ended"]
        assert '"aa 0": [["", "(car "]' in await heard
    await source.aclose()


async def test_a_file_that_is_no_log_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" * 10)
    source = FileSource(path)
    await source.start()
    assert "holds no record of a run" in source.troubles[0]
    await source.aclose()
    with pytest.raises(UsageError, match="cannot read the log"):
        FileSource(tmp_path / "nowhere.jsonl")


async def test_the_runs_of_a_store_are_shown(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with Runtime(provider="echo", log=url) as runtime:
        await runtime.run('(llm-query #:instruction "x")')
    store = open_store(url)
    async with Viewer(StoreSource(store.runs)) as viewer:
        [run] = json.loads((await get(f"{viewer.url}runs"))[1])["runs"]
        kinds = [record["type"] for record in records_in(await events_of(viewer.url, run["run"]))]
        assert kinds[0] == "run_started"
        assert kinds[-1] == "run_ended"
        whole = json.loads((await get(f"{viewer.url}records?run={run['run']}"))[1])
        assert [record["type"] for record in whole] == kinds
    await store.aclose()


async def test_old_runs_of_a_process_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_RUNS", 3)
    source = ProcessSource()
    for number in range(10):
        source(started(f"{number}{number}"))
    assert [item.run for item in await source.listed()] == ["99", "88", "77"]


async def test_a_run_without_an_end_does_not_fill_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that sleeps and prints for ever beside an open page; its end is shown all the same."""
    monkeypatch.setattr(sources, "MAX_BYTES", 1 << 20)
    source = ProcessSource()
    source(started())
    for number in range(20_000):
        source(OutputWritten(run="aa", at=2.0, text=Text(f"{number}"), stream="out"))
    source(RunEnded(run="aa", at=3.0))
    shown = [record async for batch in source.follow("aa", 0) for record in batch]
    assert 100 < len(shown) < 3_000
    assert isinstance(shown[-1], RunEnded)
    assert "more than 1 MiB" in source.troubles[0]
    for number in range(200):
        source(started(f"b{number}"))
    assert source.troubles == []


@pytest.mark.parametrize(
    "program",
    [
        "#<<a\n" * 4_000,
        '#<<"\n' * 4_000,
        "#|" * 10_000,
        "(" * 20_000,
        "'" * 20_000,
        '"' + "\\" * 20_000,
        "|a" * 9_999,
    ],
    ids=["here strings", "here strings of quotes", "comments", "parentheses", "quotes", "escapes", "bars"],
)
def test_a_program_that_was_written_to_be_slow_to_colour_is_coloured(program: str) -> None:
    """200,000 characters of here strings without an end took three minutes, on the event loop of the runtime."""
    assert "".join(text for _, text in tokens_of(program)) == program
    rules = RlmSchemeLexer().get_tokens_unprocessed(program)
    assert sum(1 for _ in rules) <= len(program)


def test_what_is_coloured_is_bounded_program_by_program_and_in_all() -> None:
    """A run's children may have written a thousand programs."""
    program = "(f)" * 15_000
    records = [started(f"{number}", program=Text(program)) for number in range(100)]
    assert 5 <= len(Colours().of(records)) <= 10
    assert Colours().of([started(program=Text("(f)" * 20_000))]) == {}


async def test_records_and_colours_are_made_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a hundred thousand records in the process of the runtime: no session waits for its text."""
    threads: set[str] = set()
    real = server.plain
    monkeypatch.setattr(
        server, "plain", lambda record: threads.add(threading.current_thread().name) or real(record)
    )
    source = ProcessSource()
    for record in (started(program=Text("(f)")), RunEnded(run="aa", at=2.0)):
        source(record)
    async with Viewer(source) as viewer:
        assert '"aa 0": [["", "(f)"]]' in await events_of(viewer.url, "aa")
        assert len(json.loads((await get(f"{viewer.url}records?run=aa"))[1])) == 2
        assert json.loads((await get(f"{viewer.url}records?run=none"))[1]) == []
    assert threads
    assert threading.main_thread().name not in threads


@pytest.mark.parametrize("after", ["²", "9" * 5_000, "-1", "1e9", "٣", "1;DROP"])
async def test_a_place_that_is_none_begins_at_the_beginning(after: str) -> None:
    """It comes from whoever asks."""
    source = ProcessSource()
    for record in (started(), RunEnded(run="aa", at=2.0)):
        source(record)
    async with Viewer(source) as viewer:
        status, text, _ = await get(f"{viewer.url}events", params={"run": "aa", "after": after})
    assert status == 200
    assert len(records_in(text)) == 2


async def test_an_mcp_client_on_a_stream_finds_the_page_s_address() -> None:
    from mcp import Client

    from rlm_wasm.mcp.server import make_server

    async with Runtime(provider="echo") as runtime:
        viewer = await runtime.viewer()
        async with Client(make_server(runtime, viewer_url=viewer.url)) as client:
            assert "rlm://viewer" in [str(item.uri) for item in (await client.list_resources()).resources]
            [contents] = (await client.read_resource("rlm://viewer")).contents
            await client.call_tool("execute_scheme", {"code": "(finish 5)"})
        assert contents.text == viewer.url  # type: ignore[union-attr]
        [run] = json.loads((await get(f"{viewer.url}runs"))[1])["runs"]
        assert "finished" in run["label"]
        async with Client(make_server(runtime)) as client:
            assert "rlm://viewer" not in [str(item.uri) for item in (await client.list_resources()).resources]


def test_every_record_of_the_cases_is_a_record() -> None:
    assert all(isinstance(record, Record) for record in scenarios.many(20))

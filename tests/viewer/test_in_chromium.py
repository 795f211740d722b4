"""The page in a real browser: it draws, it is used by mouse and keyboard, and nothing that a model wrote runs.

Pictures are taken into the folder RLM_WASM_SCREENSHOTS, where that is set; docs/viewer.md shows some.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import scenarios
from chromium import Browser, needs_chromium

from rlm_wasm import Runtime
from rlm_wasm.runlog.events import RECORDS, Record, RunEnded
from rlm_wasm.testing import GatedProvider, InlineProvider, bracketed
from rlm_wasm.viewer.page import report

pytestmark = needs_chromium

TABS = ("timeline", "program", "money", "lineage", "log", "output", "errors", "compare")
INKED = """(() => { const c = document.querySelector('.lanes canvas'), g = c.getContext('2d');
  const d = g.getImageData(180, 84, c.width - 180, c.height - 84).data, seen = new Set();
  for (let i = 0; i < d.length; i += 4) seen.add(d[i] + ',' + d[i + 1] + ',' + d[i + 2]); return [...seen]; })()"""


async def picture(browser: Browser, name: str) -> None:
    folder = os.environ.get("RLM_WASM_SCREENSHOTS")
    if folder:
        await browser.picture(Path(folder) / f"{name}.png")


async def opened(browser: Browser, tmp_path: Path, records: list[Record]) -> None:
    path = tmp_path / "report.html"
    path.write_text(report(records), encoding="utf-8")
    await browser.open(path)


CASES = {
    "needle": "finished",
    "survey": "finished",
    "race": "ok",
    "retry": "finished",
    "recursion": "finished",
    "failed": "error",
    "hostile": "finished",
    "empty": "empty",
}


@pytest.mark.parametrize("dark", [False, True])
async def test_every_view_of_every_case_is_shown_without_a_complaint(dark: bool, tmp_path: Path) -> None:
    chosen = list(CASES)[4:] if dark else list(CASES)[:4]
    told = await asyncio.gather(*map(scenarios.scenario, chosen))
    async with Browser(dark=dark) as browser:
        for name, records in zip(chosen, told, strict=True):
            await opened(browser, tmp_path, records)
            for tab in TABS:
                await browser.js(f"document.getElementById('tab-{tab}').click()")
                await browser.settle()
                assert await browser.js(f"!document.getElementById('panel-{tab}').hidden")
                await picture(browser, f"{name}-{tab}")
            assert await browser.js("document.getElementById('status').textContent") == CASES[name]
            assert await browser.js("window.hit") is None
        assert browser.said == []
        asked = [url for url in browser.requested if not url.startswith("file:") and url != "about:blank"]
        assert asked == [], "it works offline"


async def test_calls_are_bars_in_the_colours_of_their_models(tmp_path: Path) -> None:
    async with Browser() as browser:
        await opened(browser, tmp_path, await scenarios.scenario("needle"))
        seen = await browser.js(INKED)
        assert "0,114,178" in seen, "the first model's colour"
        assert "230,159,0" in seen, "the second's"
        assert await browser.js("document.querySelector('.lanes canvas').getAttribute('aria-label')") != ""


async def test_a_click_on_a_bar_opens_the_call_s_texts(tmp_path: Path) -> None:
    async with Browser() as browser:
        await opened(browser, tmp_path, await scenarios.scenario("needle"))
        at = await browser.js(
            "(() => { const t = rlmView.views.timeline, r = t.canvas.getBoundingClientRect(), c = t.run.list[1];"
            "const v = t.view, x = 168 + ((c.sent + c.end) / 2 - v.from) / (v.to - v.from) * (t.width - 168);"
            "return [r.x + x, r.y + 84 + c.lane * 20 + 10]; })()"
        )
        await browser.mouse("mouseMoved", *at)
        await browser.settle()
        assert "call 2" in await browser.js("document.getElementById('tip').textContent")
        await browser.click(*at)
        text = await browser.js(
            "document.getElementById('dialog').open && document.getElementById('dialog').textContent"
        )
        assert "Call 2" in text
        assert "the context, characters 600 to 1,200" in text
        await picture(browser, "call")
        await browser.key("Escape", 27)
        assert not await browser.js("document.getElementById('dialog').open")


async def test_it_is_used_by_keyboard(tmp_path: Path) -> None:
    async with Browser() as browser:
        await opened(browser, tmp_path, await scenarios.scenario("survey"))
        await browser.js("document.getElementById('tab-timeline').focus()")
        await browser.key("ArrowRight", 39)
        assert await browser.js("document.activeElement.id") == "tab-program"
        await browser.key("Home", 36)
        await browser.js("document.querySelector('.lanes').focus()")
        before = await browser.js("rlmView.views.timeline.view.to - rlmView.views.timeline.view.from")
        await browser.key("+")
        after = await browser.js("rlmView.views.timeline.view.to - rlmView.views.timeline.view.from")
        assert after < before
        for _ in range(3):
            await browser.key("ArrowDown", 40)
        await browser.key("Enter", 13)
        assert "Call 3" in await browser.js("document.getElementById('dialog').textContent")


async def test_screen_readers_get_names_roles_and_tables(tmp_path: Path) -> None:
    async with Browser() as browser:
        await opened(browser, tmp_path, await scenarios.scenario("survey"))
        for tab in TABS:
            await browser.js(f"rlmView.choose('{tab}')")
            await browser.settle()
            nameless = await browser.js(
                "[...document.querySelectorAll('button, select, input, [role=img], [role=grid], meter')]"
                ".filter((e) => e.offsetParent && !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))"
                ".map((e) => e.outerHTML.slice(0, 80))"
            )
            assert nameless == [], tab
        await browser.js("rlmView.choose('timeline')")
        await browser.settle()
        assert await browser.js("document.querySelector('[role=grid]').getAttribute('aria-rowcount')") == "62"
        assert await browser.js("document.querySelectorAll('[role=grid] [role=columnheader]').length") > 5


async def test_the_program_shows_how_many_calls_came_from_a_line_and_filters_by_it(tmp_path: Path) -> None:
    async with Browser() as browser:
        await opened(browser, tmp_path, await scenarios.scenario("survey"))
        await browser.js("rlmView.choose('program')")
        await browser.settle()
        line = "[...document.querySelectorAll('.codeline')][1]"
        assert "60 calls" in await browser.js(f"{line}.textContent")
        assert await browser.js("document.querySelectorAll('.hl-k').length") > 0
        await browser.js(f"{line}.querySelector('button').click()")
        await browser.settle()
        assert await browser.js("rlmView.views.timeline.found.textContent") == "60 of 61 calls"


async def test_a_part_of_the_answer_leads_to_its_call_and_the_chunk_of_the_context(tmp_path: Path) -> None:
    async with Browser() as browser:
        await opened(browser, tmp_path, await scenarios.scenario("recursion"))
        await browser.js("rlmView.choose('lineage')")
        await browser.settle()
        assert await browser.js("document.querySelectorAll('.part').length") >= 1
        await browser.js("document.querySelector('.part').click()")
        await browser.settle()
        text = await browser.js("document.querySelector('#panel-lineage').textContent")
        assert "the context, characters" in text


async def test_ten_thousand_calls_stay_smooth(tmp_path: Path) -> None:
    """Few elements are in the page, and a picture costs a bounded number of strokes, whatever the clock says."""
    async with Browser() as browser:
        await opened(browser, tmp_path, scenarios.many())
        await picture(browser, "many-timeline")
        assert await browser.js("rlmView.views.timeline.found.textContent") == "10,000 of 10,000 calls"
        assert await browser.js("document.querySelectorAll('*').length") < 1_500
        strokes = await browser.js(
            "(() => { const g = rlmView.views.timeline.canvas.getContext('2d'); let n = 0;"
            "const fill = g.fillRect; g.fillRect = function (...a) { n++; return fill.apply(this, a); };"
            "rlmView.views.timeline.draw(); delete g.fillRect; return n; })()"
        )
        assert strokes < 8_000
        for tab in ("money", "log", "program"):
            await browser.js(f"rlmView.choose('{tab}')")
            await browser.settle()
            await picture(browser, f"many-{tab}")
        await browser.js("rlmView.choose('log')")
        await browser.settle()
        grid = "rlmView.views.log.grid"
        await browser.js(f"{grid}.node.scrollTop = 1e9")
        await browser.settle()
        assert await browser.js(f"{grid}.body.lastChild.getAttribute('aria-rowindex')") == "30043"
        assert await browser.js(f"{grid}.body.children.length") < 100
        assert browser.said == []


async def test_a_run_that_goes_on_is_shown_live(tmp_path: Path) -> None:
    gate = GatedProvider(bracketed)
    program = '(define (ask x)\n  (llm-query-async #:instruction "q" #:data x))\n(map-async ask (list "a" "b" "c") #:max-concurrent 2)'
    async with Runtime(provider=gate) as runtime, Browser() as browser:
        viewer = await runtime.viewer()
        await browser.open(viewer.url)
        assert await browser.js("document.getElementById('status').textContent") == "no run yet"
        task = asyncio.create_task(runtime.run(program))
        await gate.arrived(2)
        await browser.until("document.getElementById('status').textContent === 'running'")
        await browser.until("rlmView.current.list.length === 2")
        stats = await browser.js("document.getElementById('stats').textContent")
        assert "0 of 3" in stats, "what map-async announced is in the total"
        await browser.js("rlmView.choose('program')")
        await browser.until("document.querySelectorAll('.codeline.waiting').length === 2")
        waiting = "[...document.querySelectorAll('.codeline.waiting')].map((line) => line.textContent)"
        asks, maps = await browser.js(waiting)
        assert "2 calls, 2 waiting" in asks
        assert "the program waits for 2 handles" in maps
        await picture(browser, "live-program")
        gate.release_all()
        await gate.arrived(1)
        gate.release_all()
        await task
        await browser.until("document.getElementById('status').textContent === 'ok'")
        assert await browser.js("document.querySelectorAll('.codeline.waiting').length") == 0
        assert browser.said == []
        assert (
            await browser.js("getComputedStyle(document.querySelector('header')).borderBottomStyle")
            == "solid"
        )


async def test_a_line_that_only_awaits_is_marked_while_it_waits() -> None:
    gate = GatedProvider(bracketed)
    program = (
        '(define h (llm-query-async #:instruction "q"))\n(define s (spawn (lambda ()\n  (sleep 600))))\n'
        '(await h)\n(cancel s)\n(await-all (list (spawn (lambda () (llm-query #:instruction "r")))))'
    )
    async with Runtime(provider=gate) as runtime, Browser() as browser:
        viewer = await runtime.viewer()
        await browser.open(viewer.url)
        task = asyncio.create_task(runtime.run(program))
        await gate.arrived(1)
        await browser.until("rlmView.current && rlmView.current.list.length === 1")
        await browser.js("rlmView.choose('program')")
        numbers = "[...document.querySelectorAll('.codeline.waiting .no')].map((no) => no.textContent).join()"
        await browser.until(f"{numbers} === '1,3,4'")
        said = await browser.js("document.querySelectorAll('.codeline')[3].textContent")
        assert "the program waits for llm-query-async call" in said
        assert "(waiting here)" in said, "screen readers are told, too"
        gate.release_all()
        await gate.arrived(1)
        await browser.until(f"{numbers} === '6'")
        assert "the program waits for 1 handles" in await browser.js(
            "document.querySelectorAll('.codeline')[5].textContent"
        )
        gate.release_all()
        await task
        await browser.until("document.querySelectorAll('.codeline.waiting').length === 0")
        assert browser.said == []


async def test_a_run_that_goes_on_takes_nobody_the_keyboard_and_says_nothing_twice() -> None:
    """Screen readers read out what is written into a status or an alert, and a button that is made anew loses its focus."""
    gate = GatedProvider(bracketed)
    program = '(define (ask x)\n  (llm-query-async #:instruction "q" #:data x))\n(map-async ask (list "a" "b" "c") #:max-concurrent 1)'
    async with Runtime(provider=gate) as runtime, Browser() as browser:
        viewer = await runtime.viewer()
        await browser.open(viewer.url)
        task = asyncio.create_task(runtime.run(program))
        await gate.arrived(1)
        await browser.until("rlmView.current && rlmView.current.list.length === 1")
        await browser.js("rlmView.choose('program')")
        await browser.until("document.querySelector('.chips button') !== null")
        await browser.js(
            "(() => { document.querySelector('.chips button').focus(); window.written = 0;"
            "const seen = new MutationObserver((all) => { window.written += all.length; });"
            "for (const id of ['status', 'troubles', 'runs']) seen.observe(document.getElementById(id), { childList: true, characterData: true, subtree: true }); })()"
        )
        gate.release()
        await gate.arrived(1)
        await browser.until(
            "rlmView.current.list.length === 2 && rlmView.views.program.drawn === rlmView.current.version"
        )
        assert "2 calls" in await browser.js("document.activeElement.textContent")
        assert await browser.js("window.written") == 0
        gate.release()
        await gate.arrived(1)
        gate.release()
        await task
        await browser.until("document.getElementById('status').textContent === 'ok'")
        assert await browser.js("document.activeElement.closest('.codeline') !== null")
        assert browser.said == []


async def test_hostile_texts_are_shown_as_they_are(tmp_path: Path) -> None:
    async with Browser() as browser:
        await opened(browser, tmp_path, await scenarios.scenario("hostile"))
        for number in range(1, 11):
            await browser.js(f"rlmView.open(rlmView.current.calls.get({number}), rlmView.current.list)")
            await browser.settle()
            shown = await browser.js("document.getElementById('dialog').textContent")
            text = scenarios.HOSTILE_TEXTS[number - 1].split("\x00")[0].split("\ud800")[0]
            assert text in shown
        assert await browser.js("window.hit") is None
        elements = await browser.js(
            "document.querySelectorAll('svg, img, iframe, #dialog script, #dialog style, b, i').length"
        )
        assert elements == 0
        refused = await browser.js(
            "new Promise((done) => { document.addEventListener('securitypolicyviolation', () => done('refused'));"
            "const s = document.createElement('script'); s.textContent = 'window.hit = 99'; document.body.append(s);"
            "setTimeout(() => done(window.hit), 2000); })"
        )
        assert refused == "refused", "and were a script to get in, it would not run"


async def test_no_field_of_any_record_can_become_markup_or_stop_the_page(tmp_path: Path) -> None:
    """The name, the model, the error, limits and warnings, statuses: everything that a log can hold."""
    texts = [*scenarios.HOSTILE_TEXTS, "__proto__", "constructor", "x" * 20_000, "a\r\nb\tc"]
    records: list[Record] = []
    for number, text in enumerate(texts):
        records += scenarios.hostile_everywhere(f"{number:016x}", text, ended=number % 3 != 0)
    async with Browser() as browser:
        await opened(browser, tmp_path, records)
        calm = await browser.js("document.querySelectorAll('*').length")
        for number in range(len(texts)):
            await browser.js(
                f"(() => {{ const s = document.getElementById('runs'); s.value = '{number:016x}'; s.dispatchEvent(new Event('change')); }})()"
            )
            for tab in TABS:
                await browser.js(f"rlmView.choose('{tab}')")
                await browser.settle()
            await browser.js(
                "rlmView.current.records.forEach((record) => rlmView.record(record, rlmView.current))"
            )
            await browser.js("document.getElementById('dialog').close()")
        await browser.js("rlmView.choose('errors')")
        await browser.settle()
        found = "document.querySelectorAll('svg, img, iframe, object, b, i, main script, main style, dialog script').length"
        assert await browser.js(found) == 0
        assert await browser.js("window.hit") is None
        assert await browser.js("document.querySelectorAll('*').length") < calm + 2_000
        assert browser.said == []


async def test_a_log_of_anything_can_be_compared_with(tmp_path: Path) -> None:
    """A file that is chosen in the page is read by the page itself: what is no record is counted, the rest is shown."""
    odd: list[Any] = [None, 5, "x", [], {}, [1], {"text": 5}, -1, 1e99, True]
    lines = [
        "no json",
        "[1, 2]",
        "{",
        '{"type": 5, "run": "b", "at": 1}',
        '{"type": "run_ended", "run": "b"}',
    ]
    for kind in RECORDS:
        names = [field.name for field in fields(kind) if field.name not in ("run", "at")]
        lines += [
            json.dumps({"type": kind.TYPE, "run": "b", "at": 2.0, **dict.fromkeys(names, value)})
            for value in odd
        ]
    lines.append('{"type": "run_started", "run": "b", "at": 1, "version": 99, "program": "(car 5)"}')
    async with Browser() as browser:
        await opened(browser, tmp_path, await scenarios.scenario("race"))
        await browser.js("rlmView.choose('compare')")
        await browser.settle()
        text = json.dumps("\n".join(lines))
        await browser.js(
            f"(() => {{ const c = rlmView.views.compare; Object.defineProperty(c.file, 'files', {{ value: [new File([{text}], 'x.jsonl')] }}); return c.load(); }})()"
        )
        assert "lines could not be read" in await browser.js("rlmView.views.compare.said.textContent")
        await browser.js("rlmView.views.compare.grid.rows.forEach((pair) => rlmView.pair(pair))")
        await browser.js("document.getElementById('dialog').close()")
        for tab in TABS:  # and shown as a run of its own
            await browser.js(f"rlmView.current = rlmView.views.compare.other; rlmView.choose('{tab}')")
            await browser.settle()
        await browser.js(
            "rlmView.current.records.forEach((record) => rlmView.record(record, rlmView.current))"
        )
        assert browser.said == []


@pytest.mark.parametrize("old", [False, True])
async def test_a_part_of_the_value_leads_to_the_call_that_wrote_it(old: bool, tmp_path: Path) -> None:
    """By what the program said, also where two calls answered the same; of an older log by comparing texts."""
    records = await scenarios.records_of(
        '(define (ask x) (syntax-e (llm-query #:instruction "Say" #:data x #:model "small")))\n'
        '(define one (ask "one")) (define two (ask "two"))\n'
        '(define both (syntax-e (llm-query #:instruction (string-append "Join " one))))\n'
        '(finish (string-append "😀 own; " two "; " one "; " both))',
        InlineProvider(lambda request: "joined" if "Join" in request.instruction else "the same"),
    )
    if old:
        records = [replace(r, parts=()) if isinstance(r, RunEnded) else r for r in records]
    async with Browser() as browser:
        await opened(browser, tmp_path, records)
        await browser.js("rlmView.choose('lineage')")
        await browser.settle()
        shown = "[...document.querySelectorAll('.part')].map((part) => part.textContent + ' = ' + part.title)"
        if old:
            assert await browser.js(f"{shown}[2]") == "joined = call 3"
            assert "does not say which part is whose" in await browser.js(
                "rlmView.views.lineage.node.textContent"
            )
            return
        assert await browser.js(shown) == ["the same = call 2", "the same = call 1", "joined = calls 1, 3"]
        trail = "document.querySelector('[aria-live=polite]').textContent"
        for number, call in ((0, "call 2 ·"), (1, "call 1 ·"), (2, "call 3 ·")):
            await browser.js(f"document.querySelectorAll('.part')[{number}].click()")
            heading = await browser.js("document.querySelector('[aria-live=polite] h3').textContent")
            assert heading.startswith(call)
            assert await browser.js("document.querySelectorAll('[aria-live=polite] h3').length") == 1
        assert "Its prompt has texts of call 1" in await browser.js(trail)
        assert browser.said == []


async def test_two_runs_are_compared(tmp_path: Path) -> None:
    first, second = await scenarios.scenario("needle"), await scenarios.scenario("needle")
    async with Browser() as browser:
        await opened(browser, tmp_path, [*first, *second])
        await browser.js("rlmView.choose('compare')")
        await browser.settle()
        other: Any = first[0].run
        await browser.js(
            f"(() => {{ const c = rlmView.views.compare.choice; c.value = '{other}'; c.dispatchEvent(new Event('change')); }})()"
        )
        await browser.until("rlmView.views.compare.grid.rows.length === 4")
        text = await browser.js("document.querySelector('#panel-compare').textContent")
        assert "the same" in text
        await picture(browser, "compare")

"""Programs in notebooks: ``%%rlm`` cells in a real kernel, and the HTML of results without one."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from typing import Any

import pytest

from rlm_wasm import Execution, Result, Runtime, UsageError
from rlm_wasm.notebook import Cells, Report, options_of
from rlm_wasm.results import ErrorInfo
from rlm_wasm.runlog.events import CallEnded, CallQueued, Record, RunStarted, Text
from rlm_wasm.runlog.story import stories

HOSTILE = '</pre><script>alert(1)</script><img src=x onerror="alert(2)">'


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_a_result_is_shown_as_text_and_never_as_markup() -> None:
    result = Result(
        status="error",
        value=HOSTILE,
        stdout=HOSTILE,
        stderr=HOSTILE,
        error=ErrorInfo(type="x", message=HOSTILE),
        execution=Execution(calls=2, tokens=30),
        warnings=(HOSTILE,),
    )
    shown = result._repr_html_()
    assert Tags(shown).seen == {"p", "b", "div", "pre"}
    assert "2 calls, 30 tokens" in shown
    assert len(Result(status="ok", value="x" * 10**6)._repr_html_()) < 11_000


def test_a_report_has_bars_and_a_table_of_the_calls_without_any_script() -> None:
    records: list[Record] = [RunStarted(run="aa", at=1.0)]
    for number in range(300):
        records.append(CallQueued(run="aa", at=1.0, call=number, model=HOSTILE, data=Text(HOSTILE), line=2))
        records.append(CallEnded(run="aa", at=2.0, call=number, model=HOSTILE, status="failed"))
    [story] = stories(records).values()
    shown = Report(Result(status="ok", value="5"), story)._repr_html_()
    tags = Tags(shown)
    assert not tags.seen & {"script", "img", "style", "iframe", "a"}
    assert not [name for name in tags.attributes if name.startswith("on") or name in ("href", "src")]
    assert shown.count("<rect") == 200
    assert "and 100 more" in shown


def test_the_options_of_a_cell_are_read() -> None:
    options = options_of(
        "--provider echo -c text --context b=other --timeout 5 --into x", {"text": "A", "other": "B"}
    )
    assert options == {
        "runtime": {"provider": "echo"},
        "contexts": {None: "A", "b": "B"},
        "timeout_s": 5.0,
        "into": "x",
        "reset": False,
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--colour red", "is no option"),
        ("--model", "needs a value"),
        ("-c nothing", "a variable that holds a str"),
        ("--timeout soon", "takes seconds"),
    ],
)
def test_wrong_options_are_told_in_a_sentence(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        options_of(line, {})


def test_cells_share_a_session_and_know_its_names() -> None:
    cells = Cells()
    try:
        assert cells.names() == []
        running, _ = cells.begin("(define (my-own x) x)", {}, None, {"provider": "echo"})
        assert running.result(60).ok
        assert {"my-own", "map-async"} <= set(cells.names())
        running, _ = cells.begin('(llm-query #:instruction (my-own "a"))', {None: "text"}, None, {})
        assert running.result(60).ok
        story = cells.story()
        assert story is not None
        assert len(story.calls) == 1
        cells.reset()
        running, _ = cells.begin("(my-own 1)", {}, None, {"provider": "echo"})
        assert running.result(60).status == "error"
    finally:
        cells.close()


def test_an_error_in_a_procedure_of_an_earlier_cell_names_that_cell() -> None:
    cells = Cells()
    try:
        told = []
        for cell in ('(define (check x)\n  (error "bad" x))', "\n\n(check 1)", "\n(car 5)"):
            running, _ = cells.begin(cell, {}, None, {"provider": "echo"})
            told.append(str(running.result(60).error))
    finally:
        cells.close()
    assert told[1] == "bad 1 (program 1, line 2, column 3)"
    assert told[2].endswith("\n(line 2, column 1)")


async def test_a_result_of_a_run_has_an_html_form() -> None:
    async with Runtime(provider="echo") as runtime:
        assert "<pre>3</pre>" in (await runtime.run("(+ 1 2)"))._repr_html_()


CELLS = [
    "%load_ext rlm_wasm",
    "text = 'The first line.'",
    '%%rlm --provider echo --context text --into out\n(define (ask x) (llm-query-async #:instruction "q" #:data x))\n'
    '(finish (string-join (map-async ask (list "a" "b")) ","))',
    "assert out.status == 'finished' and out.value == 'a,b', out",
    "%%rlm\n(ask context)\n(finish context)",
    '%%rlm\n(error "no luck" 7)',
    "%%rlm --wrong x\n1",
    "from IPython.core.completer import provisionalcompleter\n"
    "with provisionalcompleter():\n"
    "    print([c.text for c in get_ipython().Completer.completions('%%rlm\\n(map-as', 13)])",
    "%unload_ext rlm_wasm",
]


def test_a_notebook_is_executed() -> None:
    """By nbclient, in a kernel of its own."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    import nbformat
    from jupyter_client import KernelManager
    from jupyter_client.kernelspec import KernelSpec

    class Manager(KernelManager):
        @property
        def kernel_spec(self) -> Any:
            return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=120, kernel_manager_class=Manager).execute()

    def html(cell: int) -> str:
        return "".join(
            output["data"].get("text/html", "")
            for output in notebook.cells[cell].outputs
            if output.output_type == "execute_result"
        )

    def printed(cell: int) -> str:
        return "".join(
            output.text for output in notebook.cells[cell].outputs if output.output_type == "stream"
        )

    assert "<svg" in html(2)
    assert "<pre>a,b</pre>" in html(2)
    assert "2 calls" in html(2)
    assert "The first line." in html(4), "definitions and contexts stay"
    assert "no luck 7" in html(5)
    assert "is no option" in printed(6)
    assert "map-async" in printed(7)

"""Results as structured content, and as text that reads well; either within a bound, and with a mark."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rlm_wasm.data import MAX_DECIMAL_BITS, json_form, json_text
from rlm_wasm.mcp.clients import uri_of_named
from rlm_wasm.providers.info import info_of
from rlm_wasm.results import ErrorInfo, Execution, Result, used_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rlm_wasm.mcp.session_queue import SessionQueue
    from rlm_wasm.runtime import Runtime

_MARK: Final = 400
"""Characters that are kept free for the mark of a cut."""

_FRAME: Final = 1_000
"""Characters of a text beside what a program makes: headings, places, what was used."""

_SHORT: Final = 200
_ITEMS: Final = 8
_NAMES: Final = 3
_MAX_DEPTH: Final = 64
"""Of data: many readers of JSON take no more than about a hundred levels."""


def rest_of(queue: SessionQueue, run: int) -> str:
    """The URI of a run, where the rest of what was cut can be read."""
    uri = f"rlm://runs/{run}"
    return uri_of_named(queue.key, uri) if queue.name is not None or queue.gives_key else uri


def structured(result: Result, max_chars: int | None = None, rest: str = "") -> dict[str, Any]:
    """The Result without what is empty.

    ``most`` characters at the most are in its texts, and as many in its data; ``rest`` is the URI that
    marks of cuts name.
    """
    texts = {"value": result.in_write_form(), "stdout": result.stdout, "stderr": result.stderr}
    if result.error is not None:
        texts = {"error": result.error.message, **texts}
    cut = list(result.truncated)
    error = None if result.error is None else _error(result.error, max_chars)
    execution = _used(result.execution, cut, max_chars)
    if max_chars is not None:
        texts = _within(
            texts, max_chars - _FRAME - len(json_text(error)) - len(json_text(execution)), rest, cut
        )
    content: dict[str, Any] = {"status": result.status, "value": texts["value"], "stdout": texts["stdout"]}
    if result.stderr:
        content["stderr"] = texts["stderr"]
    if isinstance(result.data, dict | list | tuple) and "value" not in result.truncated:
        data = json_form(result.data)
        if max_chars is None or _fits(data, max_chars):
            content["data"] = data
        else:
            cut.append("data")
    if error is not None:
        content["error"] = {**error, "message": texts["error"]}
    if cut:
        content["truncated"] = cut
    if result.rolled_back:
        content["rolled_back"] = True
    if result.warnings:
        content["warnings"] = list(result.warnings)
    content["execution"] = execution
    return content


def _used(used: Execution, cut: list[str], max_chars: int | None) -> dict[str, Any]:
    """What was used, without the noise of floats; of models, whose names others chose, a bounded part."""
    form: dict[str, Any] = json_form(replace(used, models={}))
    form["elapsed"] = round(used.elapsed, 3)
    form["cost_usd"] = _usd(used.cost_usd)
    items, short = (
        (_ITEMS, _SHORT)
        if max_chars is None
        else (min(_ITEMS, max_chars // 2_000), min(_SHORT, max_chars // 160))
    )
    for name, model in [*used.models.items()][:items]:
        asked_for = [text[:short] for text in model.asked_for[:_NAMES]]
        shown = {**json_form(model), "cost_usd": _usd(model.cost_usd), "asked_for": asked_for}
        form["models"][name[:short]] = shown
    if len(used.models) > items:
        cut.append("models")
    return form


def _usd(cost: float | None) -> float | None:
    return None if cost is None else round(cost, 12)


def about_answers(result: Result, runtime: Runtime) -> dict[str, str]:
    """``answers``: what to know of calls that no language model answered; nothing where one did."""
    if result.execution.provider is None:
        return {}
    info = info_of(runtime.grants.provider())
    if info.language_model:
        return {}
    said = (
        f"{info.name} is no language model, whatever model was asked for: judge its answers by that. The"
        " server has one where it is started with OPENAI_API_KEY set, or with --provider."
    )
    return {"answers": said}


def _error(error: ErrorInfo, max_chars: int | None) -> dict[str, Any]:
    """An error without its message; its other texts have a third of ``most`` together."""
    short = _SHORT if max_chars is None else min(_SHORT, max_chars // 80)
    form = json_form(replace(error, message=""))
    form["irritants"] = [text[:short] for text in error.irritants[:_ITEMS]]
    form["backtrace"] = [text[:short] for text in error.backtrace[:_ITEMS]]
    for name in ("type", "hint", "source", "kind"):
        form[name] = form[name] and form[name][: short * 2]
    return {key: value for key, value in form.items() if value not in (None, [], "")}


def to_text(result: Result, max_chars: int | None = None, rest: str = "") -> str:
    """The outcome first, then what was printed, then what it took; ``most`` characters at the most."""
    texts = {"outcome": _outcome(result), "stdout": result.stdout.rstrip(), "stderr": result.stderr.rstrip()}
    cut: list[str] = list(result.truncated)
    if max_chars is not None:
        texts = _within(texts, max_chars - _FRAME, rest, [])
    parts = [texts["outcome"]]
    if result.stdout:
        parts.append(f"stdout:\n{texts['stdout']}")
    if result.stderr:
        parts.append(f"stderr:\n{texts['stderr']}")
    if cut:
        parts.append(f"cut at the output limit: {', '.join(cut)}")
    if result.rolled_back:
        parts.append("everything that this program did was undone: its instance was lost")
    if result.warnings:
        parts.append("\n".join(f"warning: {text}" for text in result.warnings))
    parts.append(f"[{used_line(result.execution)}]")
    return "\n\n".join(parts)


def with_news(text: str, told: Mapping[str, str]) -> str:
    """The text, with what ``SessionQueue.told`` and ``about_answers`` say."""
    if "answers" in told:
        text = f"{text}\n[{told['answers']}]"
    if "notice" in told:
        text = f"{told['notice']}\n\n{text}"
    if "session" in told:
        text = f'{text}\n\n[session {told["session"]}: send it as "session" to go on in it]'
    return text


def _outcome(result: Result) -> str:
    if result.error is not None:
        backtrace = "".join(f"\n  in {frame[:_SHORT]}" for frame in result.error.backtrace[:8])
        return f"{result.status}: {result.error}{backtrace}"
    if result.status == "cancelled":
        return "cancelled: the program was ended from outside; the session is usable"
    return f"{result.status}: {result.in_write_form()}" if result.value else result.status


def _within(texts: dict[str, str], max_chars: int, rest: str, cut: list[str]) -> dict[str, str]:
    """The texts, the first ones rather whole than the last; ``cut`` gets the names of those that were cut."""
    kept: dict[str, str] = {}
    left = max_chars
    following = [min(len(text), _MARK) for text in texts.values()]
    for number, (name, text) in enumerate(texts.items()):
        room = left - sum(following[number + 1 :])
        if len(text) > room:
            end = max(room - _MARK, 0)
            part = "value" if name == "outcome" else name
            where = f"; read {rest}/{part}/{end}" if rest and part != "error" else ""
            slice_ = ", or give out a slice such as (substring text 0 8000)" if part == "value" else ""
            text = f"{text[:end]}\n… [cut: {len(text) - end:,} more characters{where}{slice_}]"
            if name not in cut:
                cut.append(name)
        kept[name] = text
        left -= len(text)
    return kept


def _fits(data: Any, max_chars: int) -> bool:
    """Whether a client can take the data: as JSON not too long, too deep, or with numbers too large."""
    left = max_chars
    work = [(data, 1)]
    while work:
        item, depth = work.pop()
        if isinstance(item, dict | list):
            left -= 2
            if depth > _MAX_DEPTH or len(item) > left:
                return False
            inside = item.values() if isinstance(item, dict) else item
            left -= sum(map(len, item)) if isinstance(item, dict) else 0
            work.extend((inner, depth + 1) for inner in inside)
        elif isinstance(item, str):
            left -= len(item) + 4
        elif isinstance(item, int) and item.bit_length() > MAX_DECIMAL_BITS:
            return False
        else:
            left -= 4
        if left < 0:
            return False
    return len(json_text(data)) <= max_chars


def newest(entries: list[dict[str, Any]], max_chars: int) -> list[dict[str, Any]]:
    """The last entries of a log, as far as they have ``most`` characters as JSON; one at the least."""
    chosen: list[dict[str, Any]] = []
    for entry in reversed(entries):
        form = json_form(entry)
        max_chars -= len(json.dumps(form, ensure_ascii=False))
        if max_chars < 0 and chosen:
            break
        chosen.append(form)
    return chosen[::-1]


def shortened(value: Any, max_chars: int) -> dict[str, Any]:
    """A table or record, its long texts and lists cut until it has at most ``most`` characters as JSON."""
    form: dict[str, Any] = json_form(value)
    text, items = 2_000, 2_000
    while len(json_text(form, indent=1)) > max_chars and items > 1:
        text, items = text // 2, items // 2
        form = {name: _cut(field, text, items) for name, field in json_form(value).items()}
    return form


def _cut(value: Any, text: int, items: int) -> Any:
    if isinstance(value, str) and len(value) > text:
        return f"{value[:text]}…"
    if isinstance(value, list):
        if len(value) > items and all(isinstance(item, str) for item in value):
            value = [*value[:items], f"… {len(value) - items:,} more"]
        return [_cut(item, text, items) for item in value[: items + 1]]
    if isinstance(value, dict):
        return {name[:text]: _cut(item, text, items) for name, item in list(value.items())[:items]}
    return value


def log_lines(entries: list[dict[str, Any]], first: int = 1) -> str:
    """The scope log, an entry a line."""
    if not entries:
        return "the log is empty"
    lines = []
    for number, entry in enumerate(entries, first):
        rest = {k: v for k, v in entry.items() if k not in ("op", "datum_preview", "scope") and v is not None}
        more = " ".join(f"{key}={value}" for key, value in rest.items())
        preview = str(entry["datum_preview"]).replace("\n", "⏎")
        lines.append(f"{number} {entry['op']} [{entry['scope']}] {more}{' ' if more else ''}{preview}")
    return "\n".join(lines)


def as_json(value: Any) -> str:
    """For people: indented."""
    return json_text(json_form(value), indent=1)

"""Results as structured content, and as text that reads well."""

from __future__ import annotations

import json
from typing import Any

from rlm_wasm.data import json_form
from rlm_wasm.results import Result, summary


def structured(result: Result) -> dict[str, Any]:
    """The Result without what is empty."""
    execution = json_form(result.execution)
    content: dict[str, Any] = {"status": result.status, "value": result.value, "stdout": result.stdout}
    if result.stderr:
        content["stderr"] = result.stderr
    if isinstance(result.data, dict | list | tuple) and "value" not in result.truncated:
        content["data"] = json_form(result.data)
    if result.error is not None:
        error = json_form(result.error)
        content["error"] = {k: v for k, v in error.items() if v not in (None, [], "")}
    if result.truncated:
        content["truncated"] = list(result.truncated)
    if result.rolled_back:
        content["rolled_back"] = True
    if result.warnings:
        content["warnings"] = list(result.warnings)
    execution["elapsed"] = round(execution["elapsed"], 3)
    content["execution"] = execution
    return content


def to_text(result: Result) -> str:
    """The outcome first, then what was printed, then what it took."""
    parts = [_outcome(result)]
    if result.stdout:
        parts.append(f"stdout:\n{result.stdout.rstrip()}")
    if result.stderr:
        parts.append(f"stderr:\n{result.stderr.rstrip()}")
    if result.truncated:
        parts.append(f"cut at the output limit: {', '.join(result.truncated)}")
    if result.rolled_back:
        parts.append("everything that this program did was undone: its instance was lost")
    if result.warnings:
        parts.append("\n".join(f"warning: {text}" for text in result.warnings))
    parts.append(f"[{summary(result.execution)}]")
    return "\n\n".join(parts)


def _outcome(result: Result) -> str:
    if result.error is not None:
        backtrace = "".join(f"\n  in {frame}" for frame in result.error.backtrace[:8])
        return f"{result.status}: {result.error}{backtrace}"
    if result.status == "cancelled":
        return "cancelled: the program was ended from outside; the session is usable"
    return f"{result.status}: {result.value}" if result.value else result.status


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
    return json.dumps(json_form(value), ensure_ascii=False, indent=1)

"""Resources: the runs, logs and contexts of the connection's session, and the guide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import mcp_types as types

from rlm_wasm.data import json_form
from rlm_wasm.mcp import guide, render

if TYPE_CHECKING:
    from rlm_wasm.mcp.session_queue import SessionQueue
    from rlm_wasm.results import Result

MARKDOWN = "text/markdown"
JSON = "application/json"
PLAIN = "text/plain"
URIS = "text/uri-list"
VIEWER = "rlm://viewer"
MAX_CHARACTERS = 1_000_000
"""Of a context that is read as a resource: a program, not a client, is to read more."""

MAX_ENTRIES = 5_000
"""Of a log, the newest ones."""
PARTS = ("value", "stdout", "stderr")

_PAGES = {
    "rlm://guide": ("guide", "Usage guide", "Workflow, choosing patterns and models, common mistakes."),
    "rlm://api": ("api", "API reference", "Everything that a program may call, condensed."),
    "rlm://combinators": ("combinators", "Combinators", "Signatures and examples."),
}

_NUMBERED = {"patterns": guide.patterns, "recipes": guide.recipes, "scenarios": guide.scenarios}


def listed(queue: SessionQueue, viewer_url: str | None = None) -> list[types.Resource]:
    """What there is to read now.

    Runs are not listed one by one (rlm://runs does): clients fetch the list anew whenever it changes.
    """
    listing = [
        _resource("rlm://status", "status", "Status", "What runs now.", JSON),
        _resource("rlm://log", "log", "Scope log", "The session's whole audit trail.", JSON),
        _resource("rlm://runs", "runs", "Runs", "The programs that ran in this session.", JSON),
    ]
    if viewer_url is not None:
        about = "The address of a page for people that shows the runs, live."
        listing.append(_resource(VIEWER, "viewer", "Viewer", about, URIS))
    for name, length in queue.session.state()["contexts"].items():
        listing.append(
            _resource(
                f"rlm://contexts/{quote(name, safe='')}",
                f"context-{name}",
                f"Context {name}",
                f"{length:,} characters.",
                PLAIN,
            )
        )
    for uri, (name, title, about) in _PAGES.items():
        listing.append(_resource(uri, name, title, about, MARKDOWN))
    for section in guide.sections().values():
        if section.name != "overview":
            uri, name = f"rlm://guide/{section.name}", f"guide-{section.name}"
            listing.append(_resource(uri, name, section.title, "A section of the usage guide.", MARKDOWN))
    for folder, entries in _NUMBERED.items():
        kind = folder.removesuffix("s")
        for entry in entries().values():
            title = f"{kind.capitalize()} {entry.id}: {entry.name}"
            uri = f"rlm://{folder}/{entry.id}"
            listing.append(_resource(uri, f"{kind}-{entry.id}", title, entry.summary, MARKDOWN))
    return listing


def templates() -> list[types.ResourceTemplate]:
    """The shapes of the URIs."""
    return [
        _template("rlm://runs/{run}", "run", "One program and its result.", JSON),
        _template("rlm://runs/{run}/{part}", "run-part", "Its value, stdout or stderr, uncut.", PLAIN),
        _template("rlm://runs/{run}/{part}/{start}", "run-part-from", "From a character on.", PLAIN),
        _template("rlm://sessions/{session}/runs/{run}", "session-run", "Of a named session.", JSON),
        _template("rlm://runs/{run}/log", "run-log", "What one program's calls were.", JSON),
        _template(
            "rlm://contexts/{context}", "context", "A loaded text (its first million characters).", PLAIN
        ),
        _template("rlm://guide/{section}", "guide-section", "A section of the usage guide.", MARKDOWN),
        _template("rlm://patterns/{pattern}", "pattern", "An orchestration pattern, 1 to 16.", MARKDOWN),
        _template("rlm://recipes/{recipe}", "recipe", "A combination of patterns, 1 to 5.", MARKDOWN),
        _template(
            "rlm://scenarios/{scenario}", "scenario", "A common task with its program, 1 to 6.", MARKDOWN
        ),
    ]


def session_of(uri: str) -> tuple[str | None, str]:
    """The named session that a URI is about, and the URI within it; None is the client's own session."""
    prefix = "rlm://sessions/"
    if not uri.startswith(prefix):
        return None, uri
    name, _, rest = uri.removeprefix(prefix).partition("/")
    return unquote(name) or None, f"rlm://{rest}"


def read(queue: SessionQueue, uri: str, viewer_url: str | None = None) -> types.TextResourceContents | None:
    """A resource's text; None where there is none."""
    if uri == VIEWER:
        return None if viewer_url is None else _text(uri, URIS, viewer_url)
    if uri in _PAGES:
        return _text(uri, MARKDOWN, guide.page(_PAGES[uri][0]))
    kind, *path = uri.removeprefix("rlm://").split("/") if uri.startswith("rlm://") else [""]
    if kind == "status" and not path:
        return _json(uri, queue.status())
    if kind == "log" and not path:
        return _json(uri, queue.scope_log()[-MAX_ENTRIES:])
    if kind == "runs":
        return _run(queue, uri, path)
    if kind == "contexts" and len(path) == 1:
        return _context(queue, uri, unquote(path[0]))
    if len(path) == 1 and kind in ("guide", *_NUMBERED):
        return _of_the_guide(uri, kind, path[0])
    return None


def _of_the_guide(uri: str, kind: str, name: str) -> types.TextResourceContents | None:
    """A section by its name, or a pattern, recipe or scenario by its number."""
    if kind == "guide":
        texts = {str(section.name): section.text for section in guide.sections().values()}
    else:
        texts = {str(entry.id): entry.text for entry in _NUMBERED[kind]().values()}
    return None if name not in texts else _text(uri, MARKDOWN, texts[name])


def _run(queue: SessionQueue, uri: str, path: list[str]) -> types.TextResourceContents | None:
    if not path:
        return _json(uri, [_run_line(run) for run in queue.runs.values()])
    run = queue.runs.get(int(path[0])) if path[0].isdecimal() else None
    if run is None:
        return None
    if path[1:] == ["log"]:
        until = run.log_to if run.result is not None else None
        entries = queue.scope_log()[run.log_from : until] if run.started_at else []
        return _json(uri, entries[-MAX_ENTRIES:])
    if path[1:]:
        return None if run.result is None else _part(uri, run.result, path[1:])
    result = None if run.result is None else render.structured(run.result)
    return _json(uri, {**_run_line(run), "code": run.code, "result": result})


def _part(uri: str, result: Result, path: list[str]) -> types.TextResourceContents | None:
    """A text of a result, from a character on."""
    name, *start = path
    if name not in PARTS or len(start) > 1 or (start and not start[0].isdecimal()):
        return None
    text = result.in_write_form() if name == "value" else str(getattr(result, name))
    at = int(start[0]) if start and len(start[0]) < 16 else 0
    end = at + MAX_CHARACTERS
    more = f"\n[… {len(text) - end:,} more characters: from {end} on]" if end < len(text) else ""
    return _text(uri, PLAIN, text[at:end] + more)


def _run_line(run: Any) -> dict[str, Any]:
    status = run.result.status if run.result is not None else "running" if run.started_at else "waiting"
    return {"id": run.id, "status": status, "asked_at": run.asked_at}


def _context(queue: SessionQueue, uri: str, name: str) -> types.TextResourceContents | None:
    text = queue.session.contexts.get(None if name == "context" else name)
    if text is None:
        return None
    if len(text) > MAX_CHARACTERS:
        text = text[:MAX_CHARACTERS] + f"\n[… {len(text) - MAX_CHARACTERS:,} more characters]"
    return _text(uri, PLAIN, text)


def _json(uri: str, value: Any) -> types.TextResourceContents:
    return _text(uri, JSON, render.as_json(json_form(value)))


def _text(uri: str, mime_type: str, text: str) -> types.TextResourceContents:
    return types.TextResourceContents(uri=uri, mime_type=mime_type, text=text)


def _resource(uri: str, name: str, title: str, about: str, mime_type: str) -> types.Resource:
    return types.Resource(uri=uri, name=name, title=title, description=about, mime_type=mime_type)


def _template(uri: str, name: str, about: str, mime_type: str) -> types.ResourceTemplate:
    return types.ResourceTemplate(uri_template=uri, name=name, description=about, mime_type=mime_type)

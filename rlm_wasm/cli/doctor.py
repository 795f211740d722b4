"""``rlm-wasm doctor``: what is installed, cached and reachable. Exit 0 when a run would work."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from rlm_wasm.cli import exits
from rlm_wasm.cli.environment import Command
from rlm_wasm.cli.report import print_json
from rlm_wasm.cli.terminal import echo
from rlm_wasm.errors import RlmError
from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.redaction import address_without_credentials, without_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rlm_wasm.store.sessions import StoredSession

Verdict = Literal["ok", "note", "bad"]

_CHIBI_FOLDERS: Final = ("/usr/share/chibi", "/usr/local/share/chibi")
_MARKS: Final = {"ok": ("✓", "green"), "note": ("·", "yellow"), "bad": ("✗", "red")}
_REACH_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``bad`` means that a run would not work."""

    name: str
    verdict: Verdict
    text: str


@click.command(cls=Command)
@click.option("--base-url", metavar="U", help="Also try this server.")
@click.option("--offline", is_flag=True, help="Reach for no server.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, /, base_url: str | None, *, offline: bool, as_json: bool) -> None:
    """Say what is installed, cached and reachable.

    Exit status 0 where a run would work, 1 where it would not.
    """
    findings = []
    for check in (_python, _packages, _guest, _run, _python_guest, _cache, _libraries, _sessions):
        findings += _checked(check)
    findings += _checked(lambda: _providers(base_url, offline=offline))
    bad = any(finding.verdict == "bad" for finding in findings)
    if as_json:
        rows = [{"name": f.name, "verdict": f.verdict, "text": f.text} for f in findings]
        print_json({"ok": not bad, "findings": rows})
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.verdict]
            echo(f"{mark} ", fg=colour, nl=False)
            echo(f"{finding.name:<12} {finding.text}")
        echo("A run would not work." if bad else "A run would work.")
    ctx.exit(exits.GUEST_ERROR if bad else exits.OK)


def _checked(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A check's findings; a check that fails itself is a finding too."""
    found: list[Finding] = []
    name = getattr(check, "__name__", "providers").strip("_<>")
    try:
        found.extend(check())
    except Exception as error:
        found.append(Finding(name, "bad", f"{type(error).__name__}: {without_credentials(str(error))}"))
    return found


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    where = f"{platform.python_implementation()} {version} on {platform.machine()} {sys.platform}"
    yield Finding("python", "ok" if sys.version_info >= (3, 11) else "bad", where)


def _packages() -> Iterator[Finding]:
    versions = []
    for name in ("rlm-wasm", "wasmtime", "cbor2", "openai", "mcp"):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} (not installed)")
    yield Finding("packages", "ok", ", ".join(versions))


def _guest() -> Iterator[Finding]:
    from rlm_wasm.sandbox.engine import guest_path

    path = guest_path()
    yield Finding("guest", "ok", f"{path} ({Path(path).stat().st_size / 1e6:.1f} MB)")


def _run() -> Iterator[Finding]:
    from rlm_wasm.runtime import Runtime

    async def run() -> tuple[str, bool]:
        async with Runtime(provider="extractive", python="off") as runtime:
            result = await runtime.run('(finish (string-append "4" (number->string (+ 1 1))))')
            return result.value, runtime.engine.compiled_from_cache

    started = time.perf_counter()
    value, cached = asyncio.run(run())
    took = f"{(time.perf_counter() - started) * 1000:.0f} ms"
    how = "loaded from the cache" if cached else "compiled just now"
    if value == "42":
        yield Finding("run", "ok", f"a program ran in {took}, the guest {how}")
    else:
        yield Finding("run", "bad", f"a program gave {value!r} instead of 42")


def _python_guest() -> Iterator[Finding]:
    if importlib.util.find_spec("rlm_wasm.python") is None:
        yield Finding("py-eval", "note", "not installed: programs that use Python fail")
        return
    from rlm_wasm import python

    describe = getattr(python, "describe", None)
    text = describe() if describe is not None else "there"
    yield Finding("py-eval", "ok", str(text))


def _cache() -> Iterator[Finding]:
    from rlm_wasm.sandbox.compiled_cache import CompiledCache

    cache = CompiledCache()
    if cache.problem:
        yield Finding(
            "cache",
            "note",
            f"{cache.problem}: every start compiles the guest again (RLM_WASM_CACHE names another folder)",
        )
        return
    files = [path for path in Path(cache.folder).iterdir() if path.suffix == ".cwasm"]
    size = sum(path.stat().st_size for path in files) / 1e6
    yield Finding("cache", "ok", f"{cache.folder} ({len(files)} compiled modules, {size:.1f} MB)")
    for problem in filter(None, (cache.check(path.name) for path in files)):
        yield Finding("cache", "note", f"{problem}: it is not loaded, and compiled again")


def _libraries() -> Iterator[Finding]:
    found = [folder for folder in _CHIBI_FOLDERS if (Path(folder) / "chibi").is_dir()]
    if found:
        yield Finding("libraries", "ok", f"Chibi-Scheme's at {found[0]}: --library {found[0]}")
    else:
        yield Finding("libraries", "note", "no installed Chibi-Scheme libraries (none are needed)")


def _sessions() -> Iterator[Finding]:
    """Those in the default store, where there is one: which of them stand on another guest."""
    from rlm_wasm.named_sessions import store_that_is_there

    url = store_that_is_there()
    if url is None:
        yield Finding("sessions", "ok", "none are kept")
        return
    from rlm_wasm.errors import StoreError
    from rlm_wasm.sandbox.engine import Engine
    from rlm_wasm.store import open_store

    async def listed() -> list[StoredSession]:
        store = open_store(url)
        try:
            return await store.sessions.list()
        finally:
            await store.aclose()

    try:
        kept = asyncio.run(listed())
    except StoreError as error:
        yield Finding("sessions", "note", str(error))
        return
    yield Finding("sessions", "ok", f"{len(kept)} in {address_without_credentials(url)}")
    current = Engine.shared().image_hash
    for guest in sorted({session.guest for session in kept if session.guest not in (None, current)}, key=str):
        names = [session.name for session in kept if session.guest == guest]
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        yield Finding("sessions", "note", f"on another guest, {str(guest)[:12]}: {shown}")


def _providers(base_url: str | None, *, offline: bool) -> Iterator[Finding]:
    from rlm_wasm.providers import default_provider_name, provider_names

    yield Finding("providers", "ok", f"{', '.join(provider_names())}; by default {default_provider_name()}")
    key = bool(os.environ.get("OPENAI_API_KEY"))
    base_url = base_url or os.environ.get("OPENAI_BASE_URL")
    if not key and base_url is None:
        yield Finding("openai", "note", "OPENAI_API_KEY is not set; extractive needs no key")
        return
    address = (base_url or "https://api.openai.com/v1").rstrip("/")
    if offline:
        yield Finding("openai", "note", f"{address_without_credentials(address)} was not tried (--offline)")
        return
    yield asyncio.run(_reach(address))


async def _reach(address: str) -> Finding:
    """Ask for the list of models, which costs nothing."""
    import aiohttp

    key = os.environ.get("OPENAI_API_KEY", "")
    shown = address_without_credentials(address)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=_REACH_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as client,
            client.get(f"{address}/models", headers=headers) as response,
        ):
            status = response.status
    except (aiohttp.ClientError, TimeoutError, ValueError, RlmError) as error:
        text = without_credentials(str(error).replace(address, shown)) or "no answer in time"
        return Finding("openai", "note", f"{shown} cannot be reached: {text}")
    if status == 401:
        return Finding("openai", "note", f"{shown} refuses the key in OPENAI_API_KEY (401)")
    return Finding("openai", "ok", f"{shown} answers ({status})")

"""Chibi-Scheme's own test libraries (``*-test.sld``), run in the sandbox.

    python -m tests.chibi_suites FOLDER > docs/chibi-libraries.md

writes the table of suites. FOLDER is an installed Chibi's, such as /usr/share/chibi;
``.ci/fetch-chibi.sh`` brings one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import sys
from pathlib import Path

from rlm_wasm import Runtime

# Suites that cannot run here, and why.
NOT_RUN = {
    "chibi/filesystem": "needs a file system",
    "chibi/memoize": "needs a file system and processes",
    "chibi/process": "needs processes",
    "chibi/pty": "needs a terminal",
    "chibi/shell": "needs processes",
    "chibi/syntax-case": "replaces the expander of Chibi's C core",
    "chibi/system": "asks for the host's users",
    "chibi/tar": "needs a file system and users",
    "srfi/146/hamt-map": "imports a library by a misspelt name",
    "srfi/160/mini": "has literals (#f8(...)) that the reader does not know",
}

# Checks that fail for a reason: how many of the suite.
EXPECTED_FAILURES = {
    "chibi/binary-record": (1, "expects equal? to look into records, against R7RS 6.1"),
    "chibi/diff": (2, "expects colours, which need a terminal in the environment"),
    "chibi/io": (1, "opens /etc/passwd"),
    "chibi/numeric": (2, "expects exact results of numbers with an exponent, against R7RS 6.2.5"),
    "chibi/regexp": (1, "opens a file of further patterns"),
    "chibi/weak": (1, "expects a local variable to let go of its value before its scope ends"),
    "chibi/text": (2, "takes a string cursor for an offset in bytes; cursors are indexes here"),
    "scheme/bytevector": (2, "fills a bytevector with a negative number, against R7RS 6.9"),
}

# Where the procedure that runs a suite is not run-tests.
RUNNERS = {
    "srfi/146/hamt": "run-hamt-core-tests",
    "srfi/146/hamt-misc": "run-hamt-misc-tests",
    "srfi/146/vector-edit": "run-vector-edit-tests",
}

SUMMARY = re.compile(r"^(\d+) out of (\d+) \([\d.]+%\) tests? passed", re.MULTILINE)


def folder() -> Path | None:
    """An installed Chibi's library folder: RLM_WASM_CHIBI, or where Debian puts it."""
    for place in (os.environ.get("RLM_WASM_CHIBI"), "/usr/share/chibi"):
        if place and (Path(place) / "chibi" / "test.sld").is_file():
            return Path(place)
    return None


def suites(libraries: Path) -> list[str]:
    """The names of all test libraries: ``chibi/string`` for chibi/string-test.sld."""
    found = libraries.glob("**/*-test.sld")
    return sorted(str(path.relative_to(libraries)).removesuffix("-test.sld") for path in found)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a suite said of itself; ``error`` where it did not get to the end."""

    passed: int
    checks: int
    error: str = ""
    output: str = ""


async def run(libraries: Path, suite: str) -> Outcome:
    """Run one suite in a fresh session."""
    name = f"{suite}-test".replace("/", " ")
    async with Runtime(provider="echo", python="off", libraries=[libraries]) as runtime:
        result = await runtime.run(f"(import ({name}))\n({RUNNERS.get(suite, 'run-tests')})\n")
    if result.status != "ok":
        return Outcome(0, 0, error=str(result.error), output=result.stdout)
    totals = SUMMARY.findall(result.stdout)
    if not totals:
        # a suite with a harness of its own: a dot for every check
        return Outcome(result.stdout.count("."), result.stdout.count("."), output=result.stdout)
    passed, checks = totals[-1]
    return Outcome(int(passed), int(checks), output=result.stdout + result.stderr)


async def table(libraries: Path) -> str:
    """docs/chibi-libraries.md."""
    lines = [
        "# Chibi-Scheme's libraries",
        "",
        "Chibi-Scheme 0.12's published libraries load unchanged from a library folder: `Runtime(libraries=[...])`.",
        "This is what its own test libraries say in the sandbox; `python -m tests.chibi_suites FOLDER` wrote it.",
        "",
        "| suite | checks | pass | remark |",
        "|---|---:|---:|---|",
    ]
    checks = passed = 0
    for suite in suites(libraries):
        if suite in NOT_RUN:
            lines.append(f"| {suite} | | | not run: {NOT_RUN[suite]} |")
            continue
        outcome = await run(libraries, suite)
        remark = EXPECTED_FAILURES.get(suite, (0, ""))[1] or outcome.error
        lines.append(f"| {suite} | {outcome.checks} | {outcome.passed} | {remark} |")
        checks += outcome.checks
        passed += outcome.passed
    lines.append(f"| **all** | **{checks}** | **{passed}** | |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(table(Path(sys.argv[1]))))

"""Chibi-Scheme's own test libraries, and its R7RS tests, run in the sandbox.

    python -m tests.chibi_suites FOLDER [--write]

prints the table of suites; ``--write`` writes docs/chibi-libraries.md, too. FOLDER is an installed Chibi's, such
as /usr/share/chibi (``.ci/fetch-chibi.sh`` brings one), or the ``lib`` folder of its sources. A suite is a library
``*-test.sld`` or ``test.sld``. Its R7RS tests, ``tests/r7rs-tests.scm`` of its sources, are run as a program: they
are not in the package, so RLM_WASM_R7RS says where they are, unless they lie beside the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import re
from pathlib import Path

from rlm_wasm import Runtime

PAGE = Path(__file__).parent.parent / "docs" / "chibi-libraries.md"

# Suites that cannot run here, and why.
NOT_RUN = {
    "chibi/filesystem": "needs a file system",
    "chibi/process": "needs processes",
    "chibi/pty": "needs a terminal",
    "chibi/shell": "needs processes",
    "chibi/system": "asks for the host's users",
    "srfi/146/hamt-map": "imports a library by a misspelt name",
}

# Checks that fail for a reason: how many of the suite.
EXPECTED_FAILURES = {
    "chibi/io": (1, "opens /etc/passwd"),
    "chibi/memoize": (0, "its last checks keep what they memoize in files"),
    "chibi/numeric": (2, "expects exact results of numbers with an exponent, against R7RS 6.2.5"),
    "chibi/regexp": (1, "opens a file of further patterns"),
    "chibi/text": (2, "takes a string cursor for an offset in bytes; cursors are indexes here"),
    "chibi/weak": (1, "expects a local variable to let go of its value before its scope ends"),
    "srfi/1": (1, "expects an error where a literal list is changed, which R7RS 4.1.2 leaves open"),
    "srfi/129": (2, "escapes without their semicolon, which R7RS 6.7 forbids and Racket reads as two digits"),
    "srfi/166": (
        1,
        "expects exponents of two digits, which are shown as Racket does; its last two checks write a file",
    ),
    "srfi/179": (1, "draws a random tile that the library's own assertion refuses"),
    "srfi/231": (1, "expects equal? to look into procedures, against R7RS 6.1"),
}

# What runs a suite, where it is not (run-tests): a suite whose last checks need what is not there ends before them.
RUNNERS = {
    "chibi/diff": "(import (chibi term ansi)) (parameterize ((ansi-escapes-enabled? #t)) (run-tests))",
    "chibi/memoize": "(import (chibi test)) (guard (e (#t (test-end))) (run-tests))",
    "srfi/146/hamt": "(run-hamt-core-tests)",
    "srfi/146/hamt-misc": "(run-hamt-misc-tests)",
    "srfi/146/vector-edit": "(run-vector-edit-tests)",
    "srfi/166": "(import (chibi test)) (guard (e (#t (test-end))) (run-tests))",
}

NOT_LOADED = {
    **dict.fromkeys(
        (
            "chibi/channel",
            "chibi/net/http-server",
            "chibi/net/server",
            "chibi/repl",
            "chibi/snow/fort",
            "srfi/18",
        ),
        "wants threads of Chibi's own",
    ),
    **dict.fromkeys(("chibi/optimize/profile", "chibi/optimize/rest"), "works on Chibi's compiler"),
    "srfi/146/hamt-map-test": "imports a library by a misspelt name",
    "srfi/35": "imports a library that is not in the package",
}
"""Libraries that cannot be imported here, and why."""

R7RS_DIFFERENCES = {
    '(get-output-string out): expected "|+NaN.0abc|" but got "+NaN.0abc"': "is no number without bars, and is read back",
    '(string? (get-environment-variable "PATH")): expected #t but got #f': "the environment is empty",
    '(file-exists? "."): Exception: file-exists?: this sandbox has no file system; '
    "use get-context, checkpoint and restore, or string ports": "there is no file system",
    '(file-exists? " no such file "): Exception: file-exists?: this sandbox has no file system; '
    "use get-context, checkpoint and restore, or string ports": "there is no file system",
}
"""The R7RS tests that fail, as they say it, and why."""

FAILED_CHECK = re.compile(r"^ *(?:FAIL|ERROR): (.*)\n((?: +(?!FAIL:|ERROR:)\S.*\n)?)", re.MULTILINE)

NO_SUITES = {"chibi/test"}
"""Libraries of such a name that are none: the harness itself."""

SUMMARY = re.compile(r"^(\d+) out of (\d+) \([\d.]+%\) tests? passed", re.MULTILINE)


def folder() -> Path | None:
    """An installed Chibi's library folder: RLM_WASM_CHIBI, or where Debian puts it."""
    for place in (os.environ.get("RLM_WASM_CHIBI"), "/usr/share/chibi"):
        if place and (Path(place) / "chibi" / "test.sld").is_file():
            return Path(place)
    return None


def r7rs_tests(libraries: Path | None) -> Path | None:
    """Chibi's R7RS tests: RLM_WASM_R7RS (the file, or its folder), or beside the ``lib`` folder of its sources."""
    named = os.environ.get("RLM_WASM_R7RS")
    places = [Path(named), Path(named) / "r7rs-tests.scm"] if named else []
    places += [libraries.parent / "tests" / "r7rs-tests.scm"] if libraries else []
    return next((place for place in places if place.is_file()), None)


def failed_checks(output: str) -> list[str]:
    """What a suite says of the checks that failed: the expression, and what it gave."""
    return [f"{check.strip()}: {said.strip()}" for check, said in FAILED_CHECK.findall(output)]


def suites(libraries: Path) -> dict[str, str]:
    """The test libraries by suite: ``chibi/string`` is (chibi string-test), ``srfi/1`` (srfi 1 test)."""
    found: dict[str, str] = {}
    for path in sorted(libraries.glob("**/*test.sld")):
        library = str(path.relative_to(libraries)).removesuffix(".sld")
        suite = library.removesuffix("/test").removesuffix("-test")
        if library != suite and library not in NO_SUITES:
            found[suite] = library
    return dict(sorted(found.items()))


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a suite said of itself; ``error`` where it did not get to the end."""

    passed: int
    checks: int
    error: str = ""
    output: str = ""


async def run(libraries: Path, suite: str) -> Outcome:
    """Run one suite in a fresh session."""
    name = suites(libraries)[suite].replace("/", " ")
    return await run_program(libraries, f"(import ({name}))\n{RUNNERS.get(suite, '(run-tests)')}\n")


async def run_program(libraries: Path, source: str) -> Outcome:
    """Run a program that counts its checks with (chibi test), or a dot for each."""
    async with Runtime(provider="echo", python="off", libraries=[libraries]) as runtime:
        result = await runtime.run(source)
    if result.status != "ok":
        return Outcome(0, 0, error=str(result.error), output=result.stdout)
    totals = SUMMARY.findall(result.stdout)
    if not totals:
        # a suite with a harness of its own: a dot for every check
        return Outcome(result.stdout.count("."), result.stdout.count("."), output=result.stdout)
    passed, checks = totals[-1]
    return Outcome(int(passed), int(checks), output=result.stdout + result.stderr)


async def not_loaded(libraries: Path) -> tuple[int, dict[str, str]]:
    """How many libraries there are, and those that cannot be imported, with the error."""
    failures: dict[str, str] = {}
    files = sorted(libraries.glob("**/*.sld"))
    async with Runtime(provider="echo", python="off", libraries=[libraries]) as runtime:
        for path in files:
            name = str(path.relative_to(libraries)).removesuffix(".sld")
            result = await runtime.run(f"(import (prefix ({name.replace('/', ' ')}) its:))")
            if result.status != "ok":
                failures[name] = str(result.error)
    return len(files), failures


async def table(libraries: Path) -> str:
    """docs/chibi-libraries.md."""
    lines = [
        "# Chibi-Scheme's libraries",
        "",
        "Chibi-Scheme 0.12's published libraries load unchanged from a library folder: `Runtime(libraries=[...])`.",
        "This is what its own test libraries say in the sandbox; `python -m tests.chibi_suites FOLDER --write` wrote it.",
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
    count, failures = await not_loaded(libraries)
    reasons: dict[str, list[str]] = {}
    for name, error in failures.items():
        reasons.setdefault(NOT_LOADED.get(name, error), []).append(f"`({name.replace('/', ' ')})`")
    lines += ["", f"Of its {count} libraries {count - len(failures)} can be imported. The others:", ""]
    lines += [f"- {', '.join(names)}: {reason}" for reason, names in reasons.items()]
    r7rs = r7rs_tests(libraries)
    if r7rs is not None:
        outcome = await run_program(libraries, r7rs.read_text(encoding="utf-8"))
        lines += [
            "",
            "## R7RS",
            "",
            f"Its R7RS tests, `tests/r7rs-tests.scm` of its sources: {outcome.passed} of {outcome.checks} pass."
            f" {outcome.error}".rstrip(),
            "",
            "| check | why it differs |",
            "|---|---|",
        ]
        for failed in failed_checks(outcome.output):
            shown = failed.replace("|", "\\|")
            lines.append(f"| `{shown}` | {R7RS_DIFFERENCES.get(failed, '')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What Chibi-Scheme's own tests say in the sandbox.")
    parser.add_argument(
        "folder", type=Path, help="an installed Chibi's libraries, or the lib folder of its sources"
    )
    parser.add_argument("--write", action="store_true", help="write docs/chibi-libraries.md, too")
    options = parser.parse_args()
    page = asyncio.run(table(options.folder))
    print(page, end="")
    if options.write:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The native debug build: the core as an ordinary process, with sanitizers, checks and a poisoned from-space.

    python build/native.py                      build it; prints the path
    python build/native.py FILE                 build, run a program ("-": standard input)
    python build/native.py --corpora            build, run the test programs, compare what they print

The guest's C runs as it is, booted with the whole prelude by wasm/host/native.c. A collection comes
with every block of 64 KiB instead of after a mebibyte, or with --collect-always after every allocation;
what the collector leaves behind is overwritten, and where the address sanitizer is there, may not be
touched; CHECK()s are on. It needs Linux, because the machine's addresses have 32 bits: the process
is linked where those reach.

Compilers are tried in turn: clang and gcc with the address and the undefined behaviour sanitizer,
then the zig that builds the guest, which has the latter alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parent))
import make_guest

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".guest-build"
FLAGS = [
    "-std=gnu17",
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-fno-pie",
    "-Wall",
    "-Wextra",
    "-Wvla",  # the size of an array on the C stack is never a program's choice
    "-Werror",
    "-Iwasm",
    "-DRLM_DEBUG",
    "-DRLM_POISON",
    "-DCOLLECT_AFTER=4096",
]
LINK = ["-no-pie"]
RUN_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
}
FRAME_END = 255
CUT = 4000
"""Characters that are shown of what went wrong with a program."""
SUSPENDED = 1
FAILED = 3

Say = Callable[[str], None]


class NoNativeBuild(Exception):
    """No compiler of this machine makes the native build; the message says what was tried."""


@dataclasses.dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler and the sanitizers that it offers."""

    name: str
    command: tuple[str, ...]
    sanitizers: tuple[str, ...]

    @property
    def flags(self) -> list[str]:
        """The sanitizers' options: the first thing found ends the process."""
        if not self.sanitizers:
            return []
        return [f"-fsanitize={','.join(self.sanitizers)}", "-fno-sanitize-recover=all"]

    def __str__(self) -> str:
        return f"{self.name} with {' and '.join(self.sanitizers) or 'no'} sanitizer"


@dataclasses.dataclass(frozen=True, slots=True)
class Native:
    """A build that can be run."""

    path: Path
    toolchain: Toolchain


def toolchains() -> Iterator[Toolchain]:
    """Those that this machine may have, the most searching ones first."""
    for name in ("clang", "gcc"):
        if path := shutil.which(name):
            yield Toolchain(name, (path,), ("address", "undefined"))
    zig = (sys.executable, "-m", "ziglang", "cc")
    yield Toolchain("zig", zig, ("undefined",))
    for name in ("clang", "gcc"):
        if path := shutil.which(name):
            yield Toolchain(name, (path,), ())
    yield Toolchain("zig", zig, ())


def _works(toolchain: Toolchain) -> bool:
    """Does it make a program that runs?"""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "probe.c", Path(folder) / "probe"
        source.write_text("int main(void) { return 0; }\n", encoding="utf-8")
        command = [*toolchain.command, *FLAGS, *toolchain.flags, *LINK, str(source), "-o", str(program)]
        try:
            subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
            subprocess.run([program], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True


def find_toolchain() -> Toolchain:
    """The first that works. Raises NoNativeBuild."""
    if not sys.platform.startswith("linux"):
        raise NoNativeBuild(f"the native build needs Linux, this is {sys.platform}")
    tried = []
    for toolchain in toolchains():
        if _works(toolchain):
            return toolchain
        tried.append(str(toolchain))
    raise NoNativeBuild(f"no C compiler makes a program that runs; tried {', '.join(tried)}")


def build(say: Say = print) -> Native:
    """Compile what changed and link. Raises NoNativeBuild, and BuildError where the C is wrong."""
    toolchain = find_toolchain()
    say(f"using {toolchain}")
    sources = [*make_guest.sources(), ROOT / "wasm" / "host" / "native.c"]
    compile_flags = [*FLAGS, *toolchain.flags]
    objects = make_guest.compile_all(
        sources, [*toolchain.command], compile_flags, SCRATCH / "native" / toolchain.name, say
    )
    key = hashlib.sha256("\0".join([*toolchain.flags, *(path.name for path in objects)]).encode())
    program = SCRATCH / "native" / f"core-{toolchain.name}-{key.hexdigest()[:16]}"
    if not program.exists():
        for old in program.parent.glob(f"core-{toolchain.name}-*"):
            old.unlink()
        say("linking")
        made = program.with_suffix(f".{os.getpid()}")
        names = [str(path.relative_to(ROOT)) for path in objects]
        make_guest.run_compiler(
            [*toolchain.command, *toolchain.flags, *LINK, *names, "-lm", "-o", str(made.relative_to(ROOT))]
        )
        made.replace(program)
    return Native(program, toolchain)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a process runs its programs."""

    steps: int | None = None
    """Steps a time slice; None: the driver's own 20,000."""
    collect_every: int | None = None
    """Allocations from one collection to the next; None: as memory asks for it."""
    memory_mib: int | None = None
    """Where memory, the image's included, stops growing; None: at 896 MiB."""
    seconds: int | None = None
    """After so many a session's program is ended by SIGALRM, so that an endless one stops; None: never."""

    def arguments(self) -> list[str]:
        """For the command line."""
        given = dataclasses.asdict(self).items()
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in given if value is not None]
        return [word for pair in pairs for word in pair]


DEFAULT = Options()


def command_line(native: Native, options: Options = DEFAULT) -> list[str]:
    """The process with its options and the prelude."""
    files = [path.relative_to(ROOT).as_posix() for path in make_guest.prelude()]
    return [str(native.path), *options.arguments(), "--prelude", *files, "--"]


def environment() -> dict[str, str]:
    """The caller's, with the sanitizers told to stop at the first thing."""
    return {**RUN_OPTIONS, **os.environ}


# ---- sessions: a process that was booted once is forked for each program ----


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a program."""

    stdout: str
    stderr: str
    outcome: Mapping[str, object] | None
    """What ["done", ...] carried; None where the program did not come to its end."""
    waits_for: str | None
    """The host operation that nobody answers here."""
    crash: str | None
    """The signal or exit status of a process that died, and what it said."""


class Sessions:
    """Runs programs, each in a process of its own."""

    def __init__(self, native: Native, options: Options = DEFAULT) -> None:
        """Boot. Raises BuildError with what the process said where that fails."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        command = command_line(native, options)
        command.insert(1, "--sessions")
        self._process = subprocess.Popen(
            command[:-1],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        if self._frame() is None:
            self._process.wait()
            raise make_guest.BuildError(f"the native build does not boot: {self._said()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._log.close()

    def _said(self) -> str:
        self._log.seek(0)
        text = self._log.read().decode("utf-8", "replace")
        self._log.seek(0)
        self._log.truncate()
        return text.strip()

    def _frame(self) -> tuple[int, bytes] | None:
        assert self._process.stdout is not None
        head = self._process.stdout.read(5)
        if len(head) < 5:
            return None
        return head[0], self._process.stdout.read(int.from_bytes(head[1:], "big"))

    def run(self, source: str, name: str = "program") -> Outcome:
        """One program in a fresh session."""
        import cbor2

        return self.send(cbor2.dumps(["eval", {"source": source, "name": name}]))

    def send(self, message: bytes) -> Outcome:
        """One message to a fresh session, whatever it says."""
        import cbor2

        assert self._process.stdin is not None
        self._process.stdin.write(len(message).to_bytes(4, "big") + message)
        self._process.stdin.flush()
        texts = {"out": "", "err": ""}
        done: Mapping[str, object] | None = None
        asked_for: str | None = None
        waits_for: str | None = None
        while frame := self._frame():
            status, data = frame
            if status == FRAME_END:
                end = data.decode()
                crash = None if end == "exit 0" else f"{end}\n{self._said()}"
                return Outcome(texts["out"], texts["err"], done, waits_for, crash)
            for said in cbor2.loads(data) if status != FAILED else ():
                if said[0] == "note" and said[1] in texts:
                    texts[said[1]] += said[2]
                elif said[0] == "done":
                    done = said[1]
                elif said[0] == "call":
                    asked_for = str(said[2])
            if status == SUSPENDED:
                waits_for = asked_for or "a message"
        raise make_guest.BuildError(f"the native build went away: {self._said()}")


# ---- the corpora ----


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A test program and how its outcome is judged."""

    name: str
    source: str
    complaint: Callable[[Outcome], str | None]


def _table(value: object) -> dict[str, object]:
    """A table as a dict, also where it crossed as a tagged one: [kind, map]."""
    value = getattr(value, "value", value)
    if isinstance(value, list | tuple):
        value = value[1]
    return dict(value) if isinstance(value, Mapping) else {}


def _error(outcome: Outcome) -> dict[str, object]:
    return _table((outcome.outcome or {}).get("error"))


def error_text(outcome: Outcome) -> str:
    """The error as the golden files have it."""
    error = _error(outcome)
    if not error:
        return f"no error: {outcome.outcome}\n"
    place = f" (line {error['line']}, column {error['column']})" if error.get("line") else ""
    lines = [f"{error.get('type')}{place}", str(error.get("message"))]
    if error.get("hint"):
        lines.append(f"hint: {error['hint']}")
    trace = error.get("backtrace")
    lines += [f"in {frame}" for frame in trace] if isinstance(trace, list | tuple) else []
    return "\n".join(lines) + "\n"


def _differs(got: str, expected: str) -> str | None:
    return None if got == expected else f"gave {got!r}\n    instead of {expected!r}"


def prints(expected: str) -> Callable[[Outcome], str | None]:
    """The judge of a program that succeeds: None, or what is wrong with its standard output."""
    return lambda outcome: str(_error(outcome)) if _error(outcome) else _differs(outcome.stdout, expected)


def _fails_with(expected: str) -> Callable[[Outcome], str | None]:
    return lambda outcome: _differs(error_text(outcome), expected)


def _passes(outcome: Outcome) -> str | None:
    value = str((outcome.outcome or {}).get("value", ""))
    return None if value.startswith("(passed ") else value or str(_error(outcome))


def cases() -> list[Case]:
    """The dialect's programs, the wrong programs, and the suites of R7RS, the SRFIs and the expander."""
    tests = ROOT / "tests"
    found = []
    for folder, ending, judge in (("dialect", "rkt", prints), ("errors", "scm", _fails_with)):
        for path in sorted((tests / "corpus" / folder).glob(f"*.{ending}")):
            expected = path.with_suffix(".expected").read_text(encoding="utf-8")
            found.append(Case(f"{folder}/{path.stem}", path.read_text(encoding="utf-8"), judge(expected)))
    check = tests / "scheme" / "r7rs" / "check.scm"
    for folder in ("r7rs", "srfi", "chibi", "expander"):
        for path in sorted((tests / "scheme" / folder).glob("*.scm")):
            if path != check:
                source = check.read_text(encoding="utf-8") + path.read_text(encoding="utf-8")
                found.append(Case(f"{folder}/{path.stem}", source, _passes))
    return found


@dataclasses.dataclass(slots=True)
class Report:
    """How a run over the corpora went."""

    passed: int = 0
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    """Programs that wait for a host operation, and for which."""
    failed: dict[str, str] = dataclasses.field(default_factory=dict)


def run_cases(native: Native, chosen: list[Case], options: Options = DEFAULT) -> Report:
    """Run them and compare."""
    report = Report()
    with Sessions(native, options) as sessions:
        for case in chosen:
            outcome = sessions.run(case.source)
            if outcome.crash:
                report.failed[case.name] = outcome.crash
            elif outcome.waits_for:
                report.skipped[case.name] = outcome.waits_for
            elif complaint := case.complaint(outcome):
                report.failed[case.name] = complaint
            else:
                report.passed += 1
    return report


def spread(found: list[Case], limit: int | None) -> list[Case]:
    """So many of them, from everywhere."""
    if not limit or limit >= len(found):
        return found
    return [found[i * len(found) // limit] for i in range(limit)]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", nargs="?", help='a program to run; "-": standard input')
    parser.add_argument("--corpora", action="store_true", help="run the test programs")
    parser.add_argument("--limit", type=int, metavar="N", help="only N of them, from everywhere")
    parser.add_argument("--match", metavar="TEXT", help="only those with TEXT in their names")
    parser.add_argument("--collect-always", action="store_true", help="collect after every allocation")
    parser.add_argument("--collect-every", type=int, metavar="N", help="collect after N allocations")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of a time slice")
    parser.add_argument("--memory-mib", type=int, metavar="N", help="where memory stops growing")
    options = parser.parse_args()
    how = Options(
        steps=options.steps,
        collect_every=1 if options.collect_always else options.collect_every,
        memory_mib=options.memory_mib,
    )

    def say(text: str) -> None:
        print(f"native: {text}", file=sys.stderr, flush=True)

    try:
        native = build(say)
        if options.corpora:
            chosen = [case for case in cases() if not options.match or options.match in case.name]
            chosen = spread(chosen, options.limit)
            report = run_cases(native, chosen, how)
            for name, why in report.failed.items():
                say(f"FAILED {name}: {why[:CUT]}")
            say(f"{report.passed} of {len(chosen)} programs as expected, {len(report.failed)} not")
            if report.skipped:
                operations = ", ".join(sorted(set(report.skipped.values())))
                say(f"skipped {len(report.skipped)} that wait for the host ({operations})")
            return 1 if report.failed else 0
        if options.program:
            command = command_line(native, how)
            source = options.program if options.program == "-" else str(Path(options.program).resolve())
            return subprocess.run([*command, source], cwd=ROOT, env=environment(), check=False).returncode
        print(native.path)
    except (NoNativeBuild, make_guest.BuildError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

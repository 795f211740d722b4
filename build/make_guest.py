"""Build rlm_wasm/_guest/guest.wasm: compile the core, boot it with the prelude, keep its memory.

    python build/make_guest.py [--if-changed] [--output DIR] [--debug] [--quiet]

needs ziglang, wasmtime and cbor2 ("requires" of pyproject.toml names them). The result is the same byte
for byte wherever it is built. Objects are kept in .guest-build, so that a second build compiles
only what changed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import wasm_image

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "rlm_wasm" / "_guest"
SCRATCH = ROOT / ".guest-build"
STACK_BYTES = 256 * 1024

ZIG = [sys.executable, "-m", "ziglang", "cc"]
TARGET = ["-target", "wasm32-wasi", "-mexec-model=reactor"]
COMPILE = [
    "-std=c17",
    "-O3",
    "-g0",
    "-Wall",
    "-Wextra",
    "-Wvla",  # the size of an array on the C stack is never a program's choice
    "-Werror",
    "-Iwasm",
    "-fno-strict-aliasing",
    "-fno-exceptions",
    "-ffp-contract=off",
    "-mbulk-memory",
    "-msign-ext",
    "-mnontrapping-fptoint",
    "-DNDEBUG",
]
DEBUG = ["-DRLM_DEBUG"]
WHOLE = "-flto"
"""Files are compiled as one: what one takes from another (making a pair, a string) is expanded in place."""
APART = ROOT / "wasm" / "vm" / "vm.c"
"""The machine's loop is not: with more in it, the engine keeps fewer of its registers in the processor's."""
APART_FLAGS = ["-mllvm", "-simplifycfg-sink-common=false"]
"""What many instructions end with is not made one piece of code: where that goes on they would have to tell
in locals, which are then set in front of every instruction."""
LINK = [
    "-O3",
    WHOLE,
    "-Wl,--export-memory",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    "-Wl,--gc-sections",
    f"-Wl,-z,stack-size={STACK_BYTES}",
]
BOOT_STEPS = 20_000_000
BOOT_SLICES = 1000
PRELUDE_CHARACTERS = 1 << 16
"""Each file of the prelude is sent with blanks behind it, as so many: else a comment would move what is
allocated after it, and so make another guest."""

Say = Callable[[str], None]


class BuildError(Exception):
    """Something in wasm/ or prelude/ is wrong; the message is what its author needs."""


def sources() -> list[Path]:
    """The core's C files: all but the driver of the native debug build."""
    return sorted(path for path in (ROOT / "wasm").rglob("*.c") if path.name != "native.c")


def headers() -> list[Path]:
    """Everything that the C files include."""
    return sorted((ROOT / "wasm").rglob("*.h"))


def prelude() -> list[Path]:
    """The prelude's files in the order in which they are loaded."""
    order = ROOT / "prelude" / "order.txt"
    names = [line.split("#")[0].strip() for line in order.read_text(encoding="utf-8").splitlines()]
    return [ROOT / "prelude" / name for name in names if name]


def inputs_hash(*, debug: bool = False) -> str:
    """Changes with everything that the image is made of."""
    digest = hashlib.sha256(
        " ".join(TARGET + COMPILE + APART_FLAGS + (DEBUG if debug else []) + LINK).encode()
    )
    files = [*sources(), *headers(), ROOT / "prelude" / "order.txt", *prelude()]
    for path in [*files, *sorted(Path(__file__).parent.glob("*.py"))]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def run_compiler(command: list[str]) -> None:
    """Run a C compiler. Raises BuildError with what it said."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(done.stderr.strip() or f"{command[0]} failed with status {done.returncode}")
    if done.stderr.strip():
        print(done.stderr.strip(), file=sys.stderr)


def compile_all(
    files: list[Path], compiler: list[str], flags: list[str], folder: Path, say: Say
) -> list[Path]:
    """The files' objects, kept in the folder; only what changed since the last time is compiled."""
    folder.mkdir(parents=True, exist_ok=True)
    included = hashlib.sha256()
    for header in headers():
        included.update(header.relative_to(ROOT).as_posix().encode() + b"\0" + header.read_bytes())
    objects: list[Path] = []
    stale: list[tuple[Path, Path]] = []
    for source in files:
        key = hashlib.sha256(" ".join(flags).encode() + included.digest() + source.read_bytes()).hexdigest()[
            :16
        ]
        name = "-".join(source.relative_to(ROOT / "wasm").with_suffix("").parts)  # unique by its folder
        target = folder / f"{name}-{key}.o"
        objects.append(target)
        if not target.exists():
            for old in folder.glob(f"{name}-????????????????.o"):
                old.unlink()
            stale.append((source, target))

    def compile_one(job: tuple[Path, Path]) -> None:
        source, target = job
        scratch = target.with_suffix(f".{os.getpid()}")  # two builds at once do not meet
        run_compiler([*compiler, *flags, "-c", str(source.relative_to(ROOT)), "-o", str(scratch)])
        scratch.replace(target)

    if stale:
        say(f"compiling {len(stale)} of {len(objects)} C files")
        with concurrent.futures.ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            list(pool.map(compile_one, stale))
    return objects


def compile_core(say: Say, *, debug: bool = False) -> bytes:
    """Compile and link the core."""
    flags = [*TARGET, *COMPILE, *(DEBUG if debug else [])]
    folder = SCRATCH / "debug" if debug else SCRATCH
    together = [path for path in sources() if path != APART]
    objects = compile_all(together, ZIG, [*flags, WHOLE], folder, say)
    objects += compile_all([APART], ZIG, [*flags, *APART_FLAGS], folder, say)
    linked = SCRATCH / f"core-{os.getpid()}.wasm"
    say("linking")
    names = [str(target.relative_to(ROOT)) for target in objects]
    run_compiler([*ZIG, *TARGET, *LINK, *names, "-o", str(linked)])
    core = linked.read_bytes()
    linked.unlink()
    return core


def boot(module: bytes, say: Say, *, places: bool = False) -> bytes:
    """Instantiate the core, load the prelude, seal; the memory as it is then.

    ``places``: code knows where in the prelude it stands, for the error that tells of a fault there. The
    image that ships does not: so a comment in the prelude makes no other guest of it.
    """
    import cbor2
    import wasmtime

    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    compiled = wasmtime.Module(engine, module)
    if compiled.imports:
        imported = ", ".join(f"{item.module}.{item.name}" for item in compiled.imports)
        raise BuildError(f"the core imports {imported}: it must not import anything")
    instance = wasmtime.Instance(store, compiled, [])
    exports = instance.exports(store)
    names = {export.name for export in compiled.exports}
    memory = exports["memory"]
    assert isinstance(memory, wasmtime.Memory)

    def call(name: str, *arguments: int) -> int:
        function = exports[name]
        assert isinstance(function, wasmtime.Func)
        try:
            return int(function(store, *arguments) or 0)
        except wasmtime.Trap as trap:
            raise BuildError(f"the core trapped: {broken_invariant() or trap.message}") from trap

    def broken_invariant() -> str | None:
        """What CHECK says in a debug image: see wasm/core/check.h."""
        if "rlm_check_failure" not in names:
            return None
        function = exports["rlm_check_failure"]
        assert isinstance(function, wasmtime.Func)
        start = int(function(store)) & 0xFFFFFFFF
        return bytes(memory.read(store, start, start + 400)).split(b"\0")[0].decode() if start else None

    if "_initialize" in names:
        call("_initialize")

    def send(message: object, what: str) -> None:
        encoded = cbor2.dumps(message)
        inbox = call("rlm_inbox", len(encoded))
        if not inbox:
            raise BuildError(f"{what}: no room in the inbox")
        memory.write(store, encoded, inbox & 0xFFFFFFFF)
        status = call("rlm_run", len(encoded), BOOT_STEPS)
        slices = 0
        while status == 2 and slices < BOOT_SLICES:
            status = call("rlm_run", 0, BOOT_STEPS)
            slices += 1
        start, length = call("rlm_outbox") & 0xFFFFFFFF, call("rlm_outbox_length") & 0xFFFFFFFF
        said = cbor2.loads(bytes(memory.read(store, start, start + length))) if length > 1 else []
        for item in said:
            if item[0] == "failed" or (
                item[0] == "done" and (item[1] or {}).get("status") not in (None, "ok")
            ):
                raise BuildError(f"{what}: {_trouble(item[1])}")
            if item[0] == "note":
                say(f"{what}: {item[2]}")
        if status != 0:
            raise BuildError(f"{what}: the guest returned status {status} instead of ending")

    files = prelude()
    say(f"booting the prelude ({len(files)} files)")
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        source = path.read_text(encoding="utf-8").ljust(PRELUDE_CHARACTERS)
        send(["boot", {"source": source, "name": name, "places": places}], name)
    send(["seal"], "seal")
    size = call("rlm_page_map_length") * 4096  # sealing moved the image down; what is above it is waste
    return bytes(STACK_BYTES) + bytes(memory.read(store, STACK_BYTES, size))


def _trouble(said: object) -> str:
    if not isinstance(said, dict):
        return str(said)
    error = said.get("error") or {}
    place = f" ({error.get('source')}:{error.get('line')}:{error.get('column')})" if error.get("line") else ""
    trace = "".join(f"\n    {frame}" for frame in error.get("backtrace") or ())
    return f"{error.get('message', said)}{place}{trace}"


def build(output: Path = OUTPUT, *, if_changed: bool = False, debug: bool = False, say: Say = print) -> Path:
    """Make the guest; returns its path. Raises BuildError."""
    target, note = output / "guest.wasm", output / "guest.json"
    inputs = inputs_hash(debug=debug)
    known = json.loads(note.read_text(encoding="utf-8")) if note.exists() and target.exists() else {}
    if if_changed and known.get("inputs") == inputs:
        return target
    started = time.monotonic()
    core = compile_core(say, debug=debug)
    try:
        memory = boot(core, say)
    except BuildError:
        boot(core, lambda _: None, places=True)
        raise
    image = wasm_image.rewrite(core, memory)
    output.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(image)
    scratch.replace(target)
    about = {"sha256": hashlib.sha256(image).hexdigest(), "bytes": len(image), "inputs": inputs}
    note.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    say(f"wrote {target.name}: {len(image):,} bytes in {time.monotonic() - started:.1f} s")
    return target


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--if-changed", action="store_true", help="do nothing where the image is up to date")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument(
        "--debug", action="store_true", help="check the core's invariants (wasm/core/check.h)"
    )
    options = parser.parse_args()

    def say(text: str) -> None:
        if not options.quiet:
            print(f"guest: {text}", flush=True)

    try:
        build(options.output, if_changed=options.if_changed, debug=options.debug, say=say)
    except BuildError as error:
        print(f"guest: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Build rlm_wasm/python/_component/python.wasm.zst: CPython and our driver as one WebAssembly component.

    python build/make_python.py [--if-changed]

needs componentize-py, cloudpickle and zstandard ("requires" of pyproject.toml names them). The result is
not the same byte for byte from build to build; caches are keyed by its hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "build" / "python_guest"
SHARED = [ROOT / "rlm_wasm" / "python" / name for name in ("codec.py", "snippets.py")]
"""What both sides of the boundary are made of."""
OUTPUT = ROOT / "rlm_wasm" / "python" / "_component"
LEVEL = 12

Say = Callable[[str], None]


class BuildError(Exception):
    """The component cannot be built; the text says why."""


def inputs() -> str:
    """A hash of all that the component is made from."""
    digest = hashlib.sha256()
    for path in sorted([*SOURCES.rglob("*.py"), *SOURCES.rglob("*.wit"), *SHARED]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for package in ("componentize-py", "cloudpickle"):
        digest.update(metadata.version(package).encode())
    return digest.hexdigest()


def build(if_changed: bool = False, say: Say = print) -> Path:
    """Build the component; with if_changed only where its inputs did change. Raises BuildError."""
    target, note = OUTPUT / "python.wasm.zst", OUTPUT / "python.json"
    key = inputs()
    if if_changed and target.is_file() and note.is_file() and json.loads(note.read_text())["inputs"] == key:
        say("the Python component is up to date")
        return target
    import zstandard

    started = time.monotonic()
    say("building the Python component (about 20 s)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "guest"
        shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("__pycache__", "wit"))
        for shared in SHARED:
            shutil.copy(shared, folder)
        shutil.copytree(
            _package("cloudpickle"), folder / "cloudpickle", ignore=shutil.ignore_patterns("__pycache__")
        )
        made = Path(scratch) / "python.wasm"
        command = [_program("componentize-py"), "-d", str(SOURCES / "wit"), "-w", "guest"]
        command += ["componentize", "-p", str(folder), "app", "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not made.is_file():
            raise BuildError(f"componentize-py failed:\n{(done.stderr or done.stdout)[-4000:]}")
        packed = zstandard.compress(made.read_bytes(), LEVEL)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    target.write_bytes(packed)
    note.write_text(json.dumps({"inputs": key, "sha256": hashlib.sha256(packed).hexdigest()}))
    say(f"wrote {target.name}: {len(packed):,} bytes in {time.monotonic() - started:.1f} s")
    return target


def _package(name: str) -> Path:
    origin = util.find_spec(name)
    if origin is None or origin.origin is None:
        raise BuildError(f"the build needs the package {name}")
    return Path(origin.origin).parent


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    origin = str(beside) if beside.is_file() else shutil.which(name)
    if not origin:
        raise BuildError(f"the build needs {name} (pip install {name})")
    return origin


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--if-changed", action="store_true", help="do nothing where nothing changed")
    try:
        build(if_changed=parser.parse_args().if_changed, say=lambda text: print(f"python: {text}"))
    except BuildError as error:
        raise SystemExit(f"python: {error}") from None

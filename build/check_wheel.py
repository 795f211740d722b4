"""Whether a wheel is for every Python, and whole: python build/check_wheel.py [WHEEL] [--python PYTHON]…

Without WHEEL it is built first. For each PYTHON it is installed into a fresh environment of that Python (with
what it needs, from the index that pip uses), and programs run there, with Python in the sandbox, and an MCP
server answers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = (
    "_guest/guest.wasm",
    "_guest/guest.json",
    "python/_component/python.wasm.zst",
    "python/_component/python.json",
)

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "check", "version": "1"},
    },
}


def expected() -> set[str]:
    """The files that a wheel has: the package's, and what the build makes."""
    package = ROOT / "rlm_wasm"
    own = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith((".pyc", ".so"))
    }
    return own | {f"rlm_wasm/{name}" for name in BUILT}


def problems(wheel: Path) -> list[str]:
    """What is wrong with a wheel, in words."""
    found = []
    if not wheel.name.endswith("-py3-none-any.whl"):
        found.append(f"{wheel.name} is not for every Python and platform: its tag should be py3-none-any")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        [about] = [name for name in names if name.endswith(".dist-info/WHEEL")]
        lines = archive.read(about).decode().splitlines()
    if "Root-Is-Purelib: true" not in lines or "Tag: py3-none-any" not in lines:
        found.append("its metadata says that it is a platform's own")
    inside = {name for name in names if ".dist-info/" not in name}
    wanted = expected()
    found += [f"{name} is missing" for name in sorted(wanted - inside)]
    found += [f"{name} should not be there" for name in sorted(inside - wanted)]
    info = {name.rpartition("/")[2] for name in names if ".dist-info/" in name}
    found += [
        f"the {name} is missing" for name in ("LICENSE", "NOTICE", "entry_points.txt") if name not in info
    ]
    return found


def build(folder: Path) -> Path:
    """A wheel of this tree."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--quiet",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    [wheel] = folder.glob("rlm_wasm-*.whl")
    return wheel


def install_and_run(wheel: Path, python: str, folder: Path) -> None:
    """In a fresh environment. Raises CalledProcessError, AssertionError."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OPENAI_"))}
    clean["RLM_WASM_CACHE"] = str(folder / "cache")
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True, env=clean)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run(
        [str(scripts / "python"), "-m", "pip", "install", "--quiet", str(wheel)], check=True, env=clean
    )
    command = str(scripts / "rlm-wasm")

    def said(*arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [command, *arguments],
            check=True,
            cwd=folder,
            env=clean,
            input=given,
            text=True,
            stdout=subprocess.PIPE,
        )
        return done.stdout

    assert said("run", "-p", "echo", "-e", '(finish (list (+ 1 2) (py-eval "1 + 1")))') == "(3 2)\n"
    asked = '(syntax-e (llm-query #:instruction "Who?" #:data "Ada was the captain."))'
    assert said("run", "-p", "extractive", "-e", asked) == "Ada was the captain.\n"
    assert "A run would work." in said("doctor", "--offline")
    answer = json.loads(said("mcp", "-p", "echo", given=json.dumps(HELLO) + "\n").splitlines()[0])
    assert answer["result"]["serverInfo"]["name"] == "rlm-wasm"


def main() -> int:
    """Check; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", nargs="?", type=Path)
    parser.add_argument("--python", action="append", default=[])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = given.wheel.resolve() if given.wheel else build(Path(scratch))
        found = problems(wheel)
        for problem in found:
            print(problem, file=sys.stderr)
        for number, python in enumerate(given.python):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            install_and_run(wheel, python, folder)
            print(f"{wheel.name} works in {python}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

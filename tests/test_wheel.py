"""What ``build/check_wheel.py`` finds wrong with a wheel; the real one is built and installed in CI."""

from __future__ import annotations

import zipfile
from pathlib import Path

import check_wheel
import pytest

INFO = "rlm_wasm-1.0.dist-info/"


def _wheel(
    folder: Path,
    *,
    name: str = "rlm_wasm-1.0-py3-none-any.whl",
    tag: str = "py3-none-any",
    without: str = "",
    more: str = "",
) -> Path:
    """A wheel with everything, all of it empty, but for what is said."""
    path = folder / name
    files = {
        *check_wheel.expected(),
        *(INFO + each for each in ("licenses/LICENSE", "licenses/NOTICE", "entry_points.txt")),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted((files | ({more} if more else set())) - {without}):
            archive.writestr(each, b"")
        archive.writestr(f"{INFO}WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
    return path


def test_a_wheel_with_everything_is_fine(tmp_path: Path) -> None:
    """The package's files, the guests, the licence."""
    assert {
        "rlm_wasm/_guest/guest.wasm",
        "rlm_wasm/viewer/assets/view.js",
        "rlm_wasm/py.typed",
    } <= check_wheel.expected()
    assert check_wheel.problems(_wheel(tmp_path)) == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": "rlm_wasm-1.0-cp311-cp311-linux_x86_64.whl"}, "its tag should be py3-none-any"),
        ({"tag": "cp311-cp311-linux_x86_64"}, "its metadata says that it is a platform's own"),
        ({"without": "rlm_wasm/_guest/guest.wasm"}, "rlm_wasm/_guest/guest.wasm is missing"),
        ({"without": "rlm_wasm/strategies/vote.scm"}, "rlm_wasm/strategies/vote.scm is missing"),
        ({"without": f"{INFO}licenses/NOTICE"}, "the NOTICE is missing"),
        ({"more": "rlm_wasm/_guest/guest.o"}, "rlm_wasm/_guest/guest.o should not be there"),
        ({"more": "tests/test_wheel.py"}, "tests/test_wheel.py should not be there"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, options: dict[str, str], problem: str) -> None:
    """One sentence for each."""
    [found] = check_wheel.problems(_wheel(tmp_path, **options))
    assert problem in found

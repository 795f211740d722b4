"""The guest's image is made of what the prelude says, not of how its files look."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def make_guest(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that builds the guest."""
    monkeypatch.syspath_prepend(ROOT / "build")
    spec = importlib.util.spec_from_file_location("make_guest", ROOT / "build" / "make_guest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_guest", module)
    spec.loader.exec_module(module)
    return module


def test_a_comment_in_the_prelude_makes_no_other_guest(
    make_guest: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So sessions that stand on it go on by the guest of the next release, where nothing else has changed."""
    try:
        core = make_guest.compile_core(lambda _: None)
    except make_guest.BuildError as error:  # no compiler here
        pytest.skip(str(error))
    before = make_guest.boot(core, lambda _: None)
    paths, read = make_guest.prelude(), Path.read_text

    def commented(path: Path, *args: str, **options: str) -> str:
        text = read(path, *args, **options)
        return f";; A comment\n;; of two lines.\n\n{text}\n;; one more\n" if path == paths[9] else text

    monkeypatch.setattr(Path, "read_text", commented)
    monkeypatch.setattr(make_guest, "prelude", lambda: paths)
    assert make_guest.boot(core, lambda _: None) == before
    # A fault in the prelude is told with its place all the same.
    assert make_guest.boot(core, lambda _: None, places=True) != before

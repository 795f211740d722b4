"""Which pages of a memory were written: by the kernel's search, and by its table where there is none."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlm_wasm.sandbox import pages
from rlm_wasm.sandbox.pages import PAGE, at_once, written_in_turns, written_runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which pages were written")

PAGES = 1500


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("memory") / "image"
    file.write_bytes(b"\x01" * PAGE * PAGES)
    return file


@pytest.fixture(params=["search", "table"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "table":
        monkeypatch.setattr(pages, "_ioctl", None)
    return request.param


def written_to(image: Path, numbers: set[int]) -> tuple[list[int], list[tuple[int, int]] | None]:
    """What is told of a copy of the image, mapped as a guest's memory is, of which all pages were read."""
    with image.open("rb") as file:
        memory = mmap.mmap(file.fileno(), PAGE * PAGES, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    base = ctypes.addressof(first := ctypes.c_char.from_buffer(memory))
    assert sum(memory[page * PAGE] for page in range(PAGES)) == PAGES
    for page in numbers:
        memory[page * PAGE + 7] = 9
    runs, in_turns = written_runs(base, PAGES), at_once(written_in_turns(base, PAGES * PAGE))
    del first
    memory.close()
    assert runs is not None
    assert in_turns == runs
    return [page for start, many in runs for page in range(start, start + many)], runs


@settings(max_examples=20)
@given(numbers=st.sets(st.integers(0, PAGES - 1), max_size=60))
@pytest.mark.parametrize("search", [True, False])
def test_the_pages_that_were_written_are_told_and_no_other(
    image: Path, search: bool, numbers: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not search:
            patch.setattr(pages, "_ioctl", None)
        told, runs = written_to(image, numbers)
    assert told == sorted(numbers)
    assert runs is not None
    assert [page for start, many in runs for page in range(start, start + many)] == sorted(numbers)
    assert all(start + many < following for (start, many), (following, _) in itertools.pairwise(runs))


def test_more_runs_than_one_search_gives_are_told_too(image: Path, way: str) -> None:
    numbers = set(range(0, PAGES, 2))
    assert len(numbers) > pages._MAX_REGIONS
    assert written_to(image, numbers)[0] == sorted(numbers)


def test_a_kernel_without_that_search_is_asked_for_its_table(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuses(*question: int) -> int:
        asked.append(question)
        return -1

    monkeypatch.setattr(pages, "_scans", True)
    monkeypatch.setattr(pages, "_ioctl", refuses)
    assert written_to(image, {3, 4, 900})[1] == [(3, 2), (900, 1)]
    assert len(asked) == 1

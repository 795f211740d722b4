"""Files, folders and globs as contexts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rlm_wasm import Runtime, UsageError
from rlm_wasm.context_files import Loaded, contexts_of, load_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """docs/ with texts, a folder below, and what is no text."""
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / "a.txt").write_text("alpha")
    (docs / "deep" / "b.md").write_text("beta")
    (docs / "empty.txt").write_text("")
    (docs / "image.png").write_bytes(b"\x89PNG\0\0")
    (docs / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (docs / ".hidden").write_text("secret")
    (docs / ".git").mkdir()
    (docs / ".git" / "config").write_text("secret")
    return docs


def test_a_folder_gives_every_text_below_it_by_name(folder: Path) -> None:
    """Hidden files, empty ones and what is no text are left out; that is said of the last two."""
    loaded = contexts_of(folder)
    assert loaded.texts == {"docs/a.txt": "alpha", "docs/deep/b.md": "beta"}
    assert any("2 files are no text and left out: image.png, latin.txt" in note for note in loaded.notes)
    assert any("1 file is empty" in note for note in loaded.notes)


def test_a_folder_with_a_name_gives_it_to_its_files(folder: Path) -> None:
    """So do globs."""
    assert set(contexts_of({"x": folder}).texts) == {"x/a.txt", "x/deep/b.md"}
    loaded = Loaded()
    load_path(loaded, f"{folder}/**/*.md", name="m")
    assert set(loaded.texts) == {"m/deep/b.md"}


def test_a_glob_gives_what_it_matches(folder: Path) -> None:
    """Named from where its first * stands."""
    assert contexts_of([f"{folder}/*.txt"]).texts == {"docs/a.txt": "alpha"}
    with pytest.raises(UsageError, match="no file matches"):
        contexts_of([f"{folder}/*.csv"])


def test_one_file_is_the_main_context_and_several_have_names(folder: Path) -> None:
    """Their paths."""
    a, b = folder / "a.txt", folder / "deep" / "b.md"
    assert contexts_of(a).texts == contexts_of([a]).texts == {None: "alpha"}
    assert contexts_of([a, str(b)]).texts == {str(a): "alpha", str(b): "beta"}


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    """Where it exists."""
    (tmp_path / "a[1].txt").write_text("one")
    assert contexts_of([tmp_path / "a[1].txt"]).texts == {None: "one"}


def test_a_text_that_names_a_file_is_the_text_and_that_is_said(folder: Path) -> None:
    """Whoever forgot Path would be told that nothing was found in a text of one word."""
    meant = str(folder / "a.txt")
    loaded = contexts_of(meant)
    assert loaded.texts == {None: meant}
    assert f"the context is the text {meant!r}, which names a file" in loaded.notes[0]
    for text in ("", "alpha", f"{meant}\n", "a\0b", "x" * 5000, f"nothing/{meant}"):
        assert contexts_of(text).notes == []


def test_a_folder_without_text_says_so(tmp_path: Path) -> None:
    """And why."""
    (tmp_path / "x.bin").write_bytes(b"\0\0")
    with pytest.raises(UsageError, match=r"holds no file with text \(1 file is no text"):
        contexts_of(tmp_path)


def test_links_out_of_a_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    """Nor circles within it, nor what is no file."""
    (tmp_path / "outside.txt").write_text("outside")
    (folder / "link.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "circle").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe")
    loaded = contexts_of(folder)
    assert set(loaded.texts) == {"docs/a.txt", "docs/deep/b.md"}
    assert any("outside of it and left out: link.txt" in note for note in loaded.notes)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (5, "context must be a text"),
        ([5], "a list of contexts holds paths"),
        ({"": "x"}, "non-empty"),
        ({"a": 5}, "must be text, got int"),
        (Path("no-such-file"), "cannot read no-such-file"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_what_is_no_context_is_refused(source: Any, message: str) -> None:
    """With what was wrong."""
    with pytest.raises(UsageError, match=message):
        contexts_of(source)


def test_too_many_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are read; so are too many bytes."""
    monkeypatch.setattr("rlm_wasm.context_files.MAX_FILES", 3)
    with pytest.raises(UsageError, match="more than 3 files"):
        contexts_of(folder)
    monkeypatch.setattr("rlm_wasm.context_files.MAX_FILES", 100)
    monkeypatch.setattr("rlm_wasm.context_files.MAX_BYTES", 5)
    with pytest.raises(UsageError, match="more than 5 bytes"):
        contexts_of(folder)


async def test_a_folder_that_cannot_be_used_is_an_answer(tmp_path: Path) -> None:
    """Not an exception: the question was fine."""
    async with Runtime(provider="extractive") as runtime:
        answer = await runtime.ask("q?", tmp_path)
    assert answer.status == "error"
    assert answer.error is not None
    assert "holds no file with text" in answer.error.message


async def test_a_question_over_a_folder(folder: Path) -> None:
    """What was left out is in the notes."""
    (folder / "c.txt").write_text("The magic number is 42.")
    async with Runtime(provider="extractive") as runtime:
        answer = await runtime.ask("What is the magic number?", [folder])
    assert "42" in answer.value
    assert any("left out" in note for note in answer.notes)

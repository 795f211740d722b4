"""Files, folders and globs as contexts by name: for the command line, and for ``context=`` in Python.

A folder gives every file with text below it; what is hidden, empty or no text is left out, and that is said.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rlm_wasm.capabilities.contexts import as_text
from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass, field

MAX_FILES = 20_000
"""Files that one folder or glob may give."""
MAX_BYTES = 1 << 30
"""Bytes of all files of one folder or glob together."""
_SNIFFED = 1 << 13
"""Bytes at a file's beginning by which it is told to be binary."""

_MAX_PATH = 1_000
"""Characters that a text may have and still be taken for a path."""

ContextSource = str | bytes | Path | Mapping[str, str | bytes | Path] | Sequence[str | Path] | None
"""What a question or a program may be about: a text, texts by name, a path, or paths and globs."""


@dataclass(slots=True)
class Loaded:
    """Texts by name, None for the one without; ``notes`` are sentences about what was left out."""

    texts: dict[str | None, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str | None, text: str) -> None:
        """One text more. Raises UsageError where the name is taken."""
        if name in self.texts:
            which = "without a name" if name is None else f"named {name}"
            raise UsageError(f"two contexts {which}: give them different names")
        self.texts[name] = text


def is_pattern(path: str) -> bool:
    """Whether a path stands for several: a folder, or a glob that is no file's name."""
    return Path(path).is_dir() or (glob.has_magic(path) and not Path(path).exists())


def _names_a_path(text: str) -> bool:
    """Whether a text is what somebody may have meant as a path."""
    if not 0 < len(text) <= _MAX_PATH or "\n" in text:
        return False
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def contexts_of(source: ContextSource) -> Loaded:
    """The contexts that ``context=`` means. A lone str is a text; in a list of paths it is a path.

    Raises UsageError for what is no context, cannot be read or holds no text.
    """
    loaded = Loaded()
    if source is None:
        return loaded
    if isinstance(source, str | bytes | bytearray):
        loaded.add(None, as_text(source, "context"))
        if isinstance(source, str) and _names_a_path(source):
            loaded.notes.append(
                f"the context is the text {source!r}, which names a file or folder: Path(…) gives that"
            )
    elif isinstance(source, Path):
        load_path(loaded, source)
    elif isinstance(source, Mapping):
        for name, value in source.items():
            if not isinstance(name, str) or not name:
                raise UsageError(f"a context's name must be a non-empty text, got {name!r:.80}")
            if isinstance(value, Path):
                load_path(loaded, value, name=name)
            else:
                loaded.add(name, as_text(value, f"context {name!r}"))
    elif isinstance(source, Sequence):
        single = len(source) == 1
        for path in source:
            if not isinstance(path, str | Path):
                raise UsageError(f"a list of contexts holds paths, not {type(path).__name__}")
            plain = single or is_pattern(str(path))
            load_path(loaded, path, name=None if plain else str(path))
    else:
        raise UsageError(
            f"context must be a text, texts by name, a path or a list of paths, not {type(source).__name__}"
        )
    return loaded


def load_path(loaded: Loaded, path: str | Path, *, name: str | None = None) -> None:
    """Add a file, or all files of a folder or glob. ``name`` is the file's, or stands before theirs.

    Raises UsageError where it cannot be read, or holds no text.
    """
    text = str(path)
    if not is_pattern(text):
        loaded.add(name, _read(Path(path)))
        return
    folder, files = _found(text)
    texts, notes = _texts(folder, files)
    if not texts:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise UsageError(f"{text} holds no file with text{why}")
    prefix = name if name is not None else folder.resolve().name
    for relative, value in texts:
        loaded.add(f"{prefix}/{relative}" if prefix else relative, value)
    loaded.notes += [f"{text}: {note}" for note in notes]


def _read(path: Path) -> str:
    try:
        return as_text(path.read_bytes(), str(path))
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _found(text: str) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files, in order."""
    folder = Path(text)
    if folder.is_dir():
        return folder, _bounded(text, _below(folder))
    parts = Path(text).parts
    plain = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    folder = Path(*parts[:plain]) if plain else Path()
    matches = (Path(match) for match in glob.iglob(text, recursive=True))  # noqa: PTH207
    files = _bounded(text, (match for match in matches if match.is_file()))
    if not files:
        raise UsageError(f"no file matches {text}")
    return folder, files


def _bounded(text: str, paths: Iterator[Path]) -> list[Path]:
    files = []
    for path in paths:
        files.append(path)
        if len(files) > MAX_FILES:
            raise UsageError(f"{text} has more than {MAX_FILES:,} files: name a smaller folder, or a glob")
    return sorted(files)


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                yield Path(here, name)


def _texts(folder: Path, files: list[Path]) -> tuple[list[tuple[str, str]], list[str]]:
    """The files that hold text, by their place in the folder; and what was left out."""
    root = folder.resolve()
    total = 0
    texts: list[tuple[str, str]] = []
    left_out: dict[str, list[str]] = {"no text": [], "empty": [], "not readable": [], "outside of it": []}
    for file in files:
        relative = file.relative_to(folder).as_posix()
        try:
            if file.is_symlink() and not file.resolve().is_relative_to(root):
                left_out["outside of it"].append(relative)
                continue
            state = file.stat()
            if not stat.S_ISREG(state.st_mode):
                left_out["no text"].append(relative)
                continue
            total += state.st_size
            if total > MAX_BYTES:
                raise UsageError(f"{folder} has more than {MAX_BYTES:,} bytes of files: name a part of it")
            text = _text_of(file)
        except OSError:
            left_out["not readable"].append(relative)
            continue
        if text is None:
            left_out["no text"].append(relative)
        elif not text.strip():
            left_out["empty"].append(relative)
        else:
            texts.append((relative, text))
    return texts, [_note(why, names) for why, names in left_out.items() if names]


def _text_of(file: Path) -> str | None:
    with file.open("rb") as stream:
        head = stream.read(_SNIFFED)
        if b"\0" in head:
            return None
        data = head + stream.read()
    try:
        return as_text(data, str(file))
    except UsageError:
        return None


def _note(why: str, names: list[str]) -> str:
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
    are = "files are" if len(names) > 1 else "file is"
    return f"{len(names):,} {are} {why} and left out: {listed}"

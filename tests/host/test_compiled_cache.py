"""The cache of compiled modules: what another user could have written is never loaded, nor altered."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from rlm_wasm.sandbox import compiled_cache
from rlm_wasm.sandbox.compiled_cache import CompiledCache

NAME = "module.cwasm"


class Compiler:
    """A module is its bytes; counts how often it compiles, and what it loads."""

    def __init__(self) -> None:
        self.compiled = 0
        self.loaded: list[bytes] = []

    def compile_module(self) -> bytes:
        """The module that is right."""
        self.compiled += 1
        return b"compiled"

    def from_file(self, name: str) -> bytes | None:
        """As wasmtime: opens the name that it is given."""
        content = Path(name).read_bytes()
        self.loaded.append(content)
        return None if content == b"damaged" else content

    def load(self, cache: CompiledCache) -> tuple[bytes, bool]:
        """Through the cache."""
        return cache.load(
            NAME,
            from_file=self.from_file,
            compile_module=self.compile_module,
            serialize=lambda module: module,
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the cache will be."""
    return tmp_path / "cache"


def test_a_module_is_compiled_once_and_its_folder_is_the_users_alone(folder: Path) -> None:
    """Whatever the umask says."""
    compiler = Compiler()
    assert compiler.load(CompiledCache(folder)) == (b"compiled", False)
    assert compiler.load(CompiledCache(folder)) == (b"compiled", True)
    assert compiler.compiled == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_folder_that_others_may_write_is_not_used_and_not_altered(folder: Path, mode: int) -> None:
    """Not even to make it safe: it may be shared on purpose."""
    folder.mkdir()
    (folder / NAME).write_bytes(b"planted")
    folder.chmod(mode)
    compiler, cache = Compiler(), CompiledCache(folder)
    assert "can be written by others" in cache.problem
    assert compiler.load(cache) == (b"compiled", False)
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    assert (folder / NAME).read_bytes() == b"planted"
    assert compiler.loaded == []


def test_a_folder_that_others_may_only_read_is_used(folder: Path) -> None:
    """It is no secret."""
    folder.mkdir(mode=0o755)
    assert CompiledCache(folder).problem == ""


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_may_write_is_compiled_again(folder: Path, mode: int) -> None:
    """And replaced by one of ours."""
    compiler, cache = Compiler(), CompiledCache(folder)
    (folder / NAME).write_bytes(b"planted")
    (folder / NAME).chmod(mode)
    assert "can be written by others" in cache.check(NAME)
    assert compiler.load(cache) == (b"compiled", False)
    assert b"planted" not in compiler.loaded
    assert cache.check(NAME) == ""


@pytest.mark.parametrize("whose", ["folder", "file"])
def test_what_belongs_to_another_user_is_not_loaded(
    folder: Path, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the owner of what is open."""
    compiler = Compiler()
    compiler.load(CompiledCache(folder))
    real, is_kind = os.fstat, stat.S_ISDIR if whose == "folder" else stat.S_ISREG

    def fstat(handle: int) -> os.stat_result:
        status = real(handle)
        fields = list(status)
        fields[stat.ST_UID] += is_kind(status.st_mode)
        return os.stat_result(fields)

    monkeypatch.setattr(compiled_cache.os, "fstat", fstat)
    compiler.loaded.clear()
    cache = CompiledCache(folder)
    assert compiler.load(cache) == (b"compiled", False)
    assert compiler.loaded == []
    assert "another user" in (cache.problem or cache.check(NAME))


def _link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(b"planted")
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("plant", [_link, lambda path: path.mkdir(), os.mkfifo])
def test_what_is_no_regular_file_is_not_loaded(folder: Path, plant: Callable[[Path], None]) -> None:
    """A link, a folder, a pipe: and nobody waits for the pipe."""
    compiler, cache = Compiler(), CompiledCache(folder)
    plant(folder / NAME)
    assert compiler.load(cache)[0] == b"compiled"
    assert b"planted" not in compiler.loaded


def test_a_damaged_file_is_compiled_again(folder: Path) -> None:
    """As one of another CPU is."""
    compiler, cache = Compiler(), CompiledCache(folder)
    (folder / NAME).write_bytes(b"damaged")
    (folder / NAME).chmod(0o600)
    assert compiler.load(cache) == (b"compiled", False)
    assert compiler.load(cache) == (b"compiled", True)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="names of descriptors are Linux's")
def test_what_is_loaded_is_what_was_checked(folder: Path) -> None:
    """Also where the name stands for something else by then."""
    compiler, cache = Compiler(), CompiledCache(folder)
    compiler.load(cache)

    def swapping(name: str) -> bytes:
        (folder / "planted").write_bytes(b"planted")
        (folder / "planted").replace(folder / NAME)
        return compiler.from_file(name)

    found = cache.load(
        NAME, from_file=swapping, compile_module=compiler.compile_module, serialize=lambda module: module
    )
    assert found == (b"compiled", True)


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    """And the reason is there to be shown."""
    (tmp_path / "file").write_bytes(b"")
    compiler, cache = Compiler(), CompiledCache(tmp_path / "file" / "cache")
    assert str(tmp_path) in cache.problem
    assert compiler.load(cache) == (b"compiled", False)


def test_a_full_disk_is_done_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled module is used all the same."""

    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiled_cache, "write_atomically", full)
    assert Compiler().load(CompiledCache(folder)) == (b"compiled", False)

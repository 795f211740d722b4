"""Where a workspace path may lead: one table of hostile paths, asked by all who read files, one answer."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rlm_wasm import Limits, Runtime, UsageError
from rlm_wasm.capabilities import images, workspace
from rlm_wasm.capabilities.libraries import LibraryFolders
from rlm_wasm.capabilities.workspace import MIN_CHARGE_BYTES, Workspace
from rlm_wasm.errors import CapabilityDenied, InvalidToolArguments, PythonFailure
from rlm_wasm.mcp.tools import state
from rlm_wasm.python.wasi import WasiPython

INSIDE = b"GIF89a (lies inside)"
SECRET = b"GIF89a (lies outside)"
"""Both are a picture and UTF-8 text, so that every user takes them."""

Reader = Callable[[Path, str], Awaitable[bytes | None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A granted folder with all that may lie in one, and a secret beside it."""
    folder = tmp_path / "granted"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.gif").write_bytes(INSIDE)
    (folder / "sub" / "b.gif").write_bytes(INSIDE)
    (folder / os.fsdecode(b"caf\xe9.gif")).write_bytes(INSIDE)
    (tmp_path / "secret.gif").write_bytes(SECRET)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.gif").write_bytes(SECRET)
    (folder / "in.gif").symlink_to(folder / "a.gif")
    (folder / "out.gif").symlink_to(tmp_path / "secret.gif")
    (folder / "dangling.gif").symlink_to(tmp_path / "nowhere")
    (folder / "loop.gif").symlink_to("loop.gif")
    (folder / "linked").symlink_to(folder / "sub")
    (folder / "away").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe.gif")
    here = Path.cwd()
    os.chdir(folder)  # a socket's name must be short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket.gif")
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
async def readers() -> AsyncIterator[dict[str, Reader]]:
    """The four users of the workspace: content, None for "there is none", or what they raise."""
    made: list[WasiPython] = []

    async def python(root: Path, path: str) -> bytes:
        backend = WasiPython(limits=Limits(), workspace=Workspace(root))
        made.append(backend)
        reply = await backend.run("eval", [f"open({path!r}, 'rb').read()"], fuel=10**10, timeout_s=60)
        return cast(bytes, reply.value)

    async def image(root: Path, path: str) -> bytes:
        return base64.b64decode(images.checked(path, Workspace(root)).partition(",")[2])

    async def load_context(root: Path, path: str) -> bytes:
        queue: Any = SimpleNamespace(runtime=SimpleNamespace(grants=SimpleNamespace(workspace=root)))
        return state._workspace_file(queue, path)

    async def library(root: Path, path: str) -> bytes | None:
        text = LibraryFolders([root]).read([path])
        return text.encode() if isinstance(text, str) else None

    yield {"python": python, "images": image, "load_context": load_context, "libraries": library}
    for backend in made:
        await backend.aclose()


async def answer(reader: Reader, root: Path, path: str) -> str:
    """One word for what a user says about a path."""
    try:
        content = await reader(root, path)
    except (PythonFailure, CapabilityDenied, UsageError, InvalidToolArguments) as error:
        message = str(error)
        words = ("links are not followed", "outside", "no regular file", "directory", "no name of a file")
        if "no such file" in message or "there is no file" in message:
            return "absent"
        return next(word for word in words if word in message)
    return {INSIDE: "inside", SECRET: "SECRET", None: "absent"}[content]


PATHS = {
    "a.gif": "inside",
    "./sub//b.gif": "inside",
    "{root}/a.gif": "inside",
    os.fsdecode(b"caf\xe9.gif"): "inside",
    "missing.gif": "absent",
    "sub/missing/b.gif": "absent",
    "../secret.gif": "outside",
    "sub/../../secret.gif": "outside",
    "sub/../a.gif": "outside",
    "{root}/../secret.gif": "outside",
    "{root}.gif/a": "outside",
    "/etc/passwd.": "outside",
    "in.gif": "links are not followed",
    "out.gif": "links are not followed",
    "dangling.gif": "links are not followed",
    "loop.gif": "links are not followed",
    "linked/b.gif": "links are not followed",
    "away/b.gif": "links are not followed",
    "pipe.gif": "no regular file",
    "socket.gif": "no regular file",
    "./sub": "directory",
    "./": "directory",
    "a\0.gif": "no name of a file",
    "x" * 300 + ".gif": "no name of a file",
    "\ud800.gif": "no name of a file",
}


@pytest.mark.parametrize("path", PATHS)
async def test_all_users_give_one_answer(root: Path, readers: dict[str, Reader], path: str) -> None:
    """Also for a pipe, which nobody waits for."""
    answers = {who: await answer(read, root, path.format(root=root)) for who, read in readers.items()}
    assert answers == dict.fromkeys(readers, PATHS[path])


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
async def test_a_device_is_no_file(
    root: Path, readers: dict[str, Reader], kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the open descriptor is: making a real one takes rights that a test may not have."""
    fstat = os.fstat
    monkeypatch.setattr(
        workspace.os, "fstat", lambda handle: SimpleNamespace(st_mode=kind, st_size=fstat(handle).st_size)
    )
    answers = {who: await answer(read, root, "a.gif") for who, read in readers.items()}
    assert answers == dict.fromkeys(readers, "no regular file")


@pytest.mark.parametrize("user", ["python", "images", "load_context", "libraries"])
@pytest.mark.parametrize(
    "moment", ["before the file is opened", "before its folder is opened", "once it is open"]
)
async def test_a_swap_between_check_and_use_gains_nothing(
    root: Path, readers: dict[str, Reader], user: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts a link in the place of the file, or of its folder, at the worst moment."""
    real_open, real_fstat = os.open, os.fstat
    swapped: list[str] = []

    def swap() -> None:
        if swapped:
            return
        swapped.append(moment)
        if "folder" in moment:
            (root / "sub").rename(root / "old")
            (root / "sub").symlink_to(root.parent / "elsewhere")
        else:
            (root / "sub" / "b.gif").unlink()
            (root / "sub" / "b.gif").symlink_to(root.parent / "secret.gif")

    def fake_open(name: Any, *arguments: Any, **named: Any) -> int:
        if moment.startswith("before") and name == ("sub" if "folder" in moment else "b.gif"):
            swap()
        return real_open(name, *arguments, **named)

    def fake_fstat(handle: int) -> os.stat_result:
        status = real_fstat(handle)
        if moment == "once it is open" and stat.S_ISREG(status.st_mode):
            swap()
        return status

    monkeypatch.setattr(workspace.os, "open", fake_open)
    monkeypatch.setattr(workspace.os, "fstat", fake_fstat)
    found = await answer(readers[user], root, "sub/b.gif")
    assert swapped == [moment]
    assert found == ("inside" if moment == "once it is open" else "links are not followed")


async def test_the_granted_folder_itself_may_be_given_by_a_link(
    root: Path, readers: dict[str, Reader]
) -> None:
    """As an installed library's may be; it is resolved once."""
    link = root.parent / "link"
    link.symlink_to(root)
    for path in ("sub/b.gif", f"{link}/a.gif", f"{root}/a.gif"):
        answers = {who: await answer(read, link, path) for who, read in readers.items()}
        assert answers == dict.fromkeys(readers, "inside"), path


async def test_a_file_that_is_too_large_is_refused_by_its_size(
    root: Path, readers: dict[str, Reader]
) -> None:
    """Nothing of it is read."""
    with (root / "large.gif").open("wb") as file:
        file.truncate(1 << 40)
    for read in readers.values():
        with pytest.raises(
            (PythonFailure, UsageError, InvalidToolArguments, CapabilityDenied), match="large"
        ):
            await read(root, "large.gif")


def test_a_file_that_grows_while_it_is_read_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size was a check, what is read is the use."""
    real = os.fstat

    def earlier(handle: int) -> Any:
        status = real(handle)
        return SimpleNamespace(st_mode=status.st_mode, st_size=1)

    monkeypatch.setattr(workspace.os, "fstat", earlier)
    with pytest.raises(OSError, match="too large"):
        Workspace(root).read_bytes("a.gif", 4)


def test_writing_follows_no_link_and_waits_for_no_pipe(root: Path) -> None:
    """What lies at the other end stays as it was."""
    granted = Workspace(root)
    for path in ("out.gif", "dangling.gif", "away/new.gif", "../new.gif", "pipe.gif", "socket.gif"):
        with pytest.raises(PermissionError):
            granted.write_bytes(path, b"changed")
    assert (root.parent / "secret.gif").read_bytes() == SECRET
    assert not (root.parent / "nowhere").exists()
    granted.write_bytes("a.gif", b"short")
    assert (root / "a.gif").read_bytes() == b"short"


def test_what_may_be_written_is_counted_over_the_whole_session(root: Path) -> None:
    """Overwriting counts again, and so does making empty files: a disk has only so many."""
    granted = Workspace(root, max_written_bytes=4 * MIN_CHARGE_BYTES)
    granted.write_bytes("new", b"x" * MIN_CHARGE_BYTES)
    granted.write_bytes("new", b"y" * 2 * MIN_CHARGE_BYTES)
    with pytest.raises(OSError, match=r"workspace_bytes.*has written 12,288") as caught:
        granted.write_bytes("new", b"z" * (MIN_CHARGE_BYTES + 1))
    assert caught.value.errno == errno.EDQUOT
    assert (root / "new").read_bytes() == b"y" * 2 * MIN_CHARGE_BYTES
    granted.serve("mkdir", ["folder", False])
    for operation, argument in (("write", ""), ("mkdir", True)):
        with pytest.raises(OSError, match="workspace_bytes"):
            granted.serve(operation, ["empty", argument])
    assert not (root / "empty").exists()
    assert granted.written_bytes == 4 * MIN_CHARGE_BYTES


async def test_python_sees_the_quota_as_an_os_error(root: Path) -> None:
    """And the file that did not fit is as it was."""
    backend = WasiPython(limits=Limits(), workspace=Workspace(root, max_written_bytes=100_000))
    code = """
try:
    with open('big', 'w') as f:
        f.write('x' * 200_000)
except OSError as error:
    print(error)
"""
    reply = await backend.run("exec", [code], fuel=10**10, timeout_s=60)
    await backend.aclose()
    assert "workspace_bytes" in reply.stdout
    assert (root / "big").read_bytes() == b""


def test_a_read_only_workspace_refuses_every_change(root: Path) -> None:
    """Before it looks at anything."""
    granted = Workspace(root, writable=False)
    for operation, *arguments in (("write", "new", ""), ("remove", "a.gif"), ("mkdir", "new", False)):
        with pytest.raises(PermissionError, match="read-only"):
            granted.serve(operation, arguments)


def test_a_platform_without_openat_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than being a little unsafe."""
    monkeypatch.setattr(workspace, "_HAS_OPENAT", False)
    with pytest.raises(UsageError, match="openat"):
        Workspace(root)
    assert not Workspace(None).granted


def test_no_descriptor_is_left_open(root: Path) -> None:
    """Whatever the path, the process has as many as before."""
    granted = Workspace(root)
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this platform does not list descriptors")
    before = len(list(descriptors.iterdir()))
    for path in PATHS:
        for operation, *arguments in (("read",), ("stat",), ("list",), ("write", "")):
            with contextlib.suppress(OSError):
                granted.serve(operation, [path, *arguments])
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize("size", [0, 1, 2, 3, (3 << 18) - 1, 3 << 18, (3 << 18) + 1, 2_000_000])
def test_a_file_is_encoded_and_decoded_in_pieces_and_is_the_same(
    root: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one go 30 MB kept all threads of the process, and every session, waiting for 100 ms each way."""
    longest = 0
    real = base64.b64decode

    def watched(text: str, **options: Any) -> bytes:
        nonlocal longest
        longest = max(longest, len(text))
        return real(text, **options)

    monkeypatch.setattr(workspace.base64, "b64decode", watched)
    granted = Workspace(root)
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    granted.serve("write", ["binary", base64.b64encode(content).decode()])
    assert (root / "binary").read_bytes() == content
    assert real(granted.serve("read", ["binary"])) == content
    assert longest <= 4 << 18


@pytest.mark.parametrize(
    "content",
    [
        "A" * 40_000 + "=" * 39_000,
        "A" * (4 << 18) + "AA==" * 10,
        "A" * (4 << 18) + "A" * 5,
        "A" * (4 << 18) + "AAA\n",
        "A" * (4 << 18) + "AA\u00e9\u00e9",
    ],
)
def test_a_text_that_no_encoder_made_leaves_the_file_as_it_was(root: Path, content: str) -> None:
    """Padding without end made it count less; what stood behind the first mebibyte left it half written."""
    (root / "file").write_text("before")
    granted = Workspace(root)
    with pytest.raises(ValueError, match="no base64"):
        granted.serve("write", ["file", content])
    assert (root / "file").read_text() == "before"
    assert granted.written_bytes == 0


def test_a_path_is_no_longer_than_a_system_s_and_its_folders_are_made_one_from_the_other(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path of a thousand folders opened half a million of them, and could not be cleared away by recursion."""
    granted = Workspace(root)
    opened = 0
    real = os.open

    def counted(*arguments: Any, **more: Any) -> int:
        nonlocal opened
        opened += 1
        return real(*arguments, **more)

    monkeypatch.setattr(os, "open", counted)
    granted.serve("mkdir", ["a/" * 100, True])
    assert opened <= 101
    for operation in ("mkdir", "read", "stat", "list"):
        with pytest.raises(OSError, match="too long"):
            granted.serve(operation, ["a" * 5_000, True])
        with pytest.raises(OSError, match="more than 100 folders"):
            granted.serve(operation, ["a/" * 101, True])


def test_a_folder_of_too_many_files_is_not_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sorted in one go."""
    monkeypatch.setattr(workspace, "MAX_LISTED", 3)
    granted = Workspace(root)
    granted.serve("mkdir", ["many", False])
    for name in "abc":
        granted.serve("write", [f"many/{name}", ""])
    assert granted.serve("list", ["many"]) == ["a", "b", "c"]
    granted.serve("write", ["many/d", ""])
    with pytest.raises(OSError, match="more than 3 files"):
        granted.serve("list", ["many"])


async def test_python_reads_what_it_wrote_whatever_it_is(root: Path) -> None:
    """A file of megabytes crosses without being gone through; names and small files as before."""
    code = (
        "data = bytes(range(256)) * 5000\n"
        'for name in ("a\\"b.bin", "ü.bin", "plain"):\n'
        '    open(name, "wb").write(data)\n'
        '    assert open(name, "rb").read() == data\n'
        'open("small", "w").write("a\\"\\\\")\n'
        'open("small").read()'
    )
    async with Runtime(provider="echo", workspace=root) as runtime:
        result = await runtime.run(f"(py-eval {json.dumps(code, ensure_ascii=False)})")
    assert result.data == 'a"\\', result.error
    assert {"ü.bin", 'a"b.bin'} <= {path.name for path in root.iterdir()}

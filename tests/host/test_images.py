"""Images are checked for where they come from, type and size before anything is sent."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from rlm_wasm import Runtime
from rlm_wasm.capabilities import images
from rlm_wasm.capabilities.workspace import Workspace
from rlm_wasm.errors import UsageError
from rlm_wasm.providers import data_urls
from rlm_wasm.testing import InlineProvider

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + b"\xff" * 8
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
JPEG = b"\xff\xd8\xff" + b"\xff" * 30


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with a picture and a text, and a secret beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.png").write_bytes(PNG)
    (folder / "a.txt").write_text("text")
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    return folder


async def ask(workspace: Path | None, arguments: str) -> tuple[InlineProvider, str]:
    """The provider, and what the program says."""
    provider = InlineProvider()
    async with Runtime(provider=provider, workspace=workspace) as runtime:
        result = await runtime.run(f'(syntax-e (llm-query #:instruction "what is it?" {arguments}))')
    return provider, result.value or str(result.error)


async def test_files_data_urls_and_base64_become_data_urls(workspace: Path) -> None:
    """Small base64 with a slash in it is no file's name."""
    for source in ("a.png", URL, base64.b64encode(PNG).decode()):
        provider, said = await ask(workspace, f'#:image "{source}"')
        assert said == "[what is it?]"
        assert provider.requests[0].images == (URL,)
    provider, _ = await ask(workspace, f'#:images (list "a.png" "{base64.b64encode(JPEG).decode()}")')
    assert [image.split(";")[0] for image in provider.requests[0].images] == [
        "data:image/png",
        "data:image/jpeg",
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("b.png", "no such file"),
        ("a.txt", "no PNG, JPEG, GIF or WebP"),
        ("../secret.png", "outside of the workspace"),
        ("link.png", "links are not followed"),
        ("/etc/passwd", "outside of the workspace"),
        ("x/" * 90, "no such file"),
        ("x/" * 400, "more than 100 folders"),
        ("." + "x" * 900, "no name of a file"),
        ("https://example.org/a.png", "not fetched"),
        ("data:image/png,abc", "base64"),
        ("not base64!", "neither"),
    ],
)
async def test_what_is_no_image_is_explained_and_not_sent(workspace: Path, source: str, words: str) -> None:
    """Before any money is spent."""
    provider, said = await ask(workspace, f'#:image "{source}"')
    assert words in said
    assert provider.requests == []


async def test_without_a_workspace_there_are_no_files() -> None:
    """A capability condition."""
    provider, said = await ask(None, '#:image "a.png"')
    assert "no workspace" in said
    assert provider.requests == []


def test_an_image_that_is_too_large_is_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file and as base64."""
    for module in (images, data_urls):
        monkeypatch.setattr(module, "MAX_BYTES", 100)
    for source in ("a.png", URL):
        with pytest.raises(UsageError, match="larger than"):
            images.checked(source, Workspace(workspace))

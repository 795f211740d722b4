"""Images for vision models: a workspace file, a data URL, or base64; checked for type and size."""

from __future__ import annotations

import base64
import binascii
import errno
from pathlib import Path
from typing import Any

from rlm_wasm.capabilities.workspace import Workspace, refusal
from rlm_wasm.errors import CapabilityDenied, UsageError

MAX_BYTES = 20 << 20

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)

_BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""What base64 of these types begins with: it may hold a slash, like a file's name."""


def checked(source: Any, workspace: Workspace | Path | None) -> str:
    """A data URL. Raises UsageError or CapabilityDenied."""
    if not isinstance(workspace, Workspace):
        workspace = Workspace(workspace, writable=False)
    if not isinstance(source, str) or not source:
        raise UsageError("#:image must be a file name in the workspace, a data URL, or base64 text")
    if source.startswith("data:"):
        head, _, body = source.partition(",")
        if not head.endswith(";base64"):
            raise UsageError("#:image: a data URL must be base64 (data:image/png;base64,…)")
        return _data_url(_decoded(body))
    if source.startswith(("http://", "https://")):
        raise UsageError("#:image: URLs are not fetched; give a workspace file, a data URL or base64 text")
    looks_like_a_file = len(source) < 1024 and ("." in source or "/" in source)
    if looks_like_a_file and not source.startswith(_BASE64_STARTS):
        return _data_url(_from_workspace(source, workspace))
    return _data_url(_decoded(source))


def _decoded(text: str) -> bytes:
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        raise UsageError(f"#:image is larger than {MAX_BYTES >> 20} MiB")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("#:image is neither a workspace file, nor a data URL, nor base64") from error


def _from_workspace(name: str, workspace: Workspace) -> bytes:
    if not workspace.granted:
        raise CapabilityDenied(f"#:image {name!r}: no workspace folder is granted (--workspace DIR)")
    try:
        return workspace.read_bytes(name, MAX_BYTES)
    except PermissionError as error:
        raise CapabilityDenied(f"#:image {refusal(error)}") from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise UsageError(f"#:image {name!r} is larger than {MAX_BYTES >> 20} MiB") from None
        raise UsageError(f"#:image {refusal(error)}") from None


def _data_url(content: bytes) -> str:
    kind = next((kind for magic, kind in _MAGIC if content.startswith(magic)), None)
    if kind is None and content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None:
        raise UsageError("#:image is no PNG, JPEG, GIF or WebP")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

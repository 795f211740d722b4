"""Images for vision models: a workspace file, a data URL, or base64; checked for type and size."""

from __future__ import annotations

import errno
from typing import Any

from rlm_wasm.capabilities.workspace import Workspace, refusal
from rlm_wasm.errors import CapabilityDenied, UsageError
from rlm_wasm.providers import data_urls
from rlm_wasm.providers.data_urls import MAX_BYTES

_BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""What base64 of these types begins with: it may hold a slash, like a file's name."""


def checked(source: Any, workspace: Workspace | None) -> str:
    """A data URL. Raises UsageError or CapabilityDenied."""
    if not isinstance(source, str) or not source:
        raise UsageError("#:image must be a file name in the workspace, a data URL, or base64 text")
    looks_like_a_file = len(source) < 1024 and ("." in source or "/" in source)
    elsewhere = ("data:", "http://", "https://", *_BASE64_STARTS)
    if looks_like_a_file and not source.startswith(elsewhere):
        return data_urls.data_url(_from_workspace(source, workspace or Workspace(None)))
    return data_urls.checked(source)


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

"""Images as data URLs: decoded, and checked for type and size."""

from __future__ import annotations

import base64
import binascii

from rlm_wasm.errors import UsageError

MAX_BYTES = 20 << 20
"""Of one image."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def checked(source: str) -> str:
    """The data URL of a data URL or of base64 text. Raises UsageError for what is no image."""
    if source.startswith("data:"):
        head, _, body = source.partition(",")
        if not head.endswith(";base64"):
            raise UsageError("#:image: a data URL must be base64 (data:image/png;base64,…)")
        return data_url(_decoded(body))
    if source.startswith(("http://", "https://")):
        raise UsageError("#:image: URLs are not fetched; give a workspace file, a data URL or base64 text")
    return data_url(_decoded(source))


def _decoded(text: str) -> bytes:
    if len(text) > MAX_BYTES * 4 // 3 + 4:
        raise UsageError(f"#:image is larger than {MAX_BYTES >> 20} MiB")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError("#:image is neither a workspace file, nor a data URL, nor base64") from error


def data_url(content: bytes) -> str:
    """An image file's bytes as a data URL. Raises UsageError for what is no image."""
    kind = next((kind for magic, kind in _MAGIC if content.startswith(magic)), None)
    if kind is None and content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None:
        raise UsageError("#:image is no PNG, JPEG, GIF or WebP")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def parts_of(url: str) -> tuple[str, bytes]:
    """A checked data URL's media type and bytes."""
    head, _, body = url.partition(",")
    return head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(body)

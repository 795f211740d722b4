"""A bearer token in front of an ASGI application: who does not have it gets 401, and nothing else happens."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rlm_wasm.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MIN_CHARACTERS: Final = 16


def read_token(path: str) -> str:
    """The token in a file, without the blanks around it. Raises UsageError; the token is in no message."""
    try:
        token = Path(path).read_bytes().decode("ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no ASCII text"
        raise UsageError(f"cannot read the token file {path}: {reason}") from None
    if len(token) < MIN_CHARACTERS or not all("!" <= character <= "~" for character in token):
        raise UsageError(
            f"the token in {path} must have at least {MIN_CHARACTERS} printable characters and no blanks,"
            " such as openssl rand -hex 32 makes"
        )
    return token


class BearerAuth:
    """Lets requests through that carry ``Authorization: Bearer TOKEN``."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._digest = _digest(token.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it. What is no HTTP request but the server's own start and end is refused, too."""
        if scope["type"] == "lifespan" or self._allows(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = b"this server wants the token that it was started with: Authorization: Bearer TOKEN\n"
        headers = [
            (b"www-authenticate", b'Bearer realm="rlm-wasm"'),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _allows(self, scope: Scope) -> bool:
        given = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        if len(given) != 1:
            return False
        scheme, _, token = given[0].partition(b" ")
        # Digests have one length, so that the time of the comparison says nothing of the token's.
        same = hmac.compare_digest(_digest(token.strip()), self._digest)
        return same and bool(scheme.lower() == b"bearer")


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()

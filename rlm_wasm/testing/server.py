"""A chat-completions server on loopback, for tests of the unhappy path over real HTTP.

    async with OpenAIServer() as server:
        provider = OpenAIProvider(base_url=server.base_url, api_key="test")
        server.next(Fault.rate_limit(retry_after_s=0.01))
        await provider.complete(request)          # the SDK tried again: two requests came

Without a fault a request is answered with its user message; give ``answer`` for anything else.
``with OpenAIServer()`` (not async) runs it on a thread of its own, for tests that start a process.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any, Literal, Self

from aiohttp import web

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.providers.tokens import estimate_tokens

FaultKind = Literal["status", "malformed", "hang", "slow", "cut", "drop", "raw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request, as it came. The names of headers are found in capitals or not."""

    body: Mapping[str, Any]
    """The request's JSON."""
    headers: Mapping[str, str]
    """As they came."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Of the address."""

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.body.get("model", ""))

    @property
    def system(self) -> str:
        """The system message's text."""
        return self._content("system")

    @property
    def user(self) -> str:
        """The user message's text; of a message in parts, the text parts."""
        return self._content("user")

    def _content(self, role: str) -> str:
        for message in self.body.get("messages", ()):
            if message.get("role") == role:
                content = message.get("content", "")
                if isinstance(content, str):
                    return content
                return "".join(part.get("text", "") for part in content)
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one request goes wrong. Made by the class methods."""

    kind: FaultKind
    """What goes wrong."""
    status: int = 200
    """The HTTP status."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The answer's."""
    text: str = ""
    """The answer's body."""
    delay_s: float = 0.0
    """Seconds before the answer, or between its parts."""

    @classmethod
    def rate_limit(cls, *, retry_after_s: float | None = 0.01) -> Fault:
        """Answer 429, with Retry-After unless it is None."""
        headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
        return cls.error(429, "Rate limit reached", code="rate_limit_exceeded", headers=headers)

    @classmethod
    def error(
        cls,
        status: int = 500,
        message: str = "The server had an error",
        *,
        code: str = "server_error",
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Answer any error status, in OpenAI's form."""
        text = json.dumps({"error": {"message": message, "type": code, "code": code}})
        return cls(kind="status", status=status, text=text, headers=dict(headers or {}))

    @classmethod
    def page(
        cls,
        text: str = "<html><h1>Bad Gateway</h1></html>",
        *,
        status: int = 502,
        media_type: str = "text/html",
    ) -> Fault:
        """Answer any status with any text, as gateways and frameworks do."""
        return cls(kind="status", status=status, text=text, headers={"Content-Type": media_type})

    @classmethod
    def malformed_json(cls, text: str = '{"choices": [{"message"') -> Fault:
        """Answer 200 with a body that is no JSON."""
        return cls(kind="malformed", text=text)

    @classmethod
    def body(cls, value: Any) -> Fault:
        """Answer 200 with any JSON value."""
        return cls(kind="raw", text=json.dumps(value))

    @classmethod
    def hang(cls) -> Fault:
        """Accept the request and never answer."""
        return cls(kind="hang")

    @classmethod
    def slow_body(cls, delay_s: float = 0.01) -> Fault:
        """Send the right answer, a few bytes at a time."""
        return cls(kind="slow", delay_s=delay_s)

    @classmethod
    def cut_body(cls) -> Fault:
        """Promise the whole answer, send half of it, and close the connection."""
        return cls(kind="cut")

    @classmethod
    def drop(cls) -> Fault:
        """Close the connection without a word."""
        return cls(kind="drop")


Answer = Callable[[ChatRequest], str | Awaitable[str]]


class OpenAIServer:
    """The server. Its address for a client is ``base_url``.

    ``requests`` holds what came; ``disconnects`` counts the clients that went away before their
    answer; ``peak`` is how many requests were open at once. ``latency_s`` delays every answer.
    """

    def __init__(
        self,
        answer: Answer | None = None,
        *,
        latency_s: float = 0.0,
        rate_limit_headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> None:
        self.requests: list[ChatRequest] = []
        self.disconnects = 0
        self.in_flight = 0
        self.peak = 0
        self.latency_s = latency_s
        self.port = 0
        self._answer: Answer = answer or (lambda request: request.user or request.system)
        self._headers = dict(rate_limit_headers or {})
        self._key = key
        self._faults: deque[Fault] = deque()
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._notice: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def next(self, *faults: Fault) -> None:
        """Let the next requests go wrong, one fault each; those after them are answered well."""
        self._faults.extend(faults)

    async def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have come in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def wait_for_disconnects(self, count: int = 1) -> None:
        """Wait until so many clients have gone away before their answer."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.disconnects >= count)

    async def start(self, port: int = 0) -> None:
        """Listen on loopback; port 0 takes a free one."""
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._handle)
        app.router.add_get("/v1/models", self._models)
        # With handler_cancellation a client that goes away cancels its handler: that is the
        # disconnect that tests of cancellation look for.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and drop what is open."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        started = threading.Event()

        def serve() -> None:
            self._loop = asyncio.new_event_loop()
            self._loop.run_until_complete(self.start())
            started.set()
            self._loop.run_forever()
            self._loop.run_until_complete(self.stop())
            self._loop.close()

        self._thread = threading.Thread(target=serve, name="openai-server", daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the test server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "test", "object": "model"}]})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        chat = ChatRequest(
            body=await request.json(), headers=request.headers.copy(), query=dict(request.query)
        )
        fault = self._faults.popleft() if self._faults else None
        self.requests.append(chat)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        await self._notify()
        try:
            await asyncio.sleep(self.latency_s)
            return await self._respond(request, chat, fault)
        except asyncio.CancelledError:
            self.disconnects += 1
            # The handler is being cancelled: its own task may not wait any more.
            self._notice = asyncio.get_running_loop().create_task(self._notify())
            raise
        finally:
            self.in_flight -= 1

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _respond(
        self, request: web.Request, chat: ChatRequest, fault: Fault | None
    ) -> web.StreamResponse:
        sent = chat.headers.get("Authorization", "")
        if self._key is not None and sent != f"Bearer {self._key}":
            fault = Fault.error(401, "Incorrect API key provided", code="invalid_api_key")
        if fault is None:
            return self._json(200, await self._completion(chat))
        if fault.kind == "status":
            return self._json(fault.status, fault.text, fault.headers)
        if fault.kind in ("malformed", "raw"):
            return self._json(200, fault.text)
        if fault.kind == "hang":
            await asyncio.Event().wait()
        if fault.kind == "drop":
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
        return await self._in_pieces(request, await self._completion(chat), fault)

    def _json(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
        sent = {"Content-Type": "application/json", **self._headers, **(headers or {})}
        return web.Response(status=status, body=text.encode("utf-8"), headers=sent)

    async def _in_pieces(self, request: web.Request, text: str, fault: Fault) -> web.StreamResponse:
        body = text.encode("utf-8")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        end = len(body) // 2 if fault.kind == "cut" else len(body)
        for start in range(0, end, 16):
            await response.write(body[start : min(start + 16, end)])
            await asyncio.sleep(fault.delay_s)
        if fault.kind == "cut":
            assert request.transport is not None
            request.transport.abort()
        return response

    async def _completion(self, chat: ChatRequest) -> str:
        answer = self._answer(chat)
        text = answer if isinstance(answer, str) else await answer
        prompt = estimate_tokens(chat.system) + estimate_tokens(chat.user)
        completion = estimate_tokens(text)
        return json.dumps(
            {
                "id": f"chatcmpl-{len(self.requests)}",
                "object": "chat.completion",
                "created": 0,
                "model": chat.model,
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": text},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {
                    "prompt_tokens": prompt,
                    "completion_tokens": completion,
                    "total_tokens": prompt + completion,
                },
            }
        )

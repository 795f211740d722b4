"""A headless Chromium that tests drive over its DevTools protocol: open a page, evaluate, take a picture."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FOUND = os.environ.get("RLM_WASM_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

needs_chromium = pytest.mark.skipif(
    FOUND is None, reason="there is no Chromium on the path (Debian: apt install chromium)"
)
TIMEOUT_S = 60.0


class Browser:
    """One page in a browser of its own. ``said`` holds what it wrote on its console, errors and refusals included."""

    def __init__(self, *, dark: bool = False, size: tuple[int, int] = (1280, 860)) -> None:
        self.said: list[str] = []
        self.requested: list[str] = []
        self._dark, self._size = dark, size
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self._number = 0

    async def __aenter__(self) -> Self:
        assert FOUND is not None
        self._folder = tempfile.mkdtemp(prefix="rlm-wasm-chromium-")
        self._process = await asyncio.create_subprocess_exec(
            FOUND,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--force-color-profile=srgb",
            "--remote-debugging-port=0",
            f"--user-data-dir={self._folder}",
            f"--window-size={self._size[0]},{self._size[1]}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stderr is not None
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                line = (await self._process.stderr.readline()).decode()
                assert line, "Chromium ended before it listened"
                if "DevTools listening on" in line:
                    break
        address = line.split("ws://")[1].split("/")[0]
        self._drain = asyncio.create_task(self._process.stderr.read())
        self._client = aiohttp.ClientSession()
        async with self._client.get(f"http://{address}/json") as answer:
            [page] = [target for target in await answer.json() if target["type"] == "page"]
        self._socket = await self._client.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
        self._reader = asyncio.create_task(self._read())
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=self._size[0],
            height=self._size[1],
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.cancel()
        await self._socket.close()
        await self._client.close()
        self._process.kill()
        await self._process.wait()
        self._drain.cancel()
        await asyncio.gather(self._drain, self._reader, return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _read(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            method, told = event.get("method"), event.get("params", {})
            if "id" in event:
                future = self._waiting.pop(event["id"], None)
                if future is not None and not future.done():
                    future.set_result(event)
            elif method == "Page.loadEventFired":
                self._loaded.set()
            elif method == "Runtime.consoleAPICalled":
                self.said.append(" ".join(str(part.get("value")) for part in told["args"]))
            elif method == "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                self.said.append(str(details.get("exception", {}).get("description", details["text"])))
            elif method == "Log.entryAdded":
                self.said.append(told["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])

    async def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol."""
        self._number += 1
        future = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        answer = await asyncio.wait_for(future, TIMEOUT_S)
        assert "error" not in answer, answer
        return answer["result"]

    async def open(self, address: str | Path) -> None:
        """Load a page, and wait for it."""
        self._loaded.clear()
        await self.call("Page.navigate", url=address.as_uri() if isinstance(address, Path) else address)
        await asyncio.wait_for(self._loaded.wait(), TIMEOUT_S)
        await self.settle()

    async def settle(self) -> None:
        """Until everything is drawn that was asked for: three frames."""
        await self.js(
            "new Promise((done) => { let n = 3; const step = () => (n-- ? requestAnimationFrame(step) : done(1)); step(); })"
        )

    async def js(self, expression: str) -> Any:
        """What an expression gives; a promise is awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait, a frame at a time, until an expression holds; gives it."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                found = await self.js(expression)
                if found:
                    return found
                await self.settle()

    async def key(self, key: str, code: int = 0) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )
        await self.settle()

    async def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event at a place of the page."""
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    async def click(self, x: float, y: float) -> None:
        """Click there."""
        for kind in ("mousePressed", "mouseReleased"):
            await self.mouse(kind, x, y, button="left", clickCount=1)
        await self.settle()

    async def picture(self, path: Path) -> None:
        """Take a picture of the page as it is seen."""
        await self.settle()
        shot = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

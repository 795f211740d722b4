"""The same question is asked once: a wrapper that keeps answers by a hash of their request.

Only answers that are meant to be repeatable are kept: those asked for with temperature 0, with
``unset=True`` those asked for without a temperature as well, or all with ``always=True``. A hit costs nothing
and is marked: ``Completion.cached``.

An answer that is here is paid. So a store that cannot keep it, or takes its time with that, costs no answer:
it is told, and the answer is given.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.providers.wrappers.base import Wrapper, content_key
from rlm_wasm.records import structure, unstructure

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("rlm_wasm.cache")

PATIENCE_S = 1.0
"""So long an answer waits until it is kept. Then it is given, and being kept goes on beside."""


class CacheStore(Protocol):
    """Where answers are kept: texts by key. A store may forget anything at any time."""

    async def get(self, key: str) -> str | None:
        """The text under the key, or None."""
        ...

    async def put(self, key: str, value: str) -> None:
        """Keep a text, in place of an earlier one under the same key."""
        ...


class MemoryCache:
    """A store in memory, for any thread: forgets the least recently used beyond ``max_bytes``."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_bytes = max_bytes
        self._used = 0
        self._entries: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: str) -> str | None:
        """The text under the key, which becomes the most recently used."""
        with self._lock:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    async def put(self, key: str, value: str) -> None:
        """Keep a text; one that is larger than the whole bound is not kept."""
        size = _size(key, value)
        with self._lock:
            self._forget(key)
            if size > self._max_bytes:
                return
            self._entries[key] = value
            self._used += size
            while self._used > self._max_bytes:
                self._forget(next(iter(self._entries)))

    def _forget(self, key: str) -> None:
        value = self._entries.pop(key, None)
        if value is not None:
            self._used -= _size(key, value)


def _size(key: str, value: str) -> int:
    return len(key) + len(value.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What the store keeps of an answer, as JSON; ``at`` is when it came, in seconds of the clock."""

    at: float
    completion: Completion


class CachedProvider(Wrapper):
    """Answers from the store where it can; ``hits`` and ``misses`` count.

    ``ttl_s`` is how long an answer is good for; None is for ever. A damaged entry counts as a
    miss. A store that cannot be read fails the call, before that costs anything. Errors are never kept.
    ``scope`` keeps providers apart that share a store: what one of them answered is no other's answer.
    """

    def __init__(
        self,
        inner: Provider,
        store: CacheStore | None = None,
        *,
        ttl_s: float | None = None,
        always: bool = False,
        unset: bool = False,
        scope: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(inner)
        self.hits = 0
        self.misses = 0
        self._store: CacheStore = MemoryCache() if store is None else store
        self._ttl_s = ttl_s
        self._always = always
        self._unset = unset
        self._scope = scope
        self._clock = clock
        self._writing: set[asyncio.Task[None]] = set()
        self._failing = False

    async def complete(self, request: CompletionRequest) -> Completion:
        """Give the kept answer, or ask and keep it."""
        if not self._is_repeatable(request):
            return await self.ask(request)
        key = content_key(request, self.default_model, self._scope)
        kept = self._load(await self._store.get(key))
        if kept is not None:
            self.hits += 1
            return kept
        self.misses += 1
        completion = await self.ask(request)
        writing = asyncio.create_task(self._put(key, self._dump(completion)))
        self._writing.add(writing)
        writing.add_done_callback(self._written)
        await asyncio.wait({writing}, timeout=PATIENCE_S)
        return completion

    async def _put(self, key: str, text: str) -> None:
        await self._store.put(key, text)

    def _written(self, writing: asyncio.Task[None]) -> None:
        self._writing.discard(writing)
        error = None if writing.cancelled() else writing.exception()
        if error is not None and not self._failing:
            log.warning("answers cannot be kept at present, and are given all the same: %s", error)
        self._failing = error is not None

    async def aclose(self) -> None:
        """Close the inner provider, when the store has what it is given."""
        loop = asyncio.get_running_loop()
        writing = [each for each in list(self._writing) if each.get_loop() is loop]
        if writing:
            await asyncio.wait(writing)
        await super().aclose()

    def _is_repeatable(self, request: CompletionRequest) -> bool:
        if request.temperature is None:
            return self._always or self._unset
        return self._always or request.temperature == 0

    def _dump(self, completion: Completion) -> str:
        # Rate limits are of that moment, not of the answer.
        kept = replace(completion, rate_limits={}, cached=False)
        return json.dumps(unstructure(_Entry(at=self._clock(), completion=kept)))

    def _load(self, text: str | None) -> Completion | None:
        if text is None:
            return None
        try:
            entry = structure(_Entry, json.loads(text), "a kept answer")
        except (ValueError, RecursionError):
            return None
        if self._ttl_s is not None and not 0 <= self._clock() - entry.at < self._ttl_s:
            return None
        return replace(entry.completion, cached=True)

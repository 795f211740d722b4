"""Where checkpoint and restore keep values: the protocol, and the store that lives in memory."""

from __future__ import annotations

from typing import Protocol


class CheckpointStore(Protocol):
    """Where checkpoint and restore keep values, by namespace and key. Shared by sessions."""

    async def put(self, namespace: str, key: str, value: bytes, preview: str) -> None:
        """Write, atomically."""
        ...

    async def get(self, namespace: str, key: str) -> bytes | None:
        """Read; None where there is none."""
        ...

    async def keys(self, namespace: str) -> list[str]:
        """All keys, sorted."""
        ...

    async def aclose(self) -> None:
        """Give everything back. Idempotent."""
        ...


class MemoryStore:
    """Checkpoints that live as long as the runtime."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], bytes] = {}

    async def put(self, namespace: str, key: str, value: bytes, preview: str) -> None:
        """Write."""
        self._values[namespace, key] = value

    async def get(self, namespace: str, key: str) -> bytes | None:
        """Read."""
        return self._values.get((namespace, key))

    async def keys(self, namespace: str) -> list[str]:
        """All keys, sorted."""
        return sorted(key for space, key in self._values if space == namespace)

    async def aclose(self) -> None:
        """Nothing to give back."""

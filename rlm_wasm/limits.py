"""What an execution and a session may use. Every limit is on by default, except money.

The Runtime's Limits are a ceiling; a session's own can only tighten them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from rlm_wasm.errors import UsageError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits. When one fires, the Result's status is "limit" and names the field.

    What is *not* limited: the host's own memory for contexts that the embedder loads, and what
    the embedder's host functions do.
    """

    fuel: int = 100_000_000_000
    """An execution: wasmtime fuel, Scheme and Python together."""
    memory_bytes: int = 256 * MIB
    """The session's Scheme memory."""
    python_memory_bytes: int = 256 * MIB
    """The session's Python memory; exhausting it is a MemoryError in Python."""
    timeout_s: float = 300.0
    """An execution: wall clock, waiting included."""
    output_bytes: int = 1 * MIB
    """An execution: stdout, stderr, value and error text are each cut there and marked."""
    calls: int = 1_000
    """An execution: LLM calls, those of children included."""
    handles: int = 10_000
    """A session: handles alive."""
    concurrency: int = 20
    """A session: provider calls in flight."""
    depth: int = 3
    """Recursion: the root is 0."""
    message_bytes: int = 64 * MIB
    """One message between guest and host, either way."""
    tokens: int | None = None
    """A session, cumulative: a call that may not fit is refused before it is sent."""
    cost_usd: float | None = None
    """A session, cumulative."""

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None and f.name in ("tokens", "cost_usd"):
                continue
            wants_float = f.name in ("timeout_s", "cost_usd")
            kinds = (int, float) if wants_float else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise UsageError(f"Limits({f.name}=…) must be a number, got {value!r}")
            if not value >= 0:
                raise UsageError(f"Limits({f.name}=…) must not be negative, got {value!r}")
        if self.concurrency < 1:
            raise UsageError("Limits(concurrency=…) must be at least 1")
        if self.message_bytes > 64 * MIB:
            raise UsageError("Limits(message_bytes=…) can be 64 MiB at the most")

    def tightened_by(self, other: Limits | None) -> Limits:
        """Field by field the smaller of the two."""
        if other is None or other is self:
            return self
        merged = {}
        for f in fields(self):
            mine, theirs = getattr(self, f.name), getattr(other, f.name)
            merged[f.name] = theirs if mine is None else mine if theirs is None else min(mine, theirs)
        return Limits(**merged)

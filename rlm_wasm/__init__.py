"""rlm-wasm: Scheme programs that orchestrate LLM calls, inside WebAssembly.

    async with Runtime(provider="extractive") as runtime:
        result = await runtime.run('(finish (+ 1 2))')
        print(result.value)

``Runtime`` makes sessions, a ``Session`` executes programs, a ``Result`` says what came of it;
``run`` does all of that for one program, without asyncio; ``ask`` answers a question over data of any size.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rlm_wasm.version import __version__

if TYPE_CHECKING:
    from rlm_wasm.asking.answer import Answer, Step
    from rlm_wasm.blocking import ask, run
    from rlm_wasm.data import Keyword, Symbol
    from rlm_wasm.errors import (
        CapabilityDenied,
        ExecutionCancelled,
        ExecutorError,
        GuestError,
        GuestSyntaxError,
        InternalError,
        JournalDiverged,
        LeaseLost,
        LimitExceeded,
        MissingKey,
        NoAnswer,
        ProviderError,
        ProviderTimeout,
        RateLimited,
        RlmError,
        SandboxCrashed,
        SessionClosed,
        SessionHeld,
        SnapshotCorrupt,
        SnapshotError,
        SnapshotVersionError,
        StoreDamaged,
        StoreError,
        UsageError,
    )
    from rlm_wasm.grants import ChildGrants
    from rlm_wasm.limits import Limits, SharedBudget
    from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
    from rlm_wasm.results import (
        CallEnded,
        CallStarted,
        ErrorInfo,
        Execution,
        ModelUse,
        Output,
        Problem,
        Progress,
        Result,
    )
    from rlm_wasm.runtime import Runtime
    from rlm_wasm.runtime_parts.upgrading import Upgrade
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.session import Session


def load_ipython_extension(shell: object) -> None:
    """``%load_ext rlm_wasm``: cells that begin with ``%%rlm`` are programs."""
    from rlm_wasm.notebook import load

    load(shell)


def unload_ipython_extension(shell: object) -> None:
    """``%unload_ext rlm_wasm``: the session of the cells is closed."""
    from rlm_wasm.notebook import unload

    unload(shell)


__all__ = [
    "Answer",
    "CallEnded",
    "CallStarted",
    "CapabilityDenied",
    "ChildGrants",
    "Completion",
    "CompletionRequest",
    "ErrorInfo",
    "Execution",
    "ExecutionCancelled",
    "ExecutorError",
    "GuestError",
    "GuestSyntaxError",
    "InternalError",
    "JournalDiverged",
    "Keyword",
    "LeaseLost",
    "LimitExceeded",
    "Limits",
    "MissingKey",
    "ModelUse",
    "NoAnswer",
    "Output",
    "Problem",
    "Progress",
    "Provider",
    "ProviderError",
    "ProviderTimeout",
    "RateLimited",
    "Result",
    "RlmError",
    "Runtime",
    "SandboxCrashed",
    "Session",
    "SessionClosed",
    "SessionHeld",
    "SharedBudget",
    "Snapshot",
    "SnapshotCorrupt",
    "SnapshotError",
    "SnapshotVersionError",
    "Step",
    "StoreDamaged",
    "StoreError",
    "Symbol",
    "Upgrade",
    "UsageError",
    "__version__",
    "ask",
    "run",
]

_MODULES = {
    "Answer": "rlm_wasm.asking.answer",
    "CallEnded": "rlm_wasm.results",
    "CallStarted": "rlm_wasm.results",
    "CapabilityDenied": "rlm_wasm.errors",
    "ChildGrants": "rlm_wasm.grants",
    "Completion": "rlm_wasm.providers.base",
    "CompletionRequest": "rlm_wasm.providers.base",
    "ErrorInfo": "rlm_wasm.results",
    "Execution": "rlm_wasm.results",
    "ExecutionCancelled": "rlm_wasm.errors",
    "ExecutorError": "rlm_wasm.errors",
    "GuestError": "rlm_wasm.errors",
    "GuestSyntaxError": "rlm_wasm.errors",
    "InternalError": "rlm_wasm.errors",
    "JournalDiverged": "rlm_wasm.errors",
    "Keyword": "rlm_wasm.data",
    "LeaseLost": "rlm_wasm.errors",
    "LimitExceeded": "rlm_wasm.errors",
    "Limits": "rlm_wasm.limits",
    "MissingKey": "rlm_wasm.errors",
    "NoAnswer": "rlm_wasm.errors",
    "ModelUse": "rlm_wasm.results",
    "Output": "rlm_wasm.results",
    "Problem": "rlm_wasm.results",
    "Progress": "rlm_wasm.results",
    "Provider": "rlm_wasm.providers.base",
    "ProviderError": "rlm_wasm.errors",
    "ProviderTimeout": "rlm_wasm.errors",
    "RateLimited": "rlm_wasm.errors",
    "Result": "rlm_wasm.results",
    "RlmError": "rlm_wasm.errors",
    "Runtime": "rlm_wasm.runtime",
    "SandboxCrashed": "rlm_wasm.errors",
    "Session": "rlm_wasm.session",
    "SessionClosed": "rlm_wasm.errors",
    "SessionHeld": "rlm_wasm.errors",
    "SharedBudget": "rlm_wasm.limits",
    "Snapshot": "rlm_wasm.sandbox.snapshot",
    "SnapshotCorrupt": "rlm_wasm.errors",
    "SnapshotError": "rlm_wasm.errors",
    "SnapshotVersionError": "rlm_wasm.errors",
    "Step": "rlm_wasm.asking.answer",
    "StoreDamaged": "rlm_wasm.errors",
    "StoreError": "rlm_wasm.errors",
    "Symbol": "rlm_wasm.data",
    "Upgrade": "rlm_wasm.runtime_parts.upgrading",
    "UsageError": "rlm_wasm.errors",
    "ask": "rlm_wasm.blocking",
    "run": "rlm_wasm.blocking",
}


def __getattr__(name: str) -> Any:
    """Import a name's module when it is first asked for: a tool that only looks here pays for nothing."""
    if name in _MODULES:
        value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, imported or not."""
    return sorted({*globals(), *__all__})

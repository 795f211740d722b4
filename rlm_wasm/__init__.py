"""rlm-wasm: Scheme programs that orchestrate LLM calls, inside WebAssembly.

    async with Runtime(provider="extractive") as runtime:
        result = await runtime.run('(finish (+ 1 2))')
        print(result.value)

``Runtime`` makes sessions, a ``Session`` executes programs, a ``Result`` says what came of it;
``run`` does all of that for one program, without asyncio; ``ask`` answers a question over data of any size.
"""

from rlm_wasm.ask.answer import Answer, Step
from rlm_wasm.data import Keyword, Symbol
from rlm_wasm.errors import (
    CapabilityDenied,
    ExecutionCancelled,
    GuestError,
    GuestSyntaxError,
    InternalError,
    LimitExceeded,
    MissingKey,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RlmError,
    SandboxCrashed,
    SessionClosed,
    SnapshotCorrupt,
    SnapshotError,
    SnapshotVersionError,
    StoreError,
    UsageError,
)
from rlm_wasm.grants import ChildGrants
from rlm_wasm.limits import Limits
from rlm_wasm.providers.base import Completion, CompletionRequest, Provider
from rlm_wasm.results import ErrorInfo, Execution, Problem, Progress, Result
from rlm_wasm.runtime import Runtime, ask, run
from rlm_wasm.sandbox.snapshot import Snapshot
from rlm_wasm.session import Session

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "CapabilityDenied",
    "ChildGrants",
    "Completion",
    "CompletionRequest",
    "ErrorInfo",
    "Execution",
    "ExecutionCancelled",
    "GuestError",
    "GuestSyntaxError",
    "InternalError",
    "Keyword",
    "LimitExceeded",
    "Limits",
    "MissingKey",
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
    "Snapshot",
    "SnapshotCorrupt",
    "SnapshotError",
    "SnapshotVersionError",
    "Step",
    "StoreError",
    "Symbol",
    "UsageError",
    "__version__",
    "ask",
    "run",
]

"""What a test of a program, or of an application that embeds rlm-wasm, needs: public and typed.

* ``OpenAIServer``: a real HTTP server on loopback that speaks the chat-completions protocol, and
  misbehaves on request: 429 with Retry-After, 500, malformed JSON, hangs, slow or cut bodies.
* ``GatedProvider``: its calls end when the test says so, which proves what overlaps with what
  without measuring time.
* ``InlineProvider``: answers on the spot, by a function; by default with the instruction in brackets.
* ``SimulatedProvider``: models with latency, stragglers, accuracy and price; ``simulate`` runs it
  on a virtual clock, where an hour takes a moment.
* ``ScriptedProvider`` and ``EchoProvider``, which have names too: ``scripted``, ``echo``.

Nothing of rlm_wasm imports this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlm_wasm.providers.echo import EchoProvider
    from rlm_wasm.providers.scripted import ScriptedProvider
    from rlm_wasm.testing.gated import GatedProvider
    from rlm_wasm.testing.inline import InlineProvider, bracketed
    from rlm_wasm.testing.server import ChatRequest, Fault, OpenAIServer
    from rlm_wasm.testing.simulated import (
        Latency,
        SimulatedModel,
        SimulatedProvider,
        VirtualTimeLoop,
        simulate,
    )

__all__ = [
    "ChatRequest",
    "EchoProvider",
    "Fault",
    "GatedProvider",
    "InlineProvider",
    "Latency",
    "OpenAIServer",
    "ScriptedProvider",
    "SimulatedModel",
    "SimulatedProvider",
    "VirtualTimeLoop",
    "bracketed",
    "simulate",
]

_LAZY = {
    "ChatRequest": "rlm_wasm.testing.server",
    "EchoProvider": "rlm_wasm.providers.echo",
    "Fault": "rlm_wasm.testing.server",
    "GatedProvider": "rlm_wasm.testing.gated",
    "InlineProvider": "rlm_wasm.testing.inline",
    "Latency": "rlm_wasm.testing.simulated",
    "OpenAIServer": "rlm_wasm.testing.server",
    "ScriptedProvider": "rlm_wasm.providers.scripted",
    "SimulatedModel": "rlm_wasm.testing.simulated",
    "SimulatedProvider": "rlm_wasm.testing.simulated",
    "VirtualTimeLoop": "rlm_wasm.testing.simulated",
    "bracketed": "rlm_wasm.testing.inline",
    "simulate": "rlm_wasm.testing.simulated",
}


def __getattr__(name: str) -> Any:
    """Import a helper when it is first asked for: the server needs aiohttp, the others don't."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

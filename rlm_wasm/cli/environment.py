"""The environment variables that rlm-wasm reads, for the help and for docs/cli.md."""

from __future__ import annotations

from typing import Final

VARIABLES: Final = {
    "OPENAI_API_KEY": "The key of the openai provider, which is the default where this is set.",
    "OPENAI_BASE_URL": "Address of an OpenAI-compatible server, where --base-url is not given.",
    "RLM_WASM_STORE": "Where named sessions are kept, where --store is not given.",
    "RLM_WASM_CONFIG": "The configuration file, instead of config.toml in your folder for configuration.",
    "RLM_WASM_CACHE": "The folder for compiled guests, instead of one in your cache folder.",
    "RLM_WASM_TRACE_TEXT": "Set to 1, OpenTelemetry spans carry the messages of errors.",
    "RLM_WASM_DEBUG": "Set to anything, an error of rlm-wasm itself shows its traceback.",
}


def epilog() -> str:
    """The variables as the end of a help page."""
    width = max(map(len, VARIABLES))
    lines = [f"  {name:<{width}}  {meaning}" for name, meaning in VARIABLES.items()]
    # The backspace keeps click from filling the lines.
    return "\n".join(["\b", "Environment variables:", *lines])

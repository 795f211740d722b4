"""The embedded default provider: no network, no key. It ranks what the data says; it understands nothing."""

from rlm_wasm.extractive.provider import ExtractiveProvider

__all__ = ["ExtractiveProvider"]

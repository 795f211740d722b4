"""How many tokens a text has, before a provider has counted: the one estimate of the house."""

from __future__ import annotations

from typing import Final

_IMAGE_TOKENS: Final = 765
"""A 1024×1024 picture at high detail; the order of magnitude is what matters here."""

_MESSAGE_TOKENS: Final = 4
"""What the chat format adds to every message."""


def estimate_tokens(text: str) -> int:
    """About how many tokens a text takes: one for four ASCII characters, one for each other.

    It errs high for prose. It is used where no provider counted, and to reserve a budget
    before a call is sent.
    """
    if not text:
        return 0
    # Counting the non-ASCII characters by encoding is two passes in C; a Python loop is not.
    others = 0 if text.isascii() else len(text) - len(text.encode("ascii", "ignore"))
    return -(-(len(text) - others) // 4) + others


def estimate_prompt_tokens(instruction: str, data: str, images: int = 0) -> int:
    """The estimate for a whole prompt: both messages, and the pictures."""
    messages = 2 if data or images else 1
    return (
        estimate_tokens(instruction)
        + estimate_tokens(data)
        + messages * _MESSAGE_TOKENS
        + images * _IMAGE_TOKENS
    )

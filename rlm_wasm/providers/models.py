"""What a model's name tells before anything is sent: its family, and how long a text is for it.

Only facts that change the request stand here. Prices are in rlm_wasm.prices.
"""

from __future__ import annotations

import re
from typing import Final

_PREFIX = r"^(?:ft:)?(?:[\w.-]+/)*"
_O_SERIES: Final = re.compile(_PREFIX + r"o[1-9](?:$|[-:])")
_GPT5_REASONING: Final = re.compile(_PREFIX + r"gpt-5(?:-(?:mini|nano|pro))?(?:-\d{4}-\d\d-\d\d)?$")
_GPT5: Final = re.compile(_PREFIX + r"gpt-(?:[5-9]|\d\d)(?:$|[.:-])")

_IMAGE_TOKENS: Final = 765
"""A 1024×1024 picture at high detail; the order of magnitude is what matters here."""

_MESSAGE_TOKENS: Final = 4
"""What the chat format adds to every message."""


def takes_temperature(model: str) -> bool:
    """Whether the model accepts ``temperature``: reasoning models do not."""
    return not (_O_SERIES.match(model) or _GPT5_REASONING.match(model))


def wants_max_completion_tokens(model: str) -> bool:
    """Whether the limit on the answer is called ``max_completion_tokens`` for this model.

    Older models, and most compatible servers, know it as ``max_tokens``.
    """
    return bool(_O_SERIES.match(model) or _GPT5.match(model))


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

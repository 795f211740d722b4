"""What a model's name tells before anything is sent: its family, and how long a text is for it.

Only facts that change the request stand here. Prices are in rlm_wasm.providers.prices.
"""

from __future__ import annotations

import re
from typing import Final

_PREFIX = r"^(?:ft:)?(?:[\w.-]+/)*"
_O_SERIES: Final = re.compile(_PREFIX + r"o[1-9](?:$|[-:])")
_GPT5_REASONING: Final = re.compile(_PREFIX + r"gpt-5(?:-(?:mini|nano|pro))?(?:-\d{4}-\d\d-\d\d)?$")
_GPT5: Final = re.compile(_PREFIX + r"gpt-(?:[5-9]|\d\d)(?:$|[.:-])")


def takes_temperature(model: str) -> bool:
    """Whether the model accepts ``temperature``: reasoning models do not."""
    return not (_O_SERIES.match(model) or _GPT5_REASONING.match(model))


def wants_max_completion_tokens(model: str) -> bool:
    """Whether the limit on the answer is called ``max_completion_tokens`` for this model.

    Older models, and most compatible servers, know it as ``max_tokens``.
    """
    return bool(_O_SERIES.match(model) or _GPT5.match(model))

"""What a vendor's model takes, by its name: asked before a call is sent, and before any money is spent.

One table, for the check that a program's mistake meets and for the shape of the request alike. It
refuses only what is known to fail; where a vendor may decide otherwise, its own words decide.
"""

from __future__ import annotations

import difflib
import math
import re
from functools import lru_cache
from typing import Final

from rlm_wasm.errors import UsageError
from rlm_wasm.lazy_dataclass import dataclass

_NAME_LENGTH: Final = 100
"""Of a model's name, as much as is looked at and shown: a program may write anything there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """What one model takes."""

    temperature: bool = True
    json: bool = True
    images: bool = True
    max_completion_tokens: bool = False
    """The limit on the answer has this name; older models, and most compatible servers, know it as
    ``max_tokens``."""


_TEXT_ONLY: Final = ModelRules(images=False)
_OLDEST: Final = ModelRules(images=False, json=False)
_REASONING: Final = ModelRules(temperature=False, max_completion_tokens=True)
_REASONING_TEXT_ONLY: Final = ModelRules(temperature=False, images=False, max_completion_tokens=True)
_FIRST_REASONING: Final = ModelRules(temperature=False, images=False, json=False, max_completion_tokens=True)
_NEWER: Final = ModelRules(max_completion_tokens=True)
_SEARCHING: Final = ModelRules(temperature=False)
_ANY: Final = ModelRules()

_DATED: Final = r"(?:-\d{4}-\d\d-\d\d)?"
_TABLE: Final[tuple[tuple[re.Pattern[str], ModelRules], ...]] = tuple(
    (re.compile(pattern), rules)
    for pattern, rules in (
        (r"o1-(?:mini|preview)(?:-.*)?", _FIRST_REASONING),
        (rf"o3-mini{_DATED}", _REASONING_TEXT_ONLY),
        (r"o[1-9](?:-.*)?", _REASONING),
        (r"gpt-4o(?:-mini)?-search-.*", _SEARCHING),
        (r"gpt-5-search-.*", _REASONING),
        (rf"gpt-5(?:-(?:mini|nano|pro|codex))?{_DATED}", _REASONING),
        # From 5.1 on a model reasons only where it is told to, until 5.5 turned that round.
        (rf"gpt-5\.[56](?:-(?:mini|nano))?{_DATED}", _REASONING),
        (rf"gpt-5\.\d(?:-(?:pro|codex)(?:-(?:mini|max))?){_DATED}", _REASONING),
        (r"gpt-(?:[5-9]|\d\d)(?:[.-].*)?", _NEWER),
        (r"gpt-4(?:-32k)?(?:-0[36]1[34])?", _OLDEST),
        (r"gpt-4-(?:1106-preview|0125-preview|turbo-preview)", _TEXT_ONLY),
        (r"gpt-(?:4o-(?:mini-)?)?audio(?:-.*)?", _TEXT_ONLY),
        (r"gpt-3\.5-.*|gpt-oss(?:-.*)?|deepseek-(?:chat|reasoner)", _TEXT_ONLY),
    )
)


@lru_cache(maxsize=256)
def rules_of(model: str | None) -> ModelRules:
    """What a model takes, by its name: a vendor's prefix and a fine-tune's suffix don't matter.

    What stands in no line of the table may take anything.
    """
    name = _family(model or "")
    return next((rules for pattern, rules in _TABLE if pattern.fullmatch(name)), _ANY)


_FAMILIES: Final = (
    *(
        "gpt-3.5-turbo",
        "gpt-4",
        "gpt-4-turbo",
        "gpt-4.1",
        "gpt-4.1-mini",
        "gpt-4.1-nano",
        "gpt-4o",
        "gpt-4o-mini",
    ),
    *("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro", "gpt-5-codex", "gpt-oss", "chatgpt-4o"),
    *("o1", "o1-mini", "o1-pro", "o3", "o3-mini", "o3-pro", "o4-mini"),
    *("claude-3-haiku", "claude-3-sonnet", "claude-3-opus", "claude-3-5-haiku", "claude-3-5-sonnet"),
    *("claude-3-7-sonnet", "claude-haiku", "claude-sonnet", "claude-opus"),
    *("gemini-pro", "gemini-flash", "deepseek-chat", "deepseek-reasoner"),
)
"""Models that programs name most. A version, a date or a size may follow."""
_VERSION: Final = re.compile(
    r"(?:[-.](?:v?\d[\w.]*|latest|preview|exp|instruct|audio|search|realtime|16k|32k))*"
)
_OPEN_FAMILIES: Final = re.compile(
    r"(?:gemini|gemma|llama|code-?llama|mistral|mixtral|ministral|codestral|qwen|qwq|phi|grok|command|deepseek"
    r"|kimi|glm|nova|gpt-\d\.\d)[\w.-]*"
)
"""Families with more names than anybody lists."""


@lru_cache(maxsize=256)
def unknown_model(model: str, aliases: tuple[str, ...] = ()) -> str | None:
    """Why a model's name looks like a slip, None where it does not: for providers that would not tell.

    A provider that has models refuses a name that is none by itself. ``aliases``: other names that may have
    been meant.
    """
    name = _family(model)
    if _OPEN_FAMILIES.fullmatch(name):
        return None
    if any(name.startswith(family) and _VERSION.fullmatch(name[len(family) :]) for family in _FAMILIES):
        return None
    near = difflib.get_close_matches(name, (*aliases, *_FAMILIES), n=1, cutoff=0.75)
    known = f"; did you mean {near[0]}?" if near else "."
    return f"no model named {model[:_NAME_LENGTH]} is known here{known}"


MAX_IMAGE_TOKENS: Final = 5_000
"""What an image may take, at high detail and of any size, by a model that stands in no line below."""

_TILES: Final = 8
"""Squares of 512 pixels: an image is scaled into 2048 × 2048, and its shorter side then to 768."""
_PATCHES: Final = 1536
"""Squares of 32 pixels: larger images are scaled down to as many."""

# OpenAI's guide "Images and vision", calculating costs: a base and so much a tile, or a factor a patch.
# Where the guide and what was billed differ, the higher one.
_IMAGE_TOKENS: Final[tuple[tuple[re.Pattern[str], int], ...]] = tuple(
    (re.compile(pattern), math.ceil(tokens))
    for pattern, tokens in (
        (r"(?:chat)?gpt-4o-mini(?:-.*)?", 2833 + _TILES * 5667),
        (r"(?:gpt-4\.1|gpt-5(?:\.\d)?)-nano(?:-.*)?", _PATCHES * 2.46),
        (r"(?:gpt-4\.1|gpt-5(?:\.\d)?)-mini(?:-.*)?", _PATCHES * 1.62),
        (r"o4-mini(?:-.*)?", _PATCHES * 1.72),
        (r"(?:chatgpt-4o|gpt-4o|gpt-4\.5|gpt-4-(?:turbo|vision))(?:-.*)?", 85 + _TILES * 170),
        (r"gpt-4\.1(?:-.*)?", _PATCHES),
        (r"o[13](?:-.*)?", 75 + _TILES * 150),
    )
)


def max_image_tokens(model: str | None) -> int:
    """The most that one image may take by a model: what is set aside for it before a call is sent."""
    name = _family(model or "")
    return next((tokens for pattern, tokens in _IMAGE_TOKENS if pattern.fullmatch(name)), MAX_IMAGE_TOKENS)


def check_request(
    model: str | None,
    *,
    temperature: float | None = None,
    json: bool = False,
    instruction: str = "",
    images: int = 0,
) -> None:
    """Refuse what a model would refuse: UsageError, in words that say what to change.

    ``images`` is how many pictures there are. The rule that the instruction names json stands for
    every provider, so that a program which runs with one runs with the others.
    """
    rules, name = rules_of(model), (model or "")[:_NAME_LENGTH]
    if json and "json" not in instruction.lower():
        raise UsageError(
            '#:json #t needs the word "json" in the instruction (OpenAI API requirement);'
            ' say for example "Answer in JSON with the keys ..."'
        )
    if json and not rules.json:
        raise UsageError(
            f"model {name} does not take #:json; leave it out and ask for JSON in the instruction,"
            " or use a newer model"
        )
    if temperature is not None:
        if not 0 <= temperature <= 2:  # not a number is neither
            text = "nan" if math.isnan(temperature) else f"{temperature:g}"
            raise UsageError(f"#:temperature must be a number from 0 to 2, got {text}")
        if not rules.temperature:
            raise UsageError(
                f"model {name} does not take #:temperature (o-series and other reasoning models have none);"
                " leave it out"
            )
    if images and not rules.images:
        raise UsageError(
            f"model {name} reads no images; leave out #:image and #:images, or use a model that sees,"
            " for example gpt-4o-mini"
        )


def _family(model: str) -> str:
    """``ft:o4-mini:org::id``, ``openai/o4-mini`` and ``O4-mini:free`` are all ``o4-mini``."""
    head = model[:_NAME_LENGTH].strip().lower()
    tuned = re.match(r"(?:[^:]*/)?ft:(.*)", head)
    name = (tuned.group(1) if tuned else head).partition(":")[0]
    return name.rpartition("/")[2]

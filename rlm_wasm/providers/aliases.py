"""Names for models by what they are for: ``cheap``, ``middle``, ``good``, and whatever the user adds.

A program that names roles runs unchanged on any provider. What a role means is the user's to say; else the
provider's (its ``roles``); else it is the provider's default model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from rlm_wasm.errors import UsageError

if TYPE_CHECKING:
    from rlm_wasm.providers.info import ProviderInfo

ROLES: Final = ("cheap", "middle", "good")
"""Every provider has a model for these."""
MAX_ALIASES: Final = 200
_NAME: Final = r"[A-Za-z][\w.:/-]{0,99}"
_MAX_MODEL: Final = 200


def checked_aliases(aliases: Mapping[str, str] | None, where: str = "aliases") -> dict[str, str]:
    """A copy. Raises UsageError for what is no name or no model, for too many, and for a circle."""
    merged = dict(aliases or {})
    if len(merged) > MAX_ALIASES:
        raise UsageError(f"{where}: {len(merged):,} aliases; {MAX_ALIASES} are the most")
    for name, model in merged.items():
        if not isinstance(name, str) or not re.fullmatch(_NAME, name):
            raise UsageError(f"{where}: an alias is a word such as cheap, not {name!r:.80}")
        if not isinstance(model, str) or not model.strip() or len(model) > _MAX_MODEL:
            raise UsageError(f"{where}: the alias {name} needs the name of a model, not {model!r:.80}")
    for name in merged:
        _followed(name, merged, where)
    return merged


def _followed(name: str, aliases: Mapping[str, str], where: str) -> str:
    """The end of a chain of aliases."""
    seen = [name]
    while seen[-1] in aliases:
        following = aliases[seen[-1]]
        if following == seen[-1]:
            break  # a name that stands for itself
        if following in seen:
            raise UsageError(f"{where}: {' → '.join([*seen, following])} goes in a circle")
        seen.append(following)
    return seen[-1]


def model_for(name: str | None, aliases: Mapping[str, str], info: ProviderInfo) -> str | None:
    """The model that a name stands for; None: the provider's own choice. Any other name is a model's."""
    if name is None:
        return None
    model = _followed(name, aliases, "aliases")
    if model not in ROLES or model in aliases or model in info.models:
        return model
    return info.roles.get(model) or info.default_model

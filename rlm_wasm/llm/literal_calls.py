"""LLM calls whose arguments stand in the program's text, judged before the first of its calls is sent.

The guest finds them, with what of their arguments is literal; what a vendor's model takes is known here
(``providers.vendor_rules``). What is not literal is taken for right.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import TYPE_CHECKING, Any

from rlm_wasm.errors import UsageError
from rlm_wasm.providers import vendor_rules

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_JUDGED = 1_000
"""Calls of one program; those after them are judged when they are made."""


def judged(calls: Any, model_of: Callable[[str | None], str | None]) -> list[str | None]:
    """For each call why it will be refused, or None.

    ``model_of`` gives the model that a name stands for, and for None the default one.

    A call, as the guest tells of it: operation, model (None or False where it is the default one, True where
    it is not literal), temperature, json, instruction (text, else it is not literal), whether it has images.

    Raises:
        UsageError: what came is no list of calls.
    """
    if not isinstance(calls, list):
        raise UsageError("check-calls: a list of calls")
    return [_judge(call, model_of) for call in calls[:MAX_JUDGED]] + [None] * (len(calls) - MAX_JUDGED)


def _judge(call: Any, model_of: Callable[[str | None], str | None]) -> str | None:
    if not isinstance(call, list) or len(call) != 6:
        raise UsageError("check-calls: a call has six parts")
    op, model, temperature, as_json, instruction, pictures = call
    if model is not True:
        model = model_of(model if isinstance(model, str) else None)
    try:
        vendor_rules.check_request(
            None if model is True else model,
            temperature=_number(temperature),
            json=as_json is True,
            instruction=instruction if isinstance(instruction, str) else "json",
            images=1 if pictures is True else 0,
        )
    except UsageError as error:
        return f"{op!s:.40}: {error}"
    return None


def _number(value: Any) -> float | None:
    """A real number as a float, else None: then it is refused elsewhere."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        return None
    try:
        return float(value)
    except OverflowError:
        return inf

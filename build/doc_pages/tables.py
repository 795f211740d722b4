"""Tables and trees that the code itself holds: ``limits`` and ``errors``."""

from __future__ import annotations

import re

from rlm_wasm import errors
from rlm_wasm.limits import specs


def limits(_: str) -> str:
    """Every limit that something enforces."""
    lines = ["| field | default | per | what is limited | option |", "|---|---|---|---|---|"]
    for spec in specs():
        if spec.enforced_by:
            option = f"`{spec.option}`" if spec.option else ""
            lines.append(
                f"| `{spec.name}` | {spec.shown_default} | {spec.scope} | {spec.meaning} | {option} |"
            )
    return "\n".join(lines)


def error_tree(_: str) -> str:
    """The tree of exceptions, as the docstring of errors.py draws it."""
    drawn = re.search(r"(?m)^    RlmError\n(?:    .+\n)+", errors.__doc__ or "")
    assert drawn is not None
    tree = "\n".join(line.removeprefix("    ") for line in drawn[0].splitlines())
    return f"```text\n{tree}\n```"

"""At home in other frameworks: a module each, and an extra of its name that brings the framework along."""

from __future__ import annotations


def missing_extra(extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """What to say where an extra's framework is not installed. Another module that is missing: as it is."""
    framework = (error.name or "").partition(".")[0]
    if framework.removesuffix("_core") != extra.replace("-", "_"):
        return error
    return ModuleNotFoundError(
        f"{framework} is not installed: pip install 'rlm-wasm[{extra}]'", name=error.name, path=error.path
    )

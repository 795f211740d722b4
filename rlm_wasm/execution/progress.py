"""The one wording of a progress report: the line that the CLI and MCP clients show while a program runs."""

from __future__ import annotations

from dataclasses import replace

from rlm_wasm.results import Progress, money, seconds

_SHOWN_FROM_S = 1.0
"""An elapsed time below this says nothing."""


def progress_line(progress: Progress) -> str:
    """A line such as ``3/7 done — 2 active: gpt-4.1-nano×2 (longest: 45 s) — 5,000 tokens, $0.0012, 61.0 s``.

    Before the first call it is ``running — 5 s``. What is not known yet, or zero, is left out.
    """
    if not progress.total:
        return f"running — {progress.elapsed_s:.0f} s"
    parts = [f"{progress.done:,}/{progress.total:,} done"]
    if progress.running:
        models = ", ".join(
            f"{name or 'default'}×{count:,}" for name, count in sorted(progress.models.items())
        )
        parts.append(f"{progress.running:,} active: {models} (longest: {progress.longest_s:.0f} s)")
    used = [
        f"{progress.tokens:,} tokens" if progress.tokens else "",
        money(progress.cost_usd) if progress.tokens else "",
        seconds(progress.elapsed_s) if progress.elapsed_s >= _SHOWN_FROM_S else "",
    ]
    if any(used):
        parts.append(", ".join(part for part in used if part))
    return " — ".join(parts)


def later(progress: Progress, waited_s: float) -> Progress:
    """The report as it reads ``waited_s`` seconds after it was made: its clocks go on."""
    return replace(
        progress,
        elapsed_s=progress.elapsed_s + waited_s,
        longest_s=progress.longest_s + waited_s if progress.running else progress.longest_s,
    )

"""What tests of durable sessions share."""

from __future__ import annotations

import pytest

from rlm_wasm.session_parts import lending


@pytest.fixture
def quick_lending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions look after what they hold of shared budgets, and ask again, in moments."""
    monkeypatch.setattr(lending, "IDLE_S", 0.01)
    monkeypatch.setattr(lending, "LOOK_S", 0.02)
    monkeypatch.setattr(lending, "LONGEST_WAIT_S", 0.02)

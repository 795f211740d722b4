"""hatchling's build hook: a wheel or an editable install gets a fresh guest image."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GuestBuildHook(BuildHookInterface):
    """Compiles the guest, and the Python component where its sources are there."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before files are collected. An sdist takes sources only."""
        if self.target_name == "sdist":
            return
        sys.path.insert(0, str(Path(self.root) / "build"))
        import make_guest

        make_guest.build(if_changed=True, say=lambda text: self.app.display_info(f"rlm-wasm: {text}"))
        component = Path(self.root) / "build" / "make_python.py"
        if component.is_file():
            import make_python

            make_python.build(if_changed=True, say=lambda text: self.app.display_info(f"rlm-wasm: {text}"))
        build_data["pure_python"] = True

"""``python -m rlm_wasm`` is the ``rlm-wasm`` command."""

from rlm_wasm.cli import main

main()

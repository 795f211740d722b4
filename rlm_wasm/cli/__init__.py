"""The ``rlm-wasm`` command: a thin shell around Runtime; nothing here that an embedder lacks.

Exit status: 0 finished or ok, 1 guest error, 2 usage, 3 limit, 4 provider error, 5 internal, 6 finished,
but the session could not be kept, 130 interrupted.
"""

from rlm_wasm.cli.main import cli, main

__all__ = ["cli", "main"]

"""The ``rlm-wasm`` command: a thin shell around Runtime; nothing here that an embedder lacks.

Exit status: 0 finished or ok, 1 guest error, 2 usage, 3 limit, 4 provider error, 5 internal, 6 finished,
but the session could not be kept, 130 interrupted.
"""

import sys

try:
    from rlm_wasm.cli.main import cli, main
except KeyboardInterrupt:  # Ctrl-C while all of this is loaded: nothing has begun
    sys.stderr.write("interrupted\n")
    raise SystemExit(130) from None

__all__ = ["cli", "main"]

"""The host's readers of what a guest and a stranger say, under a fuzzer that is guided by coverage: atheris.

    python tests/proof/guided.py decoder|snapshot [options of libFuzzer, such as -max_total_time=600] [FOLDER]

atheris is no dependency of the project: ``pip install atheris`` in an environment of its own. Inputs that led
somewhere new are kept in FOLDER, .guided/ where none is given. An exception that is not the project's own
ends the run, with the input.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

try:
    import atheris
except ModuleNotFoundError:
    sys.exit(
        "guided.py needs atheris, which is not installed here: pip install atheris in an environment of its own"
    )

with atheris.instrument_imports(include=["rlm_wasm"]):
    from rlm_wasm.errors import RlmError
    from rlm_wasm.sandbox import protocol
    from rlm_wasm.sandbox.snapshot import Snapshot
    from rlm_wasm.session_parts.state import state_of

import cbor2  # noqa: E402

from security.forging import sealed  # noqa: E402


def decoder(data: bytes) -> None:
    """An outbox, a value at once and in turns, which are the same, and a reply that is made of it."""
    try:
        protocol.messages(data)
    except RlmError:
        pass
    try:
        value = protocol.decode(data)
    except RlmError:
        value = None
    work = protocol.decode_in_turns(data)
    try:
        while True:
            next(work)
    except StopIteration as stop:
        again = stop.value
    except RlmError:
        return
    try:
        encoded = protocol.encode(again)
    except RlmError:
        return
    # Not by repr: the members of a set stand in an order that, of one that is no number, hangs on its address.
    assert value is None or encoded == protocol.encode(value), "in turns it is another value"


def snapshot(data: bytes) -> None:
    """A header and a body, sealed as somebody without a key can."""
    cut = min(len(data), data[0]) if data else 0
    header = cbor2.dumps({"image": "0" * 64}) if cut == 0 else data[1:cut]
    import zstandard

    from rlm_wasm.sandbox.snapshot import MAGIC

    head = MAGIC + (2).to_bytes(2, "little") + b"\0" + len(header).to_bytes(4, "little") + header
    try:
        state_of(Snapshot.load(sealed(head + zstandard.ZstdCompressor().compress(data[cut:]))))
    except RlmError:
        pass


def main() -> None:
    """The command line."""
    targets = {"decoder": decoder, "snapshot": snapshot}
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(__doc__)
    name, *options = sys.argv[1:]
    if all(option.startswith("-") for option in options):
        folder = ROOT / ".guided" / name
        folder.mkdir(parents=True, exist_ok=True)
        options.append(str(folder))
    atheris.Setup([sys.argv[0], *options], targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()

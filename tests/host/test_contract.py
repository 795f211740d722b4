"""wasm/rlm.h and the Python side say the same; the shipped module reaches nothing."""

from __future__ import annotations

import re
from pathlib import Path

import wasmtime

from rlm_wasm.sandbox import engine, protocol, sandbox

HEADER = (Path(__file__).parents[2] / "wasm" / "rlm.h").read_text(encoding="utf-8")


def test_the_statuses_are_those_of_rlm_h() -> None:
    """enum rlm_status, number by number."""
    declared = {name: int(number) for name, number in re.findall(r"\bRLM_(\w+) = (\d+),", HEADER)}
    assert declared == {status.name: status.value for status in protocol.GuestStatus}
    assert tuple(protocol.GuestStatus) == (sandbox.DONE, sandbox.SUSPENDED, sandbox.PREEMPTED, sandbox.FAILED)


def test_the_exports_are_those_of_rlm_h() -> None:
    """Every RLM_EXPORT is there, and nothing else but the memory."""
    declared = set(re.findall(r"^RLM_EXPORT\((\w+)\)", HEADER, re.MULTILINE))
    module = wasmtime.Module.from_file(wasmtime.Engine(), engine.guest_path())
    exported = {export.name for export in module.exports}
    assert exported == declared | {"memory"}


def test_the_tags_are_those_of_rlm_h() -> None:
    """The CBOR tags that the header lists."""
    tags = {getattr(protocol, name) for name in dir(protocol) if name.startswith("TAG_")}
    text = HEADER[HEADER.index("Own tags") : HEADER.index("To the guest")]
    assert tags == {int(number) for number in re.findall(r"\b(39|400\d\d)\b", text)}


def test_the_guest_imports_nothing() -> None:
    """No import, so no ambient authority: neither WASI nor anything else."""
    module = wasmtime.Module.from_file(wasmtime.Engine(), engine.guest_path())
    assert module.imports == []

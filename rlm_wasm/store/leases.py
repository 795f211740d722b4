"""Who holds a session: a process of a machine, so that one that is gone is known before its time is up."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Final

from rlm_wasm.lazy_dataclass import dataclass

LEASE_S: Final = 30.0
"""Seconds for which a lease holds after its holder's last sign of life."""


@dataclass(frozen=True, slots=True)
class Holder:
    """One object in one process. ``machine`` says where process numbers mean the same."""

    machine: str
    host: str
    process: int
    began: str
    """When the process began, as far as the system tells: numbers are used again."""
    token: str
    """Of the one who holds it, among all of its process."""

    @classmethod
    def here(cls) -> Holder:
        """A new one in this process."""
        process = os.getpid()
        return cls(_machine(), socket.gethostname()[:64], process, _began(process), secrets.token_hex(8))

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """What ``dump`` gave; None for anything else."""
        parts = text.split("|")
        if len(parts) != 5 or not parts[2].isdecimal():
            return None
        machine, host, process, began, token = parts
        return cls(machine, host, int(process), began, token)

    def dump(self) -> str:
        """For the store."""
        return f"{self.machine}|{self.host.replace('|', '-')}|{self.process}|{self.began}|{self.token}"

    @property
    def gone(self) -> bool:
        """Whether it is known that its process has ended: only its own machine knows."""
        if not self.machine or self.machine != _machine():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return bool(self.began) and _began(self.process) != self.began

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


def is_free(holder: str | None, until: float | None, now: float) -> bool:
    """Whether nobody holds a session: its lease has run out, or its holder's process is gone."""
    if holder is None or until is None or until <= now:
        return True
    known = Holder.parse(holder)
    return known is not None and known.gone


@cache
def _machine() -> str:
    """A name for the process numbers that this process sees; "" where the system has none."""
    if sys.platform != "linux":
        return f"{sys.platform} {socket.gethostname()[:64]}" if os.name == "posix" else ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    except OSError:
        return ""


def _began(process: int) -> str:
    """When a process began; "" where the system does not say. A zombie has ended."""
    try:
        fields = (
            Path(f"/proc/{process}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
        return "ended" if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return ""

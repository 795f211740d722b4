"""What a server keeps and sends at the most; beyond, the oldest goes, and whoever misses it is told."""

from __future__ import annotations

from rlm_wasm.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBounds:
    """Bounds of an MCP server, for ``make_server(bounds=…)``.

    result_chars    of a tool's answer: characters of its text, and of its structured content's texts
    sessions        that are open at once; beyond, the one that was used longest ago is closed
    session_bytes   of all that are open, in their sandboxes and contexts; beyond, likewise
    context_bytes   of one session's contexts together; a further one is refused
    waiting         programs that wait in one session; a further one is refused
    requests        that wait for their answers, of a stream or of all HTTP connections; likewise
    request_bytes   of these together; a small one (256 KiB) is let in all the same
    runs            that one session keeps for ``rlm://runs``
    run_bytes       of these, with their programs
    log_lines       of a program's standard error that are sent on
    log_bytes       of the text of these
    unsent_lines    that wait for a client that does not read
    subscriptions   of one connection
    """

    result_chars: int = 20_000
    sessions: int = 64
    session_bytes: int = 1 << 30
    context_bytes: int = 512 << 20
    waiting: int = 100
    requests: int = 1_000
    request_bytes: int = 256 << 20
    runs: int = 100
    run_bytes: int = 4 << 20
    log_lines: int = 2_000
    log_bytes: int = 256 << 10
    unsent_lines: int = 200
    subscriptions: int = 1_000

"""Texts by the megabyte, here and in Python: python benchmarks/texts.py [--megabytes N] [--rounds N] [--match TEXT]

Each line is one operation over the same text, in a session and in this CPython (its str methods, re and json), in
turn: megabytes of text a second of CPU time, of the best of the rounds. An operation's time in a session is that of a
program that does it and throws the result away, less that of one that does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import Any

from rlm_wasm import Limits, Runtime

LINE = (
    "2024-11-{} user{} wrote to box{}@example.com that the quick brown fox had seen {} of them, in the end. "
)


def text_of(size: int) -> str:
    """A text of about so many characters, in lines of some 500."""
    lines = []
    length = n = 0
    while length < size:
        line = "".join(
            LINE.format(10 + (n + k) % 19, n + k, (n + k) % 97, (n + k) * 37 % 1009) for k in range(5)
        )
        lines.append(line)
        length += len(line) + 1
        n += 5
    return "\n".join(lines)


class Operation:
    """What is done in Scheme, with `text`, `words` or `value` at hand, and the same in Python."""

    def __init__(self, scheme: str, python: Callable[[str, list[str], Any], object]) -> None:
        self.scheme = scheme
        self.python = python


OPERATIONS = [
    Operation('(string-split text " ")', lambda text, words, value: text.split(" ")),
    Operation("(string-split text)", lambda text, words, value: text.split()),
    Operation('(string-split text "\\n")', lambda text, words, value: text.split("\n")),
    Operation('(string-join words " ")', lambda text, words, value: " ".join(words)),
    Operation(
        '(string-contains? text "not to be found")', lambda text, words, value: "not to be found" in text
    ),
    Operation('(string-replace text "brown" "red")', lambda text, words, value: text.replace("brown", "red")),
    Operation("(string-upcase text)", lambda text, words, value: text.upper()),
    Operation(
        '(regexp-match* #rx"not to [a-z]+ found" text)',
        lambda text, words, value: re.findall("not to [a-z]+ found", text),
    ),
    Operation(
        '(regexp-match* #px"\\\\d{4}-\\\\d\\\\d-\\\\d\\\\d" text)',
        lambda text, words, value: re.findall(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]", text),
    ),
    Operation(
        '(regexp-match* #px"[a-z]+\\\\d*@[a-z]+\\\\.com" text)',
        lambda text, words, value: re.findall(r"[a-z]+[0-9]*@[a-z]+\.com", text),
    ),
    Operation(
        '(regexp-replace* #px"seen (\\\\d+)" text "seen <\\\\1>")',
        lambda text, words, value: re.sub(r"seen ([0-9]+)", r"seen <\1>", text),
    ),
    Operation("(jsexpr->string value)", lambda text, words, value: json.dumps(value, separators=(",", ":"))),
    Operation(
        "(string->jsexpr (jsexpr->string value))", lambda text, words, value: json.loads(json.dumps(value))
    ),
    Operation(
        '(context-search "not to be found")', lambda text, words, value: re.findall("not to be found", text)
    ),
]


async def measure(megabytes: float, rounds: int, only: str) -> None:
    """Print the table."""
    text = text_of(int(megabytes * 1e6))
    words = text.split(" ")
    value = [{"line": n, "text": line, "even": n % 2 == 0} for n, line in enumerate(text.split("\n"))]
    async with Runtime("echo", python="off", limits=Limits(fuel=10**13, memory_bytes=2**31)) as runtime:
        session = runtime.session()
        await session.load_context(text)
        made = await session.execute(
            """(define text (string-append context "")) (define words (string-split text " "))
            (define value (for/list ([line (string-split text "\\n")] [n 1000000000])
                            (hasheq 'line n 'text line 'even (even? n))))"""
        )
        assert made.ok, made.error

        async def taken(program: str) -> float:
            started = time.process_time()
            result = await session.execute(program)
            assert result.ok, result.error
            return time.process_time() - started

        print(f"| {'operation':48} | here, MB/s | CPython, MB/s | over CPython |\n| --- | --- | --- | --- |")
        for operation in OPERATIONS:
            if only not in operation.scheme:
                continue
            here, there = [], []
            for _ in range(rounds):
                nothing = min([await taken("(void)") for _ in range(3)])
                here.append(await taken(f"(void {operation.scheme})") - nothing)
                started = time.process_time()
                operation.python(text, words, value)
                there.append(time.process_time() - started)
            size = len(text) / 1e6
            print(
                f"| `{operation.scheme}` | {size / min(here):,.0f} | {size / min(there):,.0f} "
                f"| {min(here) / min(there):.2f} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--match", default="", help="only those with this in their text")
    options = parser.parse_args()
    asyncio.run(measure(options.megabytes, options.rounds, options.match))

"""Write a haystack: plain lines, decoys that look a little like the needle, and one needle.

    python examples/make_haystack.py haystack.txt [--lines 1000000] [--number 7481926]

The same arguments always give the same file.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

SUBJECTS = ("The harbour master", "A night porter", "The second violin", "Our bookkeeper", "The old ferry")
VERBS = ("counted", "forgot", "repaired", "sold", "described", "waited for")
OBJECTS = (
    "a crate of lemons",
    "the number of the last tram",
    "eleven umbrellas",
    "a magic lantern",
    "the tide table",
)
TIMES = ("before dawn", "on a Tuesday", "in the rain", "after the concert", "without a word", "twice")


def main() -> None:
    """Write the file, and say where the needle is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--number", type=int, default=7481926)
    arguments = parser.parse_args()
    rng = random.Random(arguments.number)  # noqa: S311 (the same file each time)
    needle = int(arguments.lines * 0.618034)
    with arguments.path.open("w", encoding="utf-8") as file:
        for line in range(arguments.lines):
            if line == needle - 1:
                file.write(f"By the way, the magic number is {arguments.number}.\n")
            else:
                words = (rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS), rng.choice(TIMES))
                file.write(" ".join(words) + f", entry {rng.randrange(10**6)}.\n")
    print(f"{arguments.path}: {arguments.lines:,} lines, the needle in line {needle:,}")


if __name__ == "__main__":
    main()

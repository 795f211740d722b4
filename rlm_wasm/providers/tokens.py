"""How many tokens a text has, before a provider has counted: the one estimate of the project.

Reservations, estimates of cost, the test doubles and the guest's token budgets all ask here, so
that the figure that is promised and the figure that is set aside are the same.
"""

from __future__ import annotations

import string
from collections.abc import Generator, Iterator
from typing import Final

_IMAGE_TOKENS: Final = 765
"""A 1024×1024 picture at high detail, as most models count it: what is expected. What may be taken at the
most is vendor_rules.max_image_tokens."""

_MESSAGE_TOKENS: Final = 4
"""What the chat format adds to every message."""

# Weights in quarters of a token, beyond the one quarter that every character counts for.
_MARK: Final = 1
_DIGIT: Final = 2
_TWO_BYTES: Final = 3
_THREE_BYTES: Final = 4
_FOUR_BYTES: Final = 9

_MARKS: Final = string.punctuation.encode("ascii")
_DIGITS: Final = string.digits.encode("ascii")
# Deleting every byte but the leading ones of one length counts the characters of that length.
_NO_LEAD_OF_TWO: Final = bytes(b for b in range(256) if not 0xC2 <= b < 0xE0)
_NO_LEAD_OF_THREE: Final = bytes(b for b in range(256) if not 0xE0 <= b < 0xF0)
_NO_LEAD_OF_FOUR: Final = bytes(range(0xF0))


def estimate_tokens(text: str) -> int:
    """About how many tokens a text takes: 0 for none, else at least 1.

    By the character, in tokens: a letter or blank 1/4, a punctuation mark 1/2, a digit 3/4; beyond
    ASCII 1 (accents, Greek, Cyrillic, Arabic …), 5/4 (Chinese, Japanese, Korean, Indian scripts …),
    5/2 (emoji). Against the encodings cl100k and o200k this is 0.95 to 1.3 times the true count for
    English, program text, JSON, tables of numbers and logs. For other languages it lies by the older
    of the two, 0.7 (Traditional Chinese) to 1.9 (Russian) times; by the newer one it is high, up to
    3.6 times (Hindi). It is low, down to a half, for what no tokenizer has words for: keys, base64,
    random letters, rare characters; and far too high for long runs of one character.

    The time is a few passes in C: about 2 ms a megabyte of ASCII.
    """
    return -(-sum(map(_quarters, _parts(text))) // 4)


def tokens_in_turns(*texts: str) -> Generator[None, None, int]:
    """The sum of ``estimate_tokens`` of the texts; it yields between parts of a large one."""
    total = 0
    for text in texts:
        quarters = 0
        for part in _parts(text):
            quarters += _quarters(part)
            yield
        total += -(-quarters // 4)
    return total


_PART: Final = 1 << 18
"""Characters that are looked at in one go: what is copied for that stays small, and other threads run."""


def _parts(text: str) -> Iterator[str]:
    if len(text) <= _PART:
        yield text
    else:
        for at in range(0, len(text), _PART):
            yield text[at : at + _PART]


def _quarters(text: str) -> int:
    """Quarters of a token: a sum over the characters."""
    encoded = text.encode("utf-8", "surrogatepass")
    size = len(encoded)
    quarters = (
        len(text)
        + _MARK * (size - len(encoded.translate(None, _MARKS)))
        + _DIGIT * (size - len(encoded.translate(None, _DIGITS)))
    )
    if size != len(text):
        quarters += (
            _TWO_BYTES * len(encoded.translate(None, _NO_LEAD_OF_TWO))
            + _THREE_BYTES * len(encoded.translate(None, _NO_LEAD_OF_THREE))
            + _FOUR_BYTES * len(encoded.translate(None, _NO_LEAD_OF_FOUR))
        )
    return quarters


def estimate_prompt_tokens(instruction: str, data: str, images: int = 0) -> int:
    """The estimate for a whole prompt: both messages with what the chat format adds, and the pictures.

    ``images`` is how many pictures there are.
    """
    return estimate_tokens(instruction) + estimate_tokens(data) + beside_texts(data, images)


def beside_texts(data: str, images: int, image_tokens: int = _IMAGE_TOKENS) -> int:
    """What a prompt takes beside its two texts: by the chat format, and for so many images."""
    return (2 if data or images else 1) * _MESSAGE_TOKENS + images * image_tokens


def first_tokens(text: str, tokens: int) -> str:
    """The longest beginning of a text that is estimated at no more than ``tokens``."""
    if estimate_tokens(text) <= tokens:
        return text
    # A character is at least a quarter of a token, and the estimate never falls as a text grows.
    low, high = 0, min(len(text), 4 * max(tokens, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(text[:middle]) <= tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low]

"""Write wasm/text/unicode_data.h: what the Scheme core knows about characters.

    python3.11 build/make_unicode.py > wasm/text/unicode_data.h

Everything comes from the interpreter's own unicodedata and str methods, except Other_Alphabetic,
which Python does not carry: it is listed below and has to be brought along when the Unicode version
changes, which is why the script insists on one version.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterable

UNICODE_VERSION = "14.0.0"
BLOCK_BITS = 7

# PropList.txt: Other_Alphabetic (what is Alphabetic without being a letter or a letter number).
OTHER_ALPHABETIC = """
    345 5B0-5BD 5BF 5C1-5C2 5C4-5C5 5C7 610-61A 64B-657 659-65F 670 6D6-6DC 6E1-6E4 6E7-6E8 6ED
    711 730-73F 7A6-7B0 816-817 81B-823 825-827 829-82C 8D4-8DF 8E3-8E9 8F0-903 93A-93B 93E-94C
    94E-94F 955-957 962-963 981-983 9BE-9C4 9C7-9C8 9CB-9CC 9D7 9E2-9E3 A01-A03 A3E-A42 A47-A48
    A4B-A4C A51 A70-A71 A75 A81-A83 ABE-AC5 AC7-AC9 ACB-ACC AE2-AE3 AFA-AFC B01-B03 B3E-B44
    B47-B48 B4B-B4C B56-B57 B62-B63 B82 BBE-BC2 BC6-BC8 BCA-BCC BD7 C00-C03 C3E-C44 C46-C48
    C4A-C4C C55-C56 C62-C63 C81-C83 CBE-CC4 CC6-CC8 CCA-CCC CD5-CD6 CE2-CE3 D00-D03 D3E-D44
    D46-D48 D4A-D4C D57 D62-D63 D81-D83 DCF-DD4 DD6 DD8-DDF DF2-DF3 E31 E34-E3A E4D EB1 EB4-EB9
    EBB-EBC ECD F71-F81 F8D-F97 F99-FBC 102B-1036 1038 103B-103E 1056-1059 105E-1060 1062-1064
    1067-106D 1071-1074 1082-108D 108F 109A-109D 1712-1713 1732-1733 1752-1753 1772-1773
    17B6-17C8 1885-1886 18A9 1920-192B 1930-1938 1A17-1A1B 1A55-1A5E 1A61-1A74 1ABF-1AC0
    1ACC-1ACE 1B00-1B04 1B35-1B43 1B80-1B82 1BA1-1BA9 1BAC-1BAD 1BE7-1BF1 1C24-1C36 1DE7-1DF4
    24B6-24E9 2DE0-2DFF A674-A67B A69E-A69F A802 A80B A823-A827 A880-A881 A8B4-A8C3 A8C5 A8FF
    A926-A92A A947-A952 A980-A983 A9B4-A9BF A9E5 AA29-AA36 AA43 AA4C-AA4D AA7B-AA7D AAB0
    AAB2-AAB4 AAB7-AAB8 AABE AAEB-AAEF AAF5 ABE3-ABEA FB1E 10376-1037A 10A01-10A03 10A05-10A06
    10A0C-10A0F 10D24-10D27 10EAB-10EAC 11000-11002 11038-11045 11073-11074 11082 110B0-110B8
    110C2 11100-11102 11127-11132 11145-11146 11180-11182 111B3-111BF 111CE-111CF 1122C-11234
    11237 1123E 112DF-112E8 11300-11303 1133E-11344 11347-11348 1134B-1134C 11357 11362-11363
    11435-11441 11443-11445 114B0-114C1 115AF-115B5 115B8-115BE 115DC-115DD 11630-1163E 11640
    116AB-116B5 1171D-1172A 1182C-11838 11930-11935 11937-11938 1193B-1193C 11940 11942
    119D1-119D7 119DA-119DF 119E4 11A01-11A0A 11A35-11A39 11A3B-11A3E 11A51-11A5B 11A8A-11A97
    11C2F-11C36 11C38-11C3E 11C92-11CA7 11CA9-11CB6 11D31-11D36 11D3A 11D3C-11D3D 11D3F-11D41
    11D43 11D47 11D8A-11D8E 11D90-11D91 11D93-11D96 11EF3-11EF6 16F4F 16F51-16F87 16F8F-16F92
    16FF0-16FF1 1BC9E 1E000-1E006 1E008-1E018 1E01B-1E021 1E023-1E024 1E026-1E02A 1E947
    1F130-1F149 1F150-1F169 1F170-1F189
"""

# PropList.txt: White_Space. (str.isspace goes by bidirectional class and adds U+001C..U+001F.)
WHITE_SPACE = "9-D 20 85 A0 1680 2000-200A 2028-2029 202F 205F 3000"

# The order of enum uc_category in unicode.h.
CATEGORIES = (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()
)

FLAGS = {
    name: 1 << bit
    for bit, name in enumerate(
        ["alphabetic", "white_space", "upper", "lower", "cased", "ignorable", "special"]
    )
}


def code_points(ranges: str) -> set[int]:
    found: set[int] = set()
    for item in ranges.split():
        first, _, last = item.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


def sigma_is_final(text: str) -> bool:
    """Whether the capital sigma at text[1] is lowered to its final form: shows two hidden properties."""
    return text.lower()[1] == "\u03c2"


def one(text: str, otherwise: str) -> int:
    return ord(text) if len(text) == 1 else ord(otherwise)


def simple_mappings(c: str) -> tuple[int, int, int, int]:
    """The one-to-one upper, lower, title and fold mappings, which Python shows only as full ones."""
    title = one(c.title(), c)
    upper = one(c.upper(), chr(title))
    lower = ord("i") if c == "\u0130" else one(c.lower(), c)
    if len(c.casefold()) == 1:
        fold = ord(c.casefold())
    else:
        fold = ord(c) if c == "\u0130" else lower
    return upper, lower, title, fold


def full_mappings(c: str) -> tuple[str, str, str, str]:
    return c.upper(), c.lower(), c.title(), c.casefold()


def decimal_digit(c: str) -> int:
    return unicodedata.decimal(c, -1)


class Characters:
    """One record for every combination of properties that occurs, and the record of every character."""

    def __init__(self) -> None:
        self.alphabetic = code_points(OTHER_ALPHABETIC)
        self.white_space = code_points(WHITE_SPACE)
        self.records: dict[tuple[int, ...], int] = {}
        self.special: list[tuple[int, tuple[str, str, str, str]]] = []
        self.index = [self.record(code) for code in range(0x110000)]

    def record(self, code: int) -> int:
        c = chr(code)
        category = unicodedata.category(c)
        flags = 0
        upper = lower = title = fold = code
        if not 0xD800 <= code <= 0xDFFF:
            upper, lower, title, fold = simple_mappings(c)
            full = full_mappings(c)
            if full != (chr(upper), chr(lower), chr(title), chr(fold)):
                self.special.append((code, full))
                flags |= FLAGS["special"]
            cased = not sigma_is_final("a\u03a3" + c)
            if cased:
                flags |= FLAGS["cased"]
            elif not sigma_is_final("a\u03a3" + c + "a"):
                flags |= FLAGS["ignorable"]
            if c.isupper():
                flags |= FLAGS["upper"]
            if c.islower():
                flags |= FLAGS["lower"]
        if category[0] == "L" or category == "Nl" or code in self.alphabetic:
            flags |= FLAGS["alphabetic"]
        if code in self.white_space:
            flags |= FLAGS["white_space"]
        key = (
            CATEGORIES.index(category), flags, decimal_digit(c), unicodedata.combining(c),
            upper - code, lower - code, title - code, fold - code,
        )  # fmt: skip
        return self.records.setdefault(key, len(self.records))


def two_stages(index: list[int]) -> tuple[list[int], list[int]]:
    """Cut the index in blocks and keep each different block once."""
    size = 1 << BLOCK_BITS
    blocks: dict[tuple[int, ...], int] = {}
    first: list[int] = []
    for start in range(0, len(index), size):
        block = tuple(index[start : start + size])
        first.append(blocks.setdefault(block, len(blocks)))
    return first, [entry for block in blocks for entry in block]


def array(kind: str, name: str, items: Iterable[object]) -> None:
    print(f"static const {kind} {name}[] = {{")
    line = ""
    for item in items:
        text = f"{item},"
        if len(line) + len(text) > 116:
            print(line)
            line = ""
        line += text
    print(line)
    print("};\n")


def print_specials(special: list[tuple[int, tuple[str, str, str, str]]]) -> None:
    array("uint32_t", "special_codes", (code for code, _ in special))
    kind = "struct { uint16_t to[4][3]; }"
    cells = []
    for _, full in special:
        # U+10400 and above never need more than their simple mapping, so 16 bits do.
        padded = [[ord(c) for c in text] + [0] * (3 - len(text)) for text in full]
        cells.append("{{" + ",".join("{" + ",".join(map(str, row)) + "}" for row in padded) + "}}")
    array(kind, "special_mappings", cells)


def print_decompositions() -> None:
    """Full decompositions by one step each: (character, position in the pool, length, compatibility?)."""
    pool: list[int] = []
    entries = []
    for code in range(0x110000):
        text = unicodedata.decomposition(chr(code))
        if not text:
            continue
        parts = text.split()
        compatibility = parts[0].startswith("<")
        targets = [int(part, 16) for part in parts[compatibility:]]
        entries.append(f"{{{code},{len(pool)},{len(targets)},{int(compatibility)}}}")
        pool.extend(targets)
    print("struct decomposition { uint32_t code; uint16_t start; uint8_t length, compatibility; };")
    array("struct decomposition", "decompositions", entries)
    array("uint32_t", "decomposition_pool", pool)


def print_compositions() -> None:
    pairs = []
    for code in range(0x110000):
        text = unicodedata.decomposition(chr(code))
        if not text or text.startswith("<") or 0xAC00 <= code <= 0xD7A3:
            continue
        parts = [int(part, 16) for part in text.split()]
        if len(parts) == 2 and unicodedata.normalize("NFC", "".join(map(chr, parts))) == chr(code):
            pairs.append((parts[0], parts[1], code))
    pairs.sort()
    print("struct composition { uint32_t first, second, composed; };")
    array("struct composition", "compositions", (f"{{{a},{b},{c}}}" for a, b, c in pairs))


def main(write: Callable[[str], object] = sys.stdout.write) -> None:
    if unicodedata.unidata_version != UNICODE_VERSION:
        sys.exit(
            f"this script wants Unicode {UNICODE_VERSION} (Python 3.11), not {unicodedata.unidata_version}"
        )
    characters = Characters()
    first, second = two_stages(characters.index)
    write(
        f"/* unicode_data.h — generated by build/make_unicode.py from Unicode {UNICODE_VERSION}; do not edit. */\n\n"
    )
    write(f"enum {{ UC_BLOCK_BITS = {BLOCK_BITS} }};\n")
    write("enum { " + ", ".join(f"UC_{name.upper()} = {bit}" for name, bit in FLAGS.items()) + " };\n")
    write(
        "struct uc_record { uint8_t category, flags; int8_t digit; uint8_t combining; int32_t upper, lower, title, fold; };\n"
    )
    records = sorted(characters.records, key=characters.records.__getitem__)
    array("struct uc_record", "uc_records", ("{" + ",".join(map(str, record)) + "}" for record in records))
    array("uint16_t", "uc_first", first)
    array("uint16_t", "uc_second", second)
    print_specials(characters.special)
    print_decompositions()
    print_compositions()


if __name__ == "__main__":
    main()

sentence = "The quick brown fox jumps over the lazy dog and looks for shelter. "
text = "".join(["A needle is here, see §4. " if i % 10 == 0 else sentence for i in range(4500)])


def chunks(text, size, overlap):
    n = len(text)
    start = 0
    found = []
    while True:
        limit = min(n, start + size)
        end = limit
        if limit < n:
            while end > start and text[end - 1] != ".":
                end -= 1
            if end == start:
                end = limit
        found.append(text[start:end].strip())
        if end == n:
            return found
        start = max(start + 1, end - overlap)


total = 0
for piece in chunks(text, 2000, 200):
    words = len(piece.split(" "))
    total = (31 * total + len(piece) + (7 if "needle is here" in piece else 0) + words) % 1000003
total

def made(seed, n):
    acc = []
    x = seed
    for _ in range(n):
        acc.append(chr(97 + x % 4))
        x = x * 16807 % 2147483647
    return "".join(acc[::-1])


def distance(a, b):
    m = len(b)
    row = list(range(m + 1))
    for i in range(1, len(a) + 1):
        c = a[i - 1]
        row[0] = i
        diagonal = i - 1
        for j in range(1, m + 1):
            above = row[j]
            row[j] = diagonal if c == b[j - 1] else 1 + min(diagonal, above, row[j - 1])
            diagonal = above
    return row[m]


distance(made(7, 300), made(11, 300))

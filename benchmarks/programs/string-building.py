def build(n):
    parts = []
    for i in range(n):
        parts.append("item-" + str(i) + ":" + "abc".upper())
    return len(",".join(parts))


build(60000)

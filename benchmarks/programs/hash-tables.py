def count(n):
    table = {}
    for i in range(n):
        k = i * 7919 % 10007
        table[k] = table.get(k, 0) + 1
    return len(table)


count(300000)

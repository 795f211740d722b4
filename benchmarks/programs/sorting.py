import functools


def numbers(n):
    acc = []
    x = 12345
    for _ in range(n):
        acc.append(x)
        x = (x * 1103515245 + 12345) % 2147483648
    return acc[::-1]


data = numbers(40000)
# As in the other languages the order is a procedure of two.
by_remainder = functools.cmp_to_key(lambda a, b: a % 1000 - b % 1000)
sorted(data)[0] + sorted(data, key=by_remainder)[0]

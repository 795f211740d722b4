def derive(e):
    if isinstance(e, int):
        return 0
    if e == "x":
        return 1
    op, a, b = e
    if op == "+":
        return ("+", derive(a), derive(b))
    return ("+", ("*", derive(a), b), ("*", a, derive(b)))


def simplify(e):
    if not isinstance(e, tuple):
        return e
    op, a, b = e
    a = simplify(a)
    b = simplify(b)
    if op == "+":
        if a == 0:
            return b
        if b == 0:
            return a
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        return ("+", a, b)
    if a == 0 or b == 0:
        return 0
    if a == 1:
        return b
    if b == 1:
        return a
    return ("*", a, b)


def size(e):
    return 1 + size(e[1]) + size(e[2]) if isinstance(e, tuple) else 1


def polynomial(n):
    return 1 if n == 0 else ("+", n, ("*", "x", polynomial(n - 1)))


total = 0
for n in range(1, 61):
    total += size(simplify(derive(polynomial(n % 24))))
total

def find_first(ok, items):
    found = 0

    def visit(x):
        nonlocal found
        if ok(x):
            found = x
            raise LookupError("found")

    try:
        for x in items:
            visit(x)
    except LookupError:
        return found
    return 0


items = list(range(10))
total = 0
for _ in range(30000):
    total += find_first(lambda x: x > 6, items)
total

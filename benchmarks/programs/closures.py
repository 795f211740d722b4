def make_counter():
    n = 0

    def counter():
        nonlocal n
        n += 1
        return n

    return counter


def compose2(f, g):
    return lambda x: f(g(x))


def run(n):
    c = make_counter()
    f = compose2(lambda x: x + 1, lambda x: x * 2)
    total = 0
    for i in range(n):
        c()
        total += f(i)
    return total + c()


run(300000)

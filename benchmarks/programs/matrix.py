n = 60


def matrix(f):
    return [[f(i, j) for j in range(n)] for i in range(n)]


a = matrix(lambda i, j: 0.5 + (i * 7 + j) % 11)
b = matrix(lambda i, j: (i + j * 5) % 13 - 2.5)


def cell(i, j):
    row = a[i]
    total = 0.0
    for k in range(n):
        total += row[k] * b[k][j]
    return total


c = matrix(cell)
total = 0.0
for row in c:
    for x in row:
        total += abs(x)
round(total)

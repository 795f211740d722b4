def ok(row, dist, placed):
    for other in placed:
        if other in (row + dist, row - dist, row):
            return False
        dist += 1
    return True


def queens(n):
    def place(k, placed):
        if k == 0:
            return 1
        total = 0
        for row in range(1, n + 1):
            if ok(row, 1, placed):
                total += place(k - 1, [row, *placed])
        return total

    return place(n, [])


queens(8)

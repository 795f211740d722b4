width = 120
seen = [False] * (width * width)


def wall(x, y):
    return (x * 7 + y * 3) % 5 == 0 and (x + 2 * y) % 7 != 0


def search(queue):
    steps = 0
    total = 0
    while queue:
        following = []
        for place in queue:
            x = place % width
            y = place // width
            total += steps
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                a = x + dx
                b = y + dy
                if 0 <= a < width and 0 <= b < width:
                    there = a + b * width
                    if not seen[there] and not wall(a, b):
                        seen[there] = True
                        following.append(there)
        queue = following
        steps += 1
    return total


seen[1] = True
search([1])

lines = []
for i in range(4000):
    lines.append(f"item {i}".ljust(12) + f'{i * 3} of "stock": ({i} {i + 1})\n')
report = "".join(lines)
total = len(report)
for line in report.split("\n")[:-1]:
    total = (31 * total + len(line) + ord(line[-2])) % 1000003
total

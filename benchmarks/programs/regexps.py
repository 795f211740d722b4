import re

lines = []
for i in range(2000):
    lines.append(
        f"2024-{10 + i % 3}-{10 + i % 19} user{i}@example.com logged in from 10.0.{i % 256}.{i * 7 % 256} after {i % 5} tries"
    )
log = "\n".join(lines)
dates = re.findall(r"\d{4}-\d\d-\d\d", log)
users = [found[0] for found in re.findall(r"([a-z]+\d*)@([a-z]+)\.com", log)]
retried = re.findall(r"after [1-4] tries", log)
hidden = re.sub(r"10\.0\.\d+\.(\d+)", r"x.x.x.\1", log)
len(dates) + 3 * len(set(dates)) + len(users[-1]) + len(users) + 5 * len(retried) + len(hidden)

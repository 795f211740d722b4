names = ["alpha", "Beta", "gamma", "Delta", "epsilon", "zeta", "Eta", "theta", "iota", "Kappa"]
words = []
x = 42
for _ in range(25000):
    words.append(names[x % 10] + ("" if x % 3 == 0 else str(x % 100)))
    x = x * 16807 % 2147483647
text = " ".join(words[::-1])
counts = {}
for word in text.lower().split():
    counts[word] = counts.get(word, 0) + 1
ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
total = len(counts)
for word, count in ranked[:20]:
    total = (31 * total + count + len(word)) % 1000003
total

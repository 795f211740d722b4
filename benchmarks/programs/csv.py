regions = ["north", "south", "east", "west"]
rows = ["id,region,amount,name"]
for i in range(3000):
    rows.append(",".join([str(i), regions[i * 7 % 4], str(i * 37 % 1009), "name " + str(i)]))
text = "\n".join(rows)
totals = {}
for line in text.split("\n")[1:]:
    _, region, amount, name = line.split(",")
    totals[region] = totals.get(region, 0) + int(amount) + len(name.strip())
total = 0
for weight, region in enumerate(sorted(totals), 1):
    total += weight * totals[region]
total

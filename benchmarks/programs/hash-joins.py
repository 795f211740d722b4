def key(i):
    return "customer-" + str(i)


cities = ["Bern", "Oslo", "Rome", "Lima", "Cairo"]
customers = {key(i): {"city": cities[i * 3 % 5], "discount": i % 10} for i in range(1000)}
orders = [(key(i * 7919 % 1250), 1 + i * 37 % 500) for i in range(8000)]
totals = {}
for name, amount in orders:
    customer = customers.get(name)
    if customer is not None:
        city = customer["city"]
        totals[city] = totals.get(city, 0) + amount * (100 - customer["discount"])
total = 0
for city in cities:
    total = (31 * total + totals[city]) % 1000003
total

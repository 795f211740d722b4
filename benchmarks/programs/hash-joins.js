const key = (i) => "customer-" + i;
const cities = ["Bern", "Oslo", "Rome", "Lima", "Cairo"];
const customers = new Map();
for (let i = 0; i < 1000; i++) customers.set(key(i), { city: cities[(i * 3) % 5], discount: i % 10 });
const orders = [];
for (let i = 0; i < 8000; i++) orders.push([key((i * 7919) % 1250), 1 + ((i * 37) % 500)]);
const totals = new Map();
for (const [name, amount] of orders) {
  const customer = customers.get(name);
  if (customer) totals.set(customer.city, (totals.get(customer.city) ?? 0) + amount * (100 - customer.discount));
}
let total = 0;
for (const city of cities) total = (31 * total + totals.get(city)) % 1000003;
total;

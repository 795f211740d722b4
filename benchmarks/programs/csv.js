const regions = ["north", "south", "east", "west"];
const rows = ["id,region,amount,name"];
for (let i = 0; i < 3000; i++) rows.push([String(i), regions[(i * 7) % 4], String((i * 37) % 1009), "name " + i].join(","));
const text = rows.join("\n");
const totals = new Map();
for (const line of text.split("\n").slice(1)) {
  const [, region, amount, name] = line.split(",");
  totals.set(region, (totals.get(region) ?? 0) + Number(amount) + name.trim().length);
}
let total = 0;
[...totals.keys()].sort().forEach((region, i) => { total += (i + 1) * totals.get(region); });
total;

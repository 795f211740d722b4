const record = (i) => ({
  id: i, name: "customer " + i, tags: ["a", "b", String(i % 7)], paid: i % 2 === 0, amount: i * 37, note: 'line one\nline "two"',
});
const text = JSON.stringify({ items: Array.from({ length: 2000 }, (_, i) => record(i)) });
let total = 0;
for (const item of JSON.parse(text).items)
  total += item.id + item.tags.length + item.name.length + item.note.length + (item.paid ? item.amount : 0);
total;

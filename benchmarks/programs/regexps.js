const lines = [];
for (let i = 0; i < 2000; i++)
  lines.push(`2024-${10 + (i % 3)}-${10 + (i % 19)} user${i}@example.com logged in from 10.0.${i % 256}.${(i * 7) % 256} after ${i % 5} tries`);
const log = lines.join("\n");
const dates = log.match(/\d{4}-\d\d-\d\d/g);
const users = [...log.matchAll(/([a-z]+\d*)@([a-z]+)\.com/g)].map((found) => found[1]);
const retried = log.match(/after [1-4] tries/g);
const hidden = log.replace(/10\.0\.\d+\.(\d+)/g, "x.x.x.$1");
dates.length + 3 * new Set(dates).size + users[users.length - 1].length + users.length + 5 * retried.length + hidden.length;

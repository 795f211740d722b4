const names = ["alpha", "Beta", "gamma", "Delta", "epsilon", "zeta", "Eta", "theta", "iota", "Kappa"];
const words = [];
let x = 42;
for (let i = 0; i < 25000; i++) {
  words.push(names[x % 10] + (x % 3 === 0 ? "" : x % 100));
  x = (x * 16807) % 2147483647;
}
const text = words.reverse().join(" ");
const counts = new Map();
for (const word of text.toLowerCase().split(/\s+/)) counts.set(word, (counts.get(word) ?? 0) + 1);
const ranked = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
let total = counts.size;
for (const [word, count] of ranked.slice(0, 20)) total = (31 * total + count + word.length) % 1000003;
total;

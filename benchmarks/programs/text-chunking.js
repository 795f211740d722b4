const sentence = "The quick brown fox jumps over the lazy dog and looks for shelter. ";
const parts = [];
for (let i = 0; i < 4500; i++) parts.push(i % 10 === 0 ? "A needle is here, see §4. " : sentence);
const text = parts.join("");
function chunks(text, size, overlap) {
  const n = text.length, found = [];
  let start = 0;
  for (;;) {
    const limit = Math.min(n, start + size);
    let end = limit;
    if (limit < n) {
      while (end > start && text[end - 1] !== ".") end--;
      if (end === start) end = limit;
    }
    found.push(text.slice(start, end).trim());
    if (end === n) return found;
    start = Math.max(start + 1, end - overlap);
  }
}
let total = 0;
for (const piece of chunks(text, 2000, 200))
  total = (31 * total + piece.length + (piece.includes("needle is here") ? 7 : 0) + piece.split(" ").length) % 1000003;
total;

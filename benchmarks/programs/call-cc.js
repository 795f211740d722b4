class Found { constructor(value) { this.value = value; } }
function findFirst(ok, items) {
  try {
    items.forEach((x) => { if (ok(x)) throw new Found(x); });
  } catch (found) {
    if (found instanceof Found) return found.value;
    throw found;
  }
  return 0;
}
const items = Array.from({ length: 10 }, (_, i) => i);
let total = 0;
for (let i = 0; i < 30000; i++) total += findFirst((x) => x > 6, items);
total;

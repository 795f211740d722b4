function derive(e) {
  if (typeof e === "number") return 0;
  if (e === "x") return 1;
  const [op, a, b] = e;
  if (op === "+") return ["+", derive(a), derive(b)];
  return ["+", ["*", derive(a), b], ["*", a, derive(b)]];
}
function simplify(e) {
  if (!Array.isArray(e)) return e;
  const op = e[0], a = simplify(e[1]), b = simplify(e[2]);
  if (op === "+") {
    if (a === 0) return b;
    if (b === 0) return a;
    if (typeof a === "number" && typeof b === "number") return a + b;
    return ["+", a, b];
  }
  if (a === 0 || b === 0) return 0;
  if (a === 1) return b;
  if (b === 1) return a;
  return ["*", a, b];
}
const size = (e) => (Array.isArray(e) ? 1 + size(e[1]) + size(e[2]) : 1);
const polynomial = (n) => (n === 0 ? 1 : ["+", n, ["*", "x", polynomial(n - 1)]]);
let total = 0;
for (let n = 1; n <= 60; n++) total += size(simplify(derive(polynomial(n % 24))));
total;

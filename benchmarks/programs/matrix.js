const n = 60;
const matrix = (f) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => f(i, j)));
const a = matrix((i, j) => 0.5 + ((i * 7 + j) % 11));
const b = matrix((i, j) => ((i + j * 5) % 13) - 2.5);
const c = matrix((i, j) => {
  const row = a[i];
  let sum = 0;
  for (let k = 0; k < n; k++) sum += row[k] * b[k][j];
  return sum;
});
let total = 0;
for (const row of c) for (const x of row) total += Math.abs(x);
Math.round(total);

function made(seed, n) {
  const acc = [];
  let x = seed;
  for (let i = 0; i < n; i++) { acc.push(String.fromCharCode(97 + (x % 4))); x = (x * 16807) % 2147483647; }
  return acc.reverse().join("");
}
function distance(a, b) {
  const m = b.length, row = Array.from({ length: m + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const c = a[i - 1];
    row[0] = i;
    let diagonal = i - 1;
    for (let j = 1; j <= m; j++) {
      const above = row[j];
      row[j] = c === b[j - 1] ? diagonal : 1 + Math.min(diagonal, above, row[j - 1]);
      diagonal = above;
    }
  }
  return row[m];
}
distance(made(7, 300), made(11, 300));

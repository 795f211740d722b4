function ok(row, dist, placed) {
  for (const other of placed) {
    if (other === row + dist || other === row - dist || other === row) return false;
    dist += 1;
  }
  return true;
}
function queens(n) {
  function place(k, placed) {
    if (k === 0) return 1;
    let total = 0;
    for (let row = 1; row <= n; row++) if (ok(row, 1, placed)) total += place(k - 1, [row, ...placed]);
    return total;
  }
  return place(n, []);
}
queens(8);

function count(n) {
  const table = new Map();
  for (let i = 0; i < n; i++) {
    const k = ((i * 7919) % 10007) | 0; // an integer for quickjs, too, beyond 2^31
    table.set(k, 1 + (table.get(k) ?? 0));
  }
  return table.size;
}
count(300000);

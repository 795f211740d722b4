function numbers(n) {
  const acc = [];
  let x = 12345;
  for (let i = 0; i < n; i++) {
    acc.push(x);
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
  }
  return acc.reverse();
}
const data = numbers(40000);
[...data].sort((a, b) => a - b)[0] + [...data].sort((a, b) => (a % 1000) - (b % 1000))[0];

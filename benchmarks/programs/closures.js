function makeCounter() { let n = 0; return () => { n += 1; return n; }; }
function compose2(f, g) { return (x) => f(g(x)); }
function run(n) {
  const c = makeCounter();
  const f = compose2((x) => x + 1, (x) => x * 2);
  let sum = 0;
  for (let i = 0; i < n; i++) { c(); sum += f(i); }
  return sum + c();
}
run(300000);

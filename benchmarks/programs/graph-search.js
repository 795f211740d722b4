const width = 120, seen = new Array(width * width).fill(false);
const wall = (x, y) => (x * 7 + y * 3) % 5 === 0 && (x + 2 * y) % 7 !== 0;
const ways = [[1, 0], [-1, 0], [0, 1], [0, -1]];
function search(queue) {
  let steps = 0, total = 0;
  while (queue.length) {
    const following = [];
    for (const place of queue) {
      const x = place % width, y = Math.floor(place / width);
      total += steps;
      for (const [dx, dy] of ways) {
        const a = x + dx, b = y + dy;
        if (0 <= a && a < width && 0 <= b && b < width) {
          const there = a + b * width;
          if (!seen[there] && !wall(a, b)) { seen[there] = true; following.push(there); }
        }
      }
    }
    queue = following;
    steps += 1;
  }
  return total;
}
seen[1] = true;
search([1]);

const parts = [];
for (let i = 0; i < 4000; i++) parts.push(`item ${i}`.padEnd(12) + `${i * 3} of "stock": (${i} ${i + 1})\n`);
const report = parts.join("");
let total = report.length;
for (const line of report.split("\n").slice(0, -1)) total = (31 * total + line.length + line.charCodeAt(line.length - 2)) % 1000003;
total;

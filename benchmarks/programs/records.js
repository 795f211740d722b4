class Employee {
  constructor(name, team, salary, age) { this.name = name; this.team = team; this.salary = salary; this.age = age; }
}
const staff = [];
for (let i = 0; i < 6000; i++)
  staff.push(new Employee("e" + i, (i * 31) % 17, 1000 + ((i * 7919) % 5003), 20 + ((i * 13) % 45)));
const raised = staff.map((e) => (e.age < 40 ? new Employee(e.name, e.team, e.salary + 100, e.age) : e));
const ordered = [...raised].sort((a, b) => (a.team === b.team ? b.salary - a.salary : a.team - b.team));
let total = 0;
ordered.forEach((e, i) => { total = (total * 31 + e.salary + e.name.length + i) % 1000003; });
total;

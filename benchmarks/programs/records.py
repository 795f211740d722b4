class Employee:
    def __init__(self, name, team, salary, age):
        self.name = name
        self.team = team
        self.salary = salary
        self.age = age


staff = [Employee("e" + str(i), i * 31 % 17, 1000 + i * 7919 % 5003, 20 + i * 13 % 45) for i in range(6000)]
raised = [Employee(e.name, e.team, e.salary + 100, e.age) if e.age < 40 else e for e in staff]
ordered = sorted(raised, key=lambda e: (e.team, -e.salary))
total = 0
for i, e in enumerate(ordered):
    total = (total * 31 + e.salary + len(e.name) + i) % 1000003
total

import json


def record(i):
    return {
        "id": i,
        "name": "customer " + str(i),
        "tags": ["a", "b", str(i % 7)],
        "paid": i % 2 == 0,
        "amount": i * 37,
        "note": 'line one\nline "two"',
    }


text = json.dumps({"items": [record(i) for i in range(2000)]})
total = 0
for item in json.loads(text)["items"]:
    total += item["id"] + len(item["tags"]) + len(item["name"]) + len(item["note"])
    if item["paid"]:
        total += item["amount"]
total

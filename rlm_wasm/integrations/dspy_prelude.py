# Runs inside of the Python guest, before any other code: SUBMIT, the tools, variables from outside. What it
# needs it keeps in its own scope: the code that runs later may do to its names what it likes.


def __rlm_made__(space):
    import builtins
    import json
    from datetime import date, time

    from wit_world import host

    dumps, loads, own = json.dumps, json.loads, dict(vars(builtins))

    # Ends the code, from anywhere: no handler of Exception stops it.
    ended = type("Ended", (BaseException,), {})

    def plain(value):
        if isinstance(value, (set, frozenset)):
            try:
                return sorted(value)
            except TypeError:
                return list(value)
        if isinstance(value, (date, time)):
            return value.isoformat()
        raise TypeError(
            f"a value of type {type(value).__name__} has no form in JSON: give text, numbers, lists, dicts"
        )

    def ask(name, given):
        answer = loads(host(dumps(["tool", name, dumps(given, default=plain)])))
        if "stop" in answer:
            raise ended(answer["stop"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def submit(output):
        ask("__rlm_submit__", output)
        raise ended("SUBMIT")

    def tool_of(name, doc):
        def tool(*args, **kwargs):
            return ask(name, {"args": args, "kwargs": kwargs})

        tool.__name__ = tool.__qualname__ = name
        tool.__doc__ = doc
        return tool

    def submit_of(fields):
        if not fields:
            nothing = object()

            def SUBMIT(output=nothing, **named):
                if output is nothing and not named:
                    raise TypeError("SUBMIT() missing 1 required positional argument: 'output'")
                submit({**({} if output is nothing else {"output": output}), **named})

            SUBMIT.__qualname__ = "SUBMIT"
            return SUBMIT
        made = {"__rlm_submit__": submit}
        names = [field.split(":")[0] for field in fields.split(", ")]
        body = ", ".join(f"{name!r}: {name}" for name in names)
        exec(f"def SUBMIT({fields}):\n    __rlm_submit__({{{body}}})\n", made)
        return made["SUBMIT"]

    def unpaired(given):
        if given.keys() == {"__rlm_pairs__"}:
            return dict(given["__rlm_pairs__"])
        return given

    class Inside:
        def __init__(self):
            self.given, self.taken = {}, {}

        def register(self, text):
            wanted = loads(text)
            for name, made in self.given.items():
                if space.get(name) is made:
                    del space[name]
            self.given = {name: tool_of(name, doc) for name, doc in wanted["tools"].items()}
            self.given["SUBMIT"] = submit_of(wanted["fields"])

        def take(self, name, text, pairs):
            self.taken[name] = loads(text, object_hook=unpaired) if pairs else loads(text)

        def prepare(self, names):
            space["__builtins__"] = dict(own)
            space.update(self.given)
            space.update((name, self.taken[name]) for name in loads(names))

    return Inside()


globals().pop("__rlm_made__")(globals())

# Runs inside of the Python guest, before any other code: SUBMIT, the tools, variables from outside.
import json as _rlm_json

import wit_world as _rlm_world

# Ends the code, from anywhere: no handler of Exception stops it.
__rlm_Submitted__ = type("__rlm_Submitted__", (BaseException,), {})


class _Rlm:
    def __init__(self, space):
        self._space = space
        self._tools = {}
        self._texts = {}

    def ask(self, name, given):
        answer = _rlm_json.loads(_rlm_world.host(_rlm_json.dumps(["tool", name, _rlm_json.dumps(given)])))
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def register(self, text):
        wanted = _rlm_json.loads(text)
        for name, made in self._tools.items():
            if self._space.get(name) is made:
                del self._space[name]
        self._tools = {name: self._tool(name, doc) for name, doc in wanted["tools"].items()}
        self._space.update(self._tools)
        made = {"__rlm_submit": self.submit}
        names = [field.split(":")[0] for field in wanted["fields"].split(", ")]
        body = ", ".join(f"{name!r}: {name}" for name in names)
        exec(f"def SUBMIT({wanted['fields']}):\n    __rlm_submit({{{body}}})\n", made)
        self._space["SUBMIT"] = made["SUBMIT"]

    def _tool(self, name, doc):
        def tool(*args, **kwargs):
            return self.ask(name, {"args": args, "kwargs": kwargs})

        tool.__name__ = tool.__qualname__ = name
        tool.__doc__ = doc
        return tool

    def submit(self, output):
        self.ask("__rlm_submit__", output)
        raise __rlm_Submitted__

    def take(self, name):
        self._texts[name] = _rlm_json.loads(self._space.pop("__rlm_incoming"))

    def give(self):
        for name in _rlm_json.loads(self._space.pop("__rlm_incoming")):
            self._space[name] = self._texts[name]


__rlm__ = _Rlm(globals())

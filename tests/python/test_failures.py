"""How Python code fails: a program learns Python's own lines, in either back end."""

from __future__ import annotations

from typing import Any

import pytest

from rlm_wasm import Runtime
from rlm_wasm.capabilities.python import PythonBackend
from rlm_wasm.errors import PythonFailure, UsageError
from rlm_wasm.python.snippets import MAX_FRAMES, MAX_MESSAGE_FRAMES, MAX_SOURCES, Snippets, source_of

from .conftest import run


async def failure(backend: PythonBackend, operation: str, *arguments: object) -> PythonFailure:
    """What a call raises."""
    with pytest.raises(PythonFailure) as caught:
        await run(backend, operation, *arguments)
    return caught.value


@pytest.mark.parametrize("operation", ["exec", "eval"])
async def test_the_message_ends_with_line_function_and_source(either: PythonBackend, operation: str) -> None:
    """The innermost last, and the exception first."""
    error = await failure(either, operation, "def f(x):\n    return 1/x\nf(0)")
    assert str(error).split("\n") == [
        "ZeroDivisionError: division by zero",
        "  line 3: f(0)",
        "  line 2, in f: return 1/x",
    ]
    assert error.frames == ("f (line 2)", "<module> (line 3)")
    assert error.kind == "ZeroDivisionError"


async def test_a_procedure_of_an_earlier_call_shows_its_own_source(either: PythonBackend) -> None:
    """Not the lines of the code that runs now."""
    await run(either, "exec", "import math\ndef root(x):\n    return math.sqrt(x)")
    error = await failure(either, "eval", "a = 1\nb = 2\nc = 3\nroot(-a)")
    assert str(error).split("\n")[1:] == [
        "  line 4: root(-a)",
        "  line 3 of an earlier call, in root: return math.sqrt(x)",
    ]


async def test_a_method_that_fails_shows_its_line(either: PythonBackend) -> None:
    """py-call has no code of its own."""
    made = await run(
        either, "eval", "class Account:\n    def pay(self, sum):\n        raise ValueError(sum)\nAccount()"
    )
    error = await failure(either, "call", made.value, "pay", 5)
    assert str(error).split("\n") == ["ValueError: 5", "  line 3, in pay: raise ValueError(sum)"]


async def test_the_lines_of_a_library_stand_in_frames_only(either: PythonBackend) -> None:
    """The program is what its writer can mend."""
    error = await failure(either, "eval", "import json\njson.loads('{')")
    assert str(error).split("\n")[1:] == ["  line 2: json.loads('{')"]
    assert error.frames[0].startswith("raw_decode (json/decoder.py line ")
    assert error.frames[-1] == "<module> (line 2)"


async def test_a_syntax_error_points_at_its_place(either: PythonBackend) -> None:
    """With a caret, and no frame of whoever compiled it."""
    error = await failure(either, "exec", "if True:\n    b = = 2")
    assert str(error).split("\n") == ["SyntaxError: invalid syntax", "  line 2:", "    b = = 2", "        ^"]
    assert error.frames == ()


async def test_endless_recursion_is_told_in_a_few_lines(either: PythonBackend) -> None:
    """However deep it went."""
    error = await failure(either, "exec", "def f(n):\n    return f(n + 1)\nf(0)")
    assert len(str(error).split("\n")) == 1 + MAX_MESSAGE_FRAMES
    assert len(error.frames) == MAX_FRAMES


@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "raise KeyboardInterrupt", "exit(3)", "raise GeneratorExit"]
)
async def test_what_would_end_the_process_is_the_codes_failure(either: PythonBackend, code: str) -> None:
    """And the back end goes on."""
    await run(either, "exec", "kept = 1")
    error = await failure(either, "exec", code)
    assert error.kind in ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "NameError")
    assert (await run(either, "eval", "kept")).value == 1


async def test_an_exception_that_cannot_be_shown_is_a_failure_all_the_same(either: PythonBackend) -> None:
    """Its own __str__ fails."""
    error = await failure(
        either, "exec", "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E"
    )
    assert str(error).startswith("E: ")


@pytest.mark.parametrize(
    "code", ["input()", "import sys\nsys.stdin.read()", "import sys\nfor line in sys.stdin: pass"]
)
async def test_reading_the_standard_input_says_what_to_do(either: PythonBackend, code: str) -> None:
    """And loses nothing."""
    await run(either, "exec", "kept = 1")
    error = await failure(either, "exec", code)
    assert error.kind == "EOFError"
    assert "py-set!" in str(error)
    assert (await run(either, "eval", "kept")).value == 1


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nprint('text', file=sys.__stdout__)",
        "import os\nos.write(1, b'text\\n')",
        "import sys\nsys.stdout.buffer.write(b'text\\n')",
        "import sys\nsys.__stdout__.buffer.write(memoryview(b'text\\n'))",
        "import sys, os\nos.write(1, 'te'.encode()); sys.stdout.write('xt\\n')",
    ],
)
async def test_other_ways_to_the_standard_output_lead_there(either: PythonBackend, code: str) -> None:
    """Also in this process, whose standard output may be a protocol's."""
    assert (await run(either, "exec", code)).stdout == "text\n"


async def test_half_a_character_waits_for_its_rest(either: PythonBackend) -> None:
    """Bytes come in pieces."""
    code = "import os\nfor byte in 'é€😀'.encode(): os.write(1, bytes([byte]))"
    assert (await run(either, "exec", code)).stdout == "é€😀"


async def test_the_standard_error_is_kept_apart() -> None:
    """It is the Result's, whichever way it was written."""
    code = "import os, sys\nos.write(2, b'a'); sys.stderr.write('b'); sys.stderr.buffer.write(b'c')"
    async with Runtime(provider="echo", python="host") as runtime:
        result = await runtime.run(f'(py-exec "{code}")'.replace("\n", "\\n"))
    assert (result.stdout, result.stderr) == ("", "abc")


async def test_leaving_this_process_is_the_codes_failure(make: Any) -> None:
    """``os._exit`` ends it with all of its sessions; other threads may."""
    host = make("host")
    error = await failure(host, "exec", "import os\nos._exit(3)")
    assert (error.kind, str(error).splitlines()[0]) == ("SystemExit", "SystemExit: 3")
    assert (await run(host, "eval", "5")).value == 5


async def test_asyncio_runs(either: PythonBackend) -> None:
    """Inside there are no sockets, but time goes by."""
    code = "import asyncio\nasync def f(n):\n    await asyncio.sleep(0.001 * n)\n    return n\n"
    code += "async def all(): return await asyncio.gather(f(2), f(1))\nasyncio.run(all())"
    assert (await run(either, "eval", code)).value == [2, 1]


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.socket()",
        "import urllib.request\nurllib.request.urlopen('http://localhost')",
        "import asyncio\nasyncio.run(asyncio.Event().wait())",
        "import os\nos.read(0, 1)",
    ],
)
async def test_what_is_not_there_is_an_exception_and_loses_nothing(python: PythonBackend, code: str) -> None:
    """Not the end of the instance: an iterator, which no capture keeps, goes on."""
    await run(python, "exec", "import itertools\ncounter = itertools.count(5)")
    assert (await failure(python, "exec", code)).kind in ("OSError", "URLError", "RuntimeError")
    reply = await run(python, "eval", "next(counter)")
    assert (reply.value, reply.note) == (5, "")


@pytest.mark.parametrize(
    "code",
    [
        "    x = 20\n    x + 1",
        "\n\n  x = 20\n  if x:\n    x += 1\n  x",
        "```python\nx = 20\nx + 1\n```",
        "```\n  x = 20\n  x + 1\n```\n",
        "~~~py\n20 + 1\n~~~",
        "```python\nx = 20\nx + 1\n```\nThat is it.",
        "Here is the code:\n\n```py\nx = 20\nx + 1\n```",
        "Here:\n\n   ```\n   x = 20\n   x + 1\n   ```\nDone.",
    ],
)
async def test_indented_and_fenced_code_is_taken_as_it_was_meant(either: PythonBackend, code: str) -> None:
    """As it comes out of a model's answer."""
    assert (await run(either, "eval", code)).value == 21


@pytest.mark.parametrize(
    "code",
    [
        "Two:\n```python\n1\n```\n```python\n2\n```",
        "Not ours:\n```scheme\n(+ 1 2)\n```",
        "Wrong:\n```python\nx = = 1\n```",
        "no fence at all",
    ],
)
async def test_what_is_not_surely_meant_is_a_syntax_error(either: PythonBackend, code: str) -> None:
    """Of two blocks nobody knows which."""
    assert (await failure(either, "exec", code)).kind == "SyntaxError"


async def test_what_is_wrong_only_in_the_tree_has_its_line_too(either: PythonBackend) -> None:
    """Python itself does not say it then."""
    error = await failure(either, "exec", "x = 1\ny = await x")
    assert str(error) == "SyntaxError: 'await' outside function\n  line 2:\n    y = await x\n        ^"


def test_code_that_is_right_is_not_touched() -> None:
    """Neither its strings nor its blank lines."""
    for code in ("x = '''\n    a\n  b'''", "\n\nx = 1", "x = '''\n```\n'''", "", "```"):
        assert source_of(code) == code


@pytest.mark.parametrize("name", ["2x", "a b", "", "a.b", "class", "x; import os", "é\0", 5])
async def test_a_name_that_is_none_cannot_be_set(either: PythonBackend, name: object) -> None:
    """It would be a variable that nobody can reach."""
    with pytest.raises(UsageError, match="no name of a Python variable"):
        await run(either, "set", name, 1)


async def test_the_program_sees_the_lines(either: PythonBackend) -> None:
    """Through the whole house."""
    kind = either.name
    async with Runtime(provider="echo", python=kind) as runtime:
        result = await runtime.run('(py-exec "def f(x):\\n    return 1/x\\nf(0)")')
    assert result.error is not None
    assert "line 2, in f: return 1/x" in result.error.message
    assert result.error.type == "exn:fail:python"


def test_sources_are_kept_for_a_bounded_number_of_calls() -> None:
    """The oldest are forgotten first; what is forgotten has no source line, and still its number."""
    import linecache

    snippets = Snippets()
    space: dict[str, object] = {}
    snippets.execute("def f(): return 1/0", space, last_value=False)
    for i in range(MAX_SOURCES + 5):
        snippets.execute(f"x = {i}", space, last_value=False)
    assert len([name for name in linecache.cache if name.startswith("<python ")]) <= 2 * MAX_SOURCES
    with pytest.raises(ZeroDivisionError) as caught:
        snippets.execute("f()", space, last_value=False)
    assert snippets.describe(caught.value)["error"].endswith("line 1 of an earlier call, in f")

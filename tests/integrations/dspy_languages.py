"""What dspy's protocol and its community's checks ask of an interpreter, said in both of our languages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from rlm_wasm.integrations.dspy import PythonInterpreter, SchemeInterpreter


@dataclasses.dataclass
class Language:
    """How the same thing is said in each."""

    make: Callable[..., Any]
    six_by_seven: str
    hello: str
    remember: str
    recall: str
    broken: str
    failing: str
    unknown: str
    call: str
    by_keyword: str
    submit: str
    submit_both: str
    submit_wrong: str
    after_submit: str
    variable: str
    context: str
    show: str
    """The value of v."""
    take: str
    """What the tool named tool gives."""
    spoil: str
    """Takes the names of SUBMIT and add."""
    caught: str
    """Submits 1 where whatever is raised is caught, then calls a tool."""
    caught_tool: str
    """The message of what the tool named tool raises."""
    both: str
    """Prints a and gives 5."""
    submit_keyword: str


LANGUAGES = {
    "python": Language(
        PythonInterpreter, "6 * 7", "print('hello')", "kept = 41", "kept + 1", "if", "1 / 0", "nosuch",
        "add(19, 23)['value']", "add(left=19, right=23)['value']", "SUBMIT(42)", "SUBMIT(answer='yes', score=42)",
        "SUBMIT('missing')", "SUBMIT(42)\nadd(1, 2)", "v['a'][1] + 2", "len(context)",
        show="v", take="tool()", spoil="SUBMIT = None\nadd = None\nlen = None\ndel len",
        caught="try:\n    SUBMIT(1)\nexcept:\n    pass\ntry:\n    tool()\nexcept:\n    pass",
        caught_tool="try:\n    tool()\nexcept Exception as error:\n    said = str(error)\nsaid",
        both="print('a')\n5", submit_keyword="SUBMIT(found=1)",
    ),
    "scheme": Language(
        SchemeInterpreter, "(* 6 7)", '(displayln "hello")', "(define kept 41)", "(+ kept 1)", "(if", "(/ 1 0)",
        "nosuch", '(hash-ref (add 19 23) "value")', '(hash-ref (add #:left 19 #:right 23) "value")', "(SUBMIT 42)",
        '(SUBMIT #:answer "yes" #:score 42)', '(SUBMIT "missing")', "(SUBMIT 42) (add 1 2)",
        '(+ 2 (list-ref (hash-ref v "a") 1))', "(string-length context)",
        show="v", take="(tool)", spoil="(define SUBMIT #f) (define add #f)",
        caught="(with-handlers ([(lambda (e) #t) void]) (SUBMIT 1)) (with-handlers ([(lambda (e) #t) void]) (tool))",
        caught_tool="(with-handlers ([exn:fail? exn-message]) (tool))", both='(displayln "a") 5',
        submit_keyword="(SUBMIT #:found 1)",
    ),
}  # fmt: skip

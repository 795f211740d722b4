"""A question over data that fits no prompt: a model writes programs, looks at what they give, and goes on.

``loop.py`` is the one loop, for ``Session.ask`` and for ``#:recursive`` calls (``recursion.py``);
``describe.py`` says what the data look like, ``prompts.py`` what the model is told, ``transcript.py`` what
it sees of its programs, ``answer_type.py`` what an answer must be, ``answer.py`` what comes of it.
"""

from typing import TYPE_CHECKING

from rlm_wasm.lazy import lazily

if TYPE_CHECKING:
    from rlm_wasm.asking import answer as answer
    from rlm_wasm.asking import answer_type as answer_type
    from rlm_wasm.asking import own as own
    from rlm_wasm.asking import progress as progress
    from rlm_wasm.asking import recursion as recursion
else:
    answer = lazily("rlm_wasm.asking.answer")
    answer_type = lazily("rlm_wasm.asking.answer_type")
    own = lazily("rlm_wasm.asking.own")
    progress = lazily("rlm_wasm.asking.progress")
    recursion = lazily("rlm_wasm.asking.recursion")

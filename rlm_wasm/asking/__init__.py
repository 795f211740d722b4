"""A question over data that fits no prompt: a model writes programs, looks at what they give, and goes on.

``loop.py`` is the one loop, for ``Session.ask`` and for ``#:recursive`` calls (``recursion.py``);
``describe.py`` says what the data look like, ``prompts.py`` what the model is told, ``transcript.py`` what
it sees of its programs, ``answer_type.py`` what an answer must be, ``answer.py`` what comes of it.
"""

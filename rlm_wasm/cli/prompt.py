"""The line editor of ``rlm-wasm repl``: history, colours, completion, Enter that knows an open bracket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rlm_wasm.cli.reading import indentation, read_state
from rlm_wasm.lexer import word_before

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prompt_toolkit import PromptSession

_COLOURS = {
    "pygments.keyword": "ansimagenta",
    "pygments.literal.string": "ansigreen",
    "pygments.literal.number": "ansicyan",
    "pygments.comment": "ansibrightblack",
    "pygments.name.builtin": "ansiyellow",
}
"""Of the terminal's own palette, so that they are read on a light and on a dark one."""


def prompt_session(names: Any) -> PromptSession[str]:
    """An editor that completes what ``names`` gives."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.filters import completion_is_selected
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.lexers import PygmentsLexer
    from prompt_toolkit.styles import Style

    from rlm_wasm.lexer import RlmSchemeLexer

    class Names(Completer):
        """Completes the name before the cursor."""

        def get_completions(self, document: Any, complete_event: Any) -> Iterable[Completion]:
            """All names that begin with it."""
            del complete_event
            word = word_before(document.text_before_cursor)
            if word:
                for name in names():
                    if name.startswith(word):
                        yield Completion(name, start_position=-len(word))

    keys = KeyBindings()

    @keys.add("enter", filter=~completion_is_selected)
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text
        at_end = not buffer.document.text_after_cursor.strip()
        if text.startswith(",") or (at_end and read_state(text).complete):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + " " * indentation(buffer.document.text_before_cursor))

    path = _history_path()
    return PromptSession(
        history=FileHistory(path) if path else InMemoryHistory(),
        completer=Names(),
        complete_while_typing=False,
        lexer=None if os.environ.get("NO_COLOR") else PygmentsLexer(RlmSchemeLexer),
        style=Style.from_dict(_COLOURS),
        include_default_pygments_style=False,
        multiline=True,
        key_bindings=keys,
        prompt_continuation=lambda width, _line, _wrapped: " " * width,
    )


def _history_path() -> str | None:
    """The history's file in the user's state folder; None where that cannot be written."""
    import platformdirs

    folder = platformdirs.user_state_path("rlm-wasm")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "history"
        path.touch(mode=0o600)
    except OSError:
        return None
    return str(path)

"""docs/api.md has every public class with its fields and methods, each with what it means."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from typing import Any

import pytest
from doc_pages import api

import rlm_wasm

PAGE = api.PAGE.read_text(encoding="utf-8")
ENTRIES = {part.split("`", 2)[1]: part for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]}
IMPORTED = {name: value for name in rlm_wasm.__all__ if inspect.isclass(value := getattr(rlm_wasm, name))}
EXTRAS = ("rlm_wasm.integrations", "rlm_wasm.ray")
NAMED = [
    (module, name)
    for module, (_, names) in api.PUBLIC.items()
    for name in (names or api.public_names(module))
    if not module.startswith(EXTRAS)
]


@pytest.mark.parametrize(("module", "name"), NAMED, ids=str)
def test_every_public_class_and_function_is_there(module: str, name: str) -> None:
    """By its own name; what is none of both has no entry."""
    value = getattr(importlib.import_module(module), name)
    assert (name in ENTRIES) == (inspect.isclass(value) or inspect.isroutine(value))


@pytest.mark.parametrize("name", IMPORTED)
def test_a_class_has_its_fields_and_methods(name: str) -> None:
    """Those of its own; what it inherits stands with the class that has it."""
    value, entry = IMPORTED[name], ENTRIES[name]
    own = vars(value)
    if dataclasses.is_dataclass(value):
        inherited = {
            f.name
            for base in value.__mro__[1:]
            if dataclasses.is_dataclass(base)
            for f in dataclasses.fields(base)
        }
        for field in dataclasses.fields(value):
            if not field.name.startswith("_") and field.name not in inherited:
                assert f"| `{field.name}` |" in entry
    for method, kind in own.items():
        if not method.startswith("_") and (inspect.isroutine(kind) or isinstance(kind, property)):
            assert re.search(rf"^- `(async )?{method}\b", entry, re.MULTILINE), method


@pytest.mark.parametrize("name", ENTRIES)
def test_every_field_says_what_it_means(name: str) -> None:
    """In its own row, or by name in the words above the table."""
    words, _, table = ENTRIES[name].partition("| field |")
    for field, about in re.findall(r"^\| `(\w+)` \| .*? \| .*? \| ?(.*?) ?\|$", table, re.MULTILINE):
        named = f"`{field}`" in words or re.search(rf"^{field}\b|, {field} ", words, re.MULTILINE)
        assert about or named, f"{name}.{field}"


def test_what_to_dict_gives_is_what_the_page_says() -> None:
    """The Result's fields, and in it those of its execution and its error."""
    result = rlm_wasm.run("(car 5)", provider="echo", python="off")
    plain: dict[str, Any] = result.to_dict()
    for name, entry in (("Result", plain), ("Execution", plain["execution"]), ("ErrorInfo", plain["error"])):
        rows = re.findall(r"^\| `(\w+)` \|", ENTRIES[name], re.MULTILINE)
        assert list(entry) == rows
    assert "`to_dict() -> dict[str, Any]`" in ENTRIES["Result"]

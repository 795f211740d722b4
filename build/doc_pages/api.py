"""docs/api.md: every public class and function of Python, from the sources.

The sources are read, not imported: extras need not be installed, and what stands below a field is there.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api.md"

HEAD = """# The Python API

Every public class and function, with its fields and methods. This page is generated from docstrings by
`python build/make_docs.py`. [Embedding](embedding.md) shows how they are used; [limits](limits.md) says what
happens when a limit fires, [the run log](internals/runlog.md) has its records.

What stands here is meant to be used. Names that begin with an underscore, and modules that are not here, may
change at any time.
"""

PUBLIC: dict[str, tuple[str, list[str] | None]] = {
    # module: (what it is for, its names; None: those of __all__)
    "rlm_wasm": ("What most embedders need.", None),
    "rlm_wasm.data": (
        "Scheme's data that Python has no type for. [Language](language.md) says what becomes what.",
        ["Symbol", "Keyword", "Char", "ImproperList", "Box", "Struct", "VoidType"],
    ),
    "rlm_wasm.providers": ("LLM back ends and their wrappers: [providers](providers.md).", None),
    "rlm_wasm.providers.wrappers.cache": ("Where a `CachedProvider` keeps answers.", ["CacheStore"]),
    "rlm_wasm.providers.prices": ("What calls cost.", ["Price", "PriceTable"]),
    "rlm_wasm.providers.tokens": ("How many tokens a text has, about.", ["estimate_tokens"]),
    "rlm_wasm.store": ("Checkpoints, sessions, runs and kept answers in a database.", None),
    "rlm_wasm.store.database": ("What `open_store` gives.", ["DatabaseStore"]),
    "rlm_wasm.capabilities.checkpoints": ("A store of your own for checkpoints.", ["CheckpointStore"]),
    "rlm_wasm.planning": ("What a task or a program would take, before money is spent.", None),
    "rlm_wasm.limit_finder": (
        "The smallest limits of a program: `rlm-wasm limits`.",
        ["find_limits", "Needs", "Phase", "Growth"],
    ),
    "rlm_wasm.mcp": ("The MCP server: [MCP](mcp.md).", None),
    "rlm_wasm.testing": ("Doubles for tests: [testing](testing.md).", None),
    "rlm_wasm.integrations.dspy": (
        "[dspy](integrations/dspy.md), extra `dspy`.",
        ["PythonInterpreter", "SchemeInterpreter"],
    ),
    "rlm_wasm.integrations.pydantic_ai": (
        "[pydantic-ai](integrations/pydantic-ai.md), extra `pydantic-ai`.",
        ["toolset", "PydanticAIProvider"],
    ),
    "rlm_wasm.integrations.litellm": (
        "[LiteLLM](integrations/litellm.md), extra `litellm`.",
        ["LiteLLMProvider"],
    ),
    "rlm_wasm.integrations.smolagents": (
        "[smolagents](integrations/smolagents.md), extra `smolagents`.",
        ["tools", "SchemeTool", "AskTool"],
    ),
    "rlm_wasm.integrations.langchain": (
        "[LangChain](integrations/langchain.md), extra `langchain`.",
        ["tools"],
    ),
    "rlm_wasm.integrations.tools": ("The session of agents' tools.", ["OwnSession"]),
    "rlm_wasm.ray": ("Sessions in a Ray cluster, extra `ray`.", ["RayExecutor", "RaySession", "executor"]),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Found:
    """A definition, and the module in which it stands."""

    module: str
    node: ast.ClassDef | Function


def text() -> str:
    """The page."""
    parts, shown = [HEAD], set[str]()
    for module, (purpose, names) in PUBLIC.items():
        entries = []
        for name in sorted(public_names(module) if names is None else names, key=str.lower):
            found = resolved(module, name)
            if found is None or f"{found.module}.{name}" in shown:
                continue  # a constant, or one that stands above
            shown.add(f"{found.module}.{name}")
            entries.append(_entry(name, found))
        parts.append("\n\n".join([f"## {module}", purpose, *entries]))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


# ---- what there is


@cache
def _tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def public_names(module: str) -> list[str]:
    """The names of its ``__all__``; without one, of what it defines itself."""
    for node in _tree(module).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return [
        node.name
        for node in _tree(module).body
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_")
    ]


def resolved(module: str, name: str) -> Found | None:
    """Where a name is defined; None for what is neither a class nor a function."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ClassDef | Function) and node.name == name and node in _tree(module).body:
            return Found(module, node)
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rlm_wasm"):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return resolved(node.module, alias.name)
    return None


# ---- how it is shown


def _entry(name: str, found: Found) -> str:
    node = found.node
    if isinstance(node, Function):
        return "\n\n".join([f"### `{name}`", _code(_signature(node)), *_prose(node)])
    bases = [ast.unparse(base) for base in node.bases]
    fields = list(_fields(node))
    parts = [f"### `{name}`"]
    if made := _constructor(node, fields):
        parts.append(_code(made))
    kinds = [base for base in bases if base not in ("Protocol", "object") and not base.startswith("Generic")]
    if kinds:
        parts.append(f"A kind of {', '.join(f'`{kind}`' for kind in kinds)}.")
    parts += _prose(node)
    if fields:
        rows = ["| field | type | default | |", "|---|---|---|---|"]
        rows += [f"| `{field}` | `{kind}` | {default} | {about} |" for field, kind, default, about in fields]
        parts.append("\n".join(rows))
    methods = [_method(inner) for inner in node.body if isinstance(inner, Function) and _is_public(inner)]
    if methods:
        parts.append("\n".join(methods))
    return "\n\n".join(parts)


def _is_public(node: Function) -> bool:
    overloaded = any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)
    return not node.name.startswith("_") and not overloaded


def _is_property(node: Function) -> bool:
    names = [ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list]
    return "property" in names or "cached_property" in names


def _method(node: Function) -> str:
    if _is_property(node):
        kind = f": {_type(node.returns)}" if node.returns else ""
        shown = f"{node.name}{kind}"
    else:
        shown = _signature(node, method=True)
    body = "\n\n".join(_prose(node))
    return f"- `{shown}`\n\n" + "\n".join(f"  {line}".rstrip() for line in body.splitlines()) + "\n"


def _constructor(node: ast.ClassDef, fields: list[tuple[str, str, str, str]]) -> str:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            if (ast.get_docstring(inner) or "").startswith("For Runtime"):
                return ""  # who embeds does not make one
            return _signature(inner, method=True).replace("__init__", node.name, 1).removesuffix(" -> None")
    if not fields or not _is_dataclass(node):
        return ""
    keywords = "kw_only=True" in " ".join(map(ast.unparse, node.decorator_list))
    given = ", ".join(name if default == "–" else f"{name}=…" for name, _, default, _ in fields)
    return f"{node.name}({'*, ' if keywords else ''}{given})"


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).startswith("dataclass") for decorator in node.decorator_list)


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and meaning of a dataclass's or a model's fields, and of documented attributes."""
    for number, inner in enumerate(node.body):
        if not isinstance(inner, ast.AnnAssign) or not isinstance(inner.target, ast.Name):
            continue
        name = inner.target.id
        following = node.body[number + 1] if number + 1 < len(node.body) else None
        about = _meaning(inner.value)
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            about = _inline(inspect.cleandoc(str(following.value.value)))
        if name.startswith("_") or "ClassVar" in ast.unparse(inner.annotation):
            continue
        yield name, _cell(_type(inner.annotation)), _default(inner.value), _cell(about)


def _meaning(value: ast.expr | None) -> str:
    """What a limit's field says of itself."""
    keywords = value.keywords if isinstance(value, ast.Call) else []
    return next((str(ast.literal_eval(k.value)) for k in keywords if k.arg == "meaning"), "")


def _default(value: ast.expr | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, ast.Call):
        given = {keyword.arg: keyword.value for keyword in value.keywords}
        if "default" in given:
            return f"`{_cell(ast.unparse(given['default']))}`"
        if "default_factory" in given:
            factory = ast.unparse(given["default_factory"])
            return {"dict": "`{}`", "list": "`[]`", "set": "`set()`"}.get(factory, "made anew")
        if ast.unparse(value.func).endswith("limit"):
            return f"`{_cell(ast.unparse(value.args[0]))}`"
        if ast.unparse(value.func).endswith(("field", "Field")):
            return "–"
    return f"`{_cell(ast.unparse(value))}`"


def _signature(node: Function, *, method: bool = False) -> str:
    arguments = ast.unparse(node.args)
    if method and not any(ast.unparse(d) == "staticmethod" for d in node.decorator_list):
        arguments = re.sub(r"^(self|cls)(, )?(/, )?", "", arguments)
    returned = f" -> {_type(node.returns)}" if node.returns else ""
    prefix = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{prefix}{node.name}({arguments}){returned}"


def _type(node: ast.expr | None) -> str:
    return "" if node is None else ast.unparse(node).strip("'\"")


def _code(line: str) -> str:
    """A signature, broken where it is long."""
    if len(line) > 100 and "(" in line:
        head, _, rest = line.partition("(")
        inner, close, after = rest.rpartition(")")
        if " -> " in rest:
            inner, close, after = rest.partition(") -> ")
        wrapped = ",\n    ".join(_split(inner))
        line = f"{head}(\n    {wrapped},\n{close}{after}"
    return f"```text\n{line}\n```"


def _split(arguments: str) -> list[str]:
    """At the commas that stand in no bracket and no text."""
    parts, depth, quote, start = [], 0, "", 0
    for at, char in enumerate(arguments):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and not depth:
            parts.append(arguments[start:at].strip())
            start = at + 1
    return [*parts, arguments[start:].strip()]


def _prose(node: ast.ClassDef | Function) -> list[str]:
    """A docstring as Markdown: paragraphs filled, columns kept, what is raised as a list."""
    shown = []
    for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0].strip() == "Raises:":
            shown.append("Raises " + "; ".join(_raised(lines[1:])) + ".")
        elif sum(bool(re.search(r"\S {2,}\S", line)) for line in lines) >= 2 or paragraph.startswith("    "):
            shown.append("```text\n" + "\n".join(lines) + "\n```")
        elif lines:
            shown.append(_inline(" ".join(line.strip() for line in lines)))
    return shown


def _raised(lines: list[str]) -> list[str]:
    entries: list[str] = []
    for line in map(str.strip, lines):
        name, colon, about = line.partition(": ")
        if colon and re.fullmatch(r"\w+", name):
            entries.append(f"`{name}`: {_inline(about)}")
        elif entries:
            entries[-1] += f" {_inline(line)}"
    return [entry.rstrip(".") for entry in entries]


def _inline(line: str) -> str:
    """Code as Markdown has it; outside of code, what would be taken for HTML is none."""
    parts = re.split(r"(``.+?``)", " ".join(line.split()))
    return "".join(part[1:-1] if part.startswith("``") else part.replace("<", "&lt;") for part in parts)


def _cell(shown: str) -> str:
    return shown.replace("|", "\\|")

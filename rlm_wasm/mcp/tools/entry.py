"""What a tool is: its words for the model, what it takes and gives, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import mcp_types as types
from pydantic import BaseModel

from rlm_wasm.lazy_dataclass import dataclass
from rlm_wasm.mcp.tools.arguments import Arguments, schema_of

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

    from rlm_wasm.mcp.clients import Clients

    Context = ServerRequestContext[Clients, Any]

A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True, slots=True)
class Answer:
    """Structured content, and the text of it. ``failed``: what the model asked for did not succeed."""

    content: BaseModel | Mapping[str, Any]
    text: str
    failed: bool = False

    def to_result(self) -> types.CallToolResult:
        """As the protocol has it."""
        content = self.content
        structured = (
            content.model_dump(mode="json", exclude_unset=True)
            if isinstance(content, BaseModel)
            else dict(content)
        )
        return types.CallToolResult(
            content=[types.TextContent(text=self.text)], structured_content=structured, is_error=self.failed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry(Generic[A]):
    """One tool. ``gives`` is a model or dataclass; ``example`` is what wrong arguments are answered with."""

    name: str
    title: str
    description: str
    act: Callable[[Context, A], Awaitable[Answer]]
    takes: type[A]
    gives: type
    example: str = "{}"
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False

    def input_schema(self) -> dict[str, Any]:
        """What the tool takes, in JSON Schema."""
        return schema_of(self.takes)

    def to_tool(self) -> types.Tool:
        """As the protocol lists it."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.input_schema(),
            output_schema=schema_of(self.gives),
            annotations=types.ToolAnnotations(
                read_only_hint=self.read_only,
                destructive_hint=self.destructive if not self.read_only else None,
                idempotent_hint=self.idempotent if not self.read_only else None,
                open_world_hint=self.open_world,
            ),
        )

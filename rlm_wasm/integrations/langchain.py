"""LangChain: tools for its agents over a sandbox of their own.

with OwnSession(Path("reports"), provider="openai") as sandbox:
agent = create_agent(model, tools(sandbox))
"""

from __future__ import annotations

from rlm_wasm.integrations import missing_extra
from rlm_wasm.integrations import tools as shared
from rlm_wasm.integrations.tools import OwnSession

try:
    from langchain_core.tools import BaseTool, StructuredTool
except ModuleNotFoundError as error:
    raise missing_extra("langchain", error) from None

__all__ = ["OwnSession", "ask_tool", "scheme_tool", "tools"]


def scheme_tool(sandbox: OwnSession) -> BaseTool:
    """Runs Scheme programs in the sandbox, from synchronous and asynchronous agents."""

    def execute_scheme(code: str) -> str:
        return sandbox.run(sandbox.tools.execute_scheme(code))

    async def execute_scheme_async(code: str) -> str:
        return await sandbox.arun(sandbox.tools.execute_scheme(code))

    return StructuredTool.from_function(
        execute_scheme, execute_scheme_async, name="execute_scheme", description=shared.EXECUTE
    )


def ask_tool(sandbox: OwnSession) -> BaseTool:
    """Answers questions over the sandbox's contexts."""

    def ask(question: str) -> str:
        return sandbox.run(sandbox.tools.ask(question))

    async def ask_async(question: str) -> str:
        return await sandbox.arun(sandbox.tools.ask(question))

    return StructuredTool.from_function(ask, ask_async, name="ask", description=shared.ASK)


def tools(sandbox: OwnSession) -> list[BaseTool]:
    """Both, over one sandbox: what programs define, questions find."""
    return [scheme_tool(sandbox), ask_tool(sandbox)]

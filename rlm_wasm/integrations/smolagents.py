"""smolagents: tools for its agents over a sandbox of their own.

with OwnSession(Path("reports"), provider="openai") as sandbox:
agent = CodeAgent(tools=tools(sandbox), model=…)
"""

from __future__ import annotations

from rlm_wasm.integrations import missing_extra
from rlm_wasm.integrations import tools as shared
from rlm_wasm.integrations.tools import OwnSession

try:
    from smolagents import Tool
except ModuleNotFoundError as error:
    raise missing_extra("smolagents", error) from None

__all__ = ["AskTool", "OwnSession", "SchemeTool", "tools"]


class SchemeTool(Tool):
    """Runs Scheme programs in the sandbox."""

    name = "execute_scheme"
    description = shared.EXECUTE
    inputs = {"code": {"type": "string", "description": "The program."}}  # noqa: RUF012 - its own protocol
    output_type = "string"
    skip_forward_signature_validation = True

    def __init__(self, sandbox: OwnSession) -> None:
        super().__init__()
        self._sandbox = sandbox

    def forward(self, code: str) -> str:
        """Run a program."""
        return self._sandbox.run(self._sandbox.tools.execute_scheme(code))


class AskTool(Tool):
    """Answers questions over the sandbox's contexts."""

    name = "ask"
    description = shared.ASK
    inputs = {"question": {"type": "string", "description": "What is to be found out."}}  # noqa: RUF012
    output_type = "string"
    skip_forward_signature_validation = True

    def __init__(self, sandbox: OwnSession) -> None:
        super().__init__()
        self._sandbox = sandbox

    def forward(self, question: str) -> str:
        """Answer a question."""
        return self._sandbox.run(self._sandbox.tools.ask(question))


def tools(sandbox: OwnSession) -> list[Tool]:
    """Both, over one sandbox: what programs define, questions find."""
    return [SchemeTool(sandbox), AskTool(sandbox)]

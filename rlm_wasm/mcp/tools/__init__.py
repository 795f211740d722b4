"""The tools of the MCP server, a group a file."""

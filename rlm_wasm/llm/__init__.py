"""LLM calls over executions: counted, reserved, sent, settled; and recursion into children."""

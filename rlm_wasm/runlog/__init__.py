"""The run log: one record of everything that happens in an execution, and what reads it."""

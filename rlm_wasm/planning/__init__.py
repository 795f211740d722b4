"""What a task or a program would take, found out before any money is spent.

    figures = await estimate(runtime, program)   # calls, tokens, dollars of one program
    proposal = await plan(runtime, Task(task_description="Find the end date"))

Nothing here needs a server.
"""

from rlm_wasm.planning.estimate import Estimate, estimate
from rlm_wasm.planning.plan import Plan, Strategy, plan
from rlm_wasm.strategies import Task

__all__ = ["Estimate", "Plan", "Strategy", "Task", "estimate", "plan"]

"""A workflow that draws a number from Python's generator: replayed, it draws another one."""

import random

from temporalio import workflow


@workflow.defn
class RandomWorkflow:
    """Return a random number that Temporal does not record."""

    @workflow.run
    async def run(self) -> float:
        """Draw one."""
        return random.random()  # noqa: S311 - no secret

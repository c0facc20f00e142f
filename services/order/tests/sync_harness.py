"""The order harness for synchronous tests."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from sysconfig import get_path
from typing import Any, TypeVar

from order_harness import FakePaymentService, OrderHarness, run_workers
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_order.repository import OrderRepository

Result = TypeVar("Result")


class SyncHarness:
    """Runs coroutines against an order harness, in an event loop of its own."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.harness: OrderHarness
        self.run(self._open(postgres))

    def run(self, step: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(asyncio.wait_for(step, 60))

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()

    async def _open(self, postgres: EmbeddedPostgres) -> None:
        binary = Path(get_path("scripts")) / "temporal-test-server"
        environment = await self._stack.enter_async_context(
            await WorkflowEnvironment.start_time_skipping(
                test_server_existing_path=str(binary), data_converter=pydantic_data_converter
            )
        )
        engine = create_async_engine(postgres.url("order"), pool_size=5, max_overflow=0)
        self._stack.push_async_callback(engine.dispose)
        self.harness = OrderHarness(environment, engine, FakePaymentService())
        await self._stack.enter_async_context(run_workers(self.harness, OrderRepository(engine)))

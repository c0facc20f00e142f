"""The types of the shared fixtures, and what the tests of several resources need."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    WorkflowUpdateHandle,
)
from temporalio.contrib.pydantic import pydantic_data_converter

Serve = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]
"""Serve the gateway with any database, client and settings for the length of a block."""

MakeKey = Callable[..., Awaitable[str]]
"""Create an API key of a role."""

Record = Callable[..., Awaitable[None]]
"""Insert an order and its events."""

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
"""Wait for a condition in another process."""

WHOLE_ADDRESS = {
    "country": "US",
    "name": "Ada Lovelace",
    "line1": "1 Market Street",
    "city": "San Francisco",
    "region": "CA",
    "postal_code": "94105",
}
"""An address that an order can change to."""


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@dataclass
class UpdatesInFlight(Interceptor):
    """Counts the updates that a client waits for."""

    current: int = 0
    highest: int = 0

    def client(self, client: Client) -> Client:
        """Return a client of the same server whose updates are counted."""
        return Client(
            client.service_client,
            namespace=client.namespace,
            data_converter=pydantic_data_converter,
            interceptors=[self],
        )

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
        return _CountingInterceptor(next, self)


class _CountingInterceptor(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, counter: UpdatesInFlight) -> None:
        super().__init__(following)
        self._counter = counter

    async def start_workflow_update(
        self,
        input: StartWorkflowUpdateInput,  # noqa: A002 - the SDK's name
    ) -> WorkflowUpdateHandle[Any]:
        with self._counted():
            return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(
        self,
        input: StartWorkflowUpdateWithStartInput,  # noqa: A002 - the SDK's name
    ) -> WorkflowUpdateHandle[Any]:
        with self._counted():
            return await super().start_update_with_start_workflow(input)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._counter.current += 1
        self._counter.highest = max(self._counter.highest, self._counter.current)
        try:
            yield
        finally:
            self._counter.current -= 1

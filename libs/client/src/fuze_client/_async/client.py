"""The client: one gateway, one credential."""

from typing import Self

import httpx

from fuze_client._async.events import AsyncEvents
from fuze_client._async.orders import AsyncOrders
from fuze_client._async.payments import AsyncPayments, AsyncReturns
from fuze_client._async.transport import AsyncTransport
from fuze_client._async.webhooks import AsyncWebhooks
from fuze_client.models import (
    CallerResponse,
    ListTaskQueuesResponse,
    Readiness,
    TaskQueue,
)


class AsyncFuzeClient:
    """A client of the gateway at `base_url`.

    Args:
        base_url: such as `https://fuze.example`.
        token: an API key (`fz_…`), or an access token of the identity provider.
        retry_for: seconds for which a request is repeated without a response, or after one that is
            transient (408, 429, 502, 503, 504); `Retry-After` is respected. 0 sends it once.
        http: connections to use instead of the client's own, with proxies, certificates or timeouts
            of your choice. Several clients can share them; they are not closed.

    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        retry_for: float = 30,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._transport = AsyncTransport(base_url, token, retry_for, http)
        self.orders = AsyncOrders(self._transport)
        self.events = AsyncEvents(self._transport)
        self.payments = AsyncPayments(self._transport)
        self.returns = AsyncReturns(self._transport)
        self.webhooks = AsyncWebhooks(self._transport)

    async def get_caller(self) -> CallerResponse:
        """Return whose credential this is, and what it permits."""
        return await self._transport.get(("caller",), CallerResponse)

    async def get_readiness(self) -> Readiness:
        """Return what the gateway can do; the problem `unavailable` when it accepts no order."""
        return await self._transport.get(("readyz",), Readiness)

    async def list_task_queues(self) -> list[TaskQueue]:
        """Return the task queues of the services, and when a worker last polled each."""
        found = await self._transport.get(("task-queues",), ListTaskQueuesResponse)
        return found.task_queues

    async def close(self) -> None:
        """Close the client's own connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

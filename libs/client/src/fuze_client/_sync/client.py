"""The client: one gateway, one credential."""

from typing import Self

import httpx

from fuze_client._sync.events import Events
from fuze_client._sync.orders import Orders
from fuze_client._sync.payments import Payments, Returns
from fuze_client._sync.transport import Transport
from fuze_client._sync.webhooks import Webhooks
from fuze_client.models import (
    CallerResponse,
    ListTaskQueuesResponse,
    Readiness,
    TaskQueue,
)


class FuzeClient:
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
        http: httpx.Client | None = None,
    ) -> None:
        self._transport = Transport(base_url, token, retry_for, http)
        self.orders = Orders(self._transport)
        self.events = Events(self._transport)
        self.payments = Payments(self._transport)
        self.returns = Returns(self._transport)
        self.webhooks = Webhooks(self._transport)

    def get_caller(self) -> CallerResponse:
        """Return whose credential this is, and what it permits."""
        return self._transport.get(("caller",), CallerResponse)

    def get_readiness(self) -> Readiness:
        """Return what the gateway can do; the problem `unavailable` when it accepts no order."""
        return self._transport.get(("readyz",), Readiness)

    def list_task_queues(self) -> list[TaskQueue]:
        """Return the task queues of the services, and when a worker last polled each."""
        found = self._transport.get(("task-queues",), ListTaskQueuesResponse)
        return found.task_queues

    def close(self) -> None:
        """Close the client's own connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

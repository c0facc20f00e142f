"""A batch: the events of one endpoint, delivered for about a minute.

Queueing an event and moving the cursor is one transaction, and so is each claim and each result.
Whatever dies in between, an event is in the feed behind the cursor, or it is a delivery that is
pending: it is sent again when the lease of its attempt has expired.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from fuze_webhooks.delivery_repository import DeliveryRepository
from fuze_webhooks.messages import Delivery, Endpoint
from fuze_webhooks.repository import EndpointRepository
from fuze_webhooks.sender import WebhookSender

_log = structlog.get_logger(__name__)


class BatchRunner:
    """Runs batches."""

    def __init__(
        self,
        endpoints: EndpointRepository,
        deliveries: DeliveryRepository,
        sender: WebhookSender,
        *,
        poll_interval: timedelta,
        max_concurrent: int,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._sender = sender
        self._poll_seconds = poll_interval.total_seconds()
        self._max_concurrent = max_concurrent

    async def run(
        self, endpoint_id: UUID, duration: timedelta, is_stopping: Callable[[], bool]
    ) -> bool:
        """Deliver events until the time is over, the worker stops, or the endpoint is stopped.

        `is_stopping` is called at least once per poll interval. Returns whether the endpoint is
        stopped: disabled or deleted.
        """
        await self._endpoints.begin_batch(endpoint_id)
        running: set[asyncio.Task[None]] = set()
        try:
            is_stopped = await self._deliver(endpoint_id, duration, is_stopping, running)
        finally:  # no attempt outlives its batch
            await asyncio.gather(*running, return_exceptions=True)
        if is_stopped:
            await self._endpoints.end_last_batch(endpoint_id)
        return is_stopped

    async def _deliver(
        self,
        endpoint_id: UUID,
        duration: timedelta,
        is_stopping: Callable[[], bool],
        running: set[asyncio.Task[None]],
    ) -> bool:
        now = asyncio.get_running_loop().time
        end = now() + duration.total_seconds()
        poll_at = now()
        endpoint: Endpoint | None = None
        is_stopped = False
        while True:
            is_ending = is_stopping() or is_stopped or now() >= end
            if is_ending and not running:
                return is_stopped
            if not is_ending and now() >= poll_at:
                endpoint = await self._endpoints.queue_events(endpoint_id)
                is_stopped = endpoint is None
                has_more = endpoint is not None and endpoint.has_more
                poll_at = now() + (0 if has_more else self._poll_seconds)
            if not is_ending and endpoint is not None:
                await self._start_attempts(endpoint, running)
            await self._wait(running, self._poll_seconds if is_ending else poll_at - now())

    async def _start_attempts(self, endpoint: Endpoint, running: set[asyncio.Task[None]]) -> None:
        free = self._max_concurrent - len(running)
        if not free:
            return
        # From before the claim: where this process was stopped since, the lease may be another's.
        deadline = asyncio.get_running_loop().time() + self._sender.timeout_seconds
        for delivery in await self._deliveries.claim(endpoint.id, free):
            running.add(asyncio.create_task(self._attempt(endpoint, delivery, deadline)))

    async def _wait(self, running: set[asyncio.Task[None]], seconds: float) -> None:
        """Wait for the end of an attempt, or the next poll."""
        if not running:
            await asyncio.sleep(max(seconds, 0))
            return
        done, _ = await asyncio.wait(
            running, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED
        )
        running -= done
        for failure in [attempt.exception() for attempt in done]:
            if failure:
                raise failure

    async def _attempt(self, endpoint: Endpoint, delivery: Delivery, deadline: float) -> None:
        attempt = await self._sender.send(endpoint, delivery, deadline)
        is_recorded = await self._deliveries.record(delivery, attempt)
        if is_recorded and (delivery.event or delivery.is_test):  # else nothing was sent
            await self._deliveries.record_health(delivery, attempt)
        if attempt.error is not None or not is_recorded:
            _log.warning(
                "webhook not delivered" if is_recorded else "webhook attempt came too late",
                endpoint_id=str(endpoint.id),
                message_id=delivery.message_id,
                attempt=delivery.attempt,
                response_status=attempt.response_status,
                error=attempt.error,
            )

"""Watches whether workers poll the task queues.

The gateway does it, as it needs no worker itself: when no worker polls the order queue, the
scheduled comparison of orders does not run either.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_contracts.payment import PAYMENT_TASK_QUEUE
from fuze_contracts.shipping import SHIPPING_TASK_QUEUE
from fuze_contracts.webhooks import WEBHOOKS_TASK_QUEUE
from fuze_gateway.upstreams import UpstreamUnavailableError, temporal_timeout
from fuze_runtime import metrics

TASK_QUEUES = (ORDER_TASK_QUEUE, PAYMENT_TASK_QUEUE, SHIPPING_TASK_QUEUE, WEBHOOKS_TASK_QUEUE)

_TYPES = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
_CHECK_INTERVAL = timedelta(seconds=15)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class TaskQueueState:
    """A task queue. `last_polled_at` is None where Temporal does not remember a poll."""

    name: str
    last_polled_at: datetime | None
    unpolled_for: timedelta
    needs_attention: bool


@dataclass(frozen=True)
class _LastPoll:
    at: datetime | None
    """By the server's clock."""
    noticed: float
    """By the monotonic clock of this process, as the two clocks may differ."""


class TaskQueueMonitor:
    """Knows when each task queue was last polled, since this process started.

    An idle worker polls about once a minute. Workflow and activity tasks are polled separately: the
    type that was not polled for longer counts.
    """

    def __init__(self, client: Client, timeout: timedelta, alert_after: timedelta) -> None:
        self._client = client
        self._timeout = timeout
        self._alert_after = alert_after
        started = _LastPoll(None, time.monotonic())
        self._last_polls = {(name, kind): started for name in TASK_QUEUES for kind in _TYPES}
        self._unpolled: set[str] = set()
        self._age = metrics.get_meter(client).create_gauge_float(
            "fuze_task_queue_unpolled_seconds", "Time since a worker polled the task queue"
        )

    async def run(self) -> None:
        """Check the queues again and again, until cancelled."""
        while True:
            with suppress(UpstreamUnavailableError):  # logged where it was raised
                await self.check()
            await asyncio.sleep(_CHECK_INTERVAL.total_seconds())

    async def check(self) -> list[TaskQueueState]:
        """Return the state of each queue; publish its metric, and log when it changes.

        Raises:
            UpstreamUnavailableError: Temporal is unavailable.

        """
        keys = list(self._last_polls)
        polls = await asyncio.gather(*(self._get_last_poll(*key) for key in keys))
        now = time.monotonic()
        for key, polled_at in zip(keys, polls, strict=True):
            before = self._last_polls[key].at
            if polled_at and (before is None or polled_at > before):
                self._last_polls[key] = _LastPoll(polled_at, now)
        states = [self._get_state(name, now) for name in TASK_QUEUES]
        self._report(states)
        return states

    async def _get_last_poll(self, name: str, kind: TaskQueueType.ValueType) -> datetime | None:
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=name),
            task_queue_type=kind,
        )
        try:
            async with temporal_timeout(self._timeout):
                response = await self._client.workflow_service.describe_task_queue(
                    request, timeout=self._timeout
                )
        except RPCError as error:  # NOT_FOUND: the namespace does not exist
            raise UpstreamUnavailableError("temporal", timed_out=False) from error
        polls = (poller.last_access_time.ToDatetime(UTC) for poller in response.pollers)
        return max(polls, default=None)

    def _get_state(self, name: str, now: float) -> TaskQueueState:
        oldest = min(
            (self._last_polls[name, kind] for kind in _TYPES), key=lambda poll: poll.noticed
        )
        unpolled_for = timedelta(seconds=now - oldest.noticed)
        return TaskQueueState(
            name=name,
            last_polled_at=oldest.at,
            unpolled_for=unpolled_for,
            needs_attention=unpolled_for > self._alert_after,
        )

    def _report(self, states: Sequence[TaskQueueState]) -> None:
        for state in states:
            seconds = state.unpolled_for.total_seconds()
            self._age.set(seconds, {"task_queue": state.name})
            if state.needs_attention and state.name not in self._unpolled:
                _log.error("task queue not polled", task_queue=state.name, seconds=round(seconds))
                self._unpolled.add(state.name)
            elif not state.needs_attention and state.name in self._unpolled:
                _log.info("task queue polled again", task_queue=state.name)
                self._unpolled.remove(state.name)

"""The schedule of the reconciliation, on a Temporal server."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr
from temporalio.client import (
    Client,
    DescribeScheduleInput,
    Interceptor,
    OutboundInterceptor,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from fuze_runtime.schedule import ReconciliationSchedule, ScheduleSettings, keep_schedule
from fuze_runtime.temporal import build_data_converter


class ReconcileSomething:
    """Only its name counts."""


SCHEDULE = ReconciliationSchedule(
    id="reconcile-something",
    workflow=ReconcileSomething,
    input=dict[str, timedelta],
    task_queue="something",
    summary="compare something",
)

DEPLOYED = ScheduleSettings(
    interval=timedelta(minutes=15), look_back=timedelta(days=3), idle_for=timedelta(minutes=1)
)


@pytest.fixture
async def client(dev_server: WorkflowEnvironment) -> AsyncIterator[Client]:
    yield dev_server.client
    with suppress(RPCError):
        await get_handle(dev_server.client).delete()


def get_handle(client: Client) -> ScheduleHandle:
    return client.get_schedule_handle(SCHEDULE.id)


@asynccontextmanager
async def worker(client: Client, settings: ScheduleSettings = DEPLOYED) -> AsyncIterator[None]:
    """A worker's part of the schedule, which checks it all the time."""
    keeping = asyncio.create_task(
        keep_schedule(client, SCHEDULE, settings, check_interval=timedelta(milliseconds=20))
    )
    yield
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping


async def until(
    client: Client, condition: Callable[[ScheduleDescription], bool] = lambda _: True
) -> ScheduleDescription:
    async with asyncio.timeout(10):
        while True:
            with suppress(RPCError):
                if condition(described := await get_handle(client).describe()):
                    return described
            await asyncio.sleep(0.02)


def get_interval(described: ScheduleDescription) -> timedelta:
    [interval] = described.schedule.spec.intervals
    return interval.every


async def get_look_back(client: Client, described: ScheduleDescription) -> timedelta:
    action = described.schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    [fields] = await client.data_converter.decode(list(action.args), [dict[str, timedelta]])
    return fields["look_back"]  # type: ignore[no-any-return] # of the type that was requested


async def set_interval(client: Client, interval: timedelta) -> None:
    """Change the interval as an operator does."""

    def update(current: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = current.description.schedule
        schedule.spec.intervals = [ScheduleIntervalSpec(every=interval)]
        return ScheduleUpdate(schedule=schedule)

    await get_handle(client).update(update)


async def test_a_worker_creates_the_schedule(client: Client) -> None:
    async with worker(client):
        described = await until(client)

    assert get_interval(described) == DEPLOYED.interval
    assert await get_look_back(client, described) == DEPLOYED.look_back


async def test_a_paused_schedule_stays_paused_with_its_note_when_a_worker_starts(
    client: Client,
) -> None:
    async with worker(client):
        await until(client)
    await get_handle(client).pause(note="the provider migrates")
    other_settings = replace(DEPLOYED, interval=timedelta(minutes=5))

    async with worker(client, other_settings):
        described = await until(client, lambda one: get_interval(one) == other_settings.interval)

    assert described.schedule.state.paused
    assert described.schedule.state.note == "the provider migrates"


async def test_what_an_operator_changed_stays_where_the_deployment_did_not_change_it(
    client: Client,
) -> None:
    async with worker(client):
        await until(client)
    await set_interval(client, timedelta(hours=1))
    days = timedelta(days=7)
    other_settings = replace(DEPLOYED, look_back=days)

    async with worker(client, other_settings):
        async with asyncio.timeout(10):
            while await get_look_back(client, await get_handle(client).describe()) != days:
                await asyncio.sleep(0.02)

    assert get_interval(await get_handle(client).describe()) == timedelta(hours=1)


async def test_a_schedule_outlives_the_key_that_it_was_created_with(client: Client) -> None:
    keys = [base64.b64encode(letter * 32).decode() for letter in (b"a", b"b")]
    old, new = f"2026:{keys[0]}", f"2027:{keys[1]}"

    def with_keys(keys: str) -> Client:
        converter = build_data_converter(SecretStr(keys))
        return Client(client.service_client, data_converter=converter)

    async with worker(with_keys(old)):
        created = await until(client)
    async with worker(with_keys(f"{new},{old}")):
        rotated = await until(client, lambda one: one.info.last_updated_at is not None)

    assert await get_look_back(with_keys(old), created) == DEPLOYED.look_back
    assert await get_look_back(with_keys(new), rotated) == DEPLOYED.look_back


async def test_a_schedule_that_is_deleted_while_a_worker_runs_is_created_again(
    client: Client,
) -> None:
    async with worker(client):
        created = await until(client)
        await get_handle(client).delete()

        described = await until(client, lambda one: one.info.created_at != created.info.created_at)

    assert get_interval(described) == DEPLOYED.interval


class Checks(Interceptor):
    """Counts how often a client has read the schedule."""

    def __init__(self) -> None:
        self.count = 0

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
        return _CountingInterceptor(next, self)

    async def wait_for_more(self, number: int) -> None:
        enough = self.count + number
        while self.count < enough:
            await asyncio.sleep(0.02)


class _CountingInterceptor(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, checks: Checks) -> None:
        super().__init__(following)
        self._checks = checks

    async def describe_schedule(self, input: DescribeScheduleInput) -> ScheduleDescription:  # noqa: A002 - the SDK's name
        self._checks.count += 1
        return await super().describe_schedule(input)


async def test_a_running_worker_does_not_overwrite_the_settings_of_a_later_one(
    client: Client,
) -> None:
    checks = Checks()
    counted = Client(
        client.service_client, interceptors=[checks], data_converter=pydantic_data_converter
    )
    other_settings = replace(DEPLOYED, interval=timedelta(minutes=5))
    async with worker(counted):
        await until(client)
        async with worker(client, other_settings):
            await until(client, lambda one: get_interval(one) == other_settings.interval)

        async with asyncio.timeout(10):
            await checks.wait_for_more(3)
        described = await until(client)

    assert get_interval(described) == other_settings.interval

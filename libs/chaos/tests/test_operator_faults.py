"""What an operator does to an order, logs, and resolves later."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fuze_chaos.faults.catalog import FaultError, ScheduledFault
from fuze_chaos.faults.operator_targets import create_random
from fuze_chaos.faults.operators import OperatorFaults
from fuze_chaos.snapshots.postgres import connect
from fuze_chaos.workload.client import ResponseCounts, WorkloadClient
from fuze_chaos.workload.request_log import RequestLog, read_log
from fuze_devstack.postgres import EmbeddedPostgres

_TASK_QUEUE = "operator-faults"


@workflow.defn
class Idle:
    """Runs until it is ended from outside."""

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


@dataclass
class Harness:
    """An operator, and orders whose rows and workflows the test makes."""

    client: Client
    dsn: str
    operator: OperatorFaults
    log: Path
    requests: list[str] = field(default_factory=list)

    async def place(self) -> str:
        """Insert an order's row, start its workflow, and return the workflow's id."""
        order_id = uuid4()
        async with connect(self.dsn) as connection:
            await connection.execute(_INSERT, order_id)
        handle = await self.client.start_workflow(
            Idle.run, id=f"order/{order_id}", task_queue=_TASK_QUEUE
        )
        return handle.id

    async def flag(self, order_id: str) -> None:
        """Report the order's workflow as missing, as the comparison does."""
        async with connect(self.dsn) as connection:
            await connection.execute(
                "UPDATE orders.orders SET workflow_missing_at = now() WHERE id = $1",
                UUID(order_id),
            )

    async def logged(self) -> list[dict[str, object]]:
        return await asyncio.to_thread(lambda: list(read_log(self.log)))


_INSERT = """
INSERT INTO orders.orders (
    id, run_id, fingerprint, status, payment_status, currency, total_minor, payment_token, address,
    last_seq, approval_deadline, created_at, updated_at
) VALUES (
    $1::uuid, 'a-run', 'a-fingerprint', 'awaiting_approval', 'none', 'USD', 100, $1::uuid::text,
    '{"country": "US"}', 2, now(), now(), now()
)
"""


@pytest.fixture
async def harness(
    dev_server: WorkflowEnvironment, postgres: EmbeddedPostgres, tmp_path: Path
) -> AsyncIterator[Harness]:
    requests: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request.url.path)
        return httpx.Response(202)

    log, requests_log = RequestLog(tmp_path / "operator"), RequestLog(tmp_path / "client")
    async with (
        httpx.AsyncClient(
            transport=httpx.MockTransport(respond), base_url="http://gateway"
        ) as http,
        Worker(
            dev_server.client,
            task_queue=_TASK_QUEUE,
            workflows=[Idle],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        operator = OperatorFaults(
            dsn=postgres.dsn,
            temporal=dev_server.client,
            gateway=WorkloadClient(http, requests_log, ResponseCounts()),
            log=log,
        )
        yield Harness(dev_server.client, postgres.dsn, operator, tmp_path / "operator", requests)
    await log.close()
    await requests_log.close()


def fault(kind: str, *, at: float = 1) -> ScheduledFault:
    return ScheduledFault(number=1, kind=kind, target="order", at=at, duration=0)


async def terminate(harness: Harness, *, is_noticed: bool) -> str:
    """Terminate an order of which the operator knows, or does not; return its recovery's path."""
    drawn = (fault("operator-terminate", at=at) for at in count())
    one = next(one for one in drawn if (create_random(one).random() < 0.5) is is_noticed)
    workflow_id = await harness.place()
    await harness.operator.terminate(one, workflow_id)
    return f"/{workflow_id.replace('order/', 'orders/')}/recover"


async def test_an_order_whose_termination_is_noticed_is_recovered(harness: Harness) -> None:
    path = await terminate(harness, is_noticed=True)

    [note] = await harness.operator.resolve()

    assert harness.requests == [path]
    assert note.endswith(" recovered")


async def test_an_unnoticed_termination_is_recovered_once_it_is_reported(harness: Harness) -> None:
    path = await terminate(harness, is_noticed=False)
    assert (await harness.operator.resolve(), harness.requests) == ([], [])

    await harness.flag(path.split("/")[2])
    [note] = await harness.operator.resolve()

    assert harness.requests == [path]
    assert note.endswith("reported and recovered")


async def test_what_is_resolved_is_not_resolved_again(harness: Harness) -> None:
    path = await terminate(harness, is_noticed=True)
    await harness.operator.resolve()

    assert (await harness.operator.resolve(), harness.requests) == ([], [path])


async def test_a_shipment_that_is_terminated_needs_no_recovery(harness: Harness) -> None:
    handle = await harness.client.start_workflow(
        Idle.run, id=f"shipping/{uuid4()}", task_queue=_TASK_QUEUE
    )

    await harness.operator.terminate(fault("operator-terminate"), handle.id)

    assert (await harness.operator.resolve(), harness.requests) == ([], [])


async def test_a_cancellation_is_logged_with_the_status_of_each_order(harness: Harness) -> None:
    workflow_id = await harness.place()

    await harness.operator.cancel(fault("operator-cancel"), workflow_id)

    logged = await harness.logged()
    [number] = [one["action"] for one in logged if one.get("workflow_id") == workflow_id]
    assert [one["status"] for one in logged if one.get("accepted") == number] == [
        "awaiting_approval"
    ]


async def test_the_order_of_a_shipment_is_reset_then_cancelled(harness: Harness) -> None:
    workflow_id = await harness.place()
    shipment = workflow_id.replace("order/", "shipping/")
    before = await harness.client.get_workflow_handle(workflow_id).describe()

    await harness.operator.reset_and_cancel(fault("operator-reset-and-cancel"), shipment)

    after = await harness.client.get_workflow_handle(workflow_id).describe()
    assert after.run_id != before.run_id
    assert after.raw_description.workflow_extended_info.cancel_requested
    assert [
        (one["kind"], one["workflow_id"]) for one in await harness.logged() if "action" in one
    ] == [("reset", workflow_id), ("cancel", workflow_id)]


async def test_an_action_that_temporal_refuses_is_logged_and_not_acknowledged(
    harness: Harness,
) -> None:
    with pytest.raises(FaultError):
        await harness.operator.terminate(fault("operator-terminate"), f"order/{uuid4()}")

    assert [sorted(one.keys() & {"action", "accepted"}) for one in await harness.logged()] == [
        ["action"]
    ]


async def test_a_running_workflow_of_an_open_order_is_chosen(harness: Harness) -> None:
    ended = await harness.place()
    await harness.client.get_workflow_handle(ended).terminate()
    await harness.place()

    chosen = await harness.operator.targets.choose(
        fault("operator-reset"), "order", on_activity=False
    )

    description = await harness.client.get_workflow_handle(chosen).describe()
    assert description.status is WorkflowExecutionStatus.RUNNING

"""The workflow of an endpoint in the service's own worker, from the row to the last batch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer
from webhooks_harness import Database

from fuze_contracts.workflow_ids import webhook_endpoint_workflow_id
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_runtime import worker
from fuze_testing.webhook_receiver import WebhookReceiver, serve_webhook_receiver
from fuze_webhooks import activities, workflows
from fuze_webhooks.__main__ import build_worker_spec
from fuze_webhooks.address_guard import Resolver
from fuze_webhooks.repository import EndpointRepository
from fuze_webhooks.sender import WebhookSender
from fuze_webhooks.settings import WebhooksSettings
from fuze_webhooks.workflow_starter import keep_workflows
from fuze_webhooks.workflows import WebhookEndpointWorkflow


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with serve_webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
async def client(
    dev_server: WorkflowEnvironment,
    postgres: EmbeddedPostgres,
    engine_of: Callable[[str], AsyncEngine],
) -> AsyncIterator[Client]:
    """A client, while the worker runs and starts workflows."""
    settings = WebhooksSettings.model_validate(
        {"database_url": postgres.url("webhooks"), "webhook_poll_interval": "0.05"}
    )
    engine, resolver = engine_of("webhooks"), Resolver()
    sender = WebhookSender(resolver, settings.webhook_timeout, allow_insecure=True)
    spec = build_worker_spec(settings, engine, sender)
    starter = keep_workflows(
        dev_server.client,
        EndpointRepository(engine, timedelta(days=1)),
        check_interval=timedelta(seconds=0.05),
    )
    async with worker.create(dev_server.client, settings, spec):
        starting = asyncio.create_task(starter)
        yield dev_server.client
        starting.cancel()
    await sender.aclose()


async def wait_for_end(client: Client, endpoint_id: UUID) -> WorkflowHandle[object, object]:
    """Wait until the endpoint's workflow has completed, and return it."""
    handle = client.get_workflow_handle(webhook_endpoint_workflow_id(endpoint_id))
    async with asyncio.timeout(20):
        while True:
            try:
                if (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED:
                    return handle
            except RPCError:  # not started yet
                pass
            await asyncio.sleep(0.05)


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_an_endpoint_is_served_from_its_creation_until_it_is_disabled_and_again(
    client: Client, receiver: WebhookReceiver, database: Database
) -> None:
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    await database.insert_order(2)
    await wait_for(lambda: len(receiver.accepted) == 2)

    await database.update_endpoint(endpoint_id, "is_enabled = false")
    ended = await wait_for_end(client, endpoint_id)
    await database.insert_order(1)
    await database.update_endpoint(endpoint_id, "is_enabled = true")
    await wait_for(lambda: len(receiver.accepted) == 3)

    await database.update_endpoint(endpoint_id, "deleted_at = now()")
    async with asyncio.timeout(20):
        while await database.read_endpoint(endpoint_id):
            await asyncio.sleep(0.02)
    replayer = Replayer(workflows=[WebhookEndpointWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(await ended.fetch_history())


async def test_batches_continue_in_a_new_run_of_the_workflow(
    client: Client,
    receiver: WebhookReceiver,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workflows, "_BATCHES_PER_RUN", 1)
    monkeypatch.setattr(activities, "_BATCH_DURATION", timedelta(seconds=0.1))
    endpoint_id = await database.insert_endpoint(receiver.get_url())
    await database.insert_order(1)
    await wait_for(lambda: len(receiver.accepted) == 1)
    handle = client.get_workflow_handle(webhook_endpoint_workflow_id(endpoint_id))
    first = (await handle.describe()).run_id
    async with asyncio.timeout(20):
        while (await handle.describe()).run_id == first:
            await asyncio.sleep(0.02)

    await database.insert_order(1)

    await wait_for(lambda: len(receiver.accepted) == 2)
    await database.update_endpoint(endpoint_id, "is_enabled = false")
    await wait_for_end(client, endpoint_id)

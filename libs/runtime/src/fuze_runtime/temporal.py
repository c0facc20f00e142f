"""The one way that a Fuze process connects to Temporal."""

import dataclasses
import logging
from datetime import timedelta
from typing import ClassVar, Self

import stamina
from pydantic import SecretStr
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    SerializationContext,
)
from temporalio.envconfig import ClientConfig
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.service import GrpcCompression

from fuze_runtime import metrics, tracing
from fuze_runtime.payload_encryption import EncryptionCodec, UndecryptablePayloadError
from fuze_runtime.settings import Compression


class _SharedPayloadConverter(PydanticPayloadConverter):
    """The same instance, however often it is made.

    The SDK makes one for each payload. Each would have to build pydantic's validators anew.
    """

    _instance: ClassVar[Self | None] = None

    def __new__(cls) -> Self:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __init__(self) -> None:
        if not hasattr(self, "converters"):
            # Few: the sandbox makes new classes of a workflow's messages for each run.
            super().__init__(max_cached_type_adapters=256)

    def with_context(self, context: SerializationContext) -> Self:
        """Return this instance: no converter depends on a context, and it must not be changed."""
        del context
        return self


_DEFAULT_ADDRESS = "127.0.0.1:7233"

DATA_CONVERTER = DataConverter(
    payload_converter_class=_SharedPayloadConverter, payload_codec=EncryptionCodec(None)
)
"""Serialises messages with pydantic, without keys."""


def get_address() -> str:
    """Return host and port of the server, from Temporal's own variables and profiles."""
    return ClientConfig.load_client_connect_config().get("target_host", _DEFAULT_ADDRESS)


def build_data_converter(payload_keys: SecretStr | None) -> DataConverter:
    """Return the converter of a process: with keys it encrypts payloads and failures."""
    if payload_keys is None:
        return DATA_CONVERTER
    return dataclasses.replace(
        DATA_CONVERTER,
        payload_codec=EncryptionCodec(payload_keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


async def get_failure_message(client: Client, failure: Failure) -> str:
    """Return the message of a failure that was read without the client, such as in a history.

    Without the key it is the SDK's placeholder.
    """
    if not failure.HasField("encoded_attributes"):
        return failure.message
    try:
        [attributes] = await client.data_converter.decode(
            [failure.encoded_attributes], [dict[str, str]]
        )
    except UndecryptablePayloadError:
        return failure.message
    return str(attributes["message"])


async def connect(
    *,
    lazy: bool = False,
    metrics_address: str | None = None,
    connect_timeout: timedelta | None = None,
    compression: Compression = "none",
    payload_keys: SecretStr | None = None,
) -> Client:
    """Return a client that serialises with pydantic, and propagates spans if they are exported.

    With `payload_keys` what it sends to Temporal is encrypted.

    Address, namespace, API key and TLS come from Temporal's own environment variables and profile
    files; the default is the server at 127.0.0.1:7233. A `lazy` client connects at its first call,
    so a process can start while Temporal is unavailable. A worker needs a connected client: it is
    retried for `connect_timeout`.

    Raises:
        RuntimeError: no server answered before the timeout.
        SystemExit: metrics cannot be served at their address.

    """
    runtime = create_runtime(metrics_address)
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", _DEFAULT_ADDRESS)

    # Without arguments: stamina logs them, and an API key is among them.
    attempts = None if connect_timeout else 1

    @stamina.retry(on=RuntimeError, attempts=attempts, timeout=connect_timeout, wait_max=2)
    async def connect_to_temporal() -> Client:
        return await Client.connect(
            **config,
            data_converter=build_data_converter(payload_keys),
            interceptors=[TracingInterceptor()] if tracing.is_enabled() else [],
            lazy=lazy,
            runtime=runtime,
            grpc_compression=_COMPRESSION[compression],
        )

    return await connect_to_temporal()


def create_runtime(metrics_address: str | None) -> Runtime:
    """Return the SDK's runtime, which serves the metrics at the address; `connect` has its own.

    Raises:
        SystemExit: metrics cannot be served at their address.

    """
    telemetry = TelemetryConfig(
        metrics=metrics.build_prometheus_config(metrics_address),
        logging=_LOGGING,
        attach_service_name=False,  # the SDK's own; Prometheus knows which target it scrapes
    )
    try:
        return Runtime(telemetry=telemetry)
    except ValueError as error:
        raise SystemExit(
            f"FUZE_METRICS_ADDRESS: {metrics_address} cannot be used ({error});"
            " example: FUZE_METRICS_ADDRESS=127.0.0.1:9464"
        ) from None


_COMPRESSION = {"none": GrpcCompression.NONE, "gzip": GrpcCompression.GZIP}
_LOGGING = LoggingConfig(
    filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
    # By itself the core writes to stdout, in its own format, and stops where there is no reader.
    forwarding=LogForwardingConfig(logging.getLogger("temporalio.core")),
)

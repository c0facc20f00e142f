"""Settings that every Fuze process has.

A process builds its settings once, in `__main__`, from the environment, and passes them down.
Temporal's address, namespace, API key and TLS come from Temporal's own variables and profiles
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, …), which `fuze_runtime.temporal` reads.
"""

import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from temporalio.envconfig import ClientConfig

from fuze_runtime.database_url import DatabaseUrl
from fuze_runtime.deployment import (
    DeploymentSettings,
    Refusal,
    Settings,
    refuse_insecure_database,
)
from fuze_runtime.payload_encryption import PayloadKeys, is_development_key

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?")


def _parse_seconds(value: object) -> object:
    """Parse `30` as thirty seconds: the environment gives text."""
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return float(value)
    return value


Duration = Annotated[timedelta, BeforeValidator(_parse_seconds), Field(gt=timedelta(0))]
"""A positive duration: in seconds (`30`), in ISO 8601 (`PT30S`, `P7D`), or as `7d`."""


Compression = Literal["none", "gzip"]


class ProcessSettings(DeploymentSettings):
    """What any process needs, read from `FUZE_*` variables."""

    revision: str = Field(
        "unknown", description="The commit that the image was built from; in every log line."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least severe log lines that are written."
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="`json`: one object per line; `console`: for people."
    )
    metrics_address: str | None = Field(
        None,
        pattern=r"^.+:[0-9]{1,5}$",
        description="host:port for Prometheus metrics; without it there are none.",
        examples=["127.0.0.1:9090"],
    )
    temporal_compression: Compression = Field(
        "none",
        description="Of calls to Temporal. `gzip` saves traffic to another network, as to Temporal"
        " Cloud; inside one cluster it costs the server more than it saves.",
    )
    payload_keys: PayloadKeys = Field(
        None,
        description="Encrypts what Temporal stores: `id:base64,id:base64`, keys of 32 bytes. The"
        " first one encrypts, all decrypt; `off` in the first place only decrypts.",
    )

    @field_validator("payload_keys", mode="after")
    @classmethod
    def _refuse_development_key(cls, keys: PayloadKeys, info: ValidationInfo) -> PayloadKeys:
        if keys and info.data.get("environment") != "local" and is_development_key(keys):
            raise ValueError(
                "has the published development key, which is for `local` only;"
                " `openssl rand -base64 32` prints a key"
            )
        return keys


class PostgresSettings(ProcessSettings):
    """How a process and its migrations connect to PostgreSQL."""

    database_transaction_pooling: bool = Field(
        default=False,
        description="Set it where a pooler such as PgBouncer pools by transaction: statements are"
        " then prepared anew each time, and the role's own timeouts apply.",
    )


_DATABASE_URL = "postgresql://role:password@host:5432/database"


class DatabaseSettings(PostgresSettings):
    """How a process uses PostgreSQL."""

    refusals: ClassVar[tuple[Refusal, ...]] = (
        Refusal("database_url", "allow_insecure_database", refuse_insecure_database),
    )

    database_url: DatabaseUrl = Field(
        description="The role of the service, and the database.", examples=[_DATABASE_URL]
    )
    database_pool_size: int = Field(
        10, ge=1, le=200, description="The most connections of this process to PostgreSQL."
    )
    database_timeout: Duration = Field(
        timedelta(seconds=5),
        description="Bounds connecting, waiting for a pooled connection, and each statement.",
    )


class MigrationSettings(PostgresSettings):
    """How a service's schema is migrated: as the role that owns it."""

    refusals: ClassVar[tuple[Refusal, ...]] = (
        Refusal("migration_database_url", "allow_insecure_database", refuse_insecure_database),
    )

    migration_database_url: DatabaseUrl = Field(
        description="The role that owns the schema, and the database: of `migrate`, `check` and"
        " `revision`.",
        examples=[_DATABASE_URL.replace("role", "role_migrator")],
    )
    migration_lock_timeout: Duration = Field(
        timedelta(seconds=5), description="How long a migration waits for a table lock."
    )
    migration_connect_timeout: Duration = Field(
        timedelta(seconds=60), description="How long to retry while PostgreSQL is unavailable."
    )


def _refuse_insecure_temporal(_value: object, _settings: Settings) -> str | None:
    try:
        encrypted = ClientConfig.load_client_connect_config().get("tls")
    except (RuntimeError, OSError) as error:
        return f"the TEMPORAL_* variables or Temporal's configuration file are invalid: {error}"
    return None if encrypted else "Temporal is used without TLS: set TEMPORAL_TLS=true"


TEMPORAL_REFUSAL = Refusal(
    "allow_insecure_temporal", "allow_insecure_temporal", _refuse_insecure_temporal
)
"""Of processes that use Temporal. Its own variables are no settings of ours."""


class WorkerSettings(DatabaseSettings):
    """What a worker needs."""

    refusals: ClassVar[tuple[Refusal, ...]] = (TEMPORAL_REFUSAL,)

    health_host: str = Field(
        "127.0.0.1", description="The address on which a worker serves its health endpoints."
    )
    health_port: int = Field(
        8081, ge=1, le=65535, description="The port of a worker's health endpoints."
    )
    shutdown_timeout: Duration = Field(
        timedelta(seconds=30), description="How long running activities may take after SIGTERM."
    )
    max_concurrent_workflow_tasks: int = Field(
        20, ge=2, description="Workflow tasks that run concurrently in a worker."
    )
    max_concurrent_activities: int = Field(
        50,
        ge=1,
        description="Activities that run concurrently in a worker, and as many local ones.",
    )
    max_cached_workflows: int = Field(
        1000, ge=1, description="Workflows that a worker keeps in memory between their tasks."
    )
    workflow_sandbox: bool = Field(
        default=False,
        description="Run workflows in the sandbox, which refuses calls that are not deterministic.",
    )
    temporal_connect_timeout: Duration = Field(
        timedelta(seconds=60), description="How long to retry while Temporal is unavailable."
    )

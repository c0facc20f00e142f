"""Settings that every Fuze process has.

A process builds its settings once, in `__main__`, from the environment, and passes them down.
Temporal's address, namespace, API key and TLS come from Temporal's own variables and profiles
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, …), which `fuze_runtime.temporal` reads.
"""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PostgresDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?")


def _parse_seconds(value: object) -> object:
    """Parse `30` as thirty seconds: the environment gives text."""
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return float(value)
    return value


Duration = Annotated[timedelta, BeforeValidator(_parse_seconds), Field(gt=timedelta(0))]
"""A positive duration: in seconds (`30`), in ISO 8601 (`PT30S`, `P7D`), or as `7d`."""


_DATABASE_SCHEMES = {"postgresql", "postgresql+asyncpg"}


def _use_asyncpg(url: PostgresDsn) -> PostgresDsn:
    """Return the URL with the driver that Fuze has.

    Raises:
        ValueError: the URL names another one.

    """
    if url.scheme not in _DATABASE_SCHEMES:
        raise ValueError("must begin with postgresql+asyncpg://")
    return PostgresDsn(f"postgresql+asyncpg://{str(url).partition('://')[2]}")


DatabaseUrl = Annotated[PostgresDsn, AfterValidator(_use_asyncpg)]


Compression = Literal["none", "gzip"]


class ProcessSettings(BaseSettings):
    """What any process needs, read from `FUZE_*` variables."""

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True, hide_input_in_errors=True)

    environment: str = Field("local", description="The deployment environment; in every log line.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
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


class DatabaseSettings(BaseSettings):
    """How a process uses PostgreSQL."""

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True, hide_input_in_errors=True)

    database_url: DatabaseUrl = Field(
        examples=["postgresql+asyncpg://role:password@host:5432/database"]
    )
    database_pool_size: int = Field(10, ge=1, le=200)
    database_timeout: Duration = Field(
        timedelta(seconds=5),
        description="Bounds connecting, waiting for a pooled connection, and each statement.",
    )


class MigrationSettings(ProcessSettings):
    """How a service's schema is migrated: as the role that owns it."""

    migration_database_url: DatabaseUrl = Field(
        examples=["postgresql+asyncpg://role_migrator:password@host:5432/database"]
    )
    migration_lock_timeout: Duration = Field(
        timedelta(seconds=5), description="How long a migration waits for a table lock."
    )
    migration_connect_timeout: Duration = Field(
        timedelta(seconds=60), description="How long to retry while PostgreSQL is unavailable."
    )


class WorkerSettings(ProcessSettings, DatabaseSettings):
    """What a worker needs."""

    health_host: str = "127.0.0.1"
    health_port: int = Field(8081, ge=1, le=65535)
    shutdown_timeout: Duration = Field(
        timedelta(seconds=30), description="How long running activities may take after SIGTERM."
    )
    max_concurrent_workflow_tasks: int = Field(20, ge=2)
    max_concurrent_activities: int = Field(50, ge=1)
    max_cached_workflows: int = Field(1000, ge=1)
    workflow_sandbox: bool = Field(
        default=False,
        description="Run workflows in the sandbox, which refuses calls that are not deterministic.",
    )
    temporal_connect_timeout: Duration = Field(
        timedelta(seconds=60), description="How long to retry while Temporal is unavailable."
    )

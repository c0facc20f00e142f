"""Settings that every Fuze process has.

A process builds its settings once, in `__main__`, from the environment, and passes them down.
Temporal's address, namespace, API key and TLS come from Temporal's own variables and profiles
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, …), read in `fuze_runtime.temporal`.
"""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PostgresDsn
from pydantic_settings import BaseSettings, SettingsConfigDict

_SECONDS = re.compile(r"\d{1,9}(\.\d{1,6})?")


def _read_seconds(value: object) -> object:
    """Let `30` mean thirty seconds: from the environment it comes as text."""
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return float(value)
    return value


Duration = Annotated[timedelta, BeforeValidator(_read_seconds), Field(gt=timedelta(0))]
"""Seconds (`30`), ISO 8601 (`P7D`) or `7d`."""


class ProcessSettings(BaseSettings):
    """What any process needs, read from `FUZE_*` variables."""

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True)

    environment: str = Field("local", description="Where this runs; goes into every log line.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"


class DatabaseSettings(BaseSettings):
    """How a process uses PostgreSQL."""

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True)

    database_url: PostgresDsn = Field(
        description="postgresql+asyncpg://role:password@host/database"
    )
    database_pool_size: int = Field(10, ge=1, le=200)
    database_timeout: float = Field(
        5.0, gt=0, description="Seconds for a connection, a free place in the pool, a statement."
    )


class MigrationSettings(ProcessSettings):
    """How a service's schema is migrated: as the role that owns it."""

    migration_database_url: PostgresDsn = Field(
        description="postgresql+asyncpg://role_migrator:password@host/database"
    )
    migration_lock_timeout: float = Field(
        5.0, gt=0, description="Seconds a migration may wait for a lock before it gives way."
    )
    migration_connect_timeout: float = Field(
        60.0, ge=0, description="Seconds to keep trying while PostgreSQL is not there yet."
    )


class WorkerSettings(ProcessSettings, DatabaseSettings):
    """What a worker needs."""

    health_host: str = "127.0.0.1"
    health_port: int = Field(8081, ge=1, le=65535)
    metrics_address: str | None = Field(
        None, description="host:port for Prometheus metrics; none without it."
    )
    shutdown_timeout: Duration = Field(
        timedelta(seconds=30), description="How long running activities get after SIGTERM."
    )
    max_concurrent_workflow_tasks: int = Field(20, ge=2)
    max_concurrent_activities: int = Field(50, ge=1)
    max_cached_workflows: int = Field(1000, ge=1)
    temporal_connect_timeout: float = Field(
        60.0, ge=0, description="Seconds to keep trying while Temporal is not there yet."
    )

"""Alembic, run from inside a service's package so that its wheel carries its schema.

`<package>/migrations/env.py` of a service calls `run_environment`; everything else is here.
"""

import asyncio
import time
from collections.abc import Callable
from types import ModuleType

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from fuze_runtime.settings import MigrationSettings

_RETRY_PAUSE_SECONDS = 0.5


def upgrade(settings: MigrationSettings, package: str) -> None:
    """Bring the schema of `package` to its newest revision, waiting for PostgreSQL to be there.

    One upgrade runs at a time (an advisory lock), in one transaction, and a statement that cannot
    get its lock within `migration_lock_timeout` gives way instead of queueing traffic behind it.

    Raises:
        DBAPIError: the migration failed; nothing of it was kept.

    """
    asyncio.run(_with_connection(settings, package, lambda config: command.upgrade(config, "head")))
    structlog.get_logger(package).info("schema is at its newest revision")


def check(settings: MigrationSettings, package: str) -> None:
    """Compare the tables in the code with the migrated database.

    Raises:
        CommandError: they differ; a revision is missing.

    """
    asyncio.run(_with_connection(settings, package, command.check))


def create_revision(settings: MigrationSettings, package: str, message: str) -> None:
    """Write a new revision file from the difference between the code and the migrated database."""
    asyncio.run(
        _with_connection(
            settings,
            package,
            lambda config: command.revision(config, message=message, autogenerate=True),
        )
    )


def run_environment(context: ModuleType, metadata: MetaData) -> None:
    """Run what Alembic asks for, in our connection; `context` is `alembic.context`."""

    def own_schema(name: str | None, kind: str, parents: object) -> bool:
        del parents
        return kind != "schema" or name == metadata.schema

    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        include_schemas=True,
        include_name=own_schema,
        version_table_schema=metadata.schema,
    )
    context.run_migrations()


async def _with_connection(
    settings: MigrationSettings, package: str, run: Callable[[Config], object]
) -> None:
    engine = create_async_engine(str(settings.migration_database_url), poolclass=NullPool)
    milliseconds = int(settings.migration_lock_timeout * 1000)

    def run_with(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", f"{package}:migrations")
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        run(config)

    try:
        await _wait_for(engine, settings.migration_connect_timeout)
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtext(:package))"), {"package": package}
            )
            await connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
            await connection.run_sync(run_with)
    finally:
        await engine.dispose()


async def _wait_for(engine: AsyncEngine, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            async with engine.connect():
                return
        except (OSError, DBAPIError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_RETRY_PAUSE_SECONDS)

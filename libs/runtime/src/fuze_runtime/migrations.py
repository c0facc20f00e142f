"""Schema migrations with Alembic. A service's wheel contains its migrations.

`<package>/migrations/env.py` of a service calls `run_environment`; everything else is here.
"""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from types import ModuleType

import stamina
import structlog
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import DBAPIError, SAWarning
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from fuze_runtime.database import build_connect, build_engine
from fuze_runtime.settings import MigrationSettings

_CONNECT_SECONDS = 10


class MigrationError(Exception):
    """A command cannot run. The message says what to do."""


class UnknownRevisionError(MigrationError):
    """The database has a revision that this code does not have."""


class UntrustedServerError(MigrationError):
    """The certificate of PostgreSQL is not valid."""


def upgrade(settings: MigrationSettings, package: str) -> None:
    """Upgrade the schema of `package` to its newest revision.

    Connecting is retried for `migration_connect_timeout`. One upgrade runs at a time (an advisory
    lock), in one transaction. A statement that does not get its lock within
    `migration_lock_timeout` fails, so that it does not block the traffic queued behind it.

    Raises:
        DBAPIError: the migration failed and was rolled back.
        UnknownRevisionError: newer code has migrated the database.
        UntrustedServerError: the certificate of PostgreSQL is not valid.

    """
    try:
        asyncio.run(_with_connection(settings, package, partial(_upgrade, package)))
    except CommandError as error:
        raise UnknownRevisionError(
            f"{error}: the database was migrated by other code than this {package}; "
            "run that code, or delete the data"
        ) from None
    structlog.get_logger(package).info("schema upgraded")


def _upgrade(package: str, config: Config) -> None:
    command.upgrade(config, "head")
    # The service itself reports a schema that is older than its code.
    connection, schema = config.attributes["connection"], config.attributes["schema"]
    connection.execute(text(f"GRANT SELECT ON {schema}.alembic_version TO {package}"))


def check(settings: MigrationSettings, package: str) -> None:
    """Compare the tables in the code with the migrated database.

    Raises:
        CommandError: they differ; write a revision: `revision -m "…"`.

    """
    asyncio.run(_with_connection(settings, package, command.check))


def create_revision(settings: MigrationSettings, package: str, message: str) -> None:
    """Write a new revision file from the difference between the code and the migrated database."""

    def create(config: Config) -> None:
        newest = ScriptDirectory.from_config(config).get_current_head() or "0"
        number = f"{int(newest) + 1:04}"
        command.revision(config, message=message, autogenerate=True, rev_id=number)

    asyncio.run(_with_connection(settings, package, create))


def run_environment(context: ModuleType, metadata: MetaData) -> None:
    """Run Alembic's command on our connection; `context` is `alembic.context`."""

    def is_own_schema(name: str | None, kind: str, parents: object) -> bool:
        del parents
        return kind != "schema" or name == metadata.schema

    context.config.attributes["schema"] = metadata.schema
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        include_schemas=True,
        include_name=is_own_schema,
        version_table_schema=metadata.schema,
    )
    with warnings.catch_warnings():
        # SQLAlchemy 2.1 reflects a CHECK constraint that is NOT VALID with an argument it rejects.
        warnings.filterwarnings("ignore", "Can't validate argument 'dialect_options'", SAWarning)
        context.run_migrations()


async def _with_connection(
    settings: MigrationSettings, package: str, run: Callable[[Config], object]
) -> None:
    connect = build_connect(
        settings,
        settings.migration_database_url,
        f"{package.replace('_', '-')}-migrations",
        connect_timeout=_CONNECT_SECONDS,
        session={},
    )
    engine = build_engine(settings, connect, poolclass=NullPool)
    milliseconds = int(settings.migration_lock_timeout.total_seconds() * 1000)

    def run_with(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", f"{package}:migrations")
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        run(config)

    try:
        await _wait_until_available(engine, settings.migration_connect_timeout)
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtext(:package))"), {"package": package}
            )
            await connection.execute(text(f"SET LOCAL lock_timeout = {milliseconds}"))
            await connection.run_sync(run_with)
    finally:
        await engine.dispose()


async def _wait_until_available(engine: AsyncEngine, connect_timeout: timedelta) -> None:
    def is_unavailable(error: Exception) -> bool:
        is_untrusted = isinstance(error, ssl.SSLCertVerificationError)  # no retry changes that
        return isinstance(error, OSError | DBAPIError) and not is_untrusted

    @stamina.retry(on=is_unavailable, attempts=None, timeout=connect_timeout, wait_max=2)
    async def connect_to_postgres() -> None:
        async with engine.connect():
            pass

    try:
        await connect_to_postgres()
    except ssl.SSLCertVerificationError as error:
        raise UntrustedServerError(
            f"FUZE_MIGRATION_DATABASE_URL: PostgreSQL is not trusted: {error.verify_message};"
            " name its CA with sslrootcert=/…"
        ) from None

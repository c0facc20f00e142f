"""The revisions of every service lead to the tables that its code has."""

import asyncio
import runpy
from pathlib import Path

import asyncpg
import pytest

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_devstack.services import MIGRATED_SERVICES, Service
from fuze_runtime import migrations
from fuze_runtime.settings import MigrationSettings


@pytest.mark.parametrize("service", MIGRATED_SERVICES, ids=lambda service: service.name)
def test_no_revision_is_missing(postgres: EmbeddedPostgres, service: Service) -> None:
    settings = MigrationSettings(migration_database_url=postgres.url(service.migrator.name))

    migrations.check(settings, service.package)


def test_each_revision_is_checked_by_itself() -> None:
    check = runpy.run_path(str(Path(__file__).parents[3] / "deploy/check.py"))

    rendered = dict(check["render_revisions"]("fuze_order"))

    creating = [one for one, sql in rendered.items() if "CREATE TABLE orders.events" in sql]
    assert creating == ["0001"]
    assert len(rendered) > 1


async def test_a_constraint_that_is_not_validated_is_no_difference(
    postgres: EmbeddedPostgres,
) -> None:
    settings = MigrationSettings(migration_database_url=postgres.url("order_migrator"))
    connection = await asyncpg.connect(postgres.dsn)
    table = "ALTER TABLE orders.events"
    await connection.execute(f"{table} ADD CONSTRAINT wider CHECK (seq > 0) NOT VALID")
    try:
        await asyncio.to_thread(migrations.check, settings, "fuze_order")
    finally:
        await connection.execute(f"{table} DROP CONSTRAINT wider")
        await connection.close()


async def test_a_database_that_newer_code_has_migrated_is_refused_with_what_to_do(
    postgres: EmbeddedPostgres,
) -> None:
    settings = MigrationSettings(migration_database_url=postgres.url("order_migrator"))
    connection = await asyncpg.connect(postgres.dsn)
    current = await connection.fetchval("SELECT version_num FROM orders.alembic_version")
    await connection.execute("UPDATE orders.alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(migrations.UnknownRevisionError, match=r"9999.*delete the data"):
            await asyncio.to_thread(migrations.upgrade, settings, "fuze_order")
    finally:
        await connection.execute("UPDATE orders.alembic_version SET version_num = $1", current)
        await connection.close()

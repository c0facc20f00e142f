"""The revisions of every service lead to the tables that its code has."""

import pytest

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_devstack.topology import SCHEMAS
from fuze_runtime import migrations
from fuze_runtime.settings import MigrationSettings


@pytest.mark.parametrize("service", SCHEMAS)
def test_no_revision_is_missing(postgres: EmbeddedPostgres, service: str) -> None:
    settings = MigrationSettings(migration_database_url=postgres.url(f"{service}_migrator"))

    migrations.check(settings, f"fuze_{service}")

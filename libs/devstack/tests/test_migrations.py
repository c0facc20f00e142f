"""The revisions of every service lead to the tables that its code has."""

import pytest

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_devstack.services import MIGRATED_SERVICES, Service
from fuze_runtime import migrations
from fuze_runtime.settings import MigrationSettings


@pytest.mark.parametrize("service", MIGRATED_SERVICES, ids=lambda service: service.name)
def test_no_revision_is_missing(postgres: EmbeddedPostgres, service: Service) -> None:
    settings = MigrationSettings(migration_database_url=postgres.url(service.migrator.name))

    migrations.check(settings, service.package)

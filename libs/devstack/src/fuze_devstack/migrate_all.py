"""`python -m fuze_devstack.migrate_all`: the schemas of all services, in one process.

In production each service migrates its own schema. The stack runs this instead, so that Alembic is
imported once, and not by the command `fuze`.
"""

import os
from collections.abc import Callable

from pydantic import TypeAdapter

from fuze_devstack.services import MIGRATED_SERVICES
from fuze_devstack.topology import MIGRATION_URLS
from fuze_runtime import migrations
from fuze_runtime.settings import MigrationSettings


def upgrade_all(url_of: Callable[[str], str]) -> None:
    """Upgrade the schema of every service to its newest revision; `url_of` takes a role's name.

    Raises:
        DBAPIError: a migration failed; it was rolled back, those before it were not.

    """
    for service in MIGRATED_SERVICES:
        settings = MigrationSettings(migration_database_url=url_of(service.migrator.name))
        migrations.upgrade(settings, service.package)


if __name__ == "__main__":
    urls = TypeAdapter(dict[str, str]).validate_json(os.environ[MIGRATION_URLS])
    try:
        upgrade_all(urls.__getitem__)
    except migrations.UnknownRevisionError as error:
        raise SystemExit(f"{error}: fuze reset") from None

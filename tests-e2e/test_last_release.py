"""Nothing of today breaks the last release: a service of it may run beside those of today."""

import json
from importlib import import_module

import pytest

from fuze_devstack.services import MIGRATED_SERVICES
from fuze_gateway.openapi_export import build_documents
from fuze_testing.compatibility import find_api_breaks, find_schema_breaks
from fuze_testing.releases import Release, describe_schema, find_last_release

_LAST = find_last_release()

pytestmark = pytest.mark.skipif(_LAST is None, reason="nothing is released yet")


@pytest.fixture
def last() -> Release:
    assert _LAST
    return _LAST


def test_what_the_last_release_froze_is_unchanged(last: Release) -> None:
    changed = last.find_changed_files()

    assert changed == [], (
        f"{last} has frozen these files, and what they describe may be in use. Restore them: "
        f"git checkout v{last.version} -- {' '.join(changed)}. What is new goes to new files."
    )


def test_the_last_release_can_run_on_the_schema_of_today(last: Release) -> None:
    now = describe_schema(
        import_module(f"{service.package}.tables").metadata for service in MIGRATED_SERVICES
    )

    assert list(find_schema_breaks(last.schema, now)) == [], (
        f"services of {last} run on this schema during an upgrade. Keep what they use, and give "
        f"new columns a default. What {last} does not use any more goes from its schema.json first."
    )


def test_clients_of_the_last_release_can_use_the_api_of_today(last: Release) -> None:
    now = json.loads(build_documents()["openapi.json"])

    assert list(find_api_breaks(last.openapi, now)) == [], (
        f"clients of {last} use these parts of the API. Keep them, and add the new beside them."
    )

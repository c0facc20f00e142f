"""Real servers for tests: a migrated PostgreSQL, Temporal with the real or a skipping clock."""

import os


def unmeasured_environment() -> dict[str, str]:
    """Return the environment of a process whose coverage is not measured, since that slows it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}

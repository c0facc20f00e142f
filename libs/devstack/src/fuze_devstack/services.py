"""The registry of services: `services.toml`, and the names that follow from it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REGISTRY = Path(__file__).with_name("services.toml")
"""The file of the registry."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """An entry of the registry.

    A service with a `task_queue` has a worker. A service with a `schema` has migrations and two
    database roles. One that is `for_development` is not deployed.
    """

    name: str
    port: int
    task_queue: str | None = None
    schema: str | None = None
    for_development: bool = False

    @property
    def package(self) -> str:
        """The Python package, which `python -m` runs."""
        return f"fuze_{self.name}"

    @property
    def image(self) -> str:
        """The container image."""
        return f"fuze-{self.name}"

    @property
    def role(self) -> "Role":
        """The database role that the service runs as."""
        return Role(self.name)

    @property
    def migrator(self) -> "Role":
        """The database role that owns the schema."""
        return Role(f"{self.name}_migrator")


@dataclass(frozen=True)
class Role:
    """A database role by its short name: `order`, `order_migrator`."""

    name: str

    @property
    def database_name(self) -> str:
        """Its name in PostgreSQL."""
        return f"fuze_{self.name}"

    @property
    def password_variable(self) -> str:
        """The environment variable from which roles.sql takes its password."""
        return f"FUZE_{self.name.upper()}_DB_PASSWORD"


def read_registry(path: Path = REGISTRY) -> Mapping[str, Service]:
    """Return the services by name, in the registry's order."""
    entries = tomllib.loads(path.read_text())
    return {name: Service(name=name, **entry) for name, entry in entries.items()}


SERVICES = read_registry()

WORKERS = tuple(one for one in SERVICES.values() if one.task_queue)
"""The services that have a worker."""

MIGRATED_SERVICES = tuple(one for one in SERVICES.values() if one.schema)
"""The services that have a schema."""

DEPLOYED_SERVICES = tuple(one for one in SERVICES.values() if not one.for_development)
"""The services that the Kubernetes manifests deploy."""

ROLES = tuple(role for one in MIGRATED_SERVICES for role in (one.role, one.migrator))
"""Every database role."""

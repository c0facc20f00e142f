"""Whether a service can work with its database as it is configured.

A wrong password or a missing migration stays until it is repaired; an outage ends by itself.
So each problem says which of the two it is.
"""

import asyncio
import importlib.resources
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_runtime.database import create_engine
from fuze_runtime.settings import DatabaseSettings

OpenConnection = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]
"""Opens a connection of its own, so that a changed password or a full pool does not mislead."""

Part = Literal["connection", "revision", "grants"]

_TIMEOUT = timedelta(seconds=2)
_REVISION = re.compile(r"""^(down_)?revision\b[^=]*= ["'](\w+)["']""", re.MULTILINE)

_MISSING_GRANTS = """
    SELECT privilege || ' on ' || relation
    FROM unnest($1::text[], $2::text[]) AS needed (relation, privilege)
    LEFT JOIN (
        SELECT nspname || '.' || relname AS name, pg_class.oid,
               has_schema_privilege(pg_namespace.oid, 'USAGE') AS is_visible
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    ) AS found ON name = relation
    WHERE NOT coalesce(is_visible AND CASE
        WHEN privilege IN ('DELETE', 'TRUNCATE') THEN has_table_privilege(oid, privilege)
        ELSE has_any_column_privilege(oid, privilege)
    END, false)
    ORDER BY 1
"""

_EXCESS_GRANTS = """
    SELECT privilege || ' on ' || nspname || '.' || relname
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace,
         unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE}'::text[]) AS privilege
    WHERE relkind IN ('r', 'v', 'm', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema')
      AND CASE
          WHEN privilege IN ('DELETE', 'TRUNCATE') THEN has_table_privilege(pg_class.oid, privilege)
          ELSE has_any_column_privilege(pg_class.oid, privilege)
      END
      AND (nspname || '.' || relname, privilege) NOT IN (
          SELECT * FROM unnest($1::text[], $2::text[])
      )
    ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class SchemaAccess:
    """The schema of a service, and the rights that its role needs.

    `package` contains the migrations. `grants` are privileges by relation, such as
    `{"orders.orders": "SELECT, INSERT, UPDATE"}`; a privilege on some columns is one, too.
    """

    package: str
    schema: str
    grants: Mapping[str, str]

    @property
    def needed_grants(self) -> tuple[list[str], list[str]]:
        """The relation and the privilege of each right, in two lists of the same length."""
        needed = {**self.grants, f"{self.schema}.alembic_version": "SELECT"}
        pairs = [(name, one) for name, text in needed.items() for one in text.split(", ")]
        return [name for name, _ in pairs], [privilege for _, privilege in pairs]


@dataclass(frozen=True)
class DatabaseProblem:
    """Why a service cannot work with its database; an outage ends without a change of ours."""

    part: Part
    reason: str
    is_outage: bool = False


class DatabaseCheck:
    """Compares the database with what the code needs."""

    def __init__(self, access: SchemaAccess, open_connection: OpenConnection) -> None:
        self._access = access
        self._open_connection = open_connection
        self._revisions, self._head = read_revisions(access.package)

    async def find_problem(self) -> DatabaseProblem | None:
        """Return the first problem of connection, revision and grants, within two seconds."""
        try:
            async with (
                asyncio.timeout(_TIMEOUT.total_seconds()),
                self._open_connection() as connection,
            ):
                return await self._compare(connection)
        except TimeoutError:
            reason = f"PostgreSQL does not answer within {_TIMEOUT.total_seconds():g} s"
            return DatabaseProblem("connection", reason, is_outage=True)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
            return self._to_problem(error)

    async def find_excess_grants(self) -> list[str]:
        """Return the rights on tables and views that the role has and does not need."""
        async with self._open_connection() as connection:
            found = await connection.fetch(_EXCESS_GRANTS, *self._access.needed_grants)
        return [right for (right,) in found]

    async def _compare(self, connection: asyncpg.Connection) -> DatabaseProblem | None:
        found = await connection.fetchval(
            f'SELECT max(version_num) FROM "{self._access.schema}".alembic_version'  # noqa: S608 - a name in our code
        )
        # A revision that this code does not know is of newer code, which only adds.
        if found is None or (found in self._revisions and found != self._head):
            return self._not_migrated(f"is at revision {found or 'none'}, not {self._head}")
        missing = await connection.fetch(_MISSING_GRANTS, *self._access.needed_grants)
        if missing:
            rights = ", ".join(right for (right,) in missing)
            return DatabaseProblem("grants", f"the role lacks {rights}; {self._migrate}")
        return None

    def _to_problem(self, error: Exception) -> DatabaseProblem:
        setting = "correct FUZE_DATABASE_URL"
        match error:
            case asyncpg.InvalidPasswordError():
                reason = f"{error}; {setting}, or set the role's password again with roles.sql"
            case asyncpg.InvalidAuthorizationSpecificationError():
                reason = f"{error}; {setting}, or the server's pg_hba.conf"
            case asyncpg.InvalidCatalogNameError():
                reason = f"{error}; {setting}, or create the database and run roles.sql"
            case asyncpg.UndefinedTableError() | asyncpg.InvalidSchemaNameError():
                return self._not_migrated("is not migrated")
            case asyncpg.InsufficientPrivilegeError() if "database" in str(error):
                reason = f"{error}; run roles.sql, which grants CONNECT"
            case asyncpg.InsufficientPrivilegeError():
                return DatabaseProblem("grants", f"{error}; {self._migrate}")
            case ssl.SSLCertVerificationError():
                reason = f"the certificate of PostgreSQL is not accepted: {error}"
            case _:
                reason = f"PostgreSQL is unavailable: {str(error) or type(error).__name__}"
                return DatabaseProblem("connection", reason, is_outage=True)
        return DatabaseProblem("connection", reason)

    def _not_migrated(self, what: str) -> DatabaseProblem:
        return DatabaseProblem("revision", f"schema {self._access.schema} {what}; {self._migrate}")

    @property
    def _migrate(self) -> str:
        return f"run: python -m {self._access.package} migrate"


class DatabaseReadiness:
    """The readiness check of a process: an outage counts until the database was seen once.

    A later outage does not make a worker unready: its activities retry, and a restart of the
    worker would not help.
    """

    def __init__(self, check: DatabaseCheck) -> None:
        self._check = check
        self._was_seen = False

    async def __call__(self) -> str | None:
        """Return why the process cannot work, or None."""
        problem = await self._check.find_problem()
        if problem is None:
            self._was_seen = True
        elif not (problem.is_outage and self._was_seen):
            return problem.reason
        return None


def build_check(settings: DatabaseSettings, access: SchemaAccess) -> DatabaseCheck:
    """Return the check of a process that uses SQLAlchemy, on one connection that it closes."""
    alone = settings.model_copy(update={"database_pool_size": 1})
    engine = create_engine(alone, f"{access.package}_check".replace("_", "-"))
    return DatabaseCheck(access, lambda: _open_connection(engine))


@asynccontextmanager
async def _open_connection(engine: AsyncEngine) -> AsyncIterator[asyncpg.Connection]:
    try:
        async with engine.connect() as connection:
            yield (await connection.get_raw_connection()).driver_connection
    except DBAPIError as error:  # of connecting; asyncpg's own says more
        cause = error.orig.__cause__ if error.orig else None
        raise (cause or error) from None
    finally:
        await engine.dispose()


def read_revisions(package: str) -> tuple[frozenset[str], str]:
    """Return the revisions in a package's migrations, and the newest; Alembic is not imported.

    Raises:
        ValueError: there is not exactly one newest revision.

    """
    known: set[str] = set()
    replaced: set[str] = set()
    for file in (importlib.resources.files(package) / "migrations" / "versions").iterdir():
        if file.name.endswith(".py"):
            for is_previous, revision in _REVISION.findall(file.read_text()):
                (replaced if is_previous else known).add(revision)
    [head] = known - replaced
    return frozenset(known), head

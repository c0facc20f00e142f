"""Creation and revocation of API keys.

A key is `fz_<id>_<secret>`: the id, 12 hexadecimal digits, identifies the row; the secret, 256
random bits, is stored as its SHA-256. A slow password hash would add nothing: 256 random bits
cannot be guessed.
"""

import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import sqlalchemy as sa

from fuze_gateway.api_keys.authenticator import KEY_PREFIX
from fuze_gateway.api_keys.queries import ApiKeyRecord
from fuze_gateway.auth.principals import Scope
from fuze_gateway.database import Database, Statement
from fuze_gateway.tables import api_keys

MAX_ACTIVE_KEYS = 2
"""Per client: one in use, and its replacement during a rotation."""

_is_active = api_keys.c.revoked_at.is_(None) & (api_keys.c.expires_at > sa.func.now())
_has_client = api_keys.c.client == sa.bindparam("of_client")

_LOCK_CLIENT = Statement.compile(
    sa.text("SELECT pg_advisory_xact_lock(hashtext('api_keys'), hashtext(:client))")
)
_COUNT_ACTIVE = Statement.compile(
    sa.select(sa.func.count().label("active")).where(_has_client, _is_active)
)
_CREATE = Statement.compile(
    sa.insert(api_keys)
    .values(
        {
            column: sa.bindparam(column.name)
            for column in api_keys.c
            if column.name not in {"created_at", "revoked_at"}
        }
    )
    .returning(api_keys)
)
_revocation = sa.update(api_keys).values(revoked_at=sa.func.now()).returning(api_keys.c.id)
_REVOKE = Statement.compile(_revocation.where(api_keys.c.id == sa.bindparam("key_id"), _is_active))
_REVOKE_ALL = Statement.compile(_revocation.where(_has_client, _is_active))


class TooManyKeysError(Exception):
    """The client already has the maximum number of active keys."""


class ApiKeyCommands:
    """Writes of API keys; `UpstreamUnavailableError` when PostgreSQL is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        client: str,
        scopes: frozenset[Scope],
        *,
        lifetime: timedelta,
        created_by: str,
        is_development: bool = False,
    ) -> tuple[str, ApiKeyRecord]:
        """Create a key and return it with its record. The key cannot be read a second time.

        Raises:
            TooManyKeysError: the client has two active keys.

        """
        key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
        async with self._database.transaction() as transaction:
            await transaction.fetch(_LOCK_CLIENT, client=client)
            [counted] = await transaction.fetch(_COUNT_ACTIVE, of_client=client)
            if counted["active"] >= MAX_ACTIVE_KEYS:
                raise TooManyKeysError
            [row] = await transaction.fetch(
                _CREATE,
                id=key_id,
                client=client,
                secret_sha256=sha256(secret.encode()).digest(),
                scopes=sorted(scopes),
                is_development=is_development,
                created_by=created_by,
                expires_at=datetime.now(UTC) + lifetime,
            )
        return f"{KEY_PREFIX}{key_id}_{secret}", ApiKeyRecord.from_row(row)

    async def revoke(self, key_id: str) -> bool:
        """Revoke an active key; return False if there is none with this id."""
        return bool(await self._database.fetch(_REVOKE, key_id=key_id))

    async def revoke_all(self, client: str) -> None:
        """Revoke all active keys of a client."""
        await self._database.fetch(_REVOKE_ALL, of_client=client)

"""Reads of the API keys in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import sqlalchemy as sa

from fuze_gateway.auth.principals import Scope
from fuze_gateway.database import Database, Row, Statement
from fuze_gateway.tables import api_keys

_LIST = Statement.compile(
    sa.select(api_keys).order_by(api_keys.c.client, api_keys.c.created_at.desc())
)
_FIND = Statement.compile(sa.select(api_keys).where(api_keys.c.id == sa.bindparam("key_id")))


@dataclass(frozen=True, kw_only=True)
class ApiKeyRecord:
    """An API key as it is stored: the digest of its secret, never the secret."""

    id: str
    client: str
    scopes: frozenset[Scope]
    is_development: bool
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    secret_sha256: bytes

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """Build the record of a row; a scope that this version does not know is ignored."""
        known = frozenset(Scope(scope) for scope in row["scopes"] if scope in set(Scope))
        return cls(**row | {"scopes": known})

    def is_active(self, now: datetime) -> bool:
        """Return whether the key is neither expired nor revoked."""
        return self.revoked_at is None and now < self.expires_at


class ApiKeyQueries:
    """Reads of API keys; `UpstreamUnavailableError` when PostgreSQL is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_all(self) -> Sequence[ApiKeyRecord]:
        """Return every key, active or not, by client, newest first."""
        return [ApiKeyRecord.from_row(row) for row in await self._database.fetch(_LIST)]

    async def find(self, key_id: str) -> ApiKeyRecord | None:
        """Return a key, active or not."""
        rows = await self._database.fetch(_FIND, key_id=key_id)
        return ApiKeyRecord.from_row(rows[0]) if rows else None

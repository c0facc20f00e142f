"""API keys: what they look like, where they are kept, when one is good.

A key is `fz_<id>_<secret>`: the id, 12 hexadecimal digits, says which row; the secret, 256 random
bits, is stored as its SHA-256. A digest that takes long would protect what people choose; nobody
guesses 256 bits.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import sqlalchemy as sa

from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.database import Database, Row, Statement
from fuze_gateway.identity.callers import Caller, NotAuthenticatedError, Scope
from fuze_gateway.tables import api_keys

KEY_PREFIX = "fz_"
MOST_LIVE_KEYS = 2
"""One in use, and the one that takes its place."""

_KEY = re.compile(r"fz_([0-9a-f]{12})_([0-9a-f]{64})")


_live = api_keys.c.revoked_at.is_(None) & (api_keys.c.expires_at > sa.func.now())
_of_client = api_keys.c.client == sa.bindparam("of_client")
_of_id = api_keys.c.id == sa.bindparam("key_id")

_ONE_AT_A_TIME = Statement.of(
    sa.text("SELECT pg_advisory_xact_lock(hashtext('api_keys'), hashtext(:client))")
)
_COUNT_LIVE = Statement.of(sa.select(sa.func.count().label("live")).where(_of_client, _live))
_CREATE = Statement.of(
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
_LIST = Statement.of(sa.select(api_keys).order_by(api_keys.c.client, api_keys.c.created_at.desc()))
_FIND = Statement.of(sa.select(api_keys).where(_of_id))
_revoked = sa.update(api_keys).values(revoked_at=sa.func.now()).returning(api_keys.c.id)
_REVOKE = Statement.of(_revoked.where(_of_id, _live))
_REVOKE_ALL = Statement.of(_revoked.where(_of_client, _live))


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as it is kept: everything but its secret."""

    id: str
    client: str
    scopes: frozenset[Scope]
    is_development: bool
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    secret_sha256: bytes

    def is_live(self, now: datetime) -> bool:
        """Whether the key opens anything."""
        return self.revoked_at is None and now < self.expires_at


class TooManyKeysError(Exception):
    """The client has two live keys already."""


class ApiKeys:
    """The keys in PostgreSQL.

    Every method raises `SourceUnavailableError` when PostgreSQL does not answer within the limit.
    """

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
    ) -> tuple[str, ApiKey]:
        """Make a key, and return it with its row; nobody can read it a second time.

        Raises:
            TooManyKeysError: two keys of the client are live.

        """
        key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
        async with self._database.transaction() as transaction:
            await transaction.fetch(_ONE_AT_A_TIME, client=client)
            [counted] = await transaction.fetch(_COUNT_LIVE, of_client=client)
            if counted["live"] >= MOST_LIVE_KEYS:
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
        return f"{KEY_PREFIX}{key_id}_{secret}", _key_of(row)

    async def list(self) -> Sequence[ApiKey]:
        """Return every key that was ever made, by client, newest first."""
        return [_key_of(row) for row in await self._database.fetch(_LIST)]

    async def find(self, key_id: str) -> ApiKey | None:
        """Return a key, live or not."""
        rows = await self._database.fetch(_FIND, key_id=key_id)
        return _key_of(rows[0]) if rows else None

    async def revoke(self, key_id: str) -> bool:
        """Take a live key back; False where there is none."""
        return bool(await self._database.fetch(_REVOKE, key_id=key_id))

    async def revoke_all(self, client: str) -> None:
        """Take all keys of a client back."""
        await self._database.fetch(_REVOKE_ALL, of_client=client)


class ApiKeyCallers:
    """Who a key stands for. A row is read again after `cache`, so a revocation takes that long.

    While PostgreSQL is away a key that was in use goes on opening: nobody can take it back then.
    """

    def __init__(
        self,
        keys: ApiKeys,
        *,
        cache: timedelta,
        takes_development_keys: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._cache = cache
        self._takes_development_keys = takes_development_keys
        self._now = now
        self._known: dict[str, tuple[datetime, ApiKey]] = {}

    async def caller(self, text: str) -> Caller:
        """Return whose key it is.

        Raises:
            NotAuthenticatedError: it opens nothing.
            SourceUnavailableError: it was never read, and PostgreSQL does not answer.

        """
        found = _KEY.fullmatch(text)
        if found is None:
            raise NotAuthenticatedError("That is no API key.")
        key_id, secret = found.groups()
        key = await self._key(key_id)
        digest = sha256(secret.encode()).digest()
        expected = key.secret_sha256 if key else bytes(32)
        if not hmac.compare_digest(digest, expected) or key is None:
            raise NotAuthenticatedError("There is no such API key.")
        if not key.is_live(self._now()):
            raise NotAuthenticatedError("The API key has expired or was revoked.")
        if key.is_development and not self._takes_development_keys:
            raise NotAuthenticatedError("A development key opens nothing here.")
        return Caller(name=key.client, scopes=key.scopes)

    async def _key(self, key_id: str) -> ApiKey | None:
        known = self._known.get(key_id)
        if known and self._now() - known[0] < self._cache:
            return known[1]
        try:
            key = await self._keys.find(key_id)
        except SourceUnavailableError:
            if known is None:
                raise
            key = known[1]  # asked again after `cache`: not every call waits for who is away
        if key is None:  # not kept: whoever tries ids would fill the memory
            self._known.pop(key_id, None)
            return None
        self._known[key_id] = (self._now(), key)
        return key


def _key_of(row: Row) -> ApiKey:
    known = frozenset(Scope(scope) for scope in row["scopes"] if scope in set(Scope))
    return ApiKey(**row | {"scopes": known})

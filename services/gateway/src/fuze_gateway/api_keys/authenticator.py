"""Authentication by API key."""

import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from fuze_gateway.api_keys.queries import ApiKeyQueries, ApiKeyRecord
from fuze_gateway.auth.principals import Principal, UnauthenticatedError
from fuze_gateway.upstreams import UpstreamUnavailableError

KEY_PREFIX = "fz_"

_KEY = re.compile(r"fz_([0-9a-f]{12})_([0-9a-f]{64})")


class ApiKeyAuthenticator:
    """Authenticates API keys. Records are cached for `cache_ttl`, which delays revocations.

    While PostgreSQL is unavailable, cached keys stay valid: no key can be revoked then.
    """

    def __init__(
        self,
        queries: ApiKeyQueries,
        *,
        cache_ttl: timedelta,
        accepts_development_keys: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._queries = queries
        self._cache_ttl = cache_ttl
        self._accepts_development_keys = accepts_development_keys
        self._now = now
        self._cache: dict[str, tuple[datetime, ApiKeyRecord]] = {}

    async def authenticate(self, credentials: str, *, only_known: bool = False) -> Principal:
        """Return the principal of a key; with `only_known`, only if its id was found before.

        Raises:
            UnauthenticatedError: the key is malformed, unknown, expired or revoked.
            UpstreamUnavailableError: it is not cached and PostgreSQL is unavailable.

        """
        match = _KEY.fullmatch(credentials)
        if match is None:
            raise UnauthenticatedError("The API key is malformed.")
        key_id, secret = match.groups()
        key = None if only_known and key_id not in self._cache else await self._get_record(key_id)
        digest = sha256(secret.encode()).digest()
        expected = key.secret_sha256 if key else bytes(32)
        if not hmac.compare_digest(digest, expected) or key is None:
            raise UnauthenticatedError("The API key is unknown.", key_id)
        if not key.is_active(self._now()):
            raise UnauthenticatedError("The API key has expired or was revoked.", key_id)
        if key.is_development and not self._accepts_development_keys:
            detail = "Development keys are not accepted in production."
            raise UnauthenticatedError(detail, key_id)
        return Principal(name=key.client, id=f"api-key:{key.client}", scopes=key.scopes)

    async def _get_record(self, key_id: str) -> ApiKeyRecord | None:
        cached = self._cache.get(key_id)
        if cached and self._now() - cached[0] < self._cache_ttl:
            return cached[1]
        try:
            key = await self._queries.find(key_id)
        except UpstreamUnavailableError:
            if cached is None:
                raise
            key = cached[1]  # cached again, so that not every request waits for the outage
        if key is None:  # unknown ids are not cached: guessing them would fill the memory
            self._cache.pop(key_id, None)
            return None
        self._cache[key_id] = (self._now(), key)
        return key

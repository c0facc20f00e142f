"""Authentication by access tokens (JWTs) of an OpenID Connect identity provider."""

import asyncio
import time
from typing import Any

import httpx
import jwt
import structlog
from pydantic import TypeAdapter, ValidationError

from fuze_gateway.auth.principals import Principal, UnauthenticatedError, get_scopes
from fuze_gateway.settings import GatewaySettings
from fuze_gateway.types import ActorName
from fuze_gateway.upstreams import UpstreamUnavailableError

_CACHE_SECONDS = 600
_MIN_REFRESH_SECONDS = 10
"""A token with an unknown key id triggers a refresh, at most once in this time."""

_CLOCK_SKEW_SECONDS = 30

_JWT = jwt.PyJWT(options={"enforce_minimum_key_length": True})  # RSA: 2,048 bits

_NAME: TypeAdapter[str] = TypeAdapter(ActorName)

_log = structlog.get_logger(__name__)


class OidcAuthenticator:
    """Validates tokens: the issuer's signature, issuer, audience and expiry."""

    def __init__(self, settings: GatewaySettings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http
        self._keys: dict[str, jwt.PyJWK] = {}
        self._refreshed_at: float | None = None
        self._attempted_at: float | None = None
        self._refreshing = asyncio.Lock()

    async def authenticate(self, token: str) -> Principal:
        """Return the principal that the token names.

        Raises:
            UnauthenticatedError: the token is invalid.
            UpstreamUnavailableError: the issuer's keys were never read and cannot be read now.

        """
        try:
            key = await self._get_key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims: dict[str, Any] = _JWT.decode(
                token,
                key,
                algorithms=self._settings.oidc_algorithms,
                issuer=self._settings.oidc_issuer,
                audience=self._settings.oidc_audience,
                leeway=_CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "iss", "aud", self._settings.oidc_name_claim]},
            )
            name = _NAME.validate_python(str(claims[self._settings.oidc_name_claim]))
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(f"The access token is invalid: {error}.") from error
        except ValidationError:
            raise UnauthenticatedError(
                "The access token's name is not valid, or reserved."
            ) from None
        roles = claims.get(self._settings.oidc_roles_claim, [])
        if isinstance(roles, str):
            roles = roles.split()
        if not isinstance(roles, list):
            roles = []
        return Principal(
            name=name,
            id=f"token:{name}",
            scopes=get_scopes(role for role in roles if isinstance(role, str)),
        )

    async def _get_key(self, key_id: str) -> jwt.PyJWK:
        is_known = key_id in self._keys
        is_refreshing = self._refreshing.locked()
        if not is_known or (
            self._is_older(self._refreshed_at, _CACHE_SECONDS) and not is_refreshing
        ):
            async with self._refreshing:
                if self._is_older(self._attempted_at, _MIN_REFRESH_SECONDS):
                    await self._refresh()
        if key_id not in self._keys:
            if self._refreshed_at is None:
                raise UpstreamUnavailableError("identity provider", timed_out=False)
            raise UnauthenticatedError("The access token is signed by an unknown key.")
        return self._keys[key_id]

    async def _refresh(self) -> None:
        """Read the issuer's keys; on failure the cached ones stay valid."""
        self._attempted_at = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.read_timeout.total_seconds()):
                url = self._settings.oidc_jwks_url or await self._discover_jwks_url()
                response = (await self._http.get(url)).raise_for_status().json()
            keys = jwt.PyJWKSet.from_dict(response).keys
        except Exception as error:  # noqa: BLE001 - the response of a third party may be anything
            _log.warning("identity provider keys not refreshed", error=repr(error))
            return
        self._keys = {str(key.key_id): key for key in keys if key.public_key_use in {None, "sig"}}
        self._refreshed_at = time.monotonic()

    async def _discover_jwks_url(self) -> str:
        issuer = str(self._settings.oidc_issuer).rstrip("/")
        response = await self._http.get(f"{issuer}/.well-known/openid-configuration")
        return str(response.raise_for_status().json()["jwks_uri"])

    @staticmethod
    def _is_older(timestamp: float | None, seconds: float) -> bool:
        return timestamp is None or time.monotonic() - timestamp > seconds

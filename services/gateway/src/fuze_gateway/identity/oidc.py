"""Callers that an identity provider vouches for: OIDC access tokens, as JWTs."""

import asyncio
import time
from typing import Any

import httpx
import jwt
import structlog
from pydantic import TypeAdapter, ValidationError

from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.fields import Name
from fuze_gateway.identity.callers import Caller, NotAuthenticatedError, scopes_of
from fuze_gateway.settings import GatewaySettings

_KEPT_SECONDS = 600
_ASKED_AGAIN_SECONDS = 10
"""A token of an unknown key has the keys read again, but not by every request that brings one."""

_CLOCKS_DIFFER_BY_SECONDS = 30

_NAME: TypeAdapter[str] = TypeAdapter(Name)

_log = structlog.get_logger(__name__)


class OidcCallers:
    """Who a token stands for: signed by a key of the issuer's, meant for us, in its time."""

    def __init__(self, settings: GatewaySettings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._asked_at: float | None = None
        self._reading = asyncio.Lock()

    async def caller(self, token: str) -> Caller:
        """Return whom the token names.

        Raises:
            NotAuthenticatedError: it is not good.
            SourceUnavailableError: the issuer's keys were never read, and cannot be.

        """
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=self._settings.oidc_algorithms,
                issuer=self._settings.oidc_issuer,
                audience=self._settings.oidc_audience,
                leeway=_CLOCKS_DIFFER_BY_SECONDS,
                options={"require": ["exp", "iss", "aud", self._settings.oidc_name_claim]},
            )
            name = _NAME.validate_python(str(claims[self._settings.oidc_name_claim]))
        except jwt.PyJWTError as error:
            raise NotAuthenticatedError(f"The token is not good: {error}.") from error
        except ValidationError:
            raise NotAuthenticatedError("The token's name is none that can be written.") from None
        roles = claims.get(self._settings.oidc_roles_claim, [])
        named = roles.split() if isinstance(roles, str) else roles
        listed = (
            [role for role in named if isinstance(role, str)] if isinstance(named, list) else []
        )
        return Caller(name=name, scopes=scopes_of(listed))

    async def _key(self, key_id: str) -> jwt.PyJWK:
        is_known = key_id in self._keys
        is_being_read = self._reading.locked()
        if not is_known or (self._is_older(self._read_at, _KEPT_SECONDS) and not is_being_read):
            async with self._reading:
                if self._is_older(self._asked_at, _ASKED_AGAIN_SECONDS):
                    await self._read()
        if key_id not in self._keys:
            if self._read_at is None:
                raise SourceUnavailableError("identity provider", timed_out=False)
            raise NotAuthenticatedError("The issuer has no such key.")
        return self._keys[key_id]

    async def _read(self) -> None:
        """Read the issuer's keys; those that are known stay where it does not answer."""
        self._asked_at = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.read_timeout.total_seconds()):
                url = self._settings.oidc_jwks_url or await self._discovered()
                answer = (await self._http.get(url)).raise_for_status().json()
            keys = jwt.PyJWKSet.from_dict(answer).keys
        except Exception as error:  # noqa: BLE001 - whatever somebody else's server may answer
            _log.warning("the identity provider's keys cannot be read", error=repr(error))
            return
        self._keys = {str(key.key_id): key for key in keys if key.public_key_use in {None, "sig"}}
        self._read_at = time.monotonic()

    async def _discovered(self) -> str:
        issuer = str(self._settings.oidc_issuer).rstrip("/")
        answer = await self._http.get(f"{issuer}/.well-known/openid-configuration")
        return str(answer.raise_for_status().json()["jwks_uri"])

    @staticmethod
    def _is_older(then: float | None, seconds: float) -> bool:
        return then is None or time.monotonic() - then > seconds

"""Sign-in at an OpenID Connect provider: authorization code with PKCE."""

from typing import Any

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import (
    parse_authorization_code_response,
    prepare_grant_uri,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from fuze_console.sessions import PendingLogin
from fuze_console.settings import ConsoleSettings

_TIMEOUT_SECONDS = 10
_STATE_LENGTH = 32
_VERIFIER_LENGTH = 64


class LoginError(Exception):
    """The provider did not issue an access token; its text says why."""


class IdentityProvider:
    """The provider of `FUZE_OIDC_ISSUER`.

    The access token goes to the gateway, which verifies it: the console only passes it on, and
    therefore needs no ID token.
    """

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._issuer = str(settings.oidc_issuer).rstrip("/")
        self._redirect_url = f"{settings.public_url}/sign-in/callback"
        self._metadata: dict[str, Any] | None = None

    async def begin(self, next_url: str) -> tuple[str, PendingLogin]:
        """Return the provider's page to redirect to, and what the callback needs to know.

        Raises:
            LoginError: the provider's metadata cannot be read.

        """
        metadata = await self._discover()
        pending = PendingLogin(
            state=generate_token(_STATE_LENGTH),
            code_verifier=generate_token(_VERIFIER_LENGTH),
            next=next_url,
        )
        url = prepare_grant_uri(
            metadata["authorization_endpoint"],
            self._settings.oidc_client_id,
            "code",
            redirect_uri=self._redirect_url,
            scope=self._settings.oidc_scope,
            state=pending.state,
            code_challenge=create_s256_code_challenge(pending.code_verifier),
            code_challenge_method="S256",
            audience=self._settings.oidc_audience,
        )
        return str(url), pending

    async def finish(self, pending: PendingLogin, callback_url: str) -> str:
        """Return the access token for the code in the callback's URL.

        Raises:
            LoginError: the state differs, or the provider refuses.

        """
        metadata = await self._discover()
        secret = self._settings.oidc_client_secret
        client_id = self._settings.oidc_client_id or ""
        try:
            answer = parse_authorization_code_response(callback_url, state=pending.state)
            form = {
                "grant_type": "authorization_code",
                "code": answer["code"],
                "redirect_uri": self._redirect_url,
                "client_id": client_id,
                "code_verifier": pending.code_verifier,
            }
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as http:
                response = await http.post(
                    metadata["token_endpoint"],
                    data=form,
                    auth=httpx.BasicAuth(client_id, secret.get_secret_value())
                    if secret
                    else httpx.USE_CLIENT_DEFAULT,
                )
            return str(response.raise_for_status().json()["access_token"])
        except (AuthlibBaseError, httpx.HTTPError, KeyError, ValueError) as error:
            raise LoginError(f"The identity provider issued no access token: {error}") from None

    async def _discover(self) -> dict[str, Any]:
        if self._metadata is None:
            try:
                async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as http:
                    response = await http.get(f"{self._issuer}/.well-known/openid-configuration")
                    metadata: dict[str, Any] = response.raise_for_status().json()
                    for endpoint in ("authorization_endpoint", "token_endpoint"):
                        metadata[endpoint]
            except (httpx.HTTPError, ValueError, KeyError) as error:
                raise LoginError(
                    f"The identity provider's metadata cannot be read: {error!r}"
                ) from None
            self._metadata = metadata
        return self._metadata

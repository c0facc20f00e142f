"""The session: an encrypted cookie, so that any console of a deployment can read it."""

import base64
import hashlib
import secrets
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from fuze_console.settings import ConsoleSettings

MAX_COOKIE_BYTES = 4000
"""What browsers keep of a cookie."""


class PendingLogin(BaseModel):
    """A login at the identity provider that has begun."""

    state: str
    code_verifier: str
    next: str


class Session(BaseModel):
    """What the console remembers of a browser.

    `credential` is sent to the gateway as a bearer token; None with `is_signed_in` where the
    gateway needs none. `actor` is the name that a person gave, for the history of orders.
    """

    model_config = ConfigDict(frozen=True)

    csrf_token: str = Field(default_factory=lambda: secrets.token_urlsafe(24))
    is_signed_in: bool = False
    credential: str | None = None
    name: str | None = None
    actor: str | None = None
    scopes: frozenset[str] = frozenset()
    pending_login: PendingLogin | None = None

    def allows(self, scope: str) -> bool:
        """Whether the caller has a scope."""
        return scope in self.scopes

    @property
    def displayed_name(self) -> str:
        """Who is signed in, in words."""
        if self.actor and self.name:
            return f"{self.actor} via {self.name}"
        return self.actor or self.name or "not authenticated"


class SessionTooLargeError(Exception):
    """The credential does not fit into a cookie."""


class SessionCookies:
    """Reads and writes the session's cookie.

    Fernet encrypts and signs with its time: a cookie that is older than the session's lifetime,
    was changed, or was written with another secret is a new session.
    """

    def __init__(self, settings: ConsoleSettings) -> None:
        key = hashlib.sha256(settings.session_secret.get_secret_value().encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._lifetime = int(settings.session_lifetime.total_seconds())
        self._is_secure = settings.is_secure
        # Browsers accept the prefix only of a secure cookie of this host alone.
        self.name = "__Host-fuze_session" if self._is_secure else "fuze_session"

    def read(self, cookies: Mapping[str, str]) -> Session:
        """Return the session of a request, or a new one."""
        try:
            text = self._fernet.decrypt(cookies.get(self.name, ""), ttl=self._lifetime)
            return Session.model_validate_json(text)
        except (InvalidToken, ValidationError, ValueError):
            return Session()

    def write(self, response: Response, session: Session) -> None:
        """Set the cookie.

        Raises:
            SessionTooLargeError: browsers would drop it.

        """
        value = self._fernet.encrypt(session.model_dump_json(exclude_defaults=True).encode())
        if len(value) > MAX_COOKIE_BYTES:
            raise SessionTooLargeError
        response.set_cookie(
            self.name,
            value.decode(),
            max_age=self._lifetime,
            path="/",
            secure=self._is_secure,
            httponly=True,
            samesite="lax",  # with `strict` the identity provider's redirect would have no session
        )

"""What callers send and are told about keys of the API, as JSON."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from fuze_gateway.identity.api_keys import ApiKey
from fuze_gateway.identity.callers import Role
from fuze_gateway.requests import RequestModel

_KEY: JsonDict = {
    "id": "0123456789ab",
    "client": "shop",
    "scopes": ["orders:read", "orders:write"],
    "is_development": False,
    "created_by": "ada",
    "created_at": "2026-01-05T10:00:00Z",
    "expires_at": "2026-04-05T10:00:00Z",
    "revoked_at": None,
}


class CreateApiKey(RequestModel):
    """Whom the key is for, what they may do, and for how long."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"client": "shop", "role": "merchant"}]}
    )

    client: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$",
        description="The caller's name, as the events will have it.",
    )
    role: Annotated[Role, Field(strict=False)]
    expires_in_days: int = Field(90, ge=1, le=3650)

    @property
    def lifetime(self) -> timedelta:
        """How long the key opens anything."""
        return timedelta(days=self.expires_in_days)


class ApiKeyOut(BaseModel):
    """A key without its secret, which nobody keeps."""

    id: str
    client: str
    scopes: list[str]
    is_development: bool
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyOut":
        """Show a key."""
        return cls(
            id=key.id,
            client=key.client,
            scopes=sorted(key.scopes),
            is_development=key.is_development,
            created_by=key.created_by,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
        )


class NewApiKey(ApiKeyOut):
    """A key that was just made. `key` is told this once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_KEY | {"key": f"fz_0123456789ab_{'0' * 64}"}]}
    )

    key: str


class ApiKeys(BaseModel):
    """Every key that was ever made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"api_keys": [_KEY]}]})

    api_keys: list[ApiKeyOut]

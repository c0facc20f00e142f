"""Request and response models of API keys."""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from fuze_gateway.api_keys.queries import ApiKeyRecord
from fuze_gateway.auth.principals import Role, Scope
from fuze_gateway.types import ClientName, RequestModel

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


class CreateApiKeyRequest(RequestModel):
    """The client of the new key, its role and its lifetime."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"client": "shop", "role": "merchant"}]}
    )

    client: ClientName = Field(
        description="The name of the caller, which becomes the actor in order events."
    )
    role: Annotated[Role, Field(strict=False)]
    expires_in_days: int = Field(90, ge=1, le=3650)

    @property
    def lifetime(self) -> timedelta:
        """The time from creation to expiry."""
        return timedelta(days=self.expires_in_days)


class ApiKey(BaseModel):
    """An API key without its secret."""

    id: str
    client: str
    scopes: list[Scope]
    is_development: bool
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    @classmethod
    def from_record(cls, record: ApiKeyRecord, **more: str) -> Self:
        """Build the response of a record."""
        fields = {name: getattr(record, name) for name in ApiKey.model_fields}
        return cls(**fields | {"scopes": sorted(record.scopes)} | more)


class CreateApiKeyResponse(ApiKey):
    """A new API key. `key` is returned once and cannot be read again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_KEY | {"key": f"fz_0123456789ab_{'0' * 64}"}]}
    )

    key: str


class ListApiKeysResponse(BaseModel):
    """Every API key, including expired and revoked ones."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"api_keys": [_KEY]}]})

    api_keys: list[ApiKey]

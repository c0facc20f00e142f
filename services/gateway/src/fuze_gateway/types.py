"""The field types of requests: order ids, text, currencies, countries, timestamps."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Header
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic.config import JsonDict

from fuze_contracts.address_rules import COUNTRIES, is_email
from fuze_contracts.money import CURRENCY_EXPONENTS
from fuze_contracts.order import SYSTEM_ACTORS

EXAMPLE_ORDER_ID = "123e4567-e89b-12d3-a456-426614174000"
EXAMPLE_RETURN_ID = "0d6b0b5e-4c4e-5e0a-9c77-0d3b6d1f8a11"
EXAMPLE_WEBHOOK_ENDPOINT_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RFC_3339_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?"
_RFC_3339 = re.compile(_RFC_3339_TIME + r"([Zz]|[+-][0-9]{2}:[0-9]{2})")
_PLUS_AS_SPACE = re.compile(_RFC_3339_TIME + r" [0-9]{2}:?[0-9]{2}")
_IN_EMAIL = r"[^\s@\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069"
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs"})
_INVISIBLE_CATEGORIES = frozenset({"Cf", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional controls: they make one text display as another."""


_NAME_PATTERN = (
    r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]*$"
)


class RequestModel(BaseModel):
    """The base of request models: strict types, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _parse_id(value: object) -> object:
    """Reject the other spellings that `UUID` accepts, so that a resource has one id.

    Raises:
        ValueError: not a UUID in canonical form, or the nil UUID.

    """
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str) or not _CANONICAL_UUID.fullmatch(value):
        raise ValueError("must be a UUID written as 8-4-4-4-12 hexadecimal digits")
    parsed = UUID(value)
    if not parsed.int:
        raise ValueError("must not be the nil UUID")
    return parsed


def reject_control_characters(value: str) -> str:
    """Reject what PostgreSQL cannot store (NUL), UTF-8 cannot encode, or a terminal interprets.

    Raises:
        ValueError: the text has a control character or a surrogate.

    """
    if not _BIDI_CONTROLS.isdisjoint(value) or any(
        unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in value
    ):
        raise ValueError("must not contain control characters or surrogates")
    return value


def _reject_invisible_characters(value: str) -> str:
    """Reject what makes two names look the same: joiners, soft hyphens, separators.

    Raises:
        ValueError: the text has a format character or a line separator.

    """
    if any(unicodedata.category(character) in _INVISIBLE_CATEGORIES for character in value):
        raise ValueError("must not contain invisible format characters")
    return value


def _reject_system_actor(value: str) -> str:
    """Reject a name under which the services themselves record events.

    Raises:
        ValueError: the name is reserved, in any case or form of its letters.

    """
    if unicodedata.normalize("NFKC", value).strip().casefold() in SYSTEM_ACTORS:
        raise ValueError("must not be a name that is reserved for the services")
    return value


def _require_rfc_3339(value: object) -> object:
    """Reject the numbers that pydantic accepts as timestamps, and times without an offset.

    Raises:
        ValueError: not an RFC 3339 timestamp.

    """
    if isinstance(value, str) and _PLUS_AS_SPACE.fullmatch(value):
        raise ValueError(
            "has a space in place of the + of its offset: in a URL, write + as %2B, such as"
            " 2026-01-05T10:00:00%2B01:00"
        )
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError(
            "must be an RFC 3339 timestamp with an offset, such as 2026-01-05T10:00:00Z"
        )
    return value


def _to_utc(value: datetime) -> datetime:
    """Convert to UTC.

    Raises:
        ValueError: out of range in UTC.

    """
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None


def _normalize_country(value: str) -> str:
    """Return the code in upper case.

    Raises:
        ValueError: no country has this code.

    """
    code = unicodedata.normalize("NFKC", value).strip().upper()
    if code == "UK":
        raise ValueError("must be GB for the United Kingdom")
    if code not in COUNTRIES:
        raise ValueError("must be an ISO 3166-1 alpha-2 code, such as DE")
    return code


def _validate_currency(value: str) -> str:
    if value not in CURRENCY_EXPONENTS:
        raise ValueError("must be an ISO 4217 code that is in use, in upper case, such as USD")
    return value


def _validate_email(value: str) -> str:
    if not is_email(value):
        raise ValueError("must be an e-mail address, such as ada@example.com")
    return value


_UUID_SCHEMA: JsonDict = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
}

OrderId = Annotated[
    UUID,
    BeforeValidator(_parse_id),
    WithJsonSchema(_UUID_SCHEMA | {"examples": [EXAMPLE_ORDER_ID]}),
]
"""A UUID in canonical form, in upper or lower case; never the nil UUID."""

ReturnId = Annotated[
    UUID,
    BeforeValidator(_parse_id),
    WithJsonSchema(_UUID_SCHEMA | {"examples": [EXAMPLE_RETURN_ID]}),
]
"""In the form of an `OrderId`."""

WebhookEndpointId = Annotated[
    UUID,
    BeforeValidator(_parse_id),
    WithJsonSchema(_UUID_SCHEMA | {"examples": [EXAMPLE_WEBHOOK_ENDPOINT_ID]}),
]
"""In the form of an `OrderId`."""

TEXT_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$"

Text = Annotated[
    str,
    AfterValidator(reject_control_characters),
    Field(json_schema_extra={"pattern": TEXT_PATTERN}),
]
ShortText = Annotated[Text, Field(max_length=64)]
LongText = Annotated[Text, Field(max_length=200)]
Name = Annotated[
    Text,
    AfterValidator(_reject_invisible_characters),
    Field(min_length=1, max_length=200, json_schema_extra={"pattern": _NAME_PATTERN}),
]
ActorName = Annotated[
    Name,
    AfterValidator(_reject_system_actor),
    Field(
        json_schema_extra={"pattern": _NAME_PATTERN, "not": {"enum": [*sorted(SYSTEM_ACTORS)]}},
    ),
]
"""A name that can be the actor of an event."""
ClientName = Annotated[
    str,
    # Before the validator: after it, the pattern would be missing in the OpenAPI document.
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$",
        json_schema_extra={"not": {"enum": [*sorted(SYSTEM_ACTORS)]}},
    ),
    AfterValidator(_reject_system_actor),
]
"""The name of an API client."""

Email = Annotated[
    str,
    AfterValidator(reject_control_characters),
    AfterValidator(_validate_email),
    Field(
        max_length=254,
        json_schema_extra={"pattern": f"^{_IN_EMAIL}]+@{_IN_EMAIL}.]+([.]{_IN_EMAIL}.]+)+$"},
    ),
]
"""An address is proved by a message to it only: all that is required is an `@` and a domain."""

Metadata = Annotated[
    dict[
        # Without a pattern: code generators do not know `patternProperties`.
        Annotated[
            str,
            AfterValidator(reject_control_characters),
            Field(min_length=1, max_length=40),
        ],
        Annotated[Text, Field(max_length=500)],
    ],
    Field(max_length=50),
]

Currency = Annotated[
    str,
    AfterValidator(_validate_currency),
    Field(json_schema_extra={"enum": sorted(CURRENCY_EXPONENTS)}),
]
UtcDateTime = Annotated[AwareDatetime, BeforeValidator(_require_rfc_3339), AfterValidator(_to_utc)]
"""A timestamp with an offset. A number would be ambiguous: seconds or milliseconds."""

Country = Annotated[
    str,
    AfterValidator(_normalize_country),
    Field(description="An ISO 3166-1 alpha-2 code.", json_schema_extra={"enum": sorted(COUNTRIES)}),
]

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Identifies the operation: repeating it with the same key has no effect.",
        examples=["cart-2026-0042"],
    ),
]

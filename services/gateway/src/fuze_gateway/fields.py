"""The field types of a request: what is a text, an order id, a currency, a country."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Header
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema

from fuze_contracts.money import CURRENCY_EXPONENTS

EXAMPLE_ORDER_ID = "123e4567-e89b-12d3-a456-426614174000"

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs"})
_REFUSED = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What turns the direction of text: a name would read as another one."""


def _parse_order_id(value: object) -> object:
    """Refuse the other spellings that `UUID` takes: one order has one name.

    Raises:
        ValueError: not a UUID in its usual form, or the nil UUID.

    """
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str) or not _CANONICAL_UUID.fullmatch(value):
        raise ValueError("must be a UUID written as 8-4-4-4-12 hexadecimal digits")
    order_id = UUID(value)
    if not order_id.int:
        raise ValueError("must not be the nil UUID")
    return order_id


def _refuse_unprintable(value: str) -> str:
    """Keep out what PostgreSQL cannot store (NUL), UTF-8 cannot say, or a screen would obey.

    Raises:
        ValueError: the text has such a character.

    """
    if not _REFUSED.isdisjoint(value) or any(
        unicodedata.category(character) in _REFUSED_CATEGORIES for character in value
    ):
        raise ValueError("must not contain control characters or surrogates")
    return value


def _rfc_3339(value: object) -> object:
    """Refuse the numbers that a time is read from, too.

    Raises:
        ValueError: not as RFC 3339 writes it.

    """
    if isinstance(value, str) and not _MOMENT.match(value):
        raise ValueError("must be a time as RFC 3339 writes it, such as 2026-01-05T10:00:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    """Return the same moment in UTC.

    Raises:
        ValueError: UTC's calendar begins later, or has ended.

    """
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999") from None


def _known_currency(value: str) -> str:
    if value not in CURRENCY_EXPONENTS:
        raise ValueError("must be an ISO 4217 code in capitals, such as USD")
    return value


OrderId = Annotated[
    UUID,
    BeforeValidator(_parse_order_id),
    WithJsonSchema(
        {
            "type": "string",
            "format": "uuid",
            "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
            "examples": [EXAMPLE_ORDER_ID],
        }
    ),
]
"""A UUID in its usual form, in capitals or not; never the nil UUID."""

Text = Annotated[
    str,
    AfterValidator(_refuse_unprintable),
    Field(
        json_schema_extra={"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$"}
    ),
]
ShortText = Annotated[Text, Field(max_length=64)]
LongText = Annotated[Text, Field(max_length=200)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]

Currency = Annotated[
    str,
    AfterValidator(_known_currency),
    Field(json_schema_extra={"enum": sorted(CURRENCY_EXPONENTS)}),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_rfc_3339), AfterValidator(_in_utc)]
"""A time with its offset; a number might be seconds or milliseconds."""

Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Names what you want done: the same key again is the same thing, done once.",
        examples=["cart-2026-0042"],
    ),
]

"""What Fuze reads of a provider's webhook.

A webhook is only a notification that a payment was decided: the payment service then looks the
payment up at the provider. So an event is reduced to its id and the payment that it concerns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from fuze_contracts.base import Message

EventId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]


class WebhookEvent(Message):
    """A verified event.

    `payment_id` is None where the event does not say that one of our payments was decided.
    """

    event_id: EventId
    payment_id: UUID | None


class WebhookRejection(Enum):
    """Why a request is not accepted as a webhook."""

    INVALID_SIGNATURE = auto()
    INVALID_BODY = auto()


Settings_contra = TypeVar("Settings_contra", bound=BaseSettings, contravariant=True)


@dataclass(frozen=True, kw_only=True)
class Webhook(Generic[Settings_contra]):
    """A provider's webhook endpoint, `/webhooks/{name}`; `sender` is for its documentation.

    `secret` returns the signing secret; None means that webhooks are not accepted. `verify` takes
    the raw body, the signature header and the secret. `parse` returns None for an invalid body;
    `body_schema` is the JSON schema of a valid one.
    """

    name: str
    sender: str
    signature_header: str
    body_schema: dict[str, Any]
    secret: Callable[[Settings_contra], SecretStr | None]
    verify: Callable[[bytes, str, str], bool]
    parse: Callable[[bytes], WebhookEvent | None]

    def read(
        self, body: bytes, signature: str, secret: SecretStr
    ) -> WebhookEvent | WebhookRejection:
        """Return the event of a request, after verifying its signature over the raw body."""
        if not self.verify(body, signature, secret.get_secret_value()):
            return WebhookRejection.INVALID_SIGNATURE
        return self.parse(body) or WebhookRejection.INVALID_BODY

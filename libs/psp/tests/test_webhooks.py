"""A webhook is accepted with a valid and recent signature, and reduced to a payment's id."""

import json
import time
from typing import Any
from uuid import UUID

import pytest
import stripe
from pydantic import SecretStr

from fuze_psp.registry import WEBHOOKS, WebhookSettings
from fuze_psp.stripe.webhook import STRIPE_WEBHOOK
from fuze_psp.webhooks import Webhook, WebhookEvent, WebhookRejection

_SECRET = SecretStr("a-shared-secret")
_PAYMENT = UUID("a02ea0ba-7d2a-4c5a-9a43-b7d1cd4a1c4a")

all_providers = pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda one: one.name)


def _event(**changes: Any) -> bytes:  # noqa: ANN401 - as JSON
    """An event that every provider's endpoint accepts."""
    event = {
        "id": "evt_1",
        "payment_id": str(_PAYMENT),
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_1", "metadata": {"payment_id": str(_PAYMENT)}}},
    }
    return json.dumps(event | changes).encode()


def _sign(body: bytes, *, secret: SecretStr = _SECRET, age_seconds: int = 0) -> str:
    return stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret.get_secret_value(), int(time.time()) - age_seconds
    )


@all_providers
def test_a_signed_event_names_the_payment(webhook: Webhook[WebhookSettings]) -> None:
    body = _event()

    event = webhook.read(body, _sign(body), _SECRET)

    assert event == WebhookEvent(event_id="evt_1", payment_id=_PAYMENT)


@all_providers
@pytest.mark.parametrize(
    "signature",
    [
        _sign(_event(), age_seconds=301),
        _sign(_event(id="evt_2")),
        _sign(_event(), secret=SecretStr("another secret")),
        _sign(_event()).partition(",")[2],
        _sign(_event()).replace("v1=", "v0="),
        f"t={int(time.time())},v1=",
        f"t={int(time.time())},v1={'é' * 64}",
        "t,v1",
        "",
    ],
    # Constant ids: each worker of a run must find the same tests, and the values depend on time.
    ids=[
        "too old",
        "another body",
        "another secret",
        "no time",
        "no known scheme",
        "empty",
        "not ASCII",
        "malformed",
        "missing",
    ],
)
def test_a_signature_that_is_old_or_of_something_else_is_rejected(
    webhook: Webhook[WebhookSettings], signature: str
) -> None:
    assert webhook.read(_event(), signature, _SECRET) is WebhookRejection.INVALID_SIGNATURE


def test_while_the_secret_is_rotated_one_of_two_signatures_is_enough() -> None:
    body = _event()
    signature = _sign(body).replace("v1=", f"v1={'0' * 64},v1=")

    assert isinstance(STRIPE_WEBHOOK.read(body, signature, _SECRET), WebhookEvent)


def test_a_body_that_is_not_text_has_no_valid_signature() -> None:
    assert STRIPE_WEBHOOK.read(b"\xff", "t=1,v1=0", _SECRET) is WebhookRejection.INVALID_SIGNATURE


@all_providers
@pytest.mark.parametrize("body", [b"[]", b"{", _event(id="no event id"), b'{"id": 1}'])
def test_a_signed_body_that_is_no_event_is_rejected(
    webhook: Webhook[WebhookSettings], body: bytes
) -> None:
    assert webhook.read(body, _sign(body), _SECRET) is WebhookRejection.INVALID_BODY


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "payment_intent.created"},
        {"data": {"object": {"metadata": {"payment_id": "of another user of the account"}}}},
        {"data": {"object": {"metadata": {}}}},
        {"data": {"object": {"metadata": None}}},
        {"type": "balance.available", "data": {"object": {"object": "balance"}}},
    ],
)
def test_any_other_event_of_stripe_names_no_payment(changes: dict[str, Any]) -> None:
    body = _event(**changes)

    event = STRIPE_WEBHOOK.read(body, _sign(body), _SECRET)

    assert event == WebhookEvent(event_id="evt_1", payment_id=None)


@pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda one: one.name)
def test_each_provider_has_a_secret_of_its_own(webhook: Webhook[WebhookSettings]) -> None:
    settings = WebhookSettings(psp_webhook_secret="psp", stripe_webhook_secret="stripe")

    secret = webhook.secret(settings)

    assert secret is not None
    assert secret.get_secret_value() == webhook.name

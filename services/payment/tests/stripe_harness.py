"""The payment service over a real PostgreSQL and a fake Stripe in its own process."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import stripe
from fake_stripe import FakeStripe
from payment_harness import PaymentHarness

from fuze_psp.stripe.provider import StripeProvider


@dataclass
class StripeHarness(PaymentHarness):
    fake: FakeStripe = field(kw_only=True)
    client: stripe.StripeClient = field(kw_only=True)
    declined_method = "pm_card_chargeCustomerFail"

    def provider(self, timeout: timedelta = timedelta(seconds=10)) -> StripeProvider:
        return StripeProvider(self.client, timeout)

    async def lose_next_response(self) -> None:
        self.fake.faults = [("response_dropped", None)]

    async def forget_keys(self) -> None:
        self.fake.forget_keys()

    async def intents(self, order_id: UUID) -> list[dict[str, Any]]:
        intents = await self.fake.list_all("payment_intents")
        return [one for one in intents if one["metadata"].get("order_id") == str(order_id)]

    async def list_captures(self, order_id: UUID) -> list[dict[str, Any]]:
        return [one for one in await self.intents(order_id) if one["status"] == "succeeded"]

    async def refunds(self, order_id: UUID) -> list[dict[str, Any]]:
        charges = {one["id"] for one in await self.intents(order_id)}
        refunds = await self.fake.list_all("refunds")
        return [one for one in refunds if one["payment_intent"] in charges]

    async def provider_balance(self, order_id: UUID) -> int:
        captured = sum(one["amount"] for one in await self.list_captures(order_id))
        return captured - sum(one["amount"] for one in await self.refunds(order_id))

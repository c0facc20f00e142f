"""The payment service over a real PostgreSQL and a Stripe of the test's own."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import stripe
from stripe_stand_in import Door
from till import Till

from fuze_payment.__main__ import wire
from fuze_payment.activities import Payments
from fuze_payment.provider.stripe import StripeProvider


@dataclass
class StripeTill(Till):
    door: Door = field(kw_only=True)
    client: stripe.StripeClient = field(kw_only=True)

    def service(self, **changes: Any) -> Payments:  # noqa: ANN401 - a setting's value
        settings = self.settings.model_copy(update=changes)
        payments, self.reconciliation, self.events = wire(settings, self.engine, self.provider())
        return payments

    def provider(self) -> StripeProvider:
        return StripeProvider(self.client, self.settings.psp_timeout, timedelta(seconds=2))

    async def intents(self, order_id: UUID) -> list[dict[str, Any]]:
        found = await self.door.all("payment_intents")
        return [one for one in found if one["metadata"].get("order_id") == str(order_id)]

    async def taken(self, order_id: UUID) -> list[dict[str, Any]]:
        return [one for one in await self.intents(order_id) if one["status"] == "succeeded"]

    async def refunds(self, order_id: UUID) -> list[dict[str, Any]]:
        charges = {one["id"] for one in await self.intents(order_id)}
        found = await self.door.all("refunds")
        return [one for one in found if one["payment_intent"] in charges]

    async def kept_at_the_provider(self, order_id: UUID) -> int:
        taken = sum(one["amount"] for one in await self.taken(order_id))
        return taken - sum(one["amount"] for one in await self.refunds(order_id))

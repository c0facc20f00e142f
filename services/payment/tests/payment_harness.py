"""The payment service over a real PostgreSQL and a sandbox PSP in its own process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment, RefundPayment, VoidPayment
from fuze_payment.__main__ import build_activities
from fuze_payment.activities import (
    PaymentActivitiesImpl,
    PaymentWebhookActivities,
    ReconciliationActivities,
    RefundReportActivities,
)
from fuze_payment.settings import PaymentSettings
from fuze_psp.provider import PaymentProvider
from fuze_psp.sandbox.provider import SandboxProvider

Outcome = TypeVar("Outcome")

SHORT_TIMEOUTS = {"psp_timeout": timedelta(seconds=1), "payment_lease": timedelta(seconds=1.5)}
"""Settings for tests that wait for a timeout; the others must also pass on a busy machine."""


def build_charge(
    order_id: UUID | None = None,
    *,
    amount_minor: int = 5997,
    method: str | None = "pm_card_visa",
    token: str | None = None,
) -> ChargePayment:
    order_id = order_id or uuid4()
    return ChargePayment(
        order_id=order_id,
        payment_token=token or f"{order_id}:1",
        amount=Money(amount_minor=amount_minor, currency="USD"),
        payment_method=method,
    )


def build_refund(charge: ChargePayment, amount_minor: int) -> RefundPayment:
    return RefundPayment(
        order_id=charge.order_id,
        payment_token=charge.payment_token,
        refund_id=uuid4(),
        amount=Money(amount_minor=amount_minor, currency=charge.amount.currency),
        reason="a test",
    )


def build_void(charge: ChargePayment) -> VoidPayment:
    return VoidPayment(charge=charge, reason="a test")


@dataclass
class PaymentHarness:
    """The service under test, and both sides' records of what it did."""

    engine: AsyncEngine
    http: httpx.AsyncClient
    settings: PaymentSettings
    psp: httpx.AsyncClient
    reconciliation: ReconciliationActivities = field(init=False)
    webhooks: PaymentWebhookActivities = field(init=False)
    reports: RefundReportActivities = field(init=False)
    declined_method = "pm_declined"

    def service(self, **changes: Any) -> PaymentActivitiesImpl:  # noqa: ANN401 - a setting's value
        timeout = changes.get("psp_timeout", self.settings.psp_timeout)
        return self.service_with(self.provider(timeout), **changes)

    def service_with(
        self,
        provider: PaymentProvider,
        **changes: Any,  # noqa: ANN401 - a setting's value
    ) -> PaymentActivitiesImpl:
        settings = self.settings.model_copy(update=changes)
        payments, self.webhooks, self.reports, self.reconciliation = build_activities(
            settings, self.engine, provider
        )
        return payments

    def provider(self, timeout: timedelta) -> PaymentProvider:
        return SandboxProvider(self.psp, timeout)

    async def set_faults(self, **profile: Any) -> None:  # noqa: ANN401 - as JSON
        (await self.http.put("/control/psp", json=profile)).raise_for_status()

    async def lose_next_response(self) -> None:
        """Let the provider execute the next request, and lose its response."""
        await self.set_faults(faults={"response_dropped": 1})

    async def forget_keys(self) -> None:
        """Let the provider forget the idempotency keys that it has."""
        await self.set_faults(idempotency_key_ttl_seconds=0)

    async def list_at_provider(self, kind: str, order_id: UUID) -> list[dict[str, Any]]:
        response = await self.http.get(f"/psp/{kind}", params={"order_id": str(order_id)})
        return list(response.json()[kind])

    async def list_captures(self, order_id: UUID) -> list[dict[str, Any]]:
        charges = await self.list_at_provider("charges", order_id)
        return [charge for charge in charges if charge["status"] == "charged"]

    async def wait_for_capture(self, order_id: UUID) -> None:
        """Wait for a charge that takes effect late."""
        async with asyncio.timeout(10):
            while not await self.list_captures(order_id):
                await asyncio.sleep(0.05)

    async def decide_review(self, order_id: UUID, status: str) -> None:
        [charge] = await self.list_at_provider("charges", order_id)
        await self.http.post(f"/psp/charges/{charge['id']}/decide", json={"status": status})

    async def provider_balance(self, order_id: UUID) -> int:
        captured = sum(one["amount_minor"] for one in await self.list_captures(order_id))
        refunds = await self.list_at_provider("refunds", order_id)
        return captured - sum(one["amount_minor"] for one in refunds)

    async def ledger_balance(self, order_id: UUID) -> int:
        return int(
            await self.scalar(
                "SELECT coalesce(sum(debit_minor - credit_minor), 0) FROM payments.ledger_entries"
                " JOIN payments.payments ON payments.id = payment_id"
                " WHERE account = 'provider' AND order_id = :order_id",
                order_id,
            )
        )

    async def state(self, order_id: UUID) -> str:
        query = "SELECT state FROM payments.payments WHERE order_id = :order_id"
        return str(await self.scalar(query, order_id))

    async def scalar(self, query: str, order_id: UUID) -> Any:  # noqa: ANN401 - a column's value
        async with self.engine.connect() as connection:
            return (await connection.execute(sa.text(query), {"order_id": order_id})).scalar_one()


async def retry_until_settled(call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Retry an activity as the Temporal server would, until it has an outcome."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except ApplicationError as error:
                if error.non_retryable:
                    raise
                await asyncio.sleep(0.1)

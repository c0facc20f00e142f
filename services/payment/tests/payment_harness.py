"""The payment service over a real PostgreSQL and a sandbox PSP in a process of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment, RefundPayment, VoidPayment
from fuze_payment.__main__ import wire
from fuze_payment.activities import Payments, PaymentWebhookActivities, ReconciliationActivities
from fuze_payment.provider.sandbox import SandboxProvider
from fuze_payment.settings import PaymentSettings

Outcome = TypeVar("Outcome")


def a_charge(
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


def a_refund(charge: ChargePayment, amount_minor: int) -> RefundPayment:
    return RefundPayment(
        order_id=charge.order_id,
        payment_token=charge.payment_token,
        refund_id=uuid4(),
        amount=Money(amount_minor=amount_minor, currency=charge.amount.currency),
        reason="a test",
    )


def a_void(charge: ChargePayment) -> VoidPayment:
    return VoidPayment(charge=charge, reason="a test")


@dataclass
class Till:
    """What a test asks for money, and where it looks afterwards."""

    engine: AsyncEngine
    http: httpx.AsyncClient
    settings: PaymentSettings
    clients: list[httpx.AsyncClient] = field(default_factory=list)
    reconciliation: ReconciliationActivities = field(init=False)
    events: PaymentWebhookActivities = field(init=False)

    def service(self, **changes: Any) -> Payments:  # noqa: ANN401 - a setting's value
        client = httpx.AsyncClient(
            base_url=self.http.base_url.join("/psp/"), timeout=1, trust_env=False
        )
        self.clients.append(client)
        payments, self.reconciliation, self.events = wire(
            self.settings.model_copy(update=changes),
            self.engine,
            SandboxProvider(client, timeout=1),
        )
        return payments

    async def conditions(self, **conditions: Any) -> None:  # noqa: ANN401 - as JSON
        (await self.http.put("/control/psp", json=conditions)).raise_for_status()

    async def at_the_provider(self, book: str, order_id: UUID) -> list[dict[str, Any]]:
        answer = await self.http.get(f"/psp/{book}", params={"order_id": str(order_id)})
        return list(answer.json()[book])

    async def taken(self, order_id: UUID) -> list[dict[str, Any]]:
        found = await self.at_the_provider("charges", order_id)
        return [charge for charge in found if charge["status"] == "charged"]

    async def until_taken(self, order_id: UUID) -> None:
        """Wait for a charge that lands late."""
        async with asyncio.timeout(10):
            while not await self.taken(order_id):
                await asyncio.sleep(0.05)

    async def kept_at_the_provider(self, order_id: UUID) -> int:
        taken = sum(one["amount_minor"] for one in await self.taken(order_id))
        back = await self.at_the_provider("refunds", order_id)
        return taken - sum(one["amount_minor"] for one in back)

    async def kept_in_the_ledger(self, order_id: UUID) -> int:
        return int(
            await self.scalar(
                "SELECT coalesce(sum(debit_minor - credit_minor), 0) FROM payments.ledger_entries"
                " JOIN payments.payments ON payments.id = payment_id"
                " WHERE account = 'provider' AND order_id = :order_id",
                order_id,
            )
        )

    async def state(self, order_id: UUID) -> str:
        return str(
            await self.scalar(
                "SELECT state FROM payments.payments WHERE order_id = :order_id", order_id
            )
        )

    async def scalar(self, query: str, order_id: UUID) -> Any:  # noqa: ANN401 - a column's value
        async with self.engine.connect() as connection:
            return (await connection.execute(sa.text(query), {"order_id": order_id})).scalar_one()


async def insist(ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Ask as the Temporal server would, until there is an outcome."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await ask()
            except ApplicationError as error:
                if error.non_retryable:
                    raise
                await asyncio.sleep(0.1)

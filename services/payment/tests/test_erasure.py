"""The erasure of personal data in the payment service's schema."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from payment_harness import build_charge, build_refund
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.erasure import ErasePersonalData
from fuze_payment import tables
from fuze_payment.erasure import PaymentErasure
from fuze_payment.payment_repository import PaymentRepository
from fuze_payment.refund_repository import RefundRepository
from fuze_psp.provider import Succeeded

_LEASE = timedelta(seconds=30)


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("payment")


@pytest.mark.parametrize(
    ("actor", "erased"),
    [
        ("ada", "erased-1"),
        ("ada via shop", "erased-1 via shop"),
        ("clerk via ada", "clerk via erased-1"),
        ("adam via shop", "adam via shop"),
    ],
)
async def test_the_customer_is_replaced_in_the_actor_of_a_refund(
    engine: AsyncEngine, actor: str, erased: str
) -> None:
    charge = build_charge()
    payments = PaymentRepository(engine, _LEASE)
    claimed = await payments.claim(charge)
    assert claimed is not None
    payment = await payments.settle(claimed.payment, Succeeded(reference=f"ch_{uuid4()}"))
    refund = build_refund(charge, 500)
    await RefundRepository(engine, _LEASE).claim(payment, refund)
    query = sa.update(tables.refunds).where(tables.refunds.c.id == refund.refund_id)
    async with engine.begin() as connection:
        await connection.execute(
            query.values(actor=actor, state="rejected", rejection_code="refused", is_reported=True)
        )

    await PaymentErasure(engine).personal_data_erased(
        ErasePersonalData(order_ids=(charge.order_id,), names=("ada",), pseudonym="erased-1")
    )

    async with engine.connect() as connection:
        read = sa.select(tables.refunds.c.actor).where(tables.refunds.c.id == refund.refund_id)
        assert (await connection.execute(read)).scalar_one() == erased

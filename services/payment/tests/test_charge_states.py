"""The picture of a charge's states shows what the repository does."""

import runpy
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from payment_harness import build_charge, build_void
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.payment import ChargePayment
from fuze_payment.domain import Payment, PaymentState, payment_id
from fuze_payment.payment_repository import PaymentRepository
from fuze_psp.provider import Rejected, Succeeded, UnderReview

_PICTURE = runpy.run_path(str(Path(__file__).parents[3] / "deploy/pictures/charge_states.py"))
_TRANSITIONS: list[tuple[str, str, str]] = [
    (source, method, target)
    for sources, method, target, _ in _PICTURE["TRANSITIONS"]
    for source in sources
]

Execute = Callable[[PaymentRepository, ChargePayment, Payment | None], Awaitable[Any]]


def _on_row(method: Callable[[PaymentRepository, Payment], Awaitable[Any]]) -> Execute:
    async def execute(
        repository: PaymentRepository, _: ChargePayment, payment: Payment | None
    ) -> None:
        assert payment is not None
        await method(repository, payment)

    return execute


_METHODS: dict[str, Execute] = {
    "claim": lambda repository, command, _: repository.claim(command),
    "request_void": lambda repository, command, _: repository.request_void(build_void(command)),
    "mark_submitted": _on_row(PaymentRepository.mark_submitted),
    "release_not_attempted": _on_row(PaymentRepository.release_not_attempted),
    "release_as_unknown": _on_row(PaymentRepository.release_as_unknown),
    "mark_under_review": _on_row(
        lambda repository, payment: repository.mark_under_review(
            payment, UnderReview(reference=str(uuid4()))
        )
    ),
    "settle_succeeded": _on_row(
        lambda repository, payment: repository.settle(payment, Succeeded(reference=str(uuid4())))
    ),
    "settle_rejected": _on_row(
        lambda repository, payment: repository.settle(
            payment, Rejected(reference=str(uuid4()), code="card_declined")
        )
    ),
    "void": _on_row(PaymentRepository.void),
}


@pytest.mark.parametrize(("source", "method", "target"), _TRANSITIONS)
async def test_a_drawn_transition_is_what_its_method_does(
    engine_of: Callable[[str], AsyncEngine], source: str, method: str, target: str
) -> None:
    engine = engine_of("payment")
    repository = PaymentRepository(engine, timedelta(seconds=30))
    command = build_charge()
    payment = None
    if source != "none":
        claimed = await repository.claim(command)
        assert claimed is not None
        payment = claimed.payment  # with its lease
        async with engine.begin() as connection:
            await connection.execute(
                sa.text("UPDATE payments.payments SET state = :state WHERE id = :id"),
                {"state": source, "id": payment.id},
            )

    await _METHODS[method](repository, command, payment)

    found = await repository.get(payment_id(command.order_id, command.payment_token))
    assert found is not None
    assert found.state == target


def test_the_picture_has_every_state() -> None:
    drawn = {*_PICTURE["OPEN"], *_PICTURE["SETTLED"]}

    assert drawn == set(PaymentState)
    assert set(_PICTURE["SETTLED"]) == {one for one in PaymentState if one.is_settled}

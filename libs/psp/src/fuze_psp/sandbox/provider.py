"""The sandbox provider, over HTTP."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import TypeAdapter, ValidationError

from fuze_contracts.base import Message
from fuze_payment.provider import (
    ChargeAnswer,
    Held,
    ListedCharge,
    ListedRefund,
    NotFound,
    NotSent,
    PaymentProvider,
    ProviderBooks,
    RefundAnswer,
    Refused,
    Taken,
    TryLater,
    Unclear,
)
from fuze_payment.rules import Payment, Refund

Answer = TypeVar("Answer")

_DEFAULT_RETRY_AFTER = timedelta(seconds=1)


class _Charge(Message):
    id: str
    status: str
    decline_code: str | None = None


class _ListedCharge(_Charge):
    payment_id: UUID | None = None
    order_id: UUID | None = None
    amount_minor: int
    currency: str
    created_at: datetime


class _ListedCharges(Message):
    charges: tuple[_ListedCharge, ...]


class _Charges(Message):
    charges: tuple[_Charge, ...]


class _Refund(Message):
    id: str


class _ListedRefund(_Refund):
    charge_id: str
    refund_id: UUID | None = None
    amount_minor: int
    created_at: datetime


class _ListedRefunds(Message):
    refunds: tuple[_ListedRefund, ...]


class _Refunds(Message):
    refunds: tuple[_Refund, ...]


_CHARGE = TypeAdapter(_Charge)
_CHARGES = TypeAdapter(_Charges)
_REFUND = TypeAdapter(_Refund)
_REFUNDS = TypeAdapter(_Refunds)
_LISTED_CHARGES = TypeAdapter(_ListedCharges)
_LISTED_REFUNDS = TypeAdapter(_ListedRefunds)


class SandboxProvider(PaymentProvider):
    """Speaks to the sandbox PSP through `client`, whose base URL ends in `/psp/`."""

    def __init__(self, client: httpx.AsyncClient, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    async def charge(self, payment: Payment) -> ChargeAnswer:
        """Take the payment's amount, with its id as the idempotency key."""
        body = {
            "amount_minor": payment.amount_minor,
            "currency": payment.currency,
            "payment_method": payment.payment_method,
            "order_id": str(payment.order_id),
            "payment_id": str(payment.id),
            "reference": payment.payment_token,
        }
        answer = await self._ask("POST", "charges", key=str(payment.id), json=body)
        if not isinstance(answer, bytes):
            return answer
        return _read(lambda: _answer_of(_CHARGE.validate_json(answer)))

    async def find_charge(self, payment: Payment) -> ChargeAnswer | NotFound:
        """Look the payment up by its id, whatever the provider remembers of the key."""
        answer = await self._ask("GET", "charges/search", params={"payment_id": str(payment.id)})
        if not isinstance(answer, bytes):
            return answer

        def found() -> ChargeAnswer | NotFound:
            charges = _CHARGES.validate_json(answer).charges
            return _answer_of(charges[0]) if charges else NotFound()

        return _read(found)

    async def void(self, reference: str) -> Taken | NotSent | TryLater | Unclear:
        """Let go of a held charge; `Taken` when that is done."""
        answer = await self._ask("POST", f"charges/{reference}/void")
        if isinstance(answer, bytes):
            return Taken(reference=reference)
        # Decided meanwhile: the next look at it says how.
        return Unclear(why=answer.code) if isinstance(answer, Refused) else answer

    async def refund(self, refund: Refund) -> RefundAnswer:
        """Give the refund's amount back, with its id as the idempotency key."""
        body = {
            "charge_id": refund.charge_reference,
            "amount_minor": refund.amount_minor,
            "refund_id": str(refund.id),
        }
        answer = await self._ask("POST", "refunds", key=str(refund.id), json=body)
        if not isinstance(answer, bytes):
            return answer
        return _read(lambda: Taken(reference=_REFUND.validate_json(answer).id))

    async def find_refund(self, refund: Refund) -> RefundAnswer | NotFound:
        """Look the refund up by its id."""
        answer = await self._ask("GET", "refunds/search", params={"refund_id": str(refund.id)})
        if not isinstance(answer, bytes):
            return answer

        def found() -> RefundAnswer | NotFound:
            refunds = _REFUNDS.validate_json(answer).refunds
            return Taken(reference=refunds[0].id) if refunds else NotFound()

        return _read(found)

    async def books_since(self, since: datetime) -> ProviderBooks | NotSent | TryLater | Unclear:
        """Return everything that the provider has written since then (UTC)."""
        after = {"created_after": since.isoformat()}
        charges = await self._ask("GET", "charges/search", params=after)
        refunds = await self._ask("GET", "refunds/search", params=after)
        if isinstance(charges, bytes) and isinstance(refunds, bytes):
            return _read(lambda: _books(charges, refunds))
        answer = refunds if isinstance(charges, bytes) else charges
        if isinstance(answer, NotSent | TryLater | Unclear):
            return answer
        return Unclear(why="the provider does not show its books")

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        **parts: Any,  # noqa: ANN401 - what httpx takes
    ) -> bytes | Refused | NotSent | TryLater | Unclear:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            # The client's own limits are per read: this one is for the whole request.
            async with asyncio.timeout(self._timeout):
                response = await self._client.request(method, path, headers=headers, **parts)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return NotSent(after=_DEFAULT_RETRY_AFTER)
        except (httpx.HTTPError, TimeoutError) as error:
            return Unclear(why=repr(error))
        return response.content if response.is_success else _refusal(response)


def _books(charges: bytes, refunds: bytes) -> ProviderBooks:
    listed_charges = _LISTED_CHARGES.validate_json(charges).charges
    listed_refunds = _LISTED_REFUNDS.validate_json(refunds).refunds
    return ProviderBooks(
        charges=tuple(
            ListedCharge(
                reference=one.id,
                payment_id=one.payment_id,
                order_id=one.order_id,
                amount_minor=one.amount_minor,
                currency=one.currency,
                taken=one.status == "charged",
                occurred_at=one.created_at,
            )
            for one in listed_charges
        ),
        refunds=tuple(
            ListedRefund(
                reference=one.id,
                charge_reference=one.charge_id,
                refund_id=one.refund_id,
                amount_minor=one.amount_minor,
                occurred_at=one.created_at,
            )
            for one in listed_refunds
        ),
    )


def _refusal(response: httpx.Response) -> Refused | NotSent | TryLater | Unclear:
    match response.status_code:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return NotSent(after=_retry_after(response))
        case HTTPStatus.CONFLICT:
            return TryLater(after=_retry_after(response))
        case status if response.is_client_error:
            return Refused(code=f"provider_refused_{status}")
        case status:
            return Unclear(why=f"the provider answered {status}")


def _answer_of(charge: _Charge) -> ChargeAnswer:
    match charge.status:
        case "charged":
            return Taken(reference=charge.id)
        case "under_review":
            return Held(reference=charge.id)
        case "declined" | "voided":
            return Refused(code=charge.decline_code or charge.status, reference=charge.id)
        case _:
            return Unclear(why=f"the provider says {charge.status}")


def _read(read: Callable[[], Answer]) -> Answer | Unclear:
    """Take an answer that cannot be read for none: the money may have moved."""
    try:
        return read()
    except ValidationError as error:
        return Unclear(why=f"the provider's answer cannot be read: {error.error_count()} errors")


def _retry_after(response: httpx.Response) -> timedelta:
    value = response.headers.get("retry-after", "")
    return timedelta(seconds=int(value)) if value.isdecimal() else _DEFAULT_RETRY_AFTER

"""The client of the sandbox PSP, and what its responses mean."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import httpx
from pydantic import ValidationError

from fuze_contracts.base import Message
from fuze_psp.provider import (
    ChargeLookup,
    ChargeRequest,
    Indeterminate,
    ListedCharge,
    ListedRefund,
    NotAttempted,
    NotFound,
    OperationResult,
    PaymentProvider,
    ProviderRecords,
    RefundRequest,
    Rejected,
    RetryLater,
    Succeeded,
    Unavailable,
    UnderReview,
)
from fuze_psp.sandbox.settings import SandboxSettings

Parsed = TypeVar("Parsed")

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


class _Charges(Message):
    charges: tuple[_Charge, ...]


class _ListedCharges(Message):
    charges: tuple[_ListedCharge, ...]


class _Refund(Message):
    id: str


class _ListedRefund(_Refund):
    charge_id: str
    refund_id: UUID | None = None
    amount_minor: int
    created_at: datetime


class _Refunds(Message):
    refunds: tuple[_Refund, ...]


class _ListedRefunds(Message):
    refunds: tuple[_ListedRefund, ...]


@asynccontextmanager
async def open_sandbox(
    settings: SandboxSettings, request_timeout: timedelta
) -> AsyncIterator[PaymentProvider]:
    """Connect to the sandbox PSP that the settings name."""
    url = f"{str(settings.psp_url).rstrip('/')}/"
    async with httpx.AsyncClient(base_url=url, timeout=request_timeout.total_seconds()) as client:
        yield SandboxProvider(client, request_timeout)


class SandboxProvider(PaymentProvider):
    """The sandbox PSP through `client`, whose base URL ends in `/psp/`."""

    def __init__(self, client: httpx.AsyncClient, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout

    async def charge(self, request: ChargeRequest) -> OperationResult:
        """Charge the amount, with the payment's id as the idempotency key."""
        body = {
            "amount_minor": request.amount.amount_minor,
            "currency": request.amount.currency,
            "payment_method": request.payment_method,
            "order_id": str(request.order_id),
            "payment_id": str(request.payment_id),
            "reference": request.payment_token,
        }
        response = await self._send("POST", "charges", key=str(request.payment_id), json=body)
        if not isinstance(response, bytes):
            return response
        return _parse(lambda: _map_charge(_Charge.model_validate_json(response)))

    async def find_charge(self, lookup: ChargeLookup) -> OperationResult | NotFound:
        """Look a charge up by the payment's id, independently of the idempotency key."""
        query = {"payment_id": str(lookup.payment_id)}
        response = await self._send("GET", "charges/search", params=query)
        if not isinstance(response, bytes):
            return response

        def found() -> OperationResult | NotFound:
            charges = _Charges.model_validate_json(response).charges
            return _map_charge(charges[0]) if charges else NotFound()

        return _parse(found)

    async def void(self, reference: str) -> Succeeded | Unavailable:
        """Cancel a charge that is under review."""
        response = await self._send("POST", f"charges/{reference}/void")
        if isinstance(response, bytes):
            return Succeeded(reference=reference)
        # Rejected: it was decided meanwhile, and the next lookup shows how.
        return Indeterminate(reason=response.code) if isinstance(response, Rejected) else response

    async def refund(self, request: RefundRequest) -> OperationResult:
        """Refund the amount, with the refund's id as the idempotency key."""
        body = {
            "charge_id": request.charge_reference,
            "amount_minor": request.amount.amount_minor,
            "refund_id": str(request.refund_id),
        }
        response = await self._send("POST", "refunds", key=str(request.refund_id), json=body)
        if not isinstance(response, bytes):
            return response
        return _parse(lambda: Succeeded(reference=_Refund.model_validate_json(response).id))

    async def find_refund(self, request: RefundRequest) -> OperationResult | NotFound:
        """Look a refund up by its id, independently of the idempotency key."""
        query = {"refund_id": str(request.refund_id)}
        response = await self._send("GET", "refunds/search", params=query)
        if not isinstance(response, bytes):
            return response

        def found() -> OperationResult | NotFound:
            refunds = _Refunds.model_validate_json(response).refunds
            return Succeeded(reference=refunds[0].id) if refunds else NotFound()

        return _parse(found)

    async def list_since(self, since: datetime) -> ProviderRecords | Unavailable:
        """Return every charge and refund that the provider has recorded since then (UTC)."""
        query = {"created_after": since.isoformat()}
        charges = await self._send("GET", "charges/search", params=query)
        refunds = await self._send("GET", "refunds/search", params=query)
        if isinstance(charges, bytes) and isinstance(refunds, bytes):
            return _parse(lambda: _map_records(charges, refunds))
        failure = refunds if isinstance(charges, bytes) else charges
        if isinstance(failure, NotAttempted | RetryLater | Indeterminate):
            return failure
        return Indeterminate(reason="the provider refused to list its records")

    async def _send(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        **parts: Any,  # noqa: ANN401 - what httpx takes
    ) -> bytes | Rejected | Unavailable:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            # httpx limits each read: this limits the whole request.
            async with asyncio.timeout(self._timeout.total_seconds()):
                response = await self._client.request(method, path, headers=headers, **parts)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return NotAttempted(retry_after=_DEFAULT_RETRY_AFTER)
        except (httpx.HTTPError, TimeoutError) as error:
            return Indeterminate(reason=type(error).__name__)
        return response.content if response.is_success else _map_failure(response)


def _map_records(charges: bytes, refunds: bytes) -> ProviderRecords:
    return ProviderRecords(
        charges=tuple(
            ListedCharge(
                reference=charge.id,
                payment_id=charge.payment_id,
                order_id=charge.order_id,
                amount_minor=charge.amount_minor,
                currency=charge.currency,
                succeeded=charge.status == "charged",
                occurred_at=charge.created_at,
            )
            for charge in _ListedCharges.model_validate_json(charges).charges
        ),
        refunds=tuple(
            ListedRefund(
                reference=refund.id,
                charge_reference=refund.charge_id,
                refund_id=refund.refund_id,
                amount_minor=refund.amount_minor,
                occurred_at=refund.created_at,
            )
            for refund in _ListedRefunds.model_validate_json(refunds).refunds
        ),
    )


def _map_failure(response: httpx.Response) -> Rejected | Unavailable:
    match response.status_code:
        case HTTPStatus.TOO_MANY_REQUESTS:
            return NotAttempted(retry_after=_retry_after(response))
        case HTTPStatus.CONFLICT:
            return RetryLater(retry_after=_retry_after(response))
        case status if response.is_client_error:
            return Rejected(code=f"provider_rejected_{status}")
        case status:
            return Indeterminate(reason=f"the provider returned status {status}")


def _map_charge(charge: _Charge) -> OperationResult:
    match charge.status:
        case "charged":
            return Succeeded(reference=charge.id)
        case "under_review":
            return UnderReview(reference=charge.id)
        case "declined" | "voided":
            return Rejected(code=charge.decline_code or charge.status, reference=charge.id)
        case _:
            return Indeterminate(reason=f"unknown charge status: {charge.status}")


def _parse(parse: Callable[[], Parsed]) -> Parsed | Indeterminate:
    """Treat an unreadable response as no response: the money may have moved."""
    try:
        return parse()
    except ValidationError as error:
        return Indeterminate(reason=f"unreadable response: {error.error_count()} errors")


def _retry_after(response: httpx.Response) -> timedelta:
    value = response.headers.get("retry-after", "")
    return timedelta(seconds=int(value)) if value.isdecimal() else _DEFAULT_RETRY_AFTER

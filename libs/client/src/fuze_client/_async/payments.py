"""Payments, refunds and returns."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid4

from fuze_client._async.transport import AsyncTransport
from fuze_client.models import (
    ChangeReturnResponse,
    Discrepancy,
    LedgerEntry,
    ListDiscrepanciesResponse,
    ListLedgerEntriesResponse,
    ListOpenReturnsResponse,
    ListPaymentsResponse,
    ListReturnsResponse,
    RefundAcceptedResponse,
    Return,
    ReturnRequestedResponse,
)
from fuze_client.requests import LineQuantity


class AsyncPayments:
    """The payments of a gateway's orders, and their refunds."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, order_id: UUID | str) -> ListPaymentsResponse:
        """Return the charges and refunds of an order."""
        return await self._transport.get(("orders", order_id, "payments"), ListPaymentsResponse)

    async def list_ledger(self, order_id: UUID | str) -> Sequence[LedgerEntry]:
        """Return the ledger of an order's payments, oldest entry first."""
        path = ("orders", order_id, "ledger")
        return (await self._transport.get(path, ListLedgerEntriesResponse)).entries

    async def refund(
        self,
        order_id: UUID | str,
        *,
        amount_minor: int | None = None,
        lines: Iterable[LineQuantity] | None = None,
        include_shipping: bool = False,
        reason: str | None = None,
        actor: str | None = None,
        idempotency_key: str | None = None,
    ) -> RefundAcceptedResponse:
        """Refund an amount, or lines with or without shipping, or without either all that is left.

        Without a key, the call has one of its own: repeating it refunds again.
        """
        body: dict[str, Any] = {"amount_minor": amount_minor, "reason": reason, "actor": actor}
        if lines is not None:
            body["lines"] = [line.model_dump() for line in lines]
        if include_shipping:
            body["include_shipping"] = True
        return await self._transport.post(
            ("orders", order_id, "refunds"),
            RefundAcceptedResponse,
            body,
            idempotency_key=idempotency_key or str(uuid4()),
        )

    async def list_discrepancies(self) -> Sequence[Discrepancy]:
        """Return the differences between the systems of record that are open."""
        found = await self._transport.get(("discrepancies",), ListDiscrepanciesResponse)
        return found.discrepancies


class AsyncReturns:
    """The returns of a gateway's orders. Each command waits for its outcome."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def request(
        self,
        order_id: UUID | str,
        lines: Iterable[LineQuantity],
        *,
        include_shipping: bool = False,
        reason: str | None = None,
        actor: str | None = None,
        idempotency_key: str | None = None,
    ) -> ReturnRequestedResponse:
        """Request the return of units of an order.

        Without a key, the call has one of its own: repeating it requests another return.
        """
        body = {
            "lines": [line.model_dump() for line in lines],
            "include_shipping": include_shipping,
            "reason": reason,
            "actor": actor,
        }
        return await self._transport.post(
            ("orders", order_id, "returns"),
            ReturnRequestedResponse,
            body,
            idempotency_key=idempotency_key or str(uuid4()),
        )

    async def get(self, order_id: UUID | str, return_id: UUID | str) -> Return:
        """Return a return."""
        return await self._transport.get(("orders", order_id, "returns", return_id), Return)

    async def approve(
        self,
        order_id: UUID | str,
        return_id: UUID | str,
        *,
        reason: str | None = None,
        actor: str | None = None,
    ) -> ChangeReturnResponse:
        """Approve a return that was requested."""
        return await self._change(order_id, return_id, "approve", reason, actor)

    async def reject(
        self,
        order_id: UUID | str,
        return_id: UUID | str,
        *,
        reason: str | None = None,
        actor: str | None = None,
    ) -> ChangeReturnResponse:
        """Reject a return that was requested."""
        return await self._change(order_id, return_id, "reject", reason, actor)

    async def cancel(
        self,
        order_id: UUID | str,
        return_id: UUID | str,
        *,
        reason: str | None = None,
        actor: str | None = None,
    ) -> ChangeReturnResponse:
        """Cancel a return that was not received."""
        return await self._change(order_id, return_id, "cancel", reason, actor)

    async def receive(
        self,
        order_id: UUID | str,
        return_id: UUID | str,
        *,
        reason: str | None = None,
        actor: str | None = None,
    ) -> ChangeReturnResponse:
        """Record that an approved return was received; it is refunded."""
        return await self._change(order_id, return_id, "receive", reason, actor)

    async def list(self, order_id: UUID | str) -> Sequence[Return]:
        """Return the returns of an order."""
        path = ("orders", order_id, "returns")
        return (await self._transport.get(path, ListReturnsResponse)).returns

    async def list_open(self) -> Sequence[Return]:
        """Return the returns of all orders that wait for something, oldest first."""
        return (await self._transport.get(("returns",), ListOpenReturnsResponse)).returns

    async def _change(
        self,
        order_id: UUID | str,
        return_id: UUID | str,
        name: str,
        reason: str | None,
        actor: str | None,
    ) -> ChangeReturnResponse:
        path = ("orders", order_id, "returns", return_id, name)
        body = {"reason": reason, "actor": actor}
        return await self._transport.post(path, ChangeReturnResponse, body)

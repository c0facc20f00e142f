"""Orders: place, read, and send commands."""

from collections.abc import Iterable, Iterator
from typing import Literal, Unpack
from uuid import UUID, uuid4

from fuze_client._sync.transport import Transport, to_query
from fuze_client.models import (
    BulkResponse,
    CommandResponse,
    ListOrdersResponse,
    Order,
    OrderAcceptedResponse,
    OrderStatusResponse,
    OrderSummary,
)
from fuze_client.requests import CompleteAddressRequest, OrderFilters, PlaceOrderRequest

MAX_PAGE = 200
"""The most orders that a page has."""


class Orders:
    """The orders of a gateway.

    A command waits for its outcome: it returns the order after it, or raises the problem with the
    reason why the order rejected it. `actor` is the person for whom the caller acts.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def place(
        self, order: PlaceOrderRequest, *, idempotency_key: str | None = None
    ) -> OrderAcceptedResponse:
        """Place an order. The same key, whenever it is repeated, is the same order.

        Without a key, the call has one of its own: repeating it places another order.
        """
        return self._transport.post(
            ("orders",),
            OrderAcceptedResponse,
            order,
            idempotency_key=idempotency_key or str(uuid4()),
        )

    def start(self, order_id: UUID | str, order: PlaceOrderRequest) -> OrderAcceptedResponse:
        """Place an order under an id of your own."""
        return self._transport.post(("orders", order_id, "start"), OrderAcceptedResponse, order)

    def get(self, order_id: UUID | str) -> Order:
        """Return an order, as its row has it."""
        return self._transport.get(("orders", order_id), Order)

    def get_status(self, order_id: UUID | str) -> OrderStatusResponse:
        """Return the status of an order: its row, merged with its workflow."""
        return self._transport.get(("orders", order_id, "status"), OrderStatusResponse)

    def get_page(
        self, *, limit: int = 50, cursor: str | None = None, **filters: Unpack[OrderFilters]
    ) -> ListOrdersResponse:
        """Return a page of orders; `cursor` is `next` of the page before, with the same filters."""
        params = to_query({**filters, "limit": limit, "cursor": cursor})
        return self._transport.get(("orders",), ListOrdersResponse, params)

    def list(
        self, *, page_size: int = MAX_PAGE, **filters: Unpack[OrderFilters]
    ) -> Iterator[OrderSummary]:
        """Yield all orders, newest first unless `sort` is another; a page at a time."""
        cursor = None
        while True:
            page = self.get_page(limit=page_size, cursor=cursor, **filters)
            for order in page.orders:
                yield order
            if (cursor := page.next) is None:
                return

    def approve(self, order_id: UUID | str, *, actor: str | None = None) -> CommandResponse:
        """Approve an order that waits for approval."""
        return self._command(order_id, "approve", actor=actor)

    def reject(
        self, order_id: UUID | str, *, reason: str | None = None, actor: str | None = None
    ) -> CommandResponse:
        """Reject an order that waits for approval."""
        return self._command(order_id, "reject", reason=reason, actor=actor)

    def cancel(
        self, order_id: UUID | str, *, reason: str | None = None, actor: str | None = None
    ) -> CommandResponse:
        """Cancel an order that is not dispatched; its payment is voided or refunded."""
        return self._command(order_id, "cancel", reason=reason, actor=actor)

    def retry(self, order_id: UUID | str, *, actor: str | None = None) -> CommandResponse:
        """Retry the failing step of an order now."""
        return self._command(order_id, "retry", actor=actor)

    def change_address(
        self, order_id: UUID | str, address: CompleteAddressRequest, *, actor: str | None = None
    ) -> CommandResponse:
        """Replace the delivery address of an order that is not dispatched."""
        return self._transport.put(
            ("orders", order_id, "address"),
            CommandResponse,
            {"address": address.model_dump(exclude_unset=True), "actor": actor},
        )

    def change_payment_method(
        self, order_id: UUID | str, payment_method: str, *, actor: str | None = None
    ) -> CommandResponse:
        """Charge another payment method, after the last one was declined."""
        return self._transport.put(
            ("orders", order_id, "payment-method"),
            CommandResponse,
            {"payment_method": payment_method, "actor": actor},
        )

    def recover(
        self,
        order_id: UUID | str,
        *,
        then: Literal["continue", "cancel"] = "continue",
        reason: str | None = None,
        actor: str | None = None,
    ) -> OrderAcceptedResponse:
        """Start the workflow of an open order again, which was lost."""
        body = {"then": then, "reason": reason, "actor": actor}
        path = ("orders", order_id, "recover")
        return self._transport.post(path, OrderAcceptedResponse, body)

    def approve_many(
        self, order_ids: Iterable[UUID | str], *, actor: str | None = None
    ) -> BulkResponse:
        """Approve up to 500 orders; each has its own result."""
        return self._bulk("approve", order_ids, actor=actor)

    def cancel_many(
        self,
        order_ids: Iterable[UUID | str],
        *,
        reason: str | None = None,
        actor: str | None = None,
    ) -> BulkResponse:
        """Cancel up to 500 orders; each has its own result."""
        return self._bulk("cancel", order_ids, reason=reason, actor=actor)

    def recover_many(
        self,
        order_ids: Iterable[UUID | str],
        *,
        then: Literal["continue", "cancel"] = "continue",
        reason: str | None = None,
        actor: str | None = None,
    ) -> BulkResponse:
        """Start the workflows of up to 500 open orders again; each has its own result."""
        return self._bulk("recover", order_ids, then=then, reason=reason, actor=actor)

    def _command(self, order_id: UUID | str, name: str, **body: str | None) -> CommandResponse:
        return self._transport.post(("orders", order_id, name), CommandResponse, body)

    def _bulk(self, name: str, order_ids: Iterable[UUID | str], **body: str | None) -> BulkResponse:
        ids = [str(one) for one in order_ids]
        path = ("orders", "bulk", name)
        return self._transport.post(path, BulkResponse, {**body, "order_ids": ids})

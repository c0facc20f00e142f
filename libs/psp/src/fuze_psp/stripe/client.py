"""Calls to Stripe's API: each within a deadline, lists read to their end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import stripe
from stripe.params import PaymentIntentListParams, RefundListParams

from fuze_contracts.base import Message
from fuze_psp.provider import Indeterminate
from fuze_psp.stripe.mapping import Intent, StripeRefund, parse

Item = TypeVar("Item", Intent, StripeRefund)
Failure = stripe.StripeError | Indeterminate

_PAGE_SIZE = 100


class _Page(Message, Generic[Item]):
    data: tuple[Item, ...]
    has_more: bool


@asynccontextmanager
async def connect(
    api_key: str, api_base: str | None, request_timeout: timedelta
) -> AsyncIterator[stripe.StripeClient]:
    """Open a client of Stripe's package; the timeout applies to each read and write.

    The package does not retry: whether a request may be repeated is for the payment service's
    protocol to decide.
    """
    # Otherwise the package writes a file of its own and reports this machine to Stripe.
    stripe.enable_telemetry = False
    http = stripe.HTTPXClient(timeout=request_timeout.total_seconds())
    try:
        yield stripe.StripeClient(
            api_key,
            http_client=http,
            max_network_retries=0,
            base_addresses={"api": api_base.rstrip("/")} if api_base else None,
        )
    finally:
        await http.close_async()  # type: ignore[no-untyped-call] # the package declares no types


class StripeApi:
    """Calls that return Stripe's and the network's failures as values.

    `deadline` is a time of the event loop's clock. Without one, each page of a list has the whole
    `timeout`.
    """

    def __init__(self, client: stripe.StripeClient, timeout: timedelta) -> None:
        self._stripe = client.v1
        self._timeout = timeout.total_seconds()

    def deadline(self) -> float:
        """Return the deadline of an operation that starts now."""
        return asyncio.get_running_loop().time() + self._timeout

    async def call(self, request: Awaitable[object], deadline: float) -> dict[str, Any] | Failure:
        """Return Stripe's response as plain values."""
        try:
            async with asyncio.timeout_at(deadline):
                response = await request
        except stripe.StripeError as error:
            return error
        except TimeoutError:
            return Indeterminate(reason="timeout while waiting for Stripe")
        if isinstance(response, stripe.StripeObject):
            return response.to_dict()
        return Indeterminate(reason="unreadable response of Stripe")

    async def list_intents(
        self, not_before: datetime, not_after: datetime | None, deadline: float | None
    ) -> list[Intent] | Failure:
        """Return the intents that were created in this period, the newest first."""
        created: PaymentIntentListParams = {"created": {"gte": int(not_before.timestamp())}}
        if not_after:
            created["created"] = {
                "gte": int(not_before.timestamp()),
                "lte": int(not_after.timestamp()),
            }

        def get_page(after: str | None) -> Awaitable[object]:
            params: PaymentIntentListParams = {**created, "limit": _PAGE_SIZE}
            if after:
                params["starting_after"] = after
            return self._stripe.payment_intents.list_async(params)

        return await self._list(_Page[Intent], get_page, deadline)

    async def list_refunds(
        self, filters: RefundListParams, deadline: float | None
    ) -> list[StripeRefund] | Failure:
        """Return the refunds of a charge, or since some time."""

        def get_page(after: str | None) -> Awaitable[object]:
            params: RefundListParams = {**filters, "limit": _PAGE_SIZE}
            if after:
                params["starting_after"] = after
            return self._stripe.refunds.list_async(params)

        return await self._list(_Page[StripeRefund], get_page, deadline)

    async def _list(
        self,
        kind: type[_Page[Item]],
        get_page: Callable[[str | None], Awaitable[object]],
        deadline: float | None,
    ) -> list[Item] | Failure:
        items: list[Item] = []
        while True:
            last = items[-1].id if items else None
            response = await self.call(get_page(last), deadline or self.deadline())
            if not isinstance(response, dict):
                return response
            page = parse(kind, response)
            if isinstance(page, Indeterminate):
                return page
            items += page.data
            if not page.has_more or not page.data:
                return items

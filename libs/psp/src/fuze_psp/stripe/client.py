"""Asking Stripe: one question under one time limit, lists to their end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar

import stripe
from stripe.params import PaymentIntentListParams, RefundListParams

from fuze_contracts.base import Message
from fuze_payment.provider import Unclear
from fuze_payment.provider.stripe_answers import Intent, StripeRefund, read

Item = TypeVar("Item", Intent, StripeRefund)
Failure = stripe.StripeError | Unclear

_PAGE = 100


class _Page(Message, Generic[Item]):
    data: tuple[Item, ...]
    has_more: bool


@asynccontextmanager
async def connect(
    api_key: str, api_base: str | None, seconds: float
) -> AsyncIterator[stripe.StripeClient]:
    """Hold a client of Stripe; `seconds` are for each of its reads and writes.

    It repeats nothing by itself: whether to ask again is for the money protocol to say.
    """
    # Else the package writes a file of its own and tells Stripe what machine this is.
    stripe.enable_telemetry = False
    http = stripe.HTTPXClient(timeout=seconds)
    try:
        yield stripe.StripeClient(
            api_key,
            http_client=http,
            max_network_retries=0,
            base_addresses={"api": api_base.rstrip("/")} if api_base else None,
        )
    finally:
        await http.close_async()  # type: ignore[no-untyped-call] # it has no types


class StripeQuestions:
    """Questions to Stripe, none of which raises for what Stripe or a network does.

    `until` is a deadline by the loop's clock. Where it is None, each page of a list has `timeout`
    seconds to itself.
    """

    def __init__(self, client: stripe.StripeClient, timeout: float) -> None:
        self._stripe = client.v1
        self._timeout = timeout

    def deadline(self) -> float:
        """Return when a question that is asked now is to be over."""
        return asyncio.get_running_loop().time() + self._timeout

    async def ask(self, call: Awaitable[object], until: float) -> dict[str, Any] | Failure:
        """Return what Stripe answers, as plain values."""
        try:
            async with asyncio.timeout_at(until):
                answer = await call
        except stripe.StripeError as error:
            return error
        except TimeoutError:
            return Unclear(why="Stripe did not answer in time")
        if isinstance(answer, stripe.StripeObject):
            return answer.to_dict()
        return Unclear(why="Stripe's answer cannot be read")

    async def intents(
        self, since: datetime, to: datetime | None, until: float | None
    ) -> list[Intent] | Failure:
        """Return the intents that were created in this time, the newest first."""
        created: PaymentIntentListParams = {"created": {"gte": int(since.timestamp())}}
        if to:
            created = {"created": {"gte": int(since.timestamp()), "lte": int(to.timestamp())}}

        def page(after: str | None) -> Awaitable[object]:
            params: PaymentIntentListParams = {**created, "limit": _PAGE}
            if after:
                params["starting_after"] = after
            return self._stripe.payment_intents.list_async(params)

        return await self._listed(_Page[Intent], page, until)

    async def refunds(
        self, which: RefundListParams, until: float | None
    ) -> list[StripeRefund] | Failure:
        """Return the refunds of a charge, or since some time."""

        def page(after: str | None) -> Awaitable[object]:
            params: RefundListParams = {**which, "limit": _PAGE}
            if after:
                params["starting_after"] = after
            return self._stripe.refunds.list_async(params)

        return await self._listed(_Page[StripeRefund], page, until)

    async def _listed(
        self,
        kind: type[_Page[Item]],
        page_after: Callable[[str | None], Awaitable[object]],
        until: float | None,
    ) -> list[Item] | Failure:
        found: list[Item] = []
        while True:
            last = found[-1].id if found else None
            answer = await self.ask(page_after(last), until or self.deadline())
            if not isinstance(answer, dict):
                return answer
            page = read(kind, answer)
            if isinstance(page, Unclear):
                return page
            found += page.data
            if not page.has_more or not page.data:
                return found

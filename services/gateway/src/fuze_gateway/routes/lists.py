"""Orders, many at once."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import ConfigDict, Field

from fuze_contracts.order import OrderStatus
from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.dependencies import SourcesDependency
from fuze_gateway.documented import OF_A_CALLER, problem_responses
from fuze_gateway.fields import Moment, Text
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Scope
from fuze_gateway.order_list import InvalidCursorError, OrderFilter, Sort
from fuze_gateway.requests import RequestModel
from fuze_gateway.schemas import Orders, OrderSummary

router = APIRouter(route_class=ScopedRoute, tags=["orders"])

_WAITING_FOR = {
    "approval": OrderStatus.AWAITING_APPROVAL,
    "payment_method": OrderStatus.AWAITING_PAYMENT_METHOD,
    "address": OrderStatus.AWAITING_ADDRESS,
}
_WHEN = "RFC 3339, with an offset."


class OrdersQuery(RequestModel):
    """Which orders, and how many at a time."""

    model_config = ConfigDict(strict=False)

    status: list[OrderStatus] = Field([], max_length=len(OrderStatus), examples=[["shipped"]])
    waiting_for: Literal["approval", "payment_method", "address"] | None = Field(
        None, description="Only orders that wait for somebody to send this."
    )
    needs_attention: bool | None = Field(
        None, description="Only orders of which a step keeps failing, or does not."
    )
    customer: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Only this customer's.", examples=["ada@example.com"]
    )
    created_from: Moment | None = Field(
        None, description=f"Only orders placed then or later. {_WHEN}"
    )
    created_before: Moment | None = Field(None, description=f"Only orders placed before. {_WHEN}")
    q: Annotated[Text, Field(min_length=3, max_length=200)] | None = Field(
        None,
        description="Only orders whose customer or id begins like this, in capitals or not.",
        examples=["ada"],
    )
    sort: Sort = Field("-created_at", description="Newest first, or oldest first.")
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(
        None, max_length=500, description="`next` of the page before, with the same filters."
    )

    def filter(self) -> OrderFilter:
        """Return what is asked for, whatever the page."""
        waiting = {_WAITING_FOR[self.waiting_for]} if self.waiting_for else set()
        return OrderFilter(
            statuses=tuple(sorted(waiting or set(self.status))),
            customer=self.customer,
            created_from=self.created_from,
            created_before=self.created_before,
            needs_attention=self.needs_attention,
            text=self.q,
            sort=self.sort,
        )

    @property
    def contradicts_itself(self) -> bool:
        """Whether no order can be all that is asked for."""
        waiting = self.waiting_for and _WAITING_FOR[self.waiting_for]
        return bool(self.status and waiting and waiting not in self.status)


@router.get(
    "/orders",
    operation_id="listOrders",
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *OF_A_CALLER, types.INVALID_CURSOR, types.INVALID_REQUEST, types.UNAVAILABLE
    ),
)
async def orders(
    wanted: Annotated[OrdersQuery, Query()],
    request: Request,
    response: Response,
    sources: SourcesDependency,
) -> Orders:
    """List orders, a page after another: `next` is the cursor of the page that follows.

    Pages stay put: an order that is placed meanwhile is on none of those that follow (newest
    first), and none is skipped or told twice.
    """
    if wanted.contradicts_itself:
        return Orders(orders=[], next=None)
    try:
        page = await sources.listed.page(wanted.filter(), cursor=wanted.cursor, size=wanted.limit)
    except InvalidCursorError:
        raise problems.invalid_cursor() from None
    if page.next:
        given = [
            (name, value) for name, value in request.query_params.multi_items() if name != "cursor"
        ]
        query = urlencode([*given, ("cursor", page.next)])
        response.headers["Link"] = f'</orders?{query}>; rel="next"'
    summaries = [OrderSummary.model_validate(one.model_dump()) for one in page.orders]
    return Orders(orders=summaries, next=page.next)

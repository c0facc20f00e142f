"""Orders: search by text, status and dates, page by page."""

import re
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Annotated, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict
from starlette.responses import Response

from fuze_client import AsyncFuzeClient, Problem, ProblemError
from fuze_client.models import ListOrdersResponse
from fuze_client.requests import OrderFilters
from fuze_console.context import ClientDependency, ServicesDependency, SessionDependency
from fuze_console.states import CLOSED_STATUSES, OPEN_STATUSES, STATUSES

router = APIRouter()

_PAGE = 50
_MIN_TEXT = 3
"""The API searches by the beginning of a customer or an id from three characters on."""

_GROUPS = {"open": OPEN_STATUSES, "closed": CLOSED_STATUSES}
_SORTS = {
    "-created_at": "Newest first",
    "created_at": "Oldest first",
    "-updated_at": "Last updated",
    "updated_at": "Not updated for longest",
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _parse_date(value: object) -> object:
    """Read an empty or unreadable date as none: a form sends every field."""
    return value if isinstance(value, str) and _DATE.fullmatch(value) else None


Day = Annotated[date | None, BeforeValidator(_parse_date)]


class OrderSearch(BaseModel):
    """The fields of the form. `status` is a status, or `open`, or `closed`."""

    model_config = ConfigDict(frozen=True)

    q: str = ""
    status: str = ""
    since: Day = None
    until: Day = None
    attention: bool = False
    sort: str = "-created_at"
    cursor: str = ""

    @property
    def text(self) -> str:
        """The text without the blanks around it."""
        return self.q.strip()

    @property
    def is_filtered(self) -> bool:
        """Whether it leaves any order out."""
        return bool(self.text or self.status or self.since or self.until or self.attention)

    def to_query(self, **changes: str) -> str:
        """Return the query string, without what is empty."""
        fields = {
            "q": self.text,
            "status": self.status,
            "since": self.since,
            "until": self.until,
            "attention": "true" if self.attention else "",
            "sort": "" if self.sort == "-created_at" else self.sort,
        } | changes
        return urlencode({name: value for name, value in fields.items() if value})

    def to_filters(self) -> OrderFilters:
        """Return the filters of the API, without the text."""
        statuses = _GROUPS.get(self.status) or ((self.status,) if self.status in STATUSES else ())
        filters = {
            "status": statuses,
            "needs_attention": True if self.attention else None,
            "created_from": self.since and _midnight(self.since),
            # The day itself is included.
            "created_before": self.until and _midnight(self.until + timedelta(days=1)),
            "sort": self.sort if self.sort in _SORTS else None,
        }
        return cast("OrderFilters", filters)


@router.get("/orders")
async def show_orders(
    request: Request,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
    search: Annotated[OrderSearch, Query()],
) -> Response:
    """Show a page of the orders that match."""
    problem: Problem | None = None
    page = ListOrdersResponse(orders=[], next=None)
    try:
        page = await _search(client, search)
    except ProblemError as error:
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        problem = error.problem
    return services.renderer.render(
        request,
        "orders.html",
        session=session,
        search=search,
        page=page,
        problem=problem,
        is_too_short=0 < len(search.text) < _MIN_TEXT,
        open_statuses=OPEN_STATUSES,
        closed_statuses=CLOSED_STATUSES,
        sorts=_SORTS,
        today=datetime.now(UTC).date(),
    )


async def _search(client: AsyncFuzeClient, search: OrderSearch) -> ListOrdersResponse:
    """Return a page: first the orders with exactly this reference, then those of the prefix."""
    filters, cursor = search.to_filters(), search.cursor or None
    if not search.text:
        return await client.orders.get_page(limit=_PAGE, cursor=cursor, **filters)
    exact = ListOrdersResponse(orders=[], next=None)
    if cursor is None:
        by_reference: OrderFilters = {**filters, "reference": search.text}
        exact = await client.orders.get_page(limit=_PAGE, **by_reference)
    if len(search.text) < _MIN_TEXT:
        return exact
    by_prefix: OrderFilters = {**filters, "q": search.text}
    page = await client.orders.get_page(limit=_PAGE, cursor=cursor, **by_prefix)
    known = {order.order_id for order in exact.orders}
    others = [order for order in page.orders if order.order_id not in known]
    return ListOrdersResponse(orders=[*exact.orders, *others], next=page.next)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)

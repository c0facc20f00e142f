"""Webhook endpoints: their state, what they were sent, and what can be done about failures."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, cast, get_args
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import FormData
from starlette.responses import Response

from fuze_client import AsyncFuzeClient, Problem, ProblemError
from fuze_client.enumerations import EventType, WebhookDeliveryState
from fuze_client.requests import WebhookDeliveryFilters
from fuze_client.webhook_models import ListWebhookDeliveriesResponse, WebhookEndpoint
from fuze_console.context import (
    ClientDependency,
    ServicesDependency,
    SessionDependency,
    require_same_session,
)
from fuze_console.pages.answers import answer, find_action, get_text
from fuze_console.sessions import Session
from fuze_console.states import REDELIVER, WEBHOOK_ACTIONS, Action

router = APIRouter(prefix="/work/webhooks")

_PAGE = 50
_STATES = get_args(WebhookDeliveryState)
_ACTIONS = WEBHOOK_ACTIONS | {REDELIVER.name: REDELIVER}
_EVER = datetime(2000, 1, 1, tzinfo=UTC)


class DeliverySearch(BaseModel):
    """The fields of the form; an empty one is no filter."""

    model_config = ConfigDict(frozen=True)

    state: str = ""
    event_type: str = ""
    order_id: str = ""
    cursor: str = ""

    @property
    def is_filtered(self) -> bool:
        """Whether it leaves any delivery out."""
        return bool(self.state or self.event_type or self.order_id.strip())

    def to_query(self, **changes: str) -> str:
        """Return the query string, without what is empty."""
        fields = self.model_dump(exclude={"cursor"}) | changes
        return urlencode({name: value for name, value in fields.items() if value})

    def to_filters(self) -> WebhookDeliveryFilters:
        """Return the filters of the API, which says what is wrong with one."""
        fields = self.model_dump(exclude={"cursor"})
        filters = {name: value.strip() for name, value in fields.items() if value.strip()}
        return cast("WebhookDeliveryFilters", filters)


@router.get("")
async def show_endpoints(
    request: Request,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Show the endpoints; those that need attention come first."""
    endpoints = sorted(await client.webhooks.list(), key=lambda one: not one.needs_attention)
    return services.renderer.render(
        request,
        "webhooks.html",
        session=session,
        endpoints=[(one, _get_actions(one, session)) for one in endpoints],
    )


@router.get("/{endpoint_id}")
async def show_endpoint(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    request: Request,
    endpoint_id: UUID,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
    search: Annotated[DeliverySearch, Query()],
) -> Response:
    """Show an endpoint, and a page of what it was sent."""
    endpoint = await client.webhooks.get(endpoint_id)
    problem: Problem | None = None
    page = ListWebhookDeliveriesResponse(deliveries=[], next=None)
    try:
        page = await client.webhooks.get_deliveries_page(
            endpoint_id, limit=_PAGE, cursor=search.cursor or None, **search.to_filters()
        )
    except ProblemError as error:
        if error.code not in {"invalid-request", "invalid-cursor"}:
            raise
        problem = error.problem
    return services.renderer.render(
        request,
        "webhook_endpoint.html",
        session=session,
        endpoint=endpoint,
        url=request.url.path,
        actions=_get_actions(endpoint, session),
        redeliver=REDELIVER if session.allows(REDELIVER.scope) else None,
        search=search,
        states=_STATES,
        event_types=get_args(EventType),
        page=page,
        problem=problem,
        now=datetime.now(UTC),
    )


@router.get("/{endpoint_id}/actions/{name}")
async def confirm_action(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    request: Request,
    endpoint_id: UUID,
    name: str,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
    message_id: str = "",
) -> Response:
    """Show what the action does to the endpoint or to a message, and let it be confirmed."""
    return services.renderer.render(
        request,
        "action.html",
        session=session,
        action=find_action(_ACTIONS, name),
        url=request.url.path,
        endpoint=await client.webhooks.get(endpoint_id),
        message_id=message_id,
    )


@router.post("/{endpoint_id}/actions/{name}", dependencies=[Depends(require_same_session)])
async def run_action(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    request: Request,
    endpoint_id: UUID,
    name: str,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Send the command, and show what the gateway answered."""
    action = find_action(_ACTIONS, name)
    command = _send(client, endpoint_id, name, await request.form())
    back = ("To the endpoint", f"/work/webhooks/{endpoint_id}")
    return await answer(request, services, session, action=action, command=command, back=back)


async def _send(client: AsyncFuzeClient, endpoint_id: UUID, name: str, form: FormData) -> BaseModel:
    webhooks = client.webhooks
    match name:
        case "enable" | "disable":
            return await webhooks.change(endpoint_id, enabled=name == "enable")
        case "test":
            return await webhooks.send_test(endpoint_id)
        case "redeliver":
            message_id = get_text(form, "message_id") or ""
            return await webhooks.redeliver(endpoint_id, message_id=message_id)
        case _:
            return await webhooks.redeliver(endpoint_id, failed_since=_parse_since(form))


def _parse_since(form: FormData) -> datetime:
    """Return the time of the form's number of hours ago; 0 is any time."""
    hours = get_text(form, "hours") or ""
    if hours in {"1", "24"}:
        return datetime.now(UTC) - timedelta(hours=int(hours))
    return _EVER


def _get_actions(endpoint: WebhookEndpoint, session: Session) -> list[Action]:
    """Return what the caller may do to the endpoint as it is now."""
    state = "enabled" if endpoint.enabled else "disabled"
    return [
        action
        for action in WEBHOOK_ACTIONS.values()
        if session.allows(action.scope)
        and state in action.statuses
        and (action.name != "redeliver-failed" or endpoint.needs_attention)
    ]

"""Stream tickets: an `EventSource` opens the stream of one order without a key in its URL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID, uuid4

import httpx
import pytest
from gateway_harness import MakeKey, Record, Serve, bearer
from pydantic import SecretStr
from structlog.testing import capture_logs

from fuze_gateway.auth.principals import Principal, Role, Scope, UnauthenticatedError
from fuze_gateway.auth.stream_tickets import StreamTickets

_VIEWER = Principal(name="shop", id="api-key:shop", scopes=frozenset({Scope.ORDERS_READ}))


@pytest.fixture(scope="module")
async def streams(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway for several merchants, whose streams are short."""
    async with serve(
        authentication="required", ownership="caller", stream_lifetime=timedelta(seconds=0.05)
    ) as http:
        yield http


async def get_ticket(http: httpx.AsyncClient, order_id: UUID, key: str) -> dict[str, str]:
    response = await http.post(f"/orders/{order_id}/events/ticket", headers=bearer(key))
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    ticket: dict[str, str] = response.json()
    return ticket


async def test_a_ticket_opens_the_stream_of_its_order_without_a_key(
    streams: httpx.AsyncClient, make_key: MakeKey, record: Record, order_id: UUID
) -> None:
    client = f"shop-{uuid4().hex[:8]}"
    await record(order_id, owner=f"api-key:{client}")
    ticket = await get_ticket(streams, order_id, await make_key(Role.MERCHANT, client=client))

    first = await streams.get(ticket["stream_url"])
    again = await streams.get(ticket["stream_url"] + "&last_event_id=1")

    assert first.status_code == again.status_code == 200
    assert "id: 1" in first.text
    assert "id: 2" in again.text
    assert "id: 1" not in again.text


async def test_an_approver_who_may_see_every_order_gets_a_ticket_for_any(
    streams: httpx.AsyncClient, make_key: MakeKey, record: Record, order_id: UUID
) -> None:
    await record(order_id, owner="api-key:another")

    ticket = await get_ticket(streams, order_id, await make_key(Role.APPROVER))

    assert (await streams.get(ticket["stream_url"])).status_code == 200


async def test_a_merchant_gets_no_ticket_for_the_order_of_another(
    streams: httpx.AsyncClient, make_key: MakeKey, record: Record, order_id: UUID
) -> None:
    await record(order_id, owner="api-key:another")
    headers = bearer(await make_key(Role.MERCHANT))

    response = await streams.post(f"/orders/{order_id}/events/ticket", headers=headers)

    assert response.status_code == 404


async def test_a_ticket_opens_nothing_else(
    streams: httpx.AsyncClient, make_key: MakeKey, record: Record, order_id: UUID
) -> None:
    other = uuid4()
    await record(order_id)
    await record(other)
    ticket = (await get_ticket(streams, order_id, await make_key(Role.ADMIN)))["ticket"]

    responses = [
        await streams.get(f"/orders/{other}/events/stream?ticket={ticket}"),
        await streams.get(f"/orders/{order_id}/events?ticket={ticket}"),
        await streams.get(f"/orders/{order_id}?ticket={ticket}"),
        await streams.post(f"/orders/{order_id}/cancel?ticket={ticket}"),
        await streams.post(f"/orders/{order_id}/events/ticket?ticket={ticket}"),
        await streams.get(f"/orders/{order_id}/events/stream?ticket={ticket}x"),
        await streams.get(f"/orders/{order_id}/events/stream?ticket="),
        await streams.get(f"/orders/{order_id}/events/stream"),
    ]

    assert [response.status_code for response in responses] == [401] * 8


async def test_a_ticket_for_an_unknown_order_is_a_404(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await gateway.post(f"/orders/{order_id}/events/ticket")

    assert response.status_code == 404


def test_a_ticket_expires(order_id: UUID) -> None:
    tickets = StreamTickets(SecretStr("key"))
    with patch("itsdangerous.timed.time.time", return_value=1_000_000_000):
        ticket = tickets.issue(_VIEWER, order_id)

    with pytest.raises(UnauthenticatedError, match="Get another one"):
        tickets.authenticate(ticket.text, order_id)


def test_a_ticket_names_the_caller_that_it_was_issued_to(order_id: UUID) -> None:
    tickets = StreamTickets(SecretStr("key"))

    assert tickets.authenticate(tickets.issue(_VIEWER, order_id).text, order_id) == _VIEWER


def test_a_ticket_of_another_signing_key_is_invalid(order_id: UUID) -> None:
    ticket = StreamTickets(SecretStr("another")).issue(_VIEWER, order_id)

    with pytest.raises(UnauthenticatedError):
        StreamTickets(SecretStr("key")).authenticate(ticket.text, order_id)


async def test_a_stream_that_a_ticket_opened_ends_before_a_revocation_matters(
    serve: Serve, make_key: MakeKey, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    with patch("fuze_gateway.orders.endpoints.stream.MAX_TICKETED_STREAM", timedelta(seconds=0.1)):
        async with serve(authentication="required") as http, asyncio.timeout(10):
            ticket = await get_ticket(http, order_id, await make_key(Role.VIEWER))
            response = await http.get(ticket["stream_url"])

    assert "id: 2" in response.text


async def test_a_ticket_is_in_no_log_line(
    streams: httpx.AsyncClient, make_key: MakeKey, record: Record, order_id: UUID
) -> None:
    await record(order_id)
    ticket = await get_ticket(streams, order_id, await make_key(Role.ADMIN))
    with capture_logs() as logs:
        await streams.get(ticket["stream_url"])
        await streams.get(ticket["stream_url"] + "x")

    assert logs
    assert ticket["ticket"] not in str(logs)

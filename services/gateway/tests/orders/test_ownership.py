"""Ownership: a merchant has access to its own orders only."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from gateway_harness import MakeKey, Record, Serve, bearer
from temporalio.client import Client

from fuze_gateway.auth.principals import Principal, Role, get_scopes
from fuze_gateway.database import Database
from fuze_gateway.orders.ownership import OrderOwnership
from fuze_gateway.orders.queries import OrderQueries
from fuze_gateway.orders.workflow_queries import WorkflowQueries
from fuze_gateway.upstreams import UpstreamUnavailableError

_SMALL = {"address": {"zip_code": "10001"}}


@pytest.fixture(scope="module")
async def shops(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway for several merchants."""
    async with serve(authentication="required", ownership="caller") as http:
        yield http


@pytest.fixture
async def owner(make_key: MakeKey) -> dict[str, str]:
    return bearer(await make_key(Role.MERCHANT, client=f"shop-{uuid4().hex[:8]}"))


@pytest.fixture
async def other_merchant(make_key: MakeKey) -> dict[str, str]:
    return bearer(await make_key(Role.MERCHANT))


def _requests(
    http: httpx.AsyncClient, order_id: UUID, headers: dict[str, str]
) -> list[Callable[[], Awaitable[httpx.Response]]]:
    """Return every request of a merchant to an order."""

    def request(
        method: str, path: str, json: object = None
    ) -> Callable[[], Awaitable[httpx.Response]]:
        return lambda: http.request(method, f"/orders/{order_id}{path}", headers=headers, json=json)

    return [
        request("GET", ""),
        request("GET", "/status"),
        request("GET", "/events"),
        request("GET", "/events/stream"),
        request("GET", "/payments"),
        request("GET", "/returns"),
        request("GET", f"/returns/{uuid4()}"),
        request("POST", "/returns", {"lines": [{"line_id": "1", "quantity": 1}]}),
        request("POST", f"/returns/{uuid4()}/cancel"),
        request("POST", "/cancel"),
        request("POST", "/signals/cancel"),
        request("PUT", "/address", _SMALL),
        request("POST", "/signals/change-address", _SMALL),
        request("PUT", "/payment-method", {"payment_method": "pm_card_visa"}),
    ]


async def test_the_order_of_another_caller_is_not_found(
    shops: httpx.AsyncClient, owner: dict[str, str], other_merchant: dict[str, str], order_id: UUID
) -> None:
    await shops.post(f"/orders/{order_id}/start", json=_SMALL, headers=owner)

    responses = [await send() for send in _requests(shops, order_id, other_merchant)]
    unknown = [await send() for send in _requests(shops, uuid4(), other_merchant)]

    assert {response.status_code for response in responses + unknown} == {404}
    details = {one.json()["detail"].replace(str(order_id), "") for one in responses}
    assert details == {"Order  does not exist."}


async def test_the_owner_has_access_before_and_after_its_order_is_recorded(
    shops: httpx.AsyncClient, owner: dict[str, str], record: Record, order_id: UUID
) -> None:
    await shops.post(f"/orders/{order_id}/start", json=_SMALL, headers=owner)
    status = await shops.get(f"/orders/{order_id}/status", headers=owner)
    cancelled = await shops.post(f"/orders/{order_id}/cancel", headers=owner)
    await record(order_id, owner=await _get_owner(shops, owner))

    assert (status.status_code, cancelled.status_code) == (200, 200)
    assert (await shops.get(f"/orders/{order_id}", headers=owner)).status_code == 200


async def _get_owner(shops: httpx.AsyncClient, headers: dict[str, str]) -> str:
    key_id = headers["Authorization"].split("_")[1]
    services = shops._transport.app.state.services  # type: ignore[attr-defined] # of ASGITransport
    return f"api-key:{(await services.api_keys.find(key_id)).client}"


@pytest.mark.parametrize("role", [Role.APPROVER, Role.OPERATOR, Role.ADMIN])
async def test_approvers_operators_and_administrators_have_access_to_every_order(
    shops: httpx.AsyncClient, owner: dict[str, str], make_key: MakeKey, order_id: UUID, role: Role
) -> None:
    await shops.post(f"/orders/{order_id}/start", json=_SMALL, headers=owner)

    response = await shops.get(f"/orders/{order_id}/status", headers=bearer(await make_key(role)))

    assert response.status_code == 200


async def test_a_merchant_lists_its_own_orders_only(
    shops: httpx.AsyncClient, make_key: MakeKey, record: Record, order_id: UUID
) -> None:
    owner, other_merchant = [bearer(await make_key(Role.MERCHANT)) for _ in range(2)]
    await record(order_id, owner=await _get_owner(shops, owner))
    operator = bearer(await make_key(Role.OPERATOR))

    async def listed(headers: dict[str, str]) -> list[str]:
        response = await shops.get("/orders", params={"q": str(order_id)[:13]}, headers=headers)
        return [order["order_id"] for order in response.json()["orders"]]

    assert await listed(owner) == await listed(operator) == [str(order_id)]
    assert await listed(other_merchant) == []


async def test_a_bulk_request_reports_the_orders_of_others_as_not_found(
    shops: httpx.AsyncClient, owner: dict[str, str], other_merchant: dict[str, str]
) -> None:
    ids = {name: uuid4() for name in ("own", "other")}
    await shops.post(f"/orders/{ids['own']}/start", json=_SMALL, headers=owner)
    await shops.post(f"/orders/{ids['other']}/start", json=_SMALL, headers=other_merchant)

    response = await shops.post(
        "/orders/bulk/cancel",
        json={"order_ids": [str(one) for one in ids.values()]},
        headers=owner,
    )

    own, other = response.json()["results"]
    assert own["problem"] is None
    assert other["problem"]["type"] == "/problems/order-not-found"


async def test_an_order_cannot_be_replayed_by_another_caller(
    shops: httpx.AsyncClient, owner: dict[str, str], other_merchant: dict[str, str], order_id: UUID
) -> None:
    async def start(headers: dict[str, str]) -> int:
        response = await shops.post(f"/orders/{order_id}/start", json=_SMALL, headers=headers)
        return response.status_code

    assert [await start(one) for one in (owner, owner, other_merchant)] == [202, 202, 409]


async def test_an_order_whose_owner_is_not_known_now_is_unavailable(
    without_database: httpx.AsyncClient, temporal: Client, no_database: Database, order_id: UUID
) -> None:
    await without_database.post(f"/orders/{order_id}/start", json=_SMALL)
    ownership = OrderOwnership(
        OrderQueries(no_database), WorkflowQueries(temporal, timedelta(seconds=2)), is_enforced=True
    )
    merchant = Principal(name="shop", id="api-key:shop", scopes=get_scopes([Role.MERCHANT]))

    with pytest.raises(UpstreamUnavailableError):  # it was placed without authentication
        await ownership.require_access(merchant, order_id)

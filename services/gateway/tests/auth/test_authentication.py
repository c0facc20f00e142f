"""Authentication by API key, and the actor of an order's events."""

from uuid import uuid4

import httpx
import pytest
from gateway_harness import MakeKey, bearer
from temporalio.client import Client

from fuze_contracts.order import PlaceOrder

SMALL = {"address": {"zip_code": "10001"}}


async def placed_order(temporal: Client, order_id: str) -> PlaceOrder:
    history = await temporal.get_workflow_handle(f"order/{order_id}").fetch_history()
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    [order] = await temporal.data_converter.decode(payloads, [PlaceOrder])
    assert isinstance(order, PlaceOrder)
    return order


async def test_a_valid_key_authenticates_and_its_client_is_the_actor(
    secured: httpx.AsyncClient, make_key: MakeKey, temporal: Client
) -> None:
    headers = bearer(await make_key(client="shop"))
    order_id = str(uuid4())
    placed = await secured.post(f"/orders/{order_id}/start", json=SMALL, headers=headers)

    alone = await secured.post(f"/orders/{order_id}/approve", headers=headers)
    for_ada = await secured.post(
        f"/orders/{order_id}/reject", json={"actor": "ada"}, headers=headers
    )

    assert placed.status_code == 202
    assert (await placed_order(temporal, order_id)).placed_by == "shop"
    assert alone.json()["reason"] == "approve by shop"
    assert for_ada.json()["reason"] == "reject by ada via shop: None"


async def test_two_callers_may_use_the_same_idempotency_key(
    secured: httpx.AsyncClient, make_key: MakeKey
) -> None:
    ids = set()
    for _ in range(2):
        headers = bearer(await make_key()) | {"Idempotency-Key": "cart-1"}
        ids.add((await secured.post("/orders", json=SMALL, headers=headers)).json()["order_id"])

    assert len(ids) == 2


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic YWRhOmxvdmVsYWNl",
        "Bearer fz_0123456789ab",
        f"Bearer fz_0123456789ab_{'0' * 64}",
        f"Bearer fz_0123456789AB_{'0' * 64}",
    ],
)
async def test_missing_or_invalid_credentials_are_rejected(
    secured: httpx.AsyncClient, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    response = await secured.get("/orders", headers=headers)

    assert (response.status_code, response.json()["type"]) == (401, "/problems/unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"

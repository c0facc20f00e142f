"""Returns of an order, as far as they are decided without the order service."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fake_workflows import BUSY
from gateway_harness import MakeKey, Record, Serve, UpdatesInFlight, bearer
from temporalio.client import Client

from fuze_contracts.read_models import PublishedReturn
from fuze_contracts.workflow_ids import return_workflow_id
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.auth.principals import ALL_SCOPES, Principal, Role
from fuze_gateway.returns.commands import (
    build_return,
    get_fingerprint,
    get_return_id,
    rebuild_return,
)
from fuze_gateway.returns.schemas import RequestReturnRequest, ReturnLineRequest

RETURN: dict[str, Any] = {
    "lines": [{"line_id": "1", "quantity": 2}],
    "reason": "does not fit",
    "actor": "ada",
}
Insert = Callable[..., Awaitable[UUID]]


async def request_return(
    http: httpx.AsyncClient, order_id: UUID, key: str = "return-1", **changes: object
) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return await http.post(f"/orders/{order_id}/returns", json=RETURN | changes, headers=headers)


@pytest.fixture
def insert(postgres: EmbeddedPostgres) -> Insert:
    """Insert a return as the order service would, of two units of the line 1."""

    async def inserted(
        order_id: UUID,
        return_id: UUID | None = None,
        *,
        status: str = "requested",
        fingerprint: str = "none",
    ) -> UUID:
        return_id = return_id or uuid4()
        connection = await asyncpg.connect(postgres.dsn)
        await connection.execute(
            "INSERT INTO orders.returns (id, order_id, status, include_shipping, reason, actor,"
            " fingerprint, amount_minor, created_at, updated_at)"
            " VALUES ($1, $2, $3, true, 'does not fit', 'ada', $4, $5, now(), now())",
            *(return_id, order_id, status, fingerprint, 3998 if status == "refunded" else None),
        )
        await connection.execute(
            "INSERT INTO orders.return_lines (return_id, position, line_id, quantity)"
            " VALUES ($1, 1, '1', 2)",
            return_id,
        )
        await connection.close()
        return return_id

    return inserted


def _problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].removeprefix("/problems/")


# Requests


async def test_a_return_is_created_with_its_location(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    response = await request_return(gateway, shipped)

    created = response.json()
    assert response.status_code == 201
    assert created["return_id"] == str(get_return_id(shipped, "return-1"))
    url = f"/orders/{shipped}/returns/{created['return_id']}"
    assert response.headers["Location"] == created["return_url"] == url


async def test_a_request_is_sent_again_while_the_return_is_in_the_middle_of_a_step(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    assert (await request_return(gateway, shipped, reason=BUSY)).status_code == 201


async def test_the_workflow_of_a_return_gets_the_request_and_the_caller(
    gateway: httpx.AsyncClient, temporal: Client, shipped: UUID
) -> None:
    created = (await request_return(gateway, shipped, include_shipping=True)).json()

    handle = temporal.get_workflow_handle(return_workflow_id(shipped, UUID(created["return_id"])))
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    command = (await temporal.data_converter.decode(started.input.payloads))[0]
    assert command["lines"] == [{"line_id": "1", "quantity": 2}]
    assert (command["include_shipping"], command["reason"], command["actor"]) == (
        True,
        "does not fit",
        "ada",
    )


@pytest.mark.parametrize(
    ("reason", "problem"),
    [("not shipped", "order-not-returnable"), ("too many", "return-too-large")],
)
async def test_a_refused_return_is_a_conflict_and_may_be_requested_again(
    gateway: httpx.AsyncClient, shipped: UUID, reason: str, problem: str
) -> None:
    refused = await request_return(gateway, shipped, reason=reason)
    again = await request_return(gateway, shipped)

    assert _problem(refused) == (409, problem)
    assert again.status_code == 201


async def test_a_return_that_is_too_large_says_how_many_units_are_left(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    problem = (await request_return(gateway, shipped, reason="too many")).json()

    assert (problem["line_id"], problem["returnable"]) == ("1", 1)
    assert "line 1" in problem["detail"]
    assert "At most 1 is left" in problem["detail"]


async def test_shipping_costs_are_returned_once(gateway: httpx.AsyncClient, shipped: UUID) -> None:
    response = await request_return(
        gateway, shipped, include_shipping=True, reason="shipping twice"
    )

    assert _problem(response) == (409, "return-too-large")
    assert response.json()["line_id"] is None
    assert "shipping costs" in response.json()["detail"]


async def test_a_line_that_the_order_does_not_have_is_invalid(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    lines = [{"line_id": "1", "quantity": 1}, {"line_id": "42", "quantity": 1}]

    response = await request_return(gateway, shipped, lines=lines)

    assert _problem(response) == (422, "invalid-request")
    [error] = response.json()["errors"]
    assert error["loc"] == ["body", "lines", 1, "line_id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": []},
        {"lines": [{"line_id": "1", "quantity": 0}]},
        {"lines": [{"line_id": "1", "quantity": 1}, {"line_id": "1", "quantity": 1}]},
        {"reason": ""},
        {"amount_minor": 1999},
    ],
    ids=["no line", "nothing of a line", "a line twice", "an empty reason", "an amount"],
)
async def test_an_invalid_return_is_rejected(
    gateway: httpx.AsyncClient, shipped: UUID, changes: dict[str, object]
) -> None:
    response = await request_return(gateway, shipped, **changes)

    assert _problem(response) == (422, "invalid-request")


async def test_a_return_without_an_idempotency_key_is_rejected(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    response = await gateway.post(f"/orders/{shipped}/returns", json=RETURN)

    assert _problem(response) == (400, "idempotency-key-missing")


async def test_a_return_of_an_unknown_order_is_not_found(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    requested = await request_return(gateway, order_id)
    listed = await gateway.get(f"/orders/{order_id}/returns")

    assert _problem(requested) == _problem(listed) == (404, "order-not-found")


async def test_a_key_of_an_open_return_is_not_used_for_another(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    first = await request_return(gateway, shipped)
    again = await request_return(gateway, shipped)
    other = await request_return(gateway, shipped, reason="broken")

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert _problem(other) == (422, "idempotency-key-reused")


async def test_a_recorded_return_is_replayed_without_temporal_whatever_its_status(
    without_temporal: httpx.AsyncClient, shipped: UUID, insert: Insert
) -> None:
    lines = [ReturnLineRequest(line_id="1", quantity=2)]
    fingerprint = get_fingerprint(RequestReturnRequest(lines=lines, reason="does not fit"), "ada")
    return_id = get_return_id(shipped, "return-1")
    await insert(shipped, return_id, status="approved", fingerprint=fingerprint)

    again = await request_return(without_temporal, shipped)
    other = await request_return(without_temporal, shipped, reason="broken")

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == {
        "order_id": str(shipped),
        "return_id": str(return_id),
        "return_url": f"/orders/{shipped}/returns/{return_id}",
    }
    assert _problem(other) == (422, "idempotency-key-reused")


async def test_a_return_without_an_answer_of_the_order_service_is_unavailable(
    serve: Serve, shipped: UUID
) -> None:
    async with serve() as http:
        response = await request_return(http, shipped, reason="STUCK")

    assert _problem(response) == (503, "unavailable")
    assert response.headers["Retry-After"]


async def test_returns_are_unavailable_without_an_upstream(
    without_database: httpx.AsyncClient,
    without_temporal: httpx.AsyncClient,
    shipped: UUID,
    insert: Insert,
) -> None:
    url = f"/orders/{shipped}/returns"
    return_id = await insert(shipped)

    responses = [
        await request_return(without_database, shipped),
        await without_database.get(url),
        await without_database.get(f"{url}/{return_id}"),
        await without_database.post(f"{url}/{return_id}/approve"),
        await request_return(without_temporal, shipped),
        await without_temporal.post(f"{url}/{return_id}/approve"),
    ]

    assert {_problem(one) for one in responses} == {(503, "unavailable")}


# Reads


async def test_returns_are_listed_oldest_first(
    gateway: httpx.AsyncClient, shipped: UUID, insert: Insert
) -> None:
    ids = [await insert(shipped, status="refunded"), await insert(shipped)]

    listed = (await gateway.get(f"/orders/{shipped}/returns")).json()

    assert listed["order_id"] == str(shipped)
    assert [one["return_id"] for one in listed["returns"]] == [str(one) for one in ids]
    refunded, requested = listed["returns"]
    assert (refunded["status"], refunded["amount_minor"], refunded["currency"]) == (
        "refunded",
        3998,
        "USD",
    )
    assert (requested["status"], requested["amount_minor"]) == ("requested", None)


async def test_an_order_without_returns_lists_none(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    response = await gateway.get(f"/orders/{shipped}/returns")

    assert response.json() == {"order_id": str(shipped), "returns": []}


async def test_a_return_is_read_by_its_id(
    gateway: httpx.AsyncClient, shipped: UUID, insert: Insert
) -> None:
    return_id = await insert(shipped)

    found = (await gateway.get(f"/orders/{shipped}/returns/{return_id}")).json()

    assert found["return_id"] == str(return_id)
    assert found["lines"] == [{"line_id": "1", "quantity": 2}]
    assert (found["include_shipping"], found["reason"], found["actor"]) == (
        True,
        "does not fit",
        "ada",
    )


async def test_the_return_of_another_order_is_not_found(
    gateway: httpx.AsyncClient, shipped: UUID, insert: Insert, record: Record
) -> None:
    return_id, other = await insert(shipped), uuid4()
    await record(other, status="shipped")

    read = await gateway.get(f"/orders/{other}/returns/{return_id}")
    changed = await gateway.post(f"/orders/{other}/returns/{return_id}/approve")

    assert _problem(read) == _problem(changed) == (404, "return-not-found")


@pytest.mark.parametrize("return_id", ["42", str(UUID(int=0))])
async def test_an_id_that_no_return_can_have_is_invalid(
    gateway: httpx.AsyncClient, order_id: UUID, return_id: str
) -> None:
    response = await gateway.get(f"/orders/{order_id}/returns/{return_id}")

    assert _problem(response) == (422, "invalid-request")


# Changes


@pytest.mark.parametrize(
    ("actions", "status"),
    [
        (["approve", "receive"], "received"),
        (["reject"], "rejected"),
        (["approve", "cancel"], "cancelled"),
    ],
    ids=["received", "rejected", "cancelled"],
)
async def test_each_action_answers_with_the_return_after_it(
    gateway: httpx.AsyncClient, shipped: UUID, insert: Insert, actions: list[str], status: str
) -> None:
    url = f"/orders/{shipped}/returns/{await insert(shipped)}"

    responses = [await gateway.post(f"{url}/{action}") for action in actions]

    assert {one.status_code for one in responses} == {200}
    assert responses[-1].json()["status"] == status
    assert responses[-1].json()["return_url"] == url


async def test_an_action_that_does_not_fit_the_status_is_a_conflict_that_says_it(
    gateway: httpx.AsyncClient, shipped: UUID, insert: Insert
) -> None:
    url = f"/orders/{shipped}/returns/{await insert(shipped)}"
    await gateway.post(f"{url}/approve", json={"actor": "grace"})

    response = await gateway.post(f"{url}/reject", json={"reason": "too late"})

    assert _problem(response) == (409, "return-status-conflict")
    assert response.json()["return_status"] == "approved"
    assert response.json()["detail"].endswith("is approved.")


async def test_a_burst_of_actions_stays_below_the_limit_of_updates_in_flight(
    serve: Serve, temporal: Client, shipped: UUID, insert: Insert
) -> None:
    counter = UpdatesInFlight()
    url = f"/orders/{shipped}/returns/{await insert(shipped)}"

    async with serve(client=counter.client(temporal), refund_timeout=timedelta(seconds=20)) as http:
        responses = await asyncio.gather(*(http.post(f"{url}/approve") for _ in range(30)))

    assert sorted(one.status_code for one in responses) == [200] + [409] * 29
    assert counter.highest == 2  # Temporal allows ten, from all gateways


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("the parcel is back", (409, "order-not-returnable")),
        ("the return was refused", (404, "return-not-found")),
    ],
)
async def test_a_change_that_the_order_service_refuses_is_a_problem_at_once(
    gateway: httpx.AsyncClient,
    shipped: UUID,
    insert: Insert,
    reason: str,
    problem: tuple[int, str],
) -> None:
    url = f"/orders/{shipped}/returns/{await insert(shipped)}"

    assert _problem(await gateway.post(f"{url}/approve", json={"reason": reason})) == problem


async def test_a_return_whose_workflow_was_terminated_is_requested_again_under_its_key(
    gateway: httpx.AsyncClient, temporal: Client, shipped: UUID
) -> None:
    created = (await request_return(gateway, shipped)).json()
    return_id = UUID(created["return_id"])
    await temporal.get_workflow_handle(return_workflow_id(shipped, return_id)).terminate()

    again = await request_return(gateway, shipped)

    assert again.status_code == 201
    assert again.json() == created


async def test_a_merchant_requests_and_cancels_a_return_but_does_not_approve_it(
    secured: httpx.AsyncClient, make_key: MakeKey, shipped: UUID, insert: Insert
) -> None:
    merchant = bearer(await make_key(Role.MERCHANT))
    url = f"/orders/{shipped}/returns/{await insert(shipped)}"

    approved = await secured.post(f"{url}/approve", headers=merchant)
    cancelled = await secured.post(f"{url}/cancel", headers=merchant)

    assert _problem(approved) == (403, "insufficient-scope")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


def test_a_stored_return_is_rebuilt_as_it_was_requested(order_id: UUID) -> None:
    alert_after = timedelta(hours=2)
    principal = Principal(name="shop", id="api-key:shop", scopes=ALL_SCOPES)
    request = RequestReturnRequest(
        lines=[ReturnLineRequest(line_id="1", quantity=2)], include_shipping=True, actor="ada"
    )
    built = build_return(order_id, uuid4(), request, principal, alert_after)
    published = PublishedReturn(
        **built.model_dump(exclude={"step_failure_alert_after"}),
        status="approved",
        amount_minor=None,
        currency="USD",
        refund_code=None,
        created_at="2026-01-09T08:00:00Z",
        updated_at="2026-01-09T08:00:00Z",
    )

    assert built.actor == "ada via shop"
    assert rebuild_return(published, alert_after) == built


async def test_the_open_returns_of_all_orders_are_listed_oldest_first(
    gateway: httpx.AsyncClient, insert: Insert, shipped: UUID
) -> None:
    oldest, closed, newest = [
        await insert(shipped, status=status) for status in ("requested", "rejected", "approved")
    ]

    listed = (await gateway.get("/returns")).json()["returns"]

    ours = [one["return_id"] for one in listed if one["order_id"] == str(shipped)]
    assert ours == [str(oldest), str(newest)]
    assert str(closed) not in ours

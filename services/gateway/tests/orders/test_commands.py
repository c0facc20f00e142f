"""Commands to an order that wait for the outcome."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fake_workflows import BUSY
from gateway_harness import WHOLE_ADDRESS, Serve, UpdatesInFlight
from temporalio.client import (
    Client,
)

from fuze_contracts.address import Address
from fuze_contracts.order import OrderWorkflow, PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id

COMMANDS: dict[tuple[str, str], tuple[dict[str, Any], str, str]] = {
    ("POST", "approve"): ({}, "approve by ada", "already-approved"),
    ("POST", "reject"): ({"reason": "no"}, "reject by ada: no", "not-awaiting-approval"),
    ("POST", "cancel"): ({"reason": "no"}, "cancel by ada: no", "too-late-to-cancel"),
    ("PUT", "address"): (
        {"address": WHOLE_ADDRESS},
        "94105 by ada",
        "address-invalid",
    ),
    ("PUT", "payment-method"): (
        {"payment_method": "pm_card_visa"},
        "pm_card_visa by ada",
        "not-awaiting-payment-method",
    ),
    ("POST", "retry"): ({}, "retry by ada", "nothing-to-retry"),
}


async def send(
    http: httpx.AsyncClient, order_id: UUID, command: tuple[str, str], actor: str = "ada"
) -> httpx.Response:
    method, name = command
    body = COMMANDS[command][0] | {"actor": actor}
    return await http.request(method, f"/orders/{order_id}/{name}", json=body)


async def place(http: httpx.AsyncClient, order_id: UUID) -> None:
    body = {"address": {"zip_code": "10001"}}
    assert (await http.post(f"/orders/{order_id}/start", json=body)).status_code == 202


async def test_a_command_is_sent_again_while_the_order_is_in_the_middle_of_a_step(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(gateway, order_id)

    response = await send(gateway, order_id, ("POST", "approve"), actor=BUSY)

    assert response.status_code == 200


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one[1])
async def test_the_response_is_the_order_after_the_command(
    gateway: httpx.AsyncClient, order_id: UUID, command: tuple[str, str]
) -> None:
    await place(gateway, order_id)

    response = await send(gateway, order_id, command)

    assert response.status_code == 200
    assert response.json() == {
        "order_id": str(order_id),
        "status": "awaiting_approval",
        "payment_status": "none",
        "last_seq": 2,
        "reason": COMMANDS[command][1],  # the fake workflow reports the command there
        "tracking_number": None,
        "needs_attention": False,
    }


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one[1])
async def test_a_rejected_command_has_the_reason_as_its_problem_type(
    gateway: httpx.AsyncClient, order_id: UUID, command: tuple[str, str]
) -> None:
    await place(gateway, order_id)

    response = await send(gateway, order_id, command, actor="mallory")

    assert response.status_code == (422 if command[1] == "address" else 409)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == f"/problems/{COMMANDS[command][2]}"
    if command[1] == "address":
        assert response.json()["detail"].endswith("cannot ship to the address: not now.")


async def test_a_rejected_address_names_the_rule(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(gateway, order_id)

    response = await send(gateway, order_id, ("PUT", "address"), actor="mallory")

    assert response.json()["detail"] == f"Order {order_id} cannot ship to the address: not now."


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one[1])
async def test_a_command_to_an_unknown_order_is_not_found(
    gateway: httpx.AsyncClient, order_id: UUID, command: tuple[str, str]
) -> None:
    response = await send(gateway, order_id, command)

    assert (response.status_code, response.json()["type"]) == (404, "/problems/order-not-found")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one[1])
async def test_a_command_is_unavailable_without_temporal(
    without_temporal: httpx.AsyncClient, order_id: UUID, command: tuple[str, str]
) -> None:
    response = await send(without_temporal, order_id, command)

    assert response.status_code == 503
    assert response.headers["retry-after"]


@pytest.mark.parametrize("name", ["approve", "reject", "cancel", "retry"])
async def test_a_command_without_required_fields_needs_no_body(
    gateway: httpx.AsyncClient, order_id: UUID, name: str
) -> None:
    await place(gateway, order_id)

    assert (await gateway.post(f"/orders/{order_id}/{name}")).status_code == 200


async def test_a_command_is_unavailable_without_a_worker(
    serve: Serve, temporal: Client, order_id: UUID
) -> None:
    order = PlaceOrder(
        order_id=order_id,
        address=Address(country="US", postal_code="10001"),
        fingerprint="none",
        payment_token=f"{order_id}:1",
    )
    await temporal.start_workflow(
        OrderWorkflow.run,
        order,
        id=order_workflow_id(order_id),
        task_queue="queue-without-a-worker",
    )
    async with serve(read_timeout=timedelta(seconds=0.3)) as http:
        responses = [
            await http.post(f"/orders/{order_id}/approve"),
            await http.put(f"/orders/{order_id}/address", json={"address": WHOLE_ADDRESS}),
        ]

    assert [response.status_code for response in responses] == [503, 503]
    assert all(response.headers["retry-after"] for response in responses)


async def test_a_burst_of_commands_stays_below_the_limit_of_updates_in_flight(
    serve: Serve, temporal: Client, order_id: UUID
) -> None:
    counter = UpdatesInFlight()
    async with serve(client=counter.client(temporal), read_timeout=timedelta(seconds=20)) as http:
        await place(http, order_id)
        responses = await asyncio.gather(
            *(send(http, order_id, ("POST", "cancel")) for _ in range(40))
        )

    assert {response.status_code for response in responses} == {200}
    assert counter.highest == 2  # Temporal allows ten, from all gateways

"""What becomes of orders that are shipped: deliveries, returns, and what is recorded outside."""

from typing import Any

from stack_client import StackClient, eventually


def count_records(stack: StackClient, order_ids: list[str]) -> dict[str, tuple[int, int, int]]:
    """Return how many captured charges, refunds and parcels each order has outside of Fuze."""
    return {
        order_id: (
            sum(one["status"] == "charged" for one in stack.get_charges(order_id)),
            len(stack.get_refunds(order_id)),
            len(stack.get_parcels(order_id)),
        )
        for order_id in order_ids
    }


def request_approved_return(stack: StackClient, order_id: str) -> str:
    gateway = stack.connection_info["gateway"]["url"]
    requested = stack.http.post(
        f"{gateway}/orders/{order_id}/returns",
        json={"lines": [{"line_id": "1", "quantity": 2}]},
        headers={"Idempotency-Key": "a-return"},
    )
    assert requested.status_code == 201, requested.text
    url = str(requested.json()["return_url"])
    assert stack.post(f"{url}/approve", {"actor": "grace"}).status_code == 200
    return url


def deliver(stack: StackClient, order_id: str) -> None:
    [parcel] = stack.get_parcels(order_id)
    for status in ("in_transit", "delivered"):
        stack.post_sandbox(f"/carrier/parcels/{parcel['id']}/report", {"status": status})
    stack.wait_for_status(order_id, "delivered")


def receive_return(stack: StackClient, url: str) -> None:
    received = stack.post(f"{url}/receive", {"actor": "grace"})
    assert received.status_code == 200, received.text

    def find_refunded() -> dict[str, Any] | None:
        found: dict[str, Any] = stack.get(url).json()
        return found if found["status"] == "refunded" else None

    eventually(find_refunded, "the return is refunded")

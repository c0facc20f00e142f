"""The console in a real Chromium, in front of a whole stack."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from console_browser import Browser, Console, Device, launch_chromium, open_console
from scripted_server import Response, scripted_server
from stack_client import StackClient, eventually, start_order_workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

_ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 Elm Street",
    "city": "New York",
    "region": "NY",
    "postal_code": "10001",
}
_TEAPOT = {
    "customer": "cus_1815",
    "customer_name": "Ada Lovelace",
    "customer_email": "ada@example.com",
    "currency": "USD",
    "lines": [
        {"sku": "TEAPOT-1", "name": "Teapot, blue", "quantity": 2, "unit_price_minor": 4599},
        {"sku": "FILTER-9", "name": "Tea filter", "quantity": 1, "unit_price_minor": 799},
    ],
    "adjustments": [{"kind": "shipping", "label": "Standard shipping", "amount_minor": 499}],
    "address": _ADDRESS,
    "metadata": {"channel": "web"},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def console(browser: Browser, stack: StackClient, tmp_path: Path) -> Iterator[Console]:
    with open_console(browser, stack, tmp_path) as console:
        yield console


def _place(stack: StackClient, **changes: object) -> str:
    reference = f"WEB-{uuid4().hex[:8].upper()}"
    return stack.start_order(**(_TEAPOT | {"reference": reference} | changes))


def test_the_whole_life_of_an_order_is_played_through_the_console(
    stack: StackClient, console: Console
) -> None:
    order_id = _place(stack)
    reference = stack.wait_for_status(order_id, "awaiting_approval")["durable"]["reference"]
    page = console.page

    console.open("/orders")
    page.get_by_label("Search", exact=True).fill(reference)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=reference).click()
    page.get_by_text("Waits for an approval").wait_for()
    console.act("Approve")
    # No reload: each event changes the page.
    page.get_by_text("Shipped", exact=True).first.wait_for()
    tracking_number = stack.wait_for_status(order_id, "shipped")["tracking_number"]
    page.get_by_text(tracking_number).first.wait_for()
    console.act("Refund", reason="a broken filter")
    page.get_by_text("Refund: a broken filter").wait_for()
    console.shoot("order-refunded")

    events = stack.get(f"/orders/{order_id}/events").json()["events"]
    actors = {event["type"]: event["actor"] for event in events}
    assert actors["order_approved"] == actors["refund_requested"] == "grace"
    assert stack.get_order(order_id)["payment_status"] == "refunded"


def test_a_return_is_requested_approved_and_received_in_the_console(
    stack: StackClient, console: Console
) -> None:
    order_id = _place(stack)
    stack.wait_for_status(order_id, "awaiting_approval")
    stack.approve(order_id)
    stack.wait_for_status(order_id, "shipped")

    console.open(f"/orders/{order_id}")
    console.act("Request return", reason="does not fit")
    console.open("/work/returns")
    row = console.page.get_by_role("row").filter(has_text=order_id[:8])
    row.get_by_role("link", name="Approve return").click()
    console.page.get_by_label("Reason").fill("unused")
    console.page.get_by_role("dialog").get_by_role("button", name="Approve return").click()
    console.page.get_by_text("The gateway accepted it.").wait_for()
    console.open(f"/orders/{order_id}")
    console.act("Receive goods", reason="all there")

    def refunded() -> bool:
        returns = stack.get(f"/orders/{order_id}/returns").json()["returns"]
        return [one["status"] for one in returns] == ["refunded"]

    eventually(refunded, "the return is refunded")
    console.page.get_by_text("Return refunded").first.wait_for()


def test_orders_are_approved_and_rejected_together(stack: StackClient, console: Console) -> None:
    orders = [_place(stack) for _ in range(3)]
    for order_id in orders:
        stack.wait_for_status(order_id, "awaiting_approval")
    references = [stack.get_order(order_id)["reference"] for order_id in orders]
    page = console.page

    console.open("/work/approvals")
    for reference in references[:2]:
        page.get_by_label(f"Select {reference}").check()
    page.get_by_role("button", name="Approve selected").click()
    page.get_by_role("button", name="Approve 2").click()
    page.get_by_role("heading", name="Approve: 2 done").wait_for()
    page.get_by_role("button", name="Close", exact=True).last.click()
    page.get_by_role("link", name=references[0]).wait_for(state="detached")
    page.get_by_label(f"Select {references[2]}").check()
    page.get_by_role("button", name="Reject selected").click()
    page.get_by_label("Reason").fill("looks like fraud")
    page.get_by_role("button", name="Reject 1").click()
    page.get_by_role("heading", name="Reject: 1 done").wait_for()

    for order_id in orders[:2]:
        stack.wait_for_status(order_id, "shipped")
    assert stack.wait_for_status(orders[2], "rejected")["reason"] == "looks like fraud"


async def _start_impatient_order(stack: StackClient) -> str:
    """Start an order whose failing step needs attention after a second."""
    client = await Client.connect(
        stack.connection_info["temporal"]["address"], data_converter=pydantic_data_converter
    )
    alert_after = timedelta(seconds=1)
    return str(await start_order_workflow(client, step_failure_alert_after=alert_after))


def test_an_order_that_needs_attention_is_found_and_retried(
    stack: StackClient, console: Console
) -> None:
    with ThreadPoolExecutor(1) as pool:  # in this thread Playwright's event loop runs
        order_id = pool.submit(asyncio.run, _start_impatient_order(stack)).result()
    page = console.page
    stack.wait_for_status(order_id, "awaiting_approval")
    stack.configure_sandbox("psp", available=False)
    stack.approve(order_id)
    eventually(lambda: stack.get_order(order_id)["needs_attention"], "the order needs attention")

    console.open("/work/attention")
    row = page.get_by_role("row").filter(has_text=order_id[:8])
    row.get_by_text("payment: ").wait_for()  # what it waits for, and why it fails
    console.shoot("attention")
    row.get_by_role("link", name=order_id[:8]).click()
    page.get_by_text("payment_charged").first.wait_for()
    console.shoot("order-failing")
    console.act("Retry now")
    stack.configure_sandbox("psp", available=True)

    page.get_by_text("Shipped", exact=True).first.wait_for()


def test_a_refusal_of_the_gateway_is_shown_as_it_is(stack: StackClient, console: Console) -> None:
    order_id = _place(stack)
    stack.wait_for_status(order_id, "awaiting_approval")
    console.open(f"/orders/{order_id}")
    page = console.page

    page.get_by_role("link", name="Cancel order").click()
    page.get_by_label("Reason").fill("too late")
    stack.post(f"/orders/{order_id}/cancel", {"actor": "ada"})
    page.get_by_role("dialog").get_by_role("button", name="Cancel order").click()

    alert = page.get_by_role("dialog").get_by_role("alert")
    alert.get_by_text("already-cancelled").wait_for()
    console.shoot("refusal")


def test_the_console_is_usable_by_keyboard_alone(stack: StackClient, console: Console) -> None:
    _place(stack)
    keyboard, page = console.page.keyboard, console.page

    keyboard.type("gs")
    page.wait_for_url("**/orders")  # loaded, with the script that listens
    keyboard.press("j")
    keyboard.press("Enter")
    page.wait_for_url("**/orders/*-*")
    page.get_by_role("heading", level=1).wait_for()
    keyboard.press("?")
    page.get_by_role("dialog").get_by_text("Search orders").wait_for()
    keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    keyboard.type("/")
    page.get_by_label("Search", exact=True).wait_for()


def test_a_filter_is_saved_in_the_browser_and_deleted(console: Console) -> None:
    page = console.page

    console.open("/orders?status=cancelled")
    page.get_by_placeholder("Name this filter").fill("Cancelled")
    page.get_by_role("button", name="Save filter").click()
    console.open("/orders")
    page.get_by_role("link", name="Cancelled", exact=True).click()
    page.wait_for_url("**/orders?status=cancelled")
    page.get_by_role("button", name="Delete the filter Cancelled").click()

    assert not page.get_by_role("link", name="Cancelled", exact=True).count()


@contextmanager
def _webhook_endpoint(stack: StackClient, url: str) -> Iterator[str]:
    """Create an endpoint that gets test messages only; yield its id."""
    body = {"url": url, "event_types": ["order_returned"], "description": "the shop"}
    endpoint_id = stack.post("/webhook-endpoints", body).json()["endpoint_id"]
    yield endpoint_id
    stack.delete(f"/webhook-endpoints/{endpoint_id}")


def test_a_webhook_endpoint_that_was_disabled_is_found_and_enabled_again(
    stack: StackClient, console: Console
) -> None:
    page = console.page
    with (
        scripted_server() as server,
        _webhook_endpoint(stack, f"{server.url}/hooks") as endpoint_id,
    ):
        path = f"/webhook-endpoints/{endpoint_id}"
        server.respond(Response(410))
        console.open("/work/webhooks")
        page.get_by_role("link", name="the shop").click()
        console.act("Send test message")
        eventually(lambda: not stack.get(path).json()["enabled"], "the endpoint is disabled")

        console.open("/")
        page.get_by_role("link", name="Webhooks 1").click()
        page.get_by_role("row").filter(has_text="Disabled: gone").get_by_role("link").first.click()
        page.get_by_text("It responded 410").wait_for()
        page.get_by_text("Webhook test").first.wait_for()
        console.shoot("webhook-endpoint-gone")
        server.respond(Response(204))
        console.act("Enable")

        def delivered() -> bool:
            deliveries = stack.get(f"{path}/deliveries").json()["deliveries"]
            return [one["state"] for one in deliveries] == ["delivered"]

        eventually(delivered, "the message that waited is delivered")
        page.reload()
        page.get_by_text("Delivered", exact=True).last.wait_for()


@pytest.fixture
def failing_endpoint(stack: StackClient) -> Iterator[str]:
    with _webhook_endpoint(stack, "http://127.0.0.1:9/webhooks") as endpoint_id:
        stack.post(f"/webhook-endpoints/{endpoint_id}/test")
        yield endpoint_id


@pytest.mark.parametrize(
    ("device", "dark"),
    [
        pytest.param("desktop", False, id="desktop"),
        pytest.param("desktop", True, id="dark", marks=pytest.mark.proof),
        pytest.param("phone", False, id="phone", marks=pytest.mark.proof),
    ],
)
def test_every_page_is_accessible_and_has_its_picture(  # noqa: PLR0913 - fixtures and parameters
    browser: Browser,
    stack: StackClient,
    failing_endpoint: str,
    tmp_path: Path,
    device: Device,
    *,
    dark: bool,
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    order_id = _place(stack)
    stack.wait_for_status(order_id, "awaiting_approval")
    pages = {
        "overview": "/",
        "orders": "/orders",
        "orders-empty": "/orders?q=nothing-matches",
        "order": f"/orders/{order_id}",
        "approvals": "/work/approvals",
        "needs-attention": "/work/attention",
        "returns": "/work/returns",
        "discrepancies": "/work/discrepancies",
        "webhooks": "/work/webhooks",
        "webhook-endpoint": f"/work/webhooks/{failing_endpoint}",
        "webhook-action": f"/work/webhooks/{failing_endpoint}/actions/redeliver-failed",
        "action": f"/orders/{order_id}/actions/reject",
        "not-found": f"/orders/{uuid4()}",
    }
    suffix = "-dark" if dark else "" if device == "desktop" else "-phone"
    found = {}
    with open_console(browser, stack, tmp_path, device=device, dark=dark) as console:
        for name, path in pages.items():
            console.open(path)
            console.shoot(name + suffix)
            violations = axe.run(console.page).response["violations"]
            serious = [one for one in violations if one["impact"] in {"serious", "critical"}]
            if serious:
                found[name] = [(one["id"], one["nodes"][0]["html"][:200]) for one in serious]
            width = console.page.evaluate("document.documentElement.scrollWidth")
            assert width <= console.page.viewport_size["width"], f"{name} scrolls sideways"

    assert not found

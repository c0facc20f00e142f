"""Record what the pictures of the documentation show: `make pictures`.

A stack runs some orders. The events of one, the trace of another, and pages of the console in a
real Chromium are written to docs/pictures, and a page of a chaos report. `deploy/pictures` draws
the rest.
"""

import argparse
import base64
import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from console_browser import Browser, launch_chromium, open_console
from history_scenarios import FUZE
from observed_services import SpanReceiver, receive_spans
from stack_client import StackClient, eventually

from fuze_client.requests import LineQuantity

_ROOT = Path(__file__).parent.parent
_PICTURES = _ROOT / "docs/pictures"
_RECORDED = _ROOT / "deploy/pictures/recorded"
_SETTINGS = {
    "FUZE_AUTO_APPROVE_LIMITS": '{"USD": 2000}',
    "FUZE_STEP_FAILURE_ALERT_AFTER": "1",
}
_CHAOS = ("--orders", "150", "--seed", "20261128")
_ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 Elm Street",
    "city": "New York",
    "region": "NY",
    "postal_code": "10001",
}
_PRODUCTS = {
    "Teapot, blue": ("TEAPOT-1", 4599),
    "Tea filter": ("FILTER-9", 799),
    "Green tea, 250 g": ("TEA-GREEN", 1450),
    "Cup, white": ("CUP-2", 1190),
}
_CUSTOMERS = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Katherine Johnson", "Edgar Codd")
_START = "POST /orders/{order_id}/start"
_ENDS = {"CompleteWorkflow:OrderWorkflow", "CompleteWorkflow:ShippingWorkflow"}


@contextmanager
def _run_stack(receiver: SpanReceiver) -> Iterator[StackClient]:
    settings = _SETTINGS | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    with tempfile.TemporaryDirectory(prefix="fuze-pictures-") as folder:
        stack = StackClient(Path(folder), FUZE, settings, is_measured=False)
        stack.start()
        try:
            yield stack
        finally:
            stack.stop()


class _Shop:
    """Places orders of a tea shop, one after the other."""

    def __init__(self, stack: StackClient) -> None:
        self._stack = stack
        self._count = 0

    def place(self, *products: str, quantity: int = 1, **changes: Any) -> str:  # noqa: ANN401 - fields
        """Place an order of these products."""
        self._count += 1
        customer = _CUSTOMERS[self._count % len(_CUSTOMERS)]
        lines = [
            {
                "sku": _PRODUCTS[name][0],
                "name": name,
                "quantity": quantity,
                "unit_price_minor": _PRODUCTS[name][1],
            }
            for name in products
        ]
        body = {
            "reference": f"WEB-{1840 + self._count}",
            "customer": f"cus_{1800 + self._count}",
            "customer_name": customer,
            "customer_email": f"{customer.split()[0].lower()}@example.com",
            "currency": "USD",
            "lines": lines,
            "payment_method": "pm_card_visa",
            "address": _ADDRESS | {"name": customer},
        }
        return self._stack.start_order(**(body | changes))


def _record_trace(stack: StackClient, shop: _Shop, receiver: SpanReceiver) -> None:
    """Record the spans of an order that is approved, charged and shipped at once."""
    shop.place("Tea filter")  # the first order warms the processes up
    order_id = shop.place("Green tea, 250 g")
    stack.wait_for_status(order_id, "shipped")
    path = f"/orders/{order_id}/start"

    def is_exported() -> bool:
        roots = [one for one in receiver.spans if one.attributes.get("url.path") == path]
        if not roots:
            return False
        spans = receiver.get_trace(_START, **{"url.path": path})
        return {span.name for span in spans} >= _ENDS

    eventually(is_exported, "the spans of the order are exported")
    spans = receiver.get_trace(_START, **{"url.path": path})
    begin = min(one.start for one in spans)
    recorded = [
        {
            "service": one.service.removeprefix("fuze-"),
            "name": one.name,
            "id": one.id,
            "parent_id": one.parent_id,
            "start_ms": round((one.start - begin) / 1e6, 2),
            "end_ms": round((one.end - begin) / 1e6, 2),
        }
        for one in sorted(spans, key=lambda one: one.start)
    ]
    _write("trace", recorded)


def _record_timeline(stack: StackClient, shop: _Shop) -> str:
    """Record the events of an order that is declined, paid otherwise, delayed, and refunded."""
    orders, payments = stack.api.orders, stack.api.payments
    order_id = shop.place("Teapot, blue", "Tea filter", payment_method="pm_insufficient_funds")
    stack.wait_for_status(order_id, "awaiting_approval")
    orders.approve(order_id, actor="grace")
    stack.wait_for_status(order_id, "awaiting_payment_method")
    stack.configure_sandbox("carrier", available=False)
    orders.change_payment_method(order_id, "pm_card_visa", actor="ada")
    eventually(lambda: stack.get_order(order_id)["needs_attention"], "the dispatch keeps failing")
    stack.configure_sandbox("carrier")
    orders.retry(order_id, actor="grace")
    stack.wait_for_status(order_id, "shipped")
    filters = LineQuantity(line_id="2", quantity=1)
    payments.refund(order_id, lines=[filters], reason="a broken filter", actor="grace")
    eventually(lambda: "payment_refunded" in stack.get_event_types(order_id), "it is refunded")
    events = stack.get(f"/orders/{order_id}/events").json()["events"]
    kept = ("seq", "type", "status", "payment_status", "occurred_at")
    _write("timeline", [{key: event[key] for key in kept} for event in events])
    return order_id


def _fill(stack: StackClient, shop: _Shop) -> None:
    """Place orders for which the pages of the console have something to show."""
    orders, webhooks = stack.api.orders, stack.api.webhooks
    webhooks.create("http://127.0.0.1:9/orders", description="the shop, which is down")
    webhooks.create(
        "http://127.0.0.1:9/parcels",
        event_types=("order_shipped", "order_delivered"),
        description="the warehouse, not open yet",
        enabled=False,
    )
    shipped = [shop.place(name) for name in ("Tea filter", "Green tea, 250 g", "Cup, white") * 3]
    for order_id in shipped:
        stack.wait_for_status(order_id, "shipped")
    for order_id, reason in zip(shipped[:2], ("unused", "does not fit"), strict=True):
        line = LineQuantity(line_id="1", quantity=1)
        stack.api.returns.request(order_id, [line], reason=reason, actor="ada")
    for quantity in (2, 3, 1, 4):
        shop.place("Teapot, blue", "Cup, white", quantity=quantity)
    rejected = shop.place("Teapot, blue", quantity=20)
    stack.wait_for_status(rejected, "awaiting_approval")
    orders.reject(rejected, reason="looks like fraud", actor="grace")
    cancelled = shop.place("Teapot, blue")
    stack.wait_for_status(cancelled, "awaiting_approval")
    orders.cancel(cancelled, reason="found it cheaper", actor="ada")
    declined = shop.place("Cup, white", payment_method="pm_declined")
    stack.wait_for_status(declined, "awaiting_payment_method")
    failing = shop.place("Cup, white", address=_ADDRESS | {"line1": "down"})
    eventually(lambda: stack.get_order(failing)["needs_attention"], "an order needs attention")


def _take_screenshots(browser: Browser, stack: StackClient, order_id: str) -> None:
    pages = {
        "overview": "/",
        "orders": "/orders",
        "order": f"/orders/{order_id}",
        "approvals": "/work/approvals",
        "attention": "/work/attention",
        "returns": "/work/returns",
        "webhooks": "/work/webhooks",
    }
    with tempfile.TemporaryDirectory() as folder:
        for scheme in ("light", "dark"):
            dark = scheme == "dark"
            with open_console(browser, stack, Path(folder), dark=dark) as console:
                for name, path in pages.items():
                    console.open(path)
                    _shoot(console.page, f"console-{name}-{scheme}")


def _take_report(browser: Browser, report: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="fuze-pictures-") as folder:
        if report is None:
            subprocess.run([*FUZE, "chaos", *_CHAOS, "--state-dir", folder], check=True)
            [report] = Path(folder).glob("chaos/*/report.html")
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1360, "height": 1000}, color_scheme=scheme)
            page.goto(report.absolute().as_uri())
            _shoot(page, f"chaos-report-{scheme}")
            page.close()


def _shoot(page: Any, name: str) -> None:  # noqa: ANN401 - Playwright may be missing
    """Write what the window shows as WebP, a third of the size of PNG."""
    session = page.context.new_cdp_session(page)
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": 70})
    path = _PICTURES / f"{name}.webp"
    path.write_bytes(base64.b64decode(shot["data"]))
    print(f"{path.relative_to(_ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def _write(name: str, recorded: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(one) for one in recorded)
    (_RECORDED / f"{name}.json").write_text(f"[\n{lines}\n]\n")


def main() -> None:
    """Record everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, help="the report.html of a chaos run; else one runs")
    parser.add_argument("--no-report", action="store_true", help="leave its picture as it is")
    arguments = parser.parse_args()
    _PICTURES.mkdir(exist_ok=True)
    _RECORDED.mkdir(exist_ok=True)
    with launch_chromium() as browser:
        with receive_spans() as receiver, _run_stack(receiver) as stack:
            shop = _Shop(stack)
            _record_trace(stack, shop, receiver)
            order_id = _record_timeline(stack, shop)
            _fill(stack, shop)
            _take_screenshots(browser, stack, order_id)
        if not arguments.no_report:
            _take_report(browser, arguments.report)


if __name__ == "__main__":
    main()

"""What the pages of orders show, from rows that the services would write."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from console_harness import MakeKey, insert_row, sign_in

from fuze_gateway.auth.principals import Role

InsertOrder = Callable[..., Awaitable[UUID]]


@pytest.fixture
def insert_order(owner: asyncpg.Connection) -> InsertOrder:
    """Insert an order with its first event."""

    async def inserted(**columns: object) -> UUID:
        order_id, now = uuid4(), datetime.now(UTC)
        row = {
            "id": order_id,
            "run_id": "run",
            "fingerprint": "none",
            "status": "awaiting_approval",
            "payment_status": "none",
            "currency": "USD",
            "total_minor": 5997,
            "payment_token": "token",
            "last_seq": 1,
            "tracking_number": "FZ1" if columns.get("status") == "shipped" else None,
            "approval_deadline": now,
            "created_at": now,
            "updated_at": now,
        } | columns
        await insert_row(owner, "orders.orders", row)
        event = {
            "order_id": order_id,
            "seq": 1,
            "type": "order_received",
            "status": row["status"],
            "payment_status": row["payment_status"],
            "actor": "order-service",
            "details": "{}",
            "occurred_at": row["created_at"],
        }
        await insert_row(owner, "orders.events", event)
        return order_id

    return inserted


@pytest.fixture
async def http(browser: httpx.AsyncClient, make_key: MakeKey) -> httpx.AsyncClient:
    """A browser in which an administrator is signed in."""
    await sign_in(browser, make_key, Role.ADMIN)
    return browser


def _count_rows(page: httpx.Response) -> int:
    return page.text.count("<tr data-row>")


async def test_an_order_that_matches_by_reference_and_customer_is_found_once(
    http: httpx.AsyncClient, insert_order: InsertOrder
) -> None:
    text = f"web-{uuid4().hex[:8]}"
    await insert_order(reference=text, customer=f"{text}@example.com")

    assert _count_rows(await http.get("/orders", params={"q": f" {text} "})) == 1


async def test_a_short_text_finds_a_whole_reference_only(
    http: httpx.AsyncClient, insert_order: InsertOrder
) -> None:
    await insert_order(reference="7x", customer="7xyz")

    found = await http.get("/orders", params={"q": "7x"})
    missed = await http.get("/orders", params={"q": "7"})

    assert (_count_rows(found), _count_rows(missed)) == (1, 0)
    assert "Fewer than three characters" in missed.text


async def test_the_last_day_of_a_search_is_included(
    http: httpx.AsyncClient, insert_order: InsertOrder
) -> None:
    customer = f"cus-{uuid4().hex}"
    noon = datetime(2025, 3, 2, 12, tzinfo=UTC)
    await insert_order(customer=customer, created_at=noon)

    async def count(since: str, until: str) -> int:
        params = {"q": customer, "since": since, "until": until}
        return _count_rows(await http.get("/orders", params=params))

    assert await count("2025-03-02", "2025-03-02") == 1
    assert await count("2025-03-01", "2025-03-01") == 0
    assert await count("2025-03-03", "2025-03-03") == 0


def _list_actions(page: httpx.Response, order_id: UUID) -> set[str]:
    return set(re.findall(rf'href="/orders/{order_id}/actions/([\w-]+)"', page.text))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, {"approve", "reject", "address", "cancel"}),
        ({"needs_attention": True, "status": "preparing"}, {"retry", "address", "cancel"}),
        (
            {"status": "preparing", "workflow_missing_at": datetime.now(UTC)},
            {"recover", "address", "cancel"},
        ),
        ({"status": "awaiting_payment_method"}, {"payment-method", "address", "cancel"}),
        ({"status": "shipped", "payment_status": "charged"}, {"refund"}),
        ({"status": "cancelled"}, set()),
    ],
    ids=["new", "failing", "without workflow", "declined", "shipped", "cancelled"],
)
async def test_an_order_offers_what_its_state_permits(
    http: httpx.AsyncClient,
    insert_order: InsertOrder,
    columns: dict[str, Any],
    expected: set[str],
) -> None:
    order_id = await insert_order(**columns)

    assert _list_actions(await http.get(f"/orders/{order_id}"), order_id) == expected


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"status": "awaiting_approval"}, ["approve"]),
        ({"status": "awaiting_address"}, ["address"]),
        ({"status": "preparing", "needs_attention": True}, ["retry"]),
        ({"status": "preparing"}, []),
    ],
    ids=["new", "rejected address", "failing", "in progress"],
)
async def test_only_what_an_order_waits_for_is_emphasised(
    http: httpx.AsyncClient,
    insert_order: InsertOrder,
    columns: dict[str, Any],
    expected: list[str],
) -> None:
    order_id = await insert_order(**columns)

    text = (await http.get(f"/orders/{order_id}")).text

    assert re.findall(r'class="button primary" href="[^"]*/([\w-]+)"', text) == expected


@pytest.mark.parametrize(
    ("status", "next_step"),
    [
        ("awaiting_payment_method", "Change the payment method."),
        ("awaiting_address", "Change the address."),
    ],
)
async def test_an_order_that_waits_for_a_correction_shows_the_reason_and_the_next_step(
    http: httpx.AsyncClient, insert_order: InsertOrder, status: str, next_step: str
) -> None:
    order_id = await insert_order(status=status, reason="it was rejected: some_code")

    text = (await http.get(f"/orders/{order_id}")).text

    assert "it was rejected: some_code" in text
    assert next_step in text


async def test_an_order_shows_its_ledger_and_what_is_kept(
    http: httpx.AsyncClient, insert_order: InsertOrder, owner: asyncpg.Connection
) -> None:
    order_id = await insert_order(status="shipped", payment_status="partially_refunded")
    payment_id, refund_id = uuid4(), uuid4()
    payment = {"id": payment_id, "payment_token": "token", "order_id": order_id}
    payment |= {"amount_minor": 5997, "currency": "USD", "state": "charged"}
    payment |= {"provider_reference": f"ch_{order_id}", "refunded_minor": 1999}
    payment |= {"first_submitted_at": datetime.now(UTC)}
    await insert_row(owner, "payments.payments", payment)
    refund = {"id": refund_id, "payment_id": payment_id, "amount_minor": 1999, "actor": "grace"}
    refund |= {"state": "refunded", "provider_reference": f"re_{order_id}", "reason": "broken"}
    await insert_row(owner, "payments.refunds", refund)
    async with owner.transaction():
        for journal, debit, credit, amount in (
            (payment_id, "provider", "sales", 5997),
            (refund_id, "sales", "provider", 1999),
        ):
            entry = {"journal_id": journal, "payment_id": payment_id, "currency": "USD"}
            debited = entry | {"account": debit, "debit_minor": amount}
            await insert_row(owner, "payments.ledger_entries", debited)
            credited = entry | {"account": credit, "credit_minor": amount}
            await insert_row(owner, "payments.ledger_entries", credited)

    text = (await http.get(f"/orders/{order_id}")).text
    ledger = text[text.index(">Ledger<") :]
    cells = re.findall(r"<td[^>]*>(?:<strong>)?([^<]*)<", ledger[: ledger.index("</table>")])

    assert [one for one in cells if one] == [
        *("Charge", "Provider", "Sales", "59.97", "59.97 USD"),
        *("Refund: broken", "Sales", "Provider", "19.99", "39.98 USD"),
    ]


async def test_a_charge_without_an_outcome_is_explained(
    http: httpx.AsyncClient, insert_order: InsertOrder, owner: asyncpg.Connection
) -> None:
    order_id = await insert_order(status="approved", payment_status="pending")
    payment = {"id": uuid4(), "payment_token": "token", "order_id": order_id, "currency": "USD"}
    payment |= {"amount_minor": 5997, "state": "unknown", "first_submitted_at": datetime.now(UTC)}
    await insert_row(owner, "payments.payments", payment)

    assert "nothing is charged twice" in (await http.get(f"/orders/{order_id}")).text


async def test_the_timeline_says_why_a_payment_was_declined(
    http: httpx.AsyncClient, insert_order: InsertOrder, owner: asyncpg.Connection
) -> None:
    order_id = await insert_order(status="awaiting_payment_method", last_seq=2)
    event = {"order_id": order_id, "seq": 2, "type": "payment_declined", "actor": "payment-service"}
    event |= {"status": "awaiting_payment_method", "payment_status": "declined"}
    event |= {"details": '{"code": "insufficient_funds"}', "occurred_at": datetime.now(UTC)}
    await insert_row(owner, "orders.events", event)

    assert "insufficient_funds" in (await http.get(f"/orders/{order_id}")).text


async def test_what_was_charged_today_is_summed_by_currency_the_largest_first(
    http: httpx.AsyncClient, insert_order: InsertOrder
) -> None:
    # Larger than all that other tests have charged today.
    for status, payment_status, total_minor, currency in (
        ("shipped", "charged", 1_000_000_000, "NOK"),
        ("shipped", "partially_refunded", 50, "NOK"),
        ("cancelled", "refunded", 7, "NOK"),
        ("shipped", "charged", 900_000_000, "ISK"),
    ):
        columns = {"status": status, "payment_status": payment_status, "currency": currency}
        await insert_order(**columns, total_minor=total_minor)

    text = (await http.get("/")).text

    assert re.findall(r"<li><strong>([\d.,]+)</strong> (\w+)</li>", text)[:2] == [
        ("10,000,000.50", "NOK"),
        ("900,000,000", "ISK"),
    ]


async def test_an_order_without_a_workflow_needs_to_be_recovered(
    http: httpx.AsyncClient, insert_order: InsertOrder
) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    order_id = await insert_order(
        status="preparing", needs_attention=True, workflow_missing_at=since
    )

    text = (await http.get("/work/attention")).text

    row = text[text.index(str(order_id)) :]
    assert "It has no workflow: recover it." in row[: row.index("</tr>")]

"""Webhook endpoints in the console: their state, their deliveries, and what can be done."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from console_harness import MakeKey, insert_row, sign_in, submit

from fuze_gateway.auth.principals import Role

_LIST = "/work/webhooks"

Endpoint = tuple[str, str]
"""The path of an endpoint's page, and its description."""

CreateEndpoint = Callable[..., Awaitable[Endpoint]]


@pytest.fixture
def create(owner: asyncpg.Connection) -> CreateEndpoint:
    """Insert an endpoint, as the gateway and the webhooks service leave it."""

    async def created(**columns: object) -> Endpoint:
        endpoint_id, description = uuid4(), f"shop {uuid4().hex[:8]}"
        url = "https://shop.example/webhooks"
        row = {"id": endpoint_id, "url": url, "description": description} | columns
        await insert_row(owner, "webhooks.endpoints", row)
        return f"{_LIST}/{endpoint_id}", description

    return created


async def _add_delivery(
    owner: asyncpg.Connection, endpoint: Endpoint, message_id: str, **columns: object
) -> None:
    endpoint_id = UUID(endpoint[0].rpartition("/")[2])
    row = {"endpoint_id": endpoint_id, "message_id": message_id, "event_type": "order_shipped"}
    await insert_row(owner, "webhooks.deliveries", row | columns)


async def _run(
    http: httpx.AsyncClient, endpoint: Endpoint, action: str, **form: str
) -> httpx.Response:
    path = f"{endpoint[0]}/actions/{action}"
    return await submit(http, path, form, at=path)


def _find_row(page: httpx.Response, text: str) -> str:
    """Return the row of the table that has a text."""
    [row] = [
        row for row in re.findall(r"<tr data-row>.*?</tr>", page.text, re.DOTALL) if text in row
    ]
    return row


async def test_endpoints_that_need_attention_come_first_with_what_can_be_done(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint
) -> None:
    healthy = await create()
    gone = await create(is_enabled=False, disabled_reason="gone")
    await sign_in(browser, make_key, Role.ADMIN)

    page = await browser.get(_LIST)

    assert "Disabled: gone" in _find_row(page, gone[1])
    assert f"{gone[0]}/actions/enable" in _find_row(page, gone[1])
    assert f"{healthy[0]}/actions/disable" in _find_row(page, healthy[1])
    assert "/actions/enable" not in _find_row(page, healthy[1])
    assert "/actions/test" not in _find_row(page, gone[1])
    assert page.text.index(gone[1]) < page.text.index(healthy[1])


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"is_enabled": False, "disabled_reason": "gone"}, "It responded 410"),
        (
            {
                "is_enabled": False,
                "disabled_reason": "failing",
                "failing_since": datetime.now(UTC) - timedelta(days=3, hours=1),
            },
            "3 d ago",
        ),
        ({"is_enabled": False}, "A person has disabled it."),
        ({"failing_since": datetime.now(UTC)}, "Messages are tried again by themselves."),
    ],
    ids=["gone", "failing for days", "disabled by a person", "failing"],
)
async def test_the_page_of_an_endpoint_says_why_it_gets_nothing(
    browser: httpx.AsyncClient,
    make_key: MakeKey,
    create: CreateEndpoint,
    columns: dict[str, object],
    text: str,
) -> None:
    endpoint = await create(**columns)
    await sign_in(browser, make_key, Role.ADMIN)

    assert text in (await browser.get(endpoint[0])).text


async def test_an_endpoint_that_fails_says_that_failed_messages_need_a_person(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint, owner: asyncpg.Connection
) -> None:
    endpoint = await create(failing_since=datetime.now(UTC))
    await _add_delivery(owner, endpoint, "evt_1", state="failed")
    await sign_in(browser, make_key, Role.OPERATOR)

    text = (await browser.get(endpoint[0])).text

    assert "until they are redelivered" in text
    assert "by themselves" not in text


async def test_the_overview_counts_the_endpoints_that_need_attention(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint, owner: asyncpg.Connection
) -> None:
    await owner.execute("DELETE FROM webhooks.endpoints")
    await create(is_enabled=False, disabled_reason="gone")
    failed = await create()
    await _add_delivery(owner, failed, "evt_1", state="failed")
    await create()
    await sign_in(browser, make_key, Role.OPERATOR)

    [tile] = re.findall(
        rf'href="{_LIST}">\s*<span.*?</a>', (await browser.get("/")).text, re.DOTALL
    )

    assert ">2</strong>" in tile
    assert "1 disabled" in tile


async def test_each_role_is_offered_what_its_scopes_permit(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint
) -> None:
    endpoint = await create()
    await sign_in(browser, make_key, Role.OPERATOR)
    of_operator = await browser.get(endpoint[0])
    await sign_in(browser, make_key, Role.VIEWER)
    of_viewer, refused = await browser.get("/"), await browser.get(_LIST)

    assert "/actions/test" in of_operator.text
    assert "/actions/disable" not in of_operator.text
    assert _LIST not in of_viewer.text
    assert refused.status_code == 403


async def test_deliveries_say_what_the_endpoint_responded_and_what_they_wait_for(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint, owner: asyncpg.Connection
) -> None:
    endpoint, order_id = await create(), uuid4()
    failed = {"state": "failed", "attempts": 10, "error": "the endpoint responded 503"}
    await _add_delivery(
        owner, endpoint, "evt_1", order_id=order_id, seq=1, response_body="<b>later</b>", **failed
    )
    await _add_delivery(owner, endpoint, "evt_2", order_id=order_id, seq=2)
    await _add_delivery(
        owner, endpoint, "test_3", state="delivered", delivered_at=datetime.now(UTC)
    )
    await sign_in(browser, make_key, Role.OPERATOR)

    page = await browser.get(endpoint[0])
    filtered = await browser.get(endpoint[0], params={"state": "failed", "order_id": str(order_id)})

    assert "Messages have failed" in page.text
    assert "the endpoint responded 503" in page.text
    assert "“&lt;b&gt;later&lt;/b&gt;”" in page.text
    assert page.text.count("Waits for an earlier message of its order.") == 1
    links = re.findall(r'href="[^"]+/actions/redeliver\?message_id=(\w+)"', page.text)
    assert sorted(links) == ["evt_1", "test_3"]  # not of the pending one
    assert filtered.text.count("<tr data-row>") == 1


async def test_a_filter_that_the_gateway_refuses_is_shown_with_its_words(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint
) -> None:
    endpoint = await create()
    await sign_in(browser, make_key, Role.OPERATOR)

    page = await browser.get(endpoint[0], params={"order_id": "WEB-1"})

    assert page.status_code == 200
    assert "<code>query.order_id</code>" in page.text
    assert 'value="WEB-1"' in page.text


async def test_one_message_is_redelivered_after_a_confirmation(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint, owner: asyncpg.Connection
) -> None:
    endpoint = await create()
    await _add_delivery(owner, endpoint, "evt_a", state="failed", attempts=10)
    await sign_in(browser, make_key, Role.OPERATOR)

    confirmation = await browser.get(
        f"{endpoint[0]}/actions/redeliver", params={"message_id": "evt_a"}
    )
    done = await _run(browser, endpoint, "redeliver", message_id="evt_a")
    unknown = await _run(browser, endpoint, "redeliver", message_id="evt_b")

    assert 'name="message_id" value="evt_a"' in confirmation.text
    assert "The gateway accepted it." in done.text
    assert (unknown.status_code, "webhook-delivery-not-found" in unknown.text) == (404, True)
    state = await owner.fetchval("SELECT state FROM webhooks.deliveries WHERE message_id = 'evt_a'")
    assert state == "pending"


@pytest.mark.parametrize(("hours", "expected"), [("0", 3), ("24", 2), ("1", 1), ("forged", 3)])
async def test_failed_messages_are_redelivered_by_the_time_of_their_last_attempt(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    browser: httpx.AsyncClient,
    make_key: MakeKey,
    create: CreateEndpoint,
    owner: asyncpg.Connection,
    hours: str,
    expected: int,
) -> None:
    endpoint, now = await create(), datetime.now(UTC)
    for number, age in enumerate((0.5, 20, 200)):
        at = now - timedelta(hours=age)
        await _add_delivery(owner, endpoint, f"evt_{number}", state="failed", last_attempted_at=at)
    await sign_in(browser, make_key, Role.OPERATOR)

    done = await _run(browser, endpoint, "redeliver-failed", hours=hours)

    assert f"<dd>{expected}</dd>" in done.text


async def test_an_endpoint_is_enabled_and_disabled(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint
) -> None:
    endpoint = await create(is_enabled=False, disabled_reason="failing")
    await sign_in(browser, make_key, Role.ADMIN)

    refused = await _run(browser, endpoint, "test")
    enabled = await _run(browser, endpoint, "enable")
    tested = await _run(browser, endpoint, "test")
    disabled = await _run(browser, endpoint, "disable")

    assert (refused.status_code, "webhook-endpoint-disabled" in refused.text) == (409, True)
    assert ">Enabled</span>" in enabled.text
    assert "test_" in tested.text
    assert ">Disabled</span>" in disabled.text


async def test_an_action_that_does_not_exist_is_no_page(
    browser: httpx.AsyncClient, make_key: MakeKey, create: CreateEndpoint
) -> None:
    endpoint = await create()
    await sign_in(browser, make_key, Role.ADMIN)

    assert (await browser.get(f"{endpoint[0]}/actions/delete")).status_code == 404

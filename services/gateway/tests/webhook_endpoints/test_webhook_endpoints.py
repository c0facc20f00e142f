"""Webhook endpoints over HTTP, as far as they are decided without the webhooks service."""

from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from gateway_harness import Serve

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.webhook_endpoints import commands

_URL = "https://shop.example/webhooks"
_PATH = "/webhook-endpoints"


@pytest.fixture
async def owner(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """The database as its owner sees it."""
    connection = await asyncpg.connect(postgres.dsn)
    yield connection
    await connection.close()


async def create(http: httpx.AsyncClient, **fields: object) -> dict[str, Any]:
    response = await http.post(_PATH, json={"url": _URL} | fields)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def insert_delivery(
    owner: asyncpg.Connection, endpoint: dict[str, Any], message_id: str, **columns: object
) -> None:
    """Insert a delivery, as the webhooks service would."""
    names = ["endpoint_id", "message_id", "event_type", *columns]
    values = [endpoint["endpoint_id"], message_id, "order_received", *columns.values()]
    marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    await owner.execute(
        f"INSERT INTO webhooks.deliveries ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - of a test
        *values,
    )


async def read_secrets(owner: asyncpg.Connection, endpoint: dict[str, Any]) -> list[Any]:
    query = "SELECT secret, expires_at FROM webhooks.secrets WHERE endpoint_id = $1 ORDER BY id"
    return list(await owner.fetch(query, endpoint["endpoint_id"]))


async def test_a_created_endpoint_is_found_and_its_secret_is_not(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    created = await create(gateway, event_types=["order_shipped"], description="the shop")

    found = await gateway.get(f"{_PATH}/{created['endpoint_id']}")
    listed = await gateway.get(_PATH)

    secret = created.pop("secret")
    [stored] = await read_secrets(owner, created)
    assert found.json() == created
    assert created in listed.json()["webhook_endpoints"]
    assert (created["enabled"], created["needs_attention"]) == (True, False)
    assert (stored["secret"], stored["expires_at"]) == (secret, None)
    assert len(b64decode(secret.removeprefix("whsec_"))) == 32
    assert secret not in found.text + listed.text


async def test_a_new_endpoint_gets_the_events_from_its_creation_on(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    before = await owner.fetchval("SELECT pg_current_xact_id()::text::bigint")
    created = await create(gateway)
    after = await owner.fetchval("SELECT pg_current_xact_id()::text::bigint")

    cursor = await owner.fetchval(
        "SELECT cursor_transaction_id FROM webhooks.endpoints WHERE id = $1",
        created["endpoint_id"],
    )

    assert before < cursor < after


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "http://shop.example/"}, "url"),
        ({"url": "https://user:secret@shop.example/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": f"https://shop.example/{'a' * 2000}"}, "url"),
        ({"event_types": ["order_shipped", "order_shipped"]}, "event_types"),
        ({"event_types": ["no_such_event"]}, "event_types"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_an_endpoint_that_could_not_be_served_is_refused(
    serve: Serve, fields: dict[str, object], field: str
) -> None:
    async with serve(environment="staging") as http:
        response = await http.post(_PATH, json={"url": _URL} | fields)

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"][:2] == ["body", field]


async def test_plain_http_is_accepted_in_the_environment_local(gateway: httpx.AsyncClient) -> None:
    created = await create(gateway, url="http://127.0.0.1:9000/")

    assert created["url"] == "http://127.0.0.1:9000/"


async def test_there_is_a_limit_of_endpoints(
    gateway: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "MAX_ENDPOINTS", 0)

    response = await gateway.post(_PATH, json={"url": _URL})

    assert (response.status_code, response.json()["type"]) == (
        409,
        "/problems/too-many-webhook-endpoints",
    )


async def test_a_change_leaves_the_other_fields_as_they_are(gateway: httpx.AsyncClient) -> None:
    created = await create(gateway, event_types=["order_shipped"], description="the shop")
    path = f"{_PATH}/{created['endpoint_id']}"

    await gateway.patch(path, json={"description": "another"})
    changed = await gateway.patch(path, json={"url": "https://other.example/", "event_types": []})

    del created["secret"], created["updated_at"]
    body = changed.json()
    assert body.pop("updated_at")
    assert body == created | {
        "url": "https://other.example/",
        "event_types": [],
        "description": "another",
    }


async def test_a_url_is_checked_when_it_changes(serve: Serve) -> None:
    async with serve(environment="staging") as http:
        created = await create(http)
        path = f"{_PATH}/{created['endpoint_id']}"

        changed = await http.patch(path, json={"url": "http://shop.example/"})

    assert changed.status_code == 422


async def test_an_endpoint_that_is_enabled_again_gets_what_it_has_not_accepted(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    created = await create(gateway)
    await owner.execute(
        "UPDATE webhooks.endpoints SET is_enabled = false, disabled_reason = 'failing',"
        " failing_since = now() WHERE id = $1",
        created["endpoint_id"],
    )
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await insert_delivery(owner, created, "a", state="failed", attempts=10)
    await insert_delivery(owner, created, "b", attempts=5, next_attempt_at=tomorrow)
    await insert_delivery(owner, created, "c", state="delivered", delivered_at=datetime.now(UTC))
    path = f"{_PATH}/{created['endpoint_id']}"
    before = (await gateway.get(path)).json()

    after = (await gateway.patch(path, json={"enabled": True})).json()

    deliveries = (await gateway.get(f"{path}/deliveries")).json()["deliveries"]
    states = {one["message_id"]: (one["state"], one["attempts"]) for one in deliveries}
    assert (before["needs_attention"], before["disabled_reason"]) == (True, "failing")
    assert (after["needs_attention"], after["disabled_reason"]) == (False, None)
    assert after["failing_since"] is None
    assert states == {"a": ("pending", 0), "b": ("pending", 0), "c": ("delivered", 0)}
    assert all(
        datetime.fromisoformat(one["next_attempt_at"]) < tomorrow
        for one in deliveries
        if one["state"] == "pending"
    )


async def test_a_change_of_an_enabled_endpoint_repeats_nothing(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    created = await create(gateway)
    await insert_delivery(owner, created, "a", state="failed", attempts=10)
    path = f"{_PATH}/{created['endpoint_id']}"

    changed = await gateway.patch(path, json={"enabled": True})

    [delivery] = (await gateway.get(f"{path}/deliveries")).json()["deliveries"]
    assert (delivery["state"], delivery["attempts"]) == ("failed", 10)
    assert changed.json()["needs_attention"]


async def test_a_deleted_endpoint_is_not_found(gateway: httpx.AsyncClient) -> None:
    created = await create(gateway)
    path = f"{_PATH}/{created['endpoint_id']}"

    deleted = await gateway.delete(path)
    responses = [
        await gateway.delete(path),
        await gateway.get(path),
        await gateway.patch(path, json={"enabled": False}),
        await gateway.post(f"{path}/rotate-secret", json={}),
        await gateway.get(f"{path}/deliveries"),
        await gateway.post(f"{path}/redeliver", json={"message_id": "a"}),
        await gateway.post(f"{path}/test"),
    ]

    assert deleted.status_code == 204
    assert {one.status_code for one in responses} == {404}
    assert {one.json()["type"] for one in responses} == {"/problems/webhook-endpoint-not-found"}


async def test_a_rotation_leaves_two_secrets_until_the_overlap_is_over(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    created = await create(gateway)
    path = f"{_PATH}/{created['endpoint_id']}/rotate-secret"

    first = (await gateway.post(path, json={"overlap_seconds": 3600})).json()
    second = (await gateway.post(path, json={})).json()

    stored = await read_secrets(owner, created)
    now = datetime.now(UTC)
    assert [one["secret"] for one in stored] == [
        created["secret"],
        first["secret"],
        second["secret"],
    ]
    assert stored[0]["expires_at"] <= now
    assert stored[1]["expires_at"] > now + timedelta(hours=23)
    assert stored[1]["expires_at"] == datetime.fromisoformat(second["previous_secret_expires_at"])
    assert stored[2]["expires_at"] is None


async def test_deliveries_are_listed_newest_first_by_filter_and_page(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    created = await create(gateway)
    order_id = uuid4()
    for seq in range(1, 6):
        state = "failed" if seq == 1 else "pending"
        await insert_delivery(owner, created, f"m{seq}", order_id=order_id, seq=seq, state=state)
    await insert_delivery(owner, await create(gateway), "of-another-endpoint")
    path = f"{_PATH}/{created['endpoint_id']}/deliveries"

    first = (await gateway.get(path, params={"limit": 3})).json()
    second = (await gateway.get(path, params={"limit": 3, "cursor": first["next"]})).json()
    failed = (await gateway.get(path, params={"state": "failed"})).json()
    other = (await gateway.get(path, params={"order_id": str(uuid4())})).json()
    typed = (await gateway.get(path, params={"event_type": "order_received"})).json()
    future = (await gateway.get(path, params={"created_from": "2100-01-01T00:00:00Z"})).json()

    ids = [one["message_id"] for page in (first, second) for one in page["deliveries"]]
    assert ids == ["m5", "m4", "m3", "m2", "m1"]
    assert second["next"] is None
    assert [one["message_id"] for one in failed["deliveries"]] == ["m1"]
    assert other["deliveries"] == future["deliveries"] == []
    assert len(typed["deliveries"]) == 5
    assert [one["is_blocked"] for one in second["deliveries"]] == [True, False]


async def test_the_cursor_of_another_endpoint_is_refused(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    created, other = await create(gateway), await create(gateway)
    for number in range(2):
        await insert_delivery(owner, created, f"m{number}")
    path = f"{_PATH}/{created['endpoint_id']}/deliveries"
    cursor = (await gateway.get(path, params={"limit": 1})).json()["next"]

    responses = [
        await gateway.get(f"{_PATH}/{other['endpoint_id']}/deliveries", params={"cursor": cursor}),
        await gateway.get(path, params={"cursor": "none-of-ours"}),
    ]

    assert {one.json()["type"] for one in responses} == {"/problems/invalid-cursor"}


async def test_a_delivered_message_is_delivered_again_on_request(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    created = await create(gateway)
    await insert_delivery(owner, created, "a", state="delivered", delivered_at=datetime.now(UTC))
    path = f"{_PATH}/{created['endpoint_id']}"

    accepted = await gateway.post(f"{path}/redeliver", json={"message_id": "a"})
    missing = await gateway.post(f"{path}/redeliver", json={"message_id": "b"})

    [delivery] = (await gateway.get(f"{path}/deliveries")).json()["deliveries"]
    assert (accepted.status_code, accepted.json()) == (202, {"deliveries": 1})
    assert missing.json()["type"] == "/problems/webhook-delivery-not-found"
    assert (delivery["state"], delivery["delivered_at"]) == ("pending", None)


async def test_all_that_has_failed_since_a_time_is_delivered_again(
    gateway: httpx.AsyncClient, owner: asyncpg.Connection
) -> None:
    created = await create(gateway)
    now = datetime.now(UTC)
    for message_id, age in (("old", timedelta(days=2)), ("new", timedelta(hours=1))):
        await insert_delivery(
            owner, created, message_id, state="failed", last_attempted_at=now - age
        )
    path = f"{_PATH}/{created['endpoint_id']}"
    since = (now - timedelta(days=1)).isoformat()

    accepted = await gateway.post(f"{path}/redeliver", json={"failed_since": since})

    failed = (await gateway.get(f"{path}/deliveries", params={"state": "failed"})).json()
    assert accepted.json() == {"deliveries": 1}
    assert [one["message_id"] for one in failed["deliveries"]] == ["old"]


@pytest.mark.parametrize("body", [{}, {"message_id": "a", "failed_since": "2026-01-05T10:00:00Z"}])
async def test_a_redelivery_is_of_one_message_or_of_those_since_a_time(
    gateway: httpx.AsyncClient, body: dict[str, str]
) -> None:
    created = await create(gateway)

    response = await gateway.post(f"{_PATH}/{created['endpoint_id']}/redeliver", json=body)

    assert response.status_code == 422


async def test_a_test_message_waits_for_its_attempt(gateway: httpx.AsyncClient) -> None:
    created = await create(gateway)
    path = f"{_PATH}/{created['endpoint_id']}"

    accepted = await gateway.post(f"{path}/test")

    [delivery] = (await gateway.get(f"{path}/deliveries")).json()["deliveries"]
    assert accepted.status_code == 202
    assert delivery["message_id"] == accepted.json()["message_id"]
    assert (delivery["event_type"], delivery["order_id"]) == ("webhook.test", None)


async def test_a_disabled_endpoint_gets_no_test_message(gateway: httpx.AsyncClient) -> None:
    created = await create(gateway, enabled=False)

    response = await gateway.post(f"{_PATH}/{created['endpoint_id']}/test")

    assert (response.status_code, response.json()["type"]) == (
        409,
        "/problems/webhook-endpoint-disabled",
    )


async def test_endpoints_are_unavailable_without_the_database(
    without_database: httpx.AsyncClient,
) -> None:
    responses = [
        await without_database.get(_PATH),
        await without_database.post(_PATH, json={"url": _URL}),
    ]

    assert {one.status_code for one in responses} == {503}

"""Invalid requests: a 4xx problem with the reason, which never echoes the input."""

import json
from uuid import UUID, uuid4

import httpx
import pytest
from gateway_harness import Serve

_JSON = {"Content-Type": "application/json"}
_SMALL = {"address": {"zip_code": "10001"}}
_LINE = {"sku": "A", "quantity": 1, "unit_price_minor": 1}


async def _start(
    http: httpx.AsyncClient, content: bytes, order_id: object = None
) -> httpx.Response:
    return await http.post(f"/orders/{order_id or uuid4()}/start", content=content, headers=_JSON)


def _assert_problem(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "instance"} <= problem.keys()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xef\xbb\xbf{}",
        b'{"address": {"zip_code": "\xff"}}',
        json.dumps(_SMALL).encode("utf-16"),
        json.dumps(_SMALL).encode("utf-32-be"),
        b'{"address": {"zip_code": "1"}, "customer": "a", "customer": "b"}',
        b'{"address": {"zip_code": "1", "zip_code": "2"}}',
        b'{"address": {"zip_code": "1"}, "lines": [{"sku":"A","quantity":NaN}]}',
        b'{"address": {"zip_code": "1"}, "lines": [{"sku":"A","quantity":-Infinity}]}',
    ],
    ids=[
        *("empty", "cut", "byte order mark", "not utf-8", "utf-16", "utf-32", "a key twice"),
        *("a key twice below", "not a number", "infinity"),
    ],
)
async def test_a_body_that_is_not_strict_json_is_rejected(
    gateway: httpx.AsyncClient, content: bytes
) -> None:
    response = await _start(gateway, content)

    assert response.status_code in {400, 422}
    _assert_problem(response, response.status_code)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"address": {"zip_code": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
        b'{"address": {"zip_code": "1"}, "lines": ' + b"9" * 5000 + b"}",
    ],
    ids=["deep list", "deep object", "deep below", "a number of 5,000 digits"],
)
async def test_a_deeply_nested_body_or_a_huge_number_is_rejected(
    serve: Serve, content: bytes
) -> None:
    async with serve(max_body_bytes=65_536) as http:
        response = await _start(http, content)

    assert response.status_code in {400, 422}
    _assert_problem(response, response.status_code)


@pytest.mark.parametrize(
    "changes",
    [
        {"address": None},
        {"address": {}},
        {"address": {"zip_code": 10001}},
        {"address": {"zip_code": "10001", "country": "usa"}},
        {"address": {"zip_code": "10001", "line1": "1" * 256}},
        {"address": {"zip_code": "10001", "planet": "Mars"}},
        {"surprise": 1},
        {"status": "shipped"},
        {"order_id": str(UUID(int=7))},
        {"currency": "usd"},
        {"currency": "XXX"},
        {"customer": ""},
        {"customer": "nul \0 byte"},
        {"customer": "\ud800"},
        {"customer": "x" * 201},
        {"customer": "ada\u202etxt.exe"},
        {"customer": "\u2066ada"},
        {"customer": "ad\u200ba"},
        {"customer": "ad\u00ada"},
        {"customer": "ada\u2028"},
        {"customer": "Order-Service"},
        {"currency": "JPY", "lines": [{"sku": "A", "quantity": 1, "unit_price_minor": 100.5}]},
        {"order_id": "00000000-0000-0000-0000-000000000000"},
        {"lines": {}},
        {"lines": [{"sku": "A", "quantity": 0, "unit_price_minor": 1}]},
        {"lines": [{"sku": "A", "quantity": -1, "unit_price_minor": 1}]},
        {"lines": [{"sku": "A", "quantity": True, "unit_price_minor": 1}]},
        {"lines": [{"sku": "A", "quantity": 1, "unit_price_minor": -1}]},
        {"lines": [{"sku": "A", "quantity": 1, "unit_price_minor": 19.99}]},
        {"lines": [{"sku": "A", "quantity": 1, "unit_price_minor": "1999"}]},
        {"lines": [{"sku": "A", "quantity": 2**63, "unit_price_minor": 1}]},
        {"lines": [{"sku": "A", "quantity": 1, "unit_price_minor": float("nan")}]},
        {"lines": [{"sku": "A", "quantity": 1, "unit_price_minor": float("inf")}]},
        {"lines": [{"sku": "A", "quantity": 10**6, "unit_price_minor": 10**12}]},
        {"lines": [{"sku": "", "quantity": 1, "unit_price_minor": 1}]},
    ],
    ids=str,
)
async def test_a_body_that_does_not_match_its_schema_is_rejected_with_its_fields(
    gateway: httpx.AsyncClient, changes: dict[str, object]
) -> None:
    response = await _start(gateway, json.dumps(_SMALL | changes).encode())

    if response.status_code != 400:  # NaN and Infinity are not JSON
        _assert_problem(response, 422)
        assert response.json()["errors"]
    _assert_problem(response, response.status_code)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"address": {}}, "postal_code", "is required in US, such as"),
        ({"surprise": 1}, "surprise", "is not a field of this request; remove it"),
        ({"address": {"zip_code": 10001}}, "zip_code", "must be a string"),
        ({"address": {"zip_code": "1" * 256}}, "zip_code", "must have at most 255 characters"),
        ({"customer": "x" * 201}, "customer", "must have at most 200 characters"),
        ({"customer": ""}, "customer", "must have at least 1 character"),
        ({"lines": {}}, "lines", "must be a list"),
        ({"lines": [_LINE | {"quantity": 0}]}, "quantity", "must be at least 1"),
        ({"lines": [_LINE | {"quantity": 1.5}]}, "quantity", "must be a whole number; count"),
        ({"lines": [_LINE | {"quantity": "1"}]}, "quantity", "must be an integer, without quotes"),
        ({"address": "10001"}, "address", "must be an object"),
    ],
    ids=str,
)
async def test_a_422_says_of_each_field_what_is_wrong_and_what_to_do(
    gateway: httpx.AsyncClient, changes: dict[str, object], field: str, message: str
) -> None:
    response = await _start(gateway, json.dumps(_SMALL | changes).encode())

    [error] = response.json()["errors"]
    assert error["loc"][-1] == field
    assert error["message"].startswith(message)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("created_from=2026-11-26T00:00:00+01:00", "write + as %2B"),
        ("updated_before=2026-11-26T00:00:00.5+0100", "write + as %2B"),
        ("created_from=2026-11-26T00:00:00", "with an offset"),
        ("created_from=2026-13-26T00:00:00Z", "must be a valid date and time: month"),
        ("sort=total", "must be one of '-created_at'"),
        ("limit=0", "must be at least 1"),
        ("limit=ten", "must be an integer"),
        ("surprise=1", "is not a field of this request"),
        ("needs_attention=2", "must be true or false"),
        ("status=lost", "must be one of"),
        ("&".join(["status=shipped"] * 99), "must have at most"),
    ],
)
async def test_an_invalid_query_says_what_to_write_instead(
    gateway: httpx.AsyncClient, query: str, message: str
) -> None:
    response = await gateway.get(f"/orders?{query}")

    [error] = response.json()["errors"]
    assert message in error["message"]


async def test_a_time_whose_offset_is_written_with_an_escaped_plus_is_accepted(
    gateway: httpx.AsyncClient,
) -> None:
    response = await gateway.get("/orders?created_from=2126-11-26T00:00:00%2B01:00")

    assert response.json() == {"orders": [], "next": None}


async def test_a_number_beyond_the_range_of_floats_is_rejected(gateway: httpx.AsyncClient) -> None:
    body = b'{"address": {"zip_code": "1"}, "lines": [{"sku":"A","quantity":1e400}]}'

    response = await _start(gateway, body)

    assert response.status_code in {400, 422}
    _assert_problem(response, response.status_code)


async def test_the_input_is_never_echoed(gateway: httpx.AsyncClient) -> None:
    secret = "4111-1111-1111-1111"

    response = await _start(gateway, json.dumps(_SMALL | {"lines": secret}).encode())

    _assert_problem(response, 422)
    assert secret not in response.text


@pytest.mark.parametrize(
    "order_id",
    [
        "1",
        str(UUID(int=0)),
        "123e4567e89b12d3a456426614174000",
        "{123e4567-e89b-12d3-a456-426614174000}",
        "123e4567-e89b-12d3-a456-42661417400g",
        "a" * 5000,
    ],
    ids=["number", "nil", "no dashes", "braces", "no hex", "long"],
)
async def test_an_order_id_that_is_not_a_canonical_uuid_is_rejected(
    gateway: httpx.AsyncClient, order_id: str
) -> None:
    for path in ("", "/status", "/events", "/events/stream", "/payments"):
        _assert_problem(await gateway.get(f"/orders/{order_id}{path}"), 422)


async def test_an_order_id_in_upper_case_is_the_same_order(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await _start(gateway, json.dumps(_SMALL).encode(), order_id)

    again = await _start(gateway, json.dumps(_SMALL).encode(), str(order_id).upper())

    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("path", ["/orders/%2e%2e%2fetc%2fpasswd", "/orders/a%2Fb/status"])
async def test_an_encoded_slash_is_not_a_path_separator(
    gateway: httpx.AsyncClient, path: str
) -> None:
    response = await gateway.get(path)

    _assert_problem(response, response.status_code)
    assert response.status_code in {404, 422}


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", ""])
async def test_another_content_type_is_rejected(
    gateway: httpx.AsyncClient, order_id: UUID, content_type: str
) -> None:
    response = await gateway.post(
        f"/orders/{order_id}/start",
        content=json.dumps(_SMALL).encode(),
        headers={"Content-Type": content_type},
    )

    _assert_problem(response, 415)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("DELETE", f"/orders/{UUID(int=9)}/status", 405),
     ("GET", f"/orders/{UUID(int=9)}/start", 405), ("GET", "/orders/", 404),
     ("GET", "/orders/%2e%2e%2fetc/status", 404)],
)  # fmt: skip
async def test_an_unknown_path_or_method_is_a_problem(
    gateway: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await gateway.request(method, path)

    assert response.status_code in {status, 422}
    _assert_problem(response, response.status_code)


@pytest.mark.parametrize(
    "actor",
    [
        *("order-service", "Payment-Service", " carrier ", "\uff43arrier"),
        *("ad\u200ba", "ad\u00ada", "a\nb"),
    ],
    ids=ascii,
)
async def test_an_actor_that_could_be_mistaken_for_another_is_rejected(
    gateway: httpx.AsyncClient, order_id: UUID, actor: str
) -> None:
    refund = {"amount_minor": 1, "reason": "broken", "actor": actor}
    bulk = {"order_ids": [str(order_id)], "actor": actor}
    responses = [
        await gateway.post(f"/orders/{order_id}/approve", json={"actor": actor}),
        await gateway.post(f"/orders/{order_id}/signals/approve", json={"actor": actor}),
        await gateway.post("/orders/bulk/approve", json=bulk),
        await gateway.post(
            f"/orders/{order_id}/refunds", json=refund, headers={"Idempotency-Key": "1"}
        ),
    ]

    for response in responses:
        _assert_problem(response, 422)
        assert response.json()["errors"][0]["loc"] == ["body", "actor"]

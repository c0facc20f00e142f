"""What an order costs, in requests and responses; most bodies are from bug reports of others."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from gateway_harness import Record, Serve
from temporalio.client import Client

from fuze_contracts.order import PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_devstack.postgres import EmbeddedPostgres

_BERLIN = {
    "country": "DE",
    "zip_code": "10115",
    "name": "Ada Beispiel",
    "line1": "Teststr. 1",
    "city": "Berlin",
}
_LONDON = {"country": "GB", "zip_code": "SW1A 1AA", "line1": "1 High St", "city": "London"}


def _line(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a line
    return {"sku": "SOCKS", "quantity": 1, "unit_price_minor": 2390} | fields


def _body(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a request
    return {"address": _LONDON, "currency": "GBP", "payment_method": "pm_card_visa"} | fields


def _adjust(kind: str, amount_minor: int) -> dict[str, Any]:
    return {"kind": kind, "label": "a label", "amount_minor": amount_minor}


async def _place(http: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    return await http.post("/orders", json=body, headers={"Idempotency-Key": uuid4().hex})


async def _read_input(temporal: Client, order_id: str) -> PlaceOrder:
    handle = temporal.get_workflow_handle(order_workflow_id(UUID(order_id)))
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    [order] = await temporal.data_converter.decode(started.input.payloads, [PlaceOrder])
    return PlaceOrder.model_validate(order)


async def _accepted(http: httpx.AsyncClient, temporal: Client, body: dict[str, Any]) -> PlaceOrder:
    response = await _place(http, body)
    assert response.status_code == 202, response.text
    return await _read_input(temporal, response.json()["order_id"])


async def _errors(http: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, str]:
    """Return the messages of the 422, by the path of the field in the body."""
    response = await _place(http, body)
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    return {
        ".".join(map(str, error["loc"][1:])): error["message"]
        for error in response.json()["errors"]
    }


async def test_shipping_is_an_adjustment_and_part_of_the_total(
    gateway: httpx.AsyncClient, temporal: Client
) -> None:
    """woocommerce/woocommerce 64668, stripe/stripe-dotnet 1697."""
    order = await _accepted(
        gateway, temporal, _body(lines=[_line()], adjustments=[_adjust("shipping", 499)])
    )

    assert str(order.total) == "28.89 GBP"


async def test_two_lines_may_have_the_same_sku_one_of_them_free(
    gateway: httpx.AsyncClient, temporal: Client
) -> None:
    """woocommerce/woocommerce 56426: buy two, get one free. ten24/slatwall 1925."""
    lines = [
        _line(sku="TEE-M", quantity=2, unit_price_minor=2500),
        _line(sku="TEE-M", quantity=1, unit_price_minor=0),
    ]

    order = await _accepted(gateway, temporal, _body(lines=lines))

    assert order.total_minor == 5000
    assert [(line.line_id, line.quantity) for line in order.lines] == [("1", 2), ("2", 1)]


async def test_ten_articles_may_cost_an_amount_that_ten_does_not_divide(
    gateway: httpx.AsyncClient, temporal: Client
) -> None:
    """woocommerce/woocommerce 64668: 179.25 for ten."""
    lines = [_line(quantity=5, unit_price_minor=1792), _line(quantity=5, unit_price_minor=1793)]

    order = await _accepted(gateway, temporal, _body(lines=lines, total_minor=17925))

    assert order.total_minor == 17925


async def test_a_fraction_of_a_quantity_is_refused_with_what_to_do_instead(
    gateway: httpx.AsyncClient,
) -> None:
    """vendurehq/vendure 1060, medusajs/medusa 13363."""
    found = await _errors(gateway, _body(lines=[_line(quantity=1.5)]))

    assert found.keys() == {"lines.0.quantity"}
    assert "count what is measured in a smaller unit" in found["lines.0.quantity"]


async def test_metadata_and_a_reference_are_kept(
    gateway: httpx.AsyncClient, temporal: Client
) -> None:
    """solidusio/solidus 5897, woocommerce/woocommerce 14737."""
    body = {
        "address": _BERLIN,
        "reference": "WEB-1",
        "metadata": {"po_number": "PO-1"},
        "customer": "cus_1815",
        "customer_email": "ada@example.com",
        "customer_name": "Ada Lovelace",
    }

    order = await _accepted(gateway, temporal, body)

    assert (order.reference, order.metadata) == ("WEB-1", {"po_number": "PO-1"})
    assert (order.customer, order.customer_email) == ("cus_1815", "ada@example.com")
    assert order.customer_name == "Ada Lovelace"


@pytest.mark.parametrize(
    "metadata",
    [
        {str(number): "" for number in range(51)},
        {"k" * 41: ""},
        {"": "no key"},
        {"key": "v" * 501},
        {"key": 1},
        {"key": None},
        {"nul": "a\0b"},
    ],
    ids=["51 keys", "long key", "empty key", "long value", "number", "null", "nul"],
)
async def test_metadata_beyond_its_limits_is_refused(
    gateway: httpx.AsyncClient, metadata: dict[str, Any]
) -> None:
    found = await _errors(gateway, {"address": _BERLIN, "metadata": metadata})

    assert all(path.startswith("metadata") for path in found)


async def test_metadata_at_its_limits_is_accepted(serve: Serve, temporal: Client) -> None:
    metadata = {f"{number:040}": "v" * 500 for number in range(50)}
    async with serve(max_body_bytes=262_144) as gateway:
        order = await _accepted(gateway, temporal, {"address": _BERLIN, "metadata": metadata})

    assert order.metadata == metadata


async def test_an_order_without_anything_to_ship_needs_no_address(
    gateway: httpx.AsyncClient, temporal: Client
) -> None:
    """snipcart-v3-feedback 96, saleor 4368."""
    line = _line(sku="EBOOK", unit_price_minor=999, requires_shipping=False)

    order = await _accepted(gateway, temporal, {"lines": [line], "payment_method": "pm_card_visa"})

    assert order.address is None
    assert not order.requires_shipping


async def test_an_order_to_ship_without_an_address_is_refused_with_both_remedies(
    gateway: httpx.AsyncClient,
) -> None:
    found = await _errors(gateway, {"lines": [_line()], "payment_method": "pm_card_visa"})

    assert found.keys() == {"address"}
    assert "set requires_shipping to false" in found["address"]


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"total_minor": 2400}, "total_minor", "2400, but the lines and adjustments sum to 2390"),
        ({"payment_method": None}, "payment_method", "needs a payment method"),
        ({"adjustments": [_adjust("discount", 2391)]}, "adjustments", "exceed the order by 1"),
        ({"lines": [_line(discount_minor=3000)]}, "lines.0.discount_minor", "exceeds"),
        ({"lines": [_line(line_id="2"), _line()]}, "lines.1.line_id", "give each line its own"),
        ({"lines": [_line(tax_minor=-1)]}, "lines.0.tax_minor", "must be at least 0"),
        ({"adjustments": [_adjust("tip", 1)]}, "adjustments.0.kind", "'discount', 'shipping'"),
        ({"adjustments": [_adjust("fee", -1)]}, "adjustments.0.amount_minor", "must be at least 0"),
        ({"lines": [_line(quantity=10**6, unit_price_minor=10**12)]}, "lines", "split the order"),
        ({"currency": "ANG"}, "currency", "ISO 4217 code that is in use"),
        ({"customer_email": "ada"}, "customer_email", "must be an e-mail address"),
        ({"customer_email": "ada@b"}, "customer_email", "must be an e-mail address"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_what_the_body_alone_decides_is_refused_at_once(
    gateway: httpx.AsyncClient, fields: dict[str, Any], path: str, message: str
) -> None:
    found = await _errors(gateway, _body(**({"lines": [_line()]} | fields)))

    assert found.keys() == {path}
    assert message in found[path]


async def test_every_field_that_is_wrong_is_named(gateway: httpx.AsyncClient) -> None:
    body = {"lines": [_line(), _line(line_id="1")], "total_minor": 1}

    assert (await _errors(gateway, body)).keys() == {*("address", "lines.1.line_id", "total_minor")}


async def test_todays_currency_of_curacao_is_accepted(
    gateway: httpx.AsyncClient, temporal: Client
) -> None:
    """Rhymond/go-money 156."""
    order = await _accepted(gateway, temporal, _body(lines=[_line()], currency="XCG"))

    assert str(order.total) == "23.90 XCG"


@pytest.mark.parametrize(
    ("currency", "amount_minor", "message"),
    [
        ("UGX", 3800, "Stripe cannot charge UGX"),
        ("IQD", 1000, "Stripe cannot charge IQD"),
        ("KWD", 18605, "in steps of 10 minor units"),
        ("MGA", 150, "in steps of 100 minor units"),
    ],
)
async def test_a_total_that_stripe_cannot_charge_is_refused(
    serve: Serve, currency: str, amount_minor: int, message: str
) -> None:
    """woocommerce/woocommerce-gateway-stripe 2674 and 2720, Shopify/money 258."""
    body = _body(lines=[_line(unit_price_minor=amount_minor)], currency=currency)
    async with serve(payment_provider="stripe") as gateway:
        found = await _errors(gateway, body)

    assert found.keys() == {"currency"}
    assert message in found["currency"]


@pytest.mark.parametrize(
    ("currency", "amount_minor"), [("KWD", 18600), ("ISK", 5000), ("USD", 1), ("UGX", 0)]
)
async def test_a_total_that_stripe_can_charge_is_accepted(
    serve: Serve, temporal: Client, currency: str, amount_minor: int
) -> None:
    body = _body(lines=[_line(unit_price_minor=amount_minor)], currency=currency)
    async with serve(payment_provider="stripe") as gateway:
        order = await _accepted(gateway, temporal, body)

    assert order.total_minor == amount_minor


async def test_a_repeated_request_is_a_replay_although_the_provider_has_changed(
    gateway: httpx.AsyncClient, serve: Serve, temporal: Client, record: Record, order_id: UUID
) -> None:
    body = _body(lines=[_line()], currency="UGX")
    assert (await gateway.post(f"/orders/{order_id}/start", json=body)).status_code == 202
    description = await temporal.get_workflow_handle(order_workflow_id(order_id)).describe()
    await record(order_id, fingerprint=(await description.memo())["fingerprint"])

    async with serve(payment_provider="stripe") as changed:
        replay = await changed.post(f"/orders/{order_id}/start", json=body)

    assert (replay.status_code, replay.headers["idempotent-replayed"]) == (202, "true")


@pytest.fixture
async def recorded(record: Record, postgres: EmbeddedPostgres, order_id: UUID) -> UUID:
    """An order of one e-book, with a discount, a fee and the fields of the caller."""
    await record(order_id)
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        "UPDATE orders.orders SET total_minor = 884, discount_minor = 150, fee_minor = 35,"
        ' address = NULL, reference = $2, metadata = \'{"po_number": "PO-1"}\','
        " customer_email = 'ada@example.com', customer_name = 'Ada Lovelace',"
        " payment_method = 'pm_card_visa' WHERE id = $1",
        *(order_id, f"WEB-{order_id}"),
    )
    await connection.execute(
        "INSERT INTO orders.order_lines VALUES ($1, 1, 'e', 'EBOOK', 'A book', 1, 999, 50, 0,"
        " false)",
        order_id,
    )
    await connection.execute(
        "INSERT INTO orders.order_adjustments VALUES ($1, 1, 'discount', 'Spring', 100),"
        " ($1, 2, 'fee', 'Gift wrap', 35)",
        order_id,
    )
    await connection.close()
    return order_id


_TOTALS = {
    "subtotal_minor": 999,
    "discount_minor": 150,
    "shipping_minor": 0,
    "tax_minor": 0,
    "fee_minor": 35,
    "total_minor": 884,
}


async def test_an_order_has_its_lines_its_adjustments_and_the_breakdown(
    gateway: httpx.AsyncClient, recorded: UUID
) -> None:
    order = (await gateway.get(f"/orders/{recorded}")).json()

    assert {name: order[name] for name in _TOTALS} == _TOTALS
    assert order["lines"] == [
        {
            "line_id": "e",
            "sku": "EBOOK",
            "name": "A book",
            "quantity": 1,
            "unit_price_minor": 999,
            "discount_minor": 50,
            "tax_minor": 0,
            "requires_shipping": False,
            "total_minor": 949,
        }
    ]
    assert order["adjustments"] == [
        {"kind": "discount", "label": "Spring", "amount_minor": 100},
        {"kind": "fee", "label": "Gift wrap", "amount_minor": 35},
    ]
    assert (order["metadata"], order["address"]) == ({"po_number": "PO-1"}, None)


async def test_the_breakdown_is_in_the_status_and_in_the_list_too(
    gateway: httpx.AsyncClient, recorded: UUID
) -> None:
    status = (await gateway.get(f"/orders/{recorded}/status")).json()["durable"]
    listed = await gateway.get("/orders", params={"reference": f"WEB-{recorded}"})

    [summary] = listed.json()["orders"]
    for answer in (status, summary):
        assert {name: answer[name] for name in _TOTALS} == _TOTALS
        assert answer["reference"] == f"WEB-{recorded}"
    assert summary["order_id"] == str(recorded)
    assert summary["customer_email"] == "ada@example.com"


async def test_a_recovery_restores_everything_from_the_row(
    gateway: httpx.AsyncClient, temporal: Client, recorded: UUID
) -> None:
    assert (await gateway.post(f"/orders/{recorded}/recover")).status_code == 202

    order = await _read_input(temporal, str(recorded))

    totals = order.totals
    assert {name: getattr(totals, name) for name in _TOTALS} == _TOTALS
    assert (order.address, order.requires_shipping) == (None, False)
    assert (order.lines[0].line_id, order.lines[0].name) == ("e", "A book")
    assert [one.label for one in order.adjustments] == ["Spring", "Gift wrap"]
    assert (order.reference, order.metadata) == (f"WEB-{recorded}", {"po_number": "PO-1"})
    assert (order.customer_email, order.customer_name) == ("ada@example.com", "Ada Lovelace")

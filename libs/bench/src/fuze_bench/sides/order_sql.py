"""The statements of the sides without Temporal, one transaction each, and their HTTP requests.

Each statement has no effect the second time, so that a step can be retried. Parameters are `$1`,
`$2`, as asyncpg and psycopg's raw cursor take them.
"""

import json
import uuid
from typing import Any

Order = dict[str, Any]

RECEIVE = """
    WITH received AS (
        INSERT INTO orders (id, status, payment_status, customer, currency, total_minor,
                            payment_method, address, last_seq)
        VALUES ($1::uuid, 'awaiting_approval', 'none', $2::text, $3::text, $4::bigint,
                $5::text, $6::text::jsonb, 2)
        ON CONFLICT DO NOTHING
        RETURNING id
    ), lines AS (
        INSERT INTO order_lines
        SELECT id, position, line ->> 'sku', (line ->> 'quantity')::integer,
               (line ->> 'unit_price_minor')::bigint
        FROM received, jsonb_array_elements($7::text::jsonb) WITH ORDINALITY AS l (line, position)
    )
    INSERT INTO events (order_id, seq, type, status, payment_status, actor, details)
    SELECT id, 1, 'order_received', 'received', 'none', 'order-service', '{}'::jsonb FROM received
    UNION ALL
    SELECT id, 2, 'order_validated', 'awaiting_approval', 'none', 'order-service', '{}'::jsonb
    FROM received
"""

TRANSITION = """
    WITH recorded AS (
        INSERT INTO events (order_id, seq, type, status, payment_status, actor, details)
        VALUES ($1::uuid, $2::integer, $3::text, $4::text, $5::text, $6::text, $7::text::jsonb)
        ON CONFLICT DO NOTHING
        RETURNING order_id
    )
    UPDATE orders SET status = $4::text, payment_status = $5::text, last_seq = $2::integer,
           tracking_number = $7::text::jsonb ->> 'tracking_number', updated_at = now()
    WHERE id IN (SELECT order_id FROM recorded) AND last_seq = $2::integer - 1
"""

CHARGED = """
    WITH recorded AS (
        INSERT INTO events (order_id, seq, type, status, payment_status, actor, details)
        VALUES ($1::uuid, 4, 'payment_charged', 'paid', 'charged', 'order-service',
                jsonb_build_object('reference', $2::text)),
               ($1::uuid, 5, 'shipping_started', 'preparing', 'charged', 'order-service', '{}')
        ON CONFLICT DO NOTHING
        RETURNING order_id
    )
    UPDATE orders SET status = 'preparing', payment_status = 'charged', last_seq = 5,
           updated_at = now()
    WHERE id IN (SELECT order_id FROM recorded) AND last_seq = 3
"""
"""Record that the order is charged, and that a shipment may exist, at once as Fuze does."""

SUBMIT_PAYMENT = """
    INSERT INTO payments (id, order_id, amount_minor, currency, payment_method, state)
    VALUES ($1::uuid, $2::uuid, $3::bigint, $4::text, $5::text, 'submitted')
    ON CONFLICT DO NOTHING
"""

SETTLE_PAYMENT = """
    WITH settled AS (
        UPDATE payments SET state = 'charged', provider_reference = $2::text, updated_at = now()
        WHERE id = $1::uuid AND state = 'submitted'
        RETURNING id, amount_minor, currency
    )
    INSERT INTO ledger_entries
        (journal_id, payment_id, account, debit_minor, credit_minor, currency)
    SELECT id, id, 'provider', amount_minor, 0, currency FROM settled
    UNION ALL
    SELECT id, id, 'sales', 0, amount_minor, currency FROM settled
"""

SUBMIT_SHIPMENT = """
    INSERT INTO shipments (id, order_id, state, address, items)
    VALUES ($1::uuid, $2::uuid, 'dispatching', $3::text::jsonb, $4::text::jsonb)
    ON CONFLICT DO NOTHING
"""

SETTLE_SHIPMENT = """
    UPDATE shipments SET state = 'dispatched', carrier = $2::text, tracking_number = $3::text,
           dispatched_at = now()
    WHERE id = $1::uuid AND state = 'dispatching'
"""

GET_ORDER = """
    SELECT id, status, payment_status, customer, currency, total_minor, payment_method, address,
           tracking_number, created_at, updated_at
    FROM orders WHERE id = $1::uuid
"""

GET_ORDER_WITH_LINES = """
    SELECT id::text AS order_id, status, customer, currency, payment_method, address,
           (SELECT jsonb_agg(jsonb_build_object('sku', sku, 'quantity', quantity,
                             'unit_price_minor', unit_price_minor) ORDER BY position)
            FROM order_lines WHERE order_id = id) AS lines
    FROM orders WHERE id = $1::uuid
"""

AFTER = {
    "order_approved": (3, "approved", "pending"),
    "order_shipped": (6, "shipped", "charged"),
}
"""The number, status and payment status that each event of `TRANSITION` leads to."""


def receive_parameters(order: Order) -> tuple[Any, ...]:
    """Return the parameters of `RECEIVE`."""
    return (
        order["order_id"],
        order["customer"],
        order["currency"],
        total(order),
        order["payment_method"],
        json.dumps(order["address"]),
        json.dumps(order["lines"]),
    )


def transition_parameters(order_id: str, event: str, **details: str) -> tuple[Any, ...]:
    """Return the parameters of `TRANSITION`."""
    seq, status, payment_status = AFTER[event]
    return order_id, seq, event, status, payment_status, "order-service", json.dumps(details)


def shipment_parameters(order: Order) -> tuple[Any, ...]:
    """Return the parameters of `SUBMIT_SHIPMENT`."""
    order_id, address, items = order["order_id"], order["address"], order["lines"]
    return shipment_id(order_id), order_id, json.dumps(address), json.dumps(items)


def total(order: Order) -> int:
    """Return the order's total in minor units."""
    return sum(line["quantity"] * line["unit_price_minor"] for line in order["lines"])


def payment_id(order_id: str) -> str:
    """Return the id of an order's payment, which is the provider's idempotency key."""
    return str(uuid.uuid5(uuid.UUID(order_id), "payment"))


def shipment_id(order_id: str) -> str:
    """Return the id of an order's shipment, which is the carrier's idempotency key."""
    return str(uuid.uuid5(uuid.UUID(order_id), "shipment"))


def charge_request(order: Order) -> dict[str, Any]:
    """Return the body of `POST /psp/charges`."""
    return {
        "amount_minor": total(order),
        "currency": order["currency"],
        "payment_method": order["payment_method"],
        "order_id": order["order_id"],
        "payment_id": payment_id(order["order_id"]),
    }


def parcel_request(order: Order) -> dict[str, Any]:
    """Return the body of `POST /carrier/parcels`."""
    return {
        "shipment_id": shipment_id(order["order_id"]),
        "order_id": order["order_id"],
        "address": order["address"],
        "contents": order["lines"],
    }

"""Erase personal data from events, which are append-only for everything else."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # `customer via shop`: each part may be the customer.
    op.execute("""
        CREATE FUNCTION orders.replace_actor(actor text, names text[], pseudonym text)
        RETURNS text LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
            SELECT string_agg(CASE WHEN part = ANY (names) THEN pseudonym ELSE part END, ' via '
                              ORDER BY number)
            FROM unnest(string_to_array(actor, ' via ')) WITH ORDINALITY AS parts (part, number)
        $$
    """)
    # Everything that is not listed goes: an address, a reason, an error.
    op.execute("""
        CREATE FUNCTION orders.erase_events(order_ids uuid[], names text[], pseudonym text)
        RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$
            WITH erased AS (
                UPDATE orders.events SET
                    actor = orders.replace_actor(actor, names, pseudonym),
                    details = (
                        SELECT coalesce(jsonb_object_agg(key, value), '{}')
                        FROM jsonb_each(details)
                        WHERE jsonb_typeof(value) IN ('number', 'boolean')
                           OR key IN ('amount', 'carrier', 'code', 'currency', 'lines', 'outcome',
                                      'payment_id', 'provider_reference', 'refund_id', 'return_id',
                                      'shipment_id', 'status', 'step', 'tracking_number')
                    )
                WHERE order_id = ANY (order_ids)
                RETURNING 1
            )
            SELECT count(*) FROM erased
        $$
    """)
    op.execute("REVOKE EXECUTE ON FUNCTION orders.erase_events, orders.replace_actor FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION orders.erase_events, orders.replace_actor TO fuze_order")

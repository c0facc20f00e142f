"""Orders that can be looked for by many, page by page, and read whole."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE orders.orders ADD COLUMN tracking_deadline timestamptz")
    op.execute("DROP INDEX orders.orders_status_created_at_idx")
    op.execute("DROP INDEX orders.orders_needs_attention_idx")
    op.execute("""
        CREATE INDEX orders_created_at_id_idx ON orders.orders (created_at, id)
    """)
    op.execute("""
        CREATE INDEX orders_status_created_at_id_idx ON orders.orders (status, created_at, id)
    """)
    op.execute("""
        CREATE INDEX orders_customer_created_at_id_idx ON orders.orders (customer, created_at, id)
    """)
    op.execute("""
        CREATE INDEX orders_customer_prefix_idx ON orders.orders (lower(customer) text_pattern_ops)
    """)
    op.execute("""
        CREATE INDEX orders_needs_attention_idx ON orders.orders (created_at, id)
        WHERE needs_attention
    """)
    op.execute("""
        CREATE OR REPLACE VIEW orders.published_orders AS
        SELECT id AS order_id, status, payment_status, reason, customer, currency::text AS currency,
               total_minor, address, tracking_number, fingerprint, last_seq, created_at, updated_at,
               needs_attention, payment_method, tracking_deadline,
               (SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'sku', sku, 'quantity', quantity, 'unit_price_minor', unit_price_minor
                       ) ORDER BY position), '[]')
                FROM orders.order_lines WHERE order_lines.order_id = orders.id) AS lines
        FROM orders.orders
    """)

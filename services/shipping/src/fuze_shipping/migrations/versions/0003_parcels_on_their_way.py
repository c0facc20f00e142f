"""How far a parcel has come."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE shipping.shipments
            ADD COLUMN parcel_state text,
            ADD CONSTRAINT shipments_parcel_state_check CHECK (
                parcel_state IS NULL OR (
                    state = 'dispatched'
                    AND parcel_state IN ('accepted', 'in_transit', 'delivered', 'returned')
                )
            )
    """)

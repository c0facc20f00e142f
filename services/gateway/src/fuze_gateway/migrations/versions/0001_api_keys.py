"""API keys, stored as digests."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE gateway.api_keys (
            id text CONSTRAINT api_keys_pkey PRIMARY KEY
                CONSTRAINT api_keys_id_check CHECK (id ~ '^[0-9a-f]{12}$'),
            client text NOT NULL CONSTRAINT api_keys_client_check CHECK (client <> ''),
            secret_sha256 bytea NOT NULL
                CONSTRAINT api_keys_secret_check CHECK (octet_length(secret_sha256) = 32),
            scopes text[] NOT NULL
                CONSTRAINT api_keys_scopes_check CHECK (cardinality(scopes) > 0),
            is_development boolean NOT NULL DEFAULT false,
            created_by text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL,
            revoked_at timestamptz
        )
    """)
    op.execute(
        "CREATE INDEX api_keys_client_created_at_idx ON gateway.api_keys (client, created_at)"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE (revoked_at) ON gateway.api_keys TO fuze_gateway")

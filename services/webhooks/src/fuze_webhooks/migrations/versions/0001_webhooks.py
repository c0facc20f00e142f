"""Endpoints, their secrets and deliveries; the views through which the gateway works."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_tables()
    _create_views()
    op.execute("GRANT SELECT, UPDATE, DELETE ON webhooks.endpoints TO fuze_webhooks")
    op.execute("GRANT SELECT, DELETE ON webhooks.secrets TO fuze_webhooks")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks.deliveries TO fuze_webhooks")
    op.execute("GRANT USAGE ON SCHEMA webhooks TO fuze_gateway")
    op.execute("""
        GRANT SELECT, INSERT (endpoint_id, url, event_types, description, is_enabled),
              UPDATE (url, event_types, description, is_enabled, disabled_reason, failing_since,
                      updated_at, deleted_at)
        ON webhooks.published_endpoints TO fuze_gateway
    """)
    op.execute("""
        GRANT SELECT, INSERT (endpoint_id, message_id, event_type),
              UPDATE (state, attempts, next_attempt_at, delivered_at)
        ON webhooks.published_deliveries TO fuze_gateway
    """)
    # Written, never read: a secret is shown by the response that creates it, and by nothing else.
    op.execute("""
        GRANT SELECT (endpoint_id, expires_at), INSERT (endpoint_id, secret), UPDATE (expires_at)
        ON webhooks.secrets TO fuze_gateway
    """)


def _create_tables() -> None:
    op.execute("""
        CREATE TABLE webhooks.endpoints (
            id uuid CONSTRAINT endpoints_pkey PRIMARY KEY,
            url text NOT NULL CONSTRAINT endpoints_url_check CHECK (url ~ '^https?://'),
            event_types text[] NOT NULL DEFAULT '{}'::text[],
            description text NOT NULL DEFAULT ''::text,
            is_enabled boolean NOT NULL DEFAULT true,
            disabled_reason text CONSTRAINT endpoints_disabled_reason_check CHECK (
                disabled_reason IN ('gone', 'failing')
            ),
            failing_since timestamptz,
            cursor_transaction_id bigint NOT NULL
                DEFAULT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
            cursor_position bigint NOT NULL DEFAULT 0,
            checked_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            deleted_at timestamptz,
            CONSTRAINT endpoints_disabled_check CHECK (NOT is_enabled OR disabled_reason IS NULL)
        )
    """)
    op.execute("""
        CREATE TABLE webhooks.secrets (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT secrets_pkey PRIMARY KEY,
            endpoint_id uuid NOT NULL CONSTRAINT secrets_endpoint_id_fkey
                REFERENCES webhooks.endpoints (id) ON DELETE CASCADE,
            secret text NOT NULL CONSTRAINT secrets_secret_check CHECK (secret LIKE 'whsec_%'),
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz
        )
    """)
    op.execute("CREATE INDEX secrets_endpoint_id_idx ON webhooks.secrets (endpoint_id)")
    op.execute("""
        CREATE TABLE webhooks.deliveries (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT deliveries_pkey PRIMARY KEY,
            endpoint_id uuid NOT NULL CONSTRAINT deliveries_endpoint_id_fkey
                REFERENCES webhooks.endpoints (id) ON DELETE CASCADE,
            message_id text NOT NULL,
            order_id uuid,
            seq integer,
            event_type text NOT NULL,
            state text NOT NULL DEFAULT 'pending'::text CONSTRAINT deliveries_state_check CHECK (
                state IN ('pending', 'delivered', 'failed')
            ),
            attempts integer NOT NULL DEFAULT 0,
            next_attempt_at timestamptz NOT NULL DEFAULT now(),
            fencing_token integer NOT NULL DEFAULT 0,
            lease_expires_at timestamptz NOT NULL DEFAULT now(),
            last_attempted_at timestamptz,
            response_status integer,
            response_body text,
            error text,
            created_at timestamptz NOT NULL DEFAULT now(),
            delivered_at timestamptz,
            CONSTRAINT deliveries_event_check CHECK ((order_id IS NULL) = (seq IS NULL)),
            CONSTRAINT deliveries_delivered_check CHECK (
                (state = 'delivered') = (delivered_at IS NOT NULL)
            ),
            CONSTRAINT deliveries_endpoint_id_message_id_key UNIQUE (endpoint_id, message_id),
            CONSTRAINT deliveries_endpoint_id_order_id_seq_key UNIQUE (endpoint_id, order_id, seq)
        )
    """)
    op.execute(
        "CREATE INDEX deliveries_endpoint_id_id_idx ON webhooks.deliveries (endpoint_id, id)"
    )
    op.execute(
        "CREATE INDEX deliveries_pending_idx ON webhooks.deliveries (endpoint_id, next_attempt_at)"
        " WHERE state = 'pending'"
    )
    op.execute(
        "CREATE INDEX deliveries_failed_idx ON webhooks.deliveries (endpoint_id, id)"
        " WHERE state = 'failed'"
    )
    op.execute(
        "CREATE INDEX deliveries_delivered_idx ON webhooks.deliveries (endpoint_id, delivered_at)"
        " WHERE state = 'delivered'"
    )


def _create_views() -> None:
    # Plain columns of one table: PostgreSQL lets the gateway write through both.
    op.execute("""
        CREATE VIEW webhooks.published_endpoints AS
        SELECT id AS endpoint_id, url, event_types, description, is_enabled, disabled_reason,
               failing_since, created_at, updated_at, deleted_at,
               EXISTS (SELECT FROM webhooks.deliveries
                       WHERE endpoint_id = endpoints.id AND state = 'failed')
                   AS has_failed_deliveries
        FROM webhooks.endpoints WHERE deleted_at IS NULL
    """)
    op.execute("""
        CREATE VIEW webhooks.published_deliveries AS
        SELECT id AS position, endpoint_id, message_id, order_id, seq, event_type, state, attempts,
               next_attempt_at, last_attempted_at, response_status, response_body, error,
               created_at, delivered_at,
               EXISTS (SELECT FROM webhooks.deliveries AS earlier
                       WHERE earlier.endpoint_id = deliveries.endpoint_id
                         AND earlier.order_id = deliveries.order_id
                         AND earlier.seq < deliveries.seq AND earlier.state <> 'delivered')
                   AS is_blocked
        FROM webhooks.deliveries
    """)

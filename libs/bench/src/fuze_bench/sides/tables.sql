-- The tables of a side without Temporal: what Fuze stores about an order that is shipped.
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    status text NOT NULL,
    payment_status text NOT NULL,
    customer text,
    currency char(3) NOT NULL,
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    payment_method text,
    address jsonb NOT NULL,
    tracking_number text,
    last_seq integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON orders (created_at, id);
CREATE INDEX ON orders (status, created_at, id);

CREATE TABLE order_lines (
    order_id uuid NOT NULL REFERENCES orders (id),
    position integer NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    unit_price_minor bigint NOT NULL,
    PRIMARY KEY (order_id, position)
);

CREATE TABLE events (
    order_id uuid NOT NULL REFERENCES orders (id),
    seq integer NOT NULL,
    type text NOT NULL,
    status text NOT NULL,
    payment_status text NOT NULL,
    actor text NOT NULL,
    details jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, seq)
);

CREATE TABLE payments (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE,
    amount_minor bigint NOT NULL,
    currency char(3) NOT NULL,
    payment_method text,
    state text NOT NULL CHECK (state IN ('submitted', 'charged', 'declined')),
    provider_reference text UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ledger_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal_id uuid NOT NULL,
    payment_id uuid NOT NULL REFERENCES payments (id),
    account text NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    currency char(3) NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (journal_id, account)
);

CREATE TABLE shipments (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('prepared', 'dispatching', 'dispatched')),
    address jsonb NOT NULL,
    items jsonb NOT NULL,
    carrier text,
    tracking_number text UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    dispatched_at timestamptz
);

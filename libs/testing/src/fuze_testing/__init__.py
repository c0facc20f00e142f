"""Real servers for tests: PostgreSQL with every schema, Temporal with skipped time."""

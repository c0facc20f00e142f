"""Real servers for tests: a migrated PostgreSQL, Temporal with the real or a skipping clock."""

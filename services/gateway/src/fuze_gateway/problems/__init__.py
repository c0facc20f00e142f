"""The problem types (RFC 9457), their registry, and how errors become problems."""

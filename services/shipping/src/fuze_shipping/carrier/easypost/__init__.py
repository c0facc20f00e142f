"""EasyPost: labels of many carriers, bought over its HTTP API (ADR 25)."""

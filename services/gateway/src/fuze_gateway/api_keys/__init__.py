"""API keys: create, list, revoke, and authenticate by them."""

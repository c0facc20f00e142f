"""The sync client, generated from `_async`: `make client`."""

"""The async client. `_sync` is generated from it: `make client`."""

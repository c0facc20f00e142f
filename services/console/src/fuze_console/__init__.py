"""The operator's console: HTML over the gateway's API."""

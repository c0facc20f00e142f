"""The ASGI middleware around the endpoints."""

"""The gateway: REST over Temporal and the published views."""

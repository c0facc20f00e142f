"""The order service: the lifecycle of an order."""

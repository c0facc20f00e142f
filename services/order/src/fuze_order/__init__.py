"""The order service: an order's life, from received to its end."""

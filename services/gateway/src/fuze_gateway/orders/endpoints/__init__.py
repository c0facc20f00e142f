"""The HTTP operations on orders, a module per kind."""

"""How any Fuze process runs. Knows nothing of orders."""

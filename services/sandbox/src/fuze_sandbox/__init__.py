"""An outside payment service provider and an outside carrier, in one process of their own."""

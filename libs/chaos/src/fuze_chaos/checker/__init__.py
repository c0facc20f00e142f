"""The checker: quiescence, the invariants, and the reference model of an order."""

"""Faults: the catalog of kinds, the seeded schedule, and what injects them."""

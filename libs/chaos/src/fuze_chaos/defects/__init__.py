"""Bugs that are injected on purpose: the checker has to find each of them."""

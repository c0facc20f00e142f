"""Bugs planted on purpose, each of which has to turn the checker red."""

"""Snapshots of every system of record after a run, grouped by order."""

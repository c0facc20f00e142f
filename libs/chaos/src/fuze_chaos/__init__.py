"""Orders under faults, and the proof that all of their books agree afterwards."""

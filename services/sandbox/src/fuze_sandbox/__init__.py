"""A payment provider and a carrier for development, in one process, with faults on demand."""

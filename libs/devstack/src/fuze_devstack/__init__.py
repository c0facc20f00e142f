"""The development stack: Fuze on one machine, without containers."""

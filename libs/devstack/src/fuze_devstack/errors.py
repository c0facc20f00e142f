"""The error of the development stack."""


class StackError(Exception):
    """The stack cannot do what was requested; the message says why, and what to do."""

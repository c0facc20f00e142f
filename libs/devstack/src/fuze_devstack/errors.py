"""The error of the development stack."""

import click


class StackError(click.ClickException):
    """The stack cannot do what was requested; the message says why, and what to do."""

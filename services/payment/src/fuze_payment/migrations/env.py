"""Alembic's entry point; the connection and the transaction are the caller's."""

from alembic import context

from fuze_payment.tables import metadata
from fuze_runtime.migrations import run_environment

run_environment(context, metadata)

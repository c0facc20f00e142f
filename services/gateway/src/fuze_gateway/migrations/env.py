"""Alembic's entry point; the caller has the connection and the transaction."""

from alembic import context

from fuze_gateway.tables import metadata
from fuze_runtime.migrations import run_environment

run_environment(context, metadata)

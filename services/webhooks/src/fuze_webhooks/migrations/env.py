"""Alembic's entry point; the caller provides the connection and the transaction."""

from alembic import context

from fuze_runtime.migrations import run_environment
from fuze_webhooks.tables import metadata

run_environment(context, metadata)

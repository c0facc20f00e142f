"""Where Alembic enters; the connection and the transaction are the caller's."""

from alembic import context

from fuze_runtime.migrations import run_environment
from fuze_shipping.tables import metadata

run_environment(context, metadata)

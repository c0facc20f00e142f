"""Settings of the order service."""

from fuze_runtime.settings import WorkerSettings


class OrderSettings(WorkerSettings):
    """The settings of a worker; the order service has none of its own."""

"""Settings of the order service."""

from fuze_runtime.settings import WorkerSettings


class OrderSettings(WorkerSettings):
    """What the order worker needs; nothing of its own yet."""

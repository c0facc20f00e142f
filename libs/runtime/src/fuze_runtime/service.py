"""What a service is made of, for the commands that every service has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from temporalio.common import SearchAttributeKey

from fuze_runtime.database_check import SchemaAccess
from fuze_runtime.schedule import ReconciliationSchedule, ScheduleSettings
from fuze_runtime.settings import DatabaseSettings

Settings = TypeVar("Settings", bound=DatabaseSettings)


@dataclass(frozen=True, kw_only=True)
class Service(Generic[Settings]):
    """A service: its settings, and what it needs in PostgreSQL and in Temporal.

    `schedules` are the schedules that its workers keep, each with what a deployment sets of it.
    `get_search_attributes` returns those that its workflows have with these settings. The gateway
    has no task queue.
    """

    name: str
    settings_type: type[Settings]
    access: SchemaAccess
    task_queue: str | None = None
    schedules: Mapping[ReconciliationSchedule, Callable[[Settings], ScheduleSettings]] = field(
        default_factory=dict
    )
    get_search_attributes: Callable[[Settings], Sequence[SearchAttributeKey[Any]]] = lambda _: ()

    @property
    def package(self) -> str:
        """The package that `python -m` runs."""
        return f"fuze_{self.name}"

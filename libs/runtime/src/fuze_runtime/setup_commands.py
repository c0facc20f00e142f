"""The commands `check` and `init`: what a service needs before its first start."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import stamina
from temporalio.client import Client
from temporalio.service import RPCError

from fuze_runtime import schedule, temporal, temporal_check
from fuze_runtime.database_check import build_check
from fuze_runtime.service import Service
from fuze_runtime.settings import DatabaseSettings
from fuze_runtime.temporal_check import NamespaceNotFoundError, TemporalError

_CONNECT_TIMEOUT = timedelta(seconds=10)
_NAMESPACE_TIMEOUT = timedelta(seconds=60)

CHECK_DESCRIPTION = """\
Say, line by line, what is there and what is missing, and how to make it: the settings, PostgreSQL
and the password, the revision of the schema, the rights of the service's role, Temporal, the
namespace, its retention, the search attributes, the schedules, and the task queue. It changes
nothing. The exit code is 1 when something is missing, and 0 otherwise; a line that begins with
`note` is no reason to fail.
"""
INIT_DESCRIPTION = """\
Make what a service may make in Temporal: the namespace of TEMPORAL_NAMESPACE, the service's
schedules, and the search attributes that its settings ask for. What exists is left as it is, with
what an operator changed. Temporal Cloud has commands of its own for namespaces and search
attributes. `migrate` makes the schema.
"""

Made = TypeVar("Made")
State = Literal["ok", "missing", "note"]


class Finding(NamedTuple):
    """A line of `check` or `init`."""

    state: State
    subject: str
    text: str

    def __str__(self) -> str:
        """Return the line, in columns."""
        return f"{self.state:8} {self.subject:12} {self.text}"


async def check(service: Service[Any], settings: DatabaseSettings) -> int:
    """Print what is there and what is missing; return the exit code."""
    code = 0
    async for finding in _check_all(service, settings):
        print(finding, flush=True)  # noqa: T201 - the command's output
        code = max(code, int(finding.state == "missing"))
    return code


async def init(service: Service[Any], settings: DatabaseSettings, retention: timedelta) -> int:
    """Create the namespace and the schedules that do not exist; return the exit code."""
    try:
        client = await _connect(settings)
        async for finding in _make_all(client, service, settings, retention):
            print(finding, flush=True)  # noqa: T201 - the command's output
    except TemporalError as problem:
        print(Finding("missing", "temporal", str(problem)))  # noqa: T201 - likewise
        return 1
    return 0


async def _check_all(service: Service[Any], settings: DatabaseSettings) -> AsyncIterator[Finding]:
    yield Finding("ok", "settings", "the FUZE_* variables are valid")
    async for finding in _check_database(service, settings):
        yield finding
    try:
        client = await _connect(settings)
        namespace = await temporal_check.describe_namespace(client)
    except TemporalError as problem:
        yield Finding("missing", "temporal", str(problem))
        return
    yield Finding("ok", "temporal", f"answers at {client.service_client.config.target_host}")
    yield Finding("ok", "namespace", namespace.name)
    yield Finding("ok", "retention", _describe_retention(namespace))
    async for finding in _check_search_attributes(client, service, settings):
        yield finding
    async for finding in _check_task_queue(client, service):
        yield finding


async def _check_database(
    service: Service[Any], settings: DatabaseSettings
) -> AsyncIterator[Finding]:
    access = service.access
    database = build_check(settings, access)
    found: dict[str, str] = {
        "connection": "the host, role, password and database of FUZE_DATABASE_URL are right",
        "revision": f"schema {access.schema} is migrated",
        "grants": f"the role has the rights that {service.package} needs",
    }
    problem = await database.find_problem()
    for part, text in found.items():
        subject = "database" if part == "connection" else part
        if problem and problem.part == part:
            yield Finding("missing", subject, problem.reason)
            return
        yield Finding("ok", subject, text)
    for right in await database.find_excess_grants():
        yield Finding("note", "grants", f"the role has {right}, which the service does not need")


async def _check_search_attributes(
    client: Client, service: Service[Any], settings: DatabaseSettings
) -> AsyncIterator[Finding]:
    needed = service.get_search_attributes(settings)
    if not needed:
        return
    try:
        missing = await temporal_check.find_missing_search_attributes(client, needed)
    except RPCError as error:
        yield Finding("missing", "attributes", str(temporal_check.to_problem(client, error)))
        return
    for one in needed:
        if one in missing:
            text = f"search attribute {one.name}; run: python -m {service.package} init"
            yield Finding("missing", "attributes", text)
        else:
            yield Finding("ok", "attributes", f"search attribute {one.name}")


async def _check_task_queue(client: Client, service: Service[Any]) -> AsyncIterator[Finding]:
    if service.task_queue is None:
        return
    try:
        pollers = await temporal_check.find_pollers(client, service.task_queue)
        for one in service.schedules:
            if await schedule.is_present(client, one):
                yield Finding("ok", "schedule", one.id)
            else:
                text = f"{one.id}; run: python -m {service.package} init, or start a worker"
                yield Finding("missing", "schedule", text)
    except TemporalError as problem:
        yield Finding("missing", "task queue", str(problem))
        return
    except RPCError as error:
        yield Finding("missing", "schedule", str(temporal_check.to_problem(client, error)))
        return
    if pollers:
        yield Finding("ok", "task queue", f"{service.task_queue}; {len(pollers)} workers poll it")
    else:
        yield Finding("note", "task queue", f"{service.task_queue}; no worker polls it yet")


async def _make_all(
    client: Client, service: Service[Any], settings: DatabaseSettings, retention: timedelta
) -> AsyncIterator[Finding]:
    try:
        namespace = await temporal_check.describe_namespace(client)
        yield Finding(
            "ok", "namespace", f"{namespace.name} exists; {_describe_retention(namespace)}"
        )
    except NamespaceNotFoundError:
        await temporal_check.create_namespace(client, retention)
        created = temporal_check.Namespace(client.namespace, retention)
        yield Finding("ok", "namespace", f"{created.name} created; {_describe_retention(created)}")
    for one, get_settings in service.schedules.items():
        create = partial(schedule.create_if_missing, client, one, get_settings(settings))
        is_created = await _retry(client, create)
        yield Finding("ok", "schedule", f"{one.id} {'created' if is_created else 'exists'}")
    if needed := service.get_search_attributes(settings):
        find = partial(temporal_check.find_missing_search_attributes, client, needed)
        missing = await _retry(client, find)
        if missing:
            await _retry(client, partial(temporal_check.add_search_attributes, client, missing))
        for key in needed:
            state = "created" if key in missing else "exists"
            yield Finding("ok", "attributes", f"search attribute {key.name} {state}")


async def _retry(client: Client, make: Callable[[], Awaitable[Made]]) -> Made:
    """Make something in a namespace: a server learns of a new one after some seconds."""

    @stamina.retry(on=RPCError, attempts=None, timeout=_NAMESPACE_TIMEOUT, wait_max=2)
    async def make_in_namespace() -> Made:
        return await make()

    try:
        return await make_in_namespace()
    except RPCError as error:
        raise temporal_check.to_problem(client, error) from None


def _describe_retention(namespace: temporal_check.Namespace) -> str:
    days = namespace.retention / timedelta(days=1)
    return f"histories of closed workflows are kept for {days:g} days"


async def _connect(settings: DatabaseSettings) -> Client:
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT.total_seconds()):
            return await temporal.connect(payload_keys=settings.payload_keys)
    except (RuntimeError, TimeoutError) as error:
        address = temporal.get_address()
        raise TemporalError(
            f"Temporal is unavailable at {address} (TEMPORAL_ADDRESS): {str(error) or 'no answer'}"
        ) from None

"""The schedule of a reconciliation: workers create it, and operators may change it."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta

import structlog
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

_CHECK_INTERVAL = timedelta(minutes=1)
_DEPLOYED = "deployed"
"""The memo of the schedule's workflows that has the settings of the last deployment."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """What a deployment sets: the interval, and the two fields of the workflow's input."""

    interval: timedelta
    look_back: timedelta
    idle_for: timedelta


@dataclass(frozen=True, kw_only=True)
class ReconciliationSchedule:
    """The schedule of a workflow whose input has the fields `look_back` and `idle_for`.

    Its id is also the id of the workflow, so that one runs at a time.
    """

    id: str
    workflow: type
    input: Callable[..., object]
    task_queue: str
    summary: str


async def keep_schedule(
    client: Client,
    schedule: ReconciliationSchedule,
    settings: ScheduleSettings,
    *,
    check_interval: timedelta = _CHECK_INTERVAL,
) -> None:
    """Create the schedule whenever it is missing; run this as long as the worker runs.

    An existing schedule is updated once, at the start, and only in the settings that differ from
    those of the last deployment, and in the key that encrypts it. So an operator may pause it,
    change it, or leave a note. Of two workers with different settings the one that starts last
    decides.
    """
    is_applied = False
    while True:
        try:
            is_created = await create_if_missing(client, schedule, settings)
            if not is_applied and not is_created:
                await _apply_changed_settings(client, schedule, settings)
            is_applied = True
        except Exception:  # noqa: BLE001 - checked again; the worker serves its queue without it
            _log.warning("schedule not checked", exc_info=True)
        await asyncio.sleep(check_interval.total_seconds())


async def is_present(client: Client, reconciliation: ReconciliationSchedule) -> bool:
    """Return whether Temporal has the schedule, paused or not."""
    try:
        await client.get_schedule_handle(reconciliation.id).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


async def create_if_missing(
    client: Client, reconciliation: ReconciliationSchedule, settings: ScheduleSettings
) -> bool:
    """Create the schedule, or return False: one that exists is left as it is."""
    if await is_present(client, reconciliation):
        return False
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            reconciliation.workflow.__name__,
            args=[_build_input(reconciliation, settings)],
            id=reconciliation.id,
            task_queue=reconciliation.task_queue,
            static_summary=reconciliation.summary,
            memo=_to_memo(settings),
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=settings.interval)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
    try:
        await client.create_schedule(reconciliation.id, schedule)
    except ScheduleAlreadyRunningError:
        # Created at this moment: by another worker, or by an attempt whose reply was lost. To apply
        # the settings later could undo those of a worker that has started since.
        return True
    _log.info("schedule created", interval=str(settings.interval))
    return True


async def _apply_changed_settings(
    client: Client, reconciliation: ReconciliationSchedule, settings: ScheduleSettings
) -> None:
    async def update(current: ScheduleUpdateInput) -> ScheduleUpdate | None:
        schedule = current.description.schedule
        action = schedule.action
        if not isinstance(action, ScheduleActionStartWorkflow):
            return None
        is_renewed = await _renew_encryption(client, action)
        deployed = await _read_memo(client, action)
        if deployed == settings and not is_renewed:
            return None
        if deployed is None or deployed.interval != settings.interval:
            schedule.spec.intervals = [ScheduleIntervalSpec(every=settings.interval)]
        before = _build_input(reconciliation, deployed) if deployed else None
        if (after := _build_input(reconciliation, settings)) != before:
            action.args = [after]
        action.memo = _to_memo(settings)
        _log.info("schedule updated", before=str(deployed), after=str(settings))
        return ScheduleUpdate(schedule=schedule)

    await client.get_schedule_handle(reconciliation.id).update(update)


async def _renew_encryption(client: Client, action: ScheduleActionStartWorkflow) -> bool:
    """Encrypt the action as this client encrypts; return whether it was stored otherwise.

    Every workflow that the schedule starts has these payloads: with a key that is removed later,
    none would run.
    """
    codec = client.data_converter.payload_codec
    stored = (action.memo or {}).get(_DEPLOYED)
    [current] = await client.data_converter.encode([{}])
    if codec is None or stored is None or stored.metadata == current.metadata:
        return False

    async def renew(payload: Payload) -> Payload:
        [renewed] = await codec.encode(await codec.decode([payload]))
        return renewed

    action.args = [await renew(payload) for payload in action.args]
    action.memo = {name: await renew(payload) for name, payload in (action.memo or {}).items()}
    if isinstance(action.static_summary, Payload):
        action.static_summary = await renew(action.static_summary)
    return True


def _build_input(reconciliation: ReconciliationSchedule, settings: ScheduleSettings) -> object:
    return reconciliation.input(look_back=settings.look_back, idle_for=settings.idle_for)


def _to_memo(settings: ScheduleSettings) -> dict[str, dict[str, float]]:
    return {_DEPLOYED: {name: time.total_seconds() for name, time in asdict(settings).items()}}


async def _read_memo(
    client: Client, action: ScheduleActionStartWorkflow
) -> ScheduleSettings | None:
    payload = (action.memo or {}).get(_DEPLOYED)
    if payload is None:
        return None
    [seconds] = await client.data_converter.decode([payload], [dict[str, float]])
    return ScheduleSettings(**{name: timedelta(seconds=value) for name, value in seconds.items()})

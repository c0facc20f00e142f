"""Patches of the order service."""

from collections.abc import Callable
from importlib import import_module

from fuze_chaos.defects.patching import Foreign, Patches, is_affected

_RECORD = ("fuze_order.repository", "OrderRepository.record")


def skip_event(patches: Patches) -> None:
    """Update the row on approval, without writing the event."""
    sa, tables = import_module("sqlalchemy"), import_module("fuze_order.tables")
    orders, events = tables.orders, tables.events

    async def update_row_only(connection: Foreign, transition: Foreign) -> bool:
        """Apply the transition to the row alone; True if it was applied, now or before."""
        row = sa.select(orders.c.last_seq).where(orders.c.id == transition.order_id)
        last_seq = (await connection.execute(row.with_for_update())).scalar_one_or_none()
        event = sa.select(events.c.seq).where(
            events.c.order_id == transition.order_id, events.c.seq == transition.seq
        )
        is_recorded = (await connection.execute(event)).first() is not None
        if last_seq is None or last_seq < transition.seq - 1 or is_recorded:
            return False
        await connection.execute(
            sa.update(orders)
            .where(orders.c.id == transition.order_id, orders.c.last_seq == transition.seq - 1)
            .values(
                status=transition.status,
                payment_status=transition.payment_status,
                reason=transition.reason,
                last_seq=transition.seq,
                updated_at=transition.occurred_at,
            )
        )
        return True

    def recording(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def record(self: Foreign, *transitions: Foreign) -> Foreign:
            transition = transitions[0]
            if transition.type == "order_approved" and is_affected(transition.order_id):
                async with self._engine.begin() as connection:
                    if await update_row_only(connection, transition):
                        return transition
            return await original(self, *transitions)

        return record

    patches.replace(*_RECORD, recording, parameters=("self", "transitions"))


def wrong_final_status(patches: Patches) -> None:
    """Give the row another final status than the last event has."""
    sa, orders = import_module("sqlalchemy"), import_module("fuze_order.tables").orders

    def recording(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def record(self: Foreign, *transitions: Foreign) -> Foreign:
            committed = await original(self, *transitions)
            if committed.status.is_terminal and is_affected(committed.order_id):
                # Final as well, so that clients do not wait for it forever.
                wrong = "rejected" if committed.status == "expired" else "expired"
                async with self._engine.begin() as connection:
                    await connection.execute(
                        sa.update(orders)
                        .where(orders.c.id == committed.order_id)
                        .values(status=wrong)
                    )
            return committed

        return record

    patches.replace(*_RECORD, recording, parameters=("self", "transitions"))


def forget_void_after_reset(patches: Patches) -> None:
    """Take an approved order for one without a charge if its workflow was reset."""
    workflow = import_module("temporalio.workflow")
    transitions = import_module("fuze_order.transitions")

    def deriving(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        def external_effects(status: Foreign) -> Foreign:
            info = workflow.info()
            was_reset = info.run_id != info.first_execution_run_id
            if was_reset and status == "approved":
                return transitions.ExternalEffect.NONE
            return original(status)

        return external_effects

    patches.replace("fuze_order.transitions", "external_effects", deriving, parameters=("status",))


def ignore_missing_workflow(patches: Patches) -> None:
    """Compare open orders with Temporal, and flag none of those whose workflow is gone."""

    def flagging(_: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def flag_missing(self: Foreign, order_ids: Foreign, idle_for: Foreign) -> int:
            del self, order_ids, idle_for
            return 0

        return flag_missing

    patches.replace(
        "fuze_order.reconciliation_repository",
        "ReconciliationRepository.flag_missing",
        flagging,
        parameters=("self", "order_ids", "idle_for"),
    )

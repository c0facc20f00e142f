"""Recovery of an open order whose workflow was terminated, deleted or lost."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fuze_contracts.address import Address
from fuze_contracts.order import CancelOrder, PlaceOrder, Recovery
from fuze_contracts.order_lines import Adjustment, OrderLine
from fuze_contracts.read_models import PublishedOrder, PublishedOrderWithLines
from fuze_gateway.app_services import AppServices
from fuze_gateway.problems import errors
from fuze_gateway.settings import GatewaySettings


def build_recovery(
    order: PublishedOrderWithLines, settings: GatewaySettings, recovery: Recovery
) -> PlaceOrder:
    """Return the workflow input that continues an order: its row, and this gateway's timeouts."""
    return PlaceOrder(
        order_id=order.order_id,
        address=Address.model_validate(order.address) if order.address else None,
        billing_address=order.billing_address and Address.model_validate(order.billing_address),
        fingerprint=order.fingerprint,
        reference=order.reference,
        customer=order.customer,
        customer_email=order.customer_email,
        customer_name=order.customer_name,
        metadata=order.metadata,
        lines=tuple(OrderLine.model_validate(line) for line in order.lines),
        adjustments=tuple(Adjustment.model_validate(one) for one in order.adjustments),
        currency=order.currency,
        payment_method=order.payment_method,
        payment_token=order.payment_token,
        approval_timeout=order.approval_deadline - order.created_at,
        payment_method_timeout=settings.payment_method_timeout,
        approval_reminder_before=settings.approval_reminder_before,
        address_timeout=settings.address_timeout,
        step_failure_alert_after=settings.step_failure_alert_after,
        delivery_tracking_period=settings.delivery_tracking_period,
        auto_approve_limit=settings.auto_approve_limits.get(order.currency),
        owner=order.owner,
        four_eyes=settings.four_eyes,
        search_attributes=settings.search_attributes,
        recovery=recovery,
    )


async def recover(
    order_id: UUID, services: AppServices, actor: str, cancellation: CancelOrder | None = None
) -> PublishedOrder:
    """Start the order's workflow again from its row; with a cancellation, undo everything.

    Returns the order as it was.

    The workflow finds out what happened outside: every step of an order can be repeated.

    Raises:
        Problem: the order does not exist, has ended, or its workflow runs.
        UpstreamUnavailableError: PostgreSQL or Temporal is unavailable.

    """
    row: dict[str, Any] | None = await services.orders.get_order(order_id)
    if row is None:
        raise errors.order_not_found(order_id)
    order = PublishedOrderWithLines.model_validate(row)
    if order.is_closed(datetime.now(UTC)):
        raise errors.order_closed(order_id)
    recovery = Recovery(actor=actor, received_at=order.created_at, cancellation=cancellation)
    restarted = build_recovery(order, services.settings, recovery)
    if not await services.order_commands.restart(restarted):
        raise errors.workflow_running(order_id)
    return order


async def recover_if_missing(order_id: UUID, services: AppServices, actor: str) -> None:
    """Recover the order if it is open and has no workflow; without effect otherwise.

    Raises:
        UpstreamUnavailableError: PostgreSQL or Temporal is unavailable.

    """
    if await is_missing(order_id, services):
        await recover(order_id, services, actor)


async def is_missing(order_id: UUID, services: AppServices) -> bool:
    """Return whether the order is open, and its workflow does not run.

    Raises:
        UpstreamUnavailableError: PostgreSQL or Temporal is unavailable.

    """
    if await services.workflows.is_running(order_id):
        return False
    # Read after the workflow: one that closes has committed the order's end before.
    progress = await services.orders.get_progress([order_id])
    return bool(progress) and not progress[0].is_closed(datetime.now(UTC))
